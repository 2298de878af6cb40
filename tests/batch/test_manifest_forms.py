"""Any bytes are a manifest that is right or wrong, and what was written is what is read."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sora_async.batch.item import BatchItem
from sora_async.batch.manifest import Manifest
from sora_async.models import VideoRequest
from sora_async.wire.request import body_to_request

FIELDS = [field.name for field in attrs.fields(VideoRequest) if field.name != "extra"]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
STRIPPED = TEXT.map(str.strip)
LINK = st.sampled_from(["https://a.test/1.png", "http://a.test/%20,;", "data:image/png;base64,aGVsbG8="])
NAME = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)
PIECES = [
    '{"prompt": "p"',
    "}",
    "]",
    ",",
    '"key": "k"',
    '"duration": ',
    "NaN",
    "1e999",
    "[" * 101,
    "\\ud800",
    '"',
    "\n",
]
PIECES += ["prompt,images,duration\n", "p,", "[1]", "é", "\r\n", "# ", "\0", ' "a""b" ', "a/b.png ", "null", ": "]


def read(content: bytes, name: str) -> list[BatchItem] | None:
    """The items in those bytes, None if there is a problem with them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        with Manifest(path) as manifest:
            if found := manifest.check():
                assert all(problem.text and len(str(problem)) < 400 for problem in found)
                return None
            items = list(manifest.items())
            assert len(items) == manifest.count > 0
            return items


BYTES = st.binary() | st.lists(st.sampled_from(PIECES) | st.text()).map(
    lambda parts: "".join(parts).encode("utf-8", "replace")
)


@pytest.mark.parametrize("name", ["batch.jsonl", "batch.csv", "batch"])
def test_any_bytes_give_items_or_problems(name: str) -> None:
    """No file brings any other error."""

    @given(BYTES)
    @example(b'{"m": {"a": 1, "a": 2}, "\\q": 3')
    def gives_items_or_problems(content: bytes) -> None:
        read(content, name)

    gives_items_or_problems()


EXTRA = st.dictionaries(
    TEXT.filter(lambda name: name not in {*FIELDS, "extra", "key", "output"}),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)
REQUESTS = st.builds(
    VideoRequest,
    TEXT,
    images=st.none() | st.lists(LINK, max_size=3),
    model=STRIPPED,
    orientation=st.none() | STRIPPED,
    size=st.none() | STRIPPED,
    duration=st.none() | st.integers(1, 999_999_999),
    watermark=st.none() | st.booleans(),
    private=st.none() | st.booleans(),
    character_url=st.none() | STRIPPED,
    character_timestamps=st.none() | st.just("1,3"),
    extra=EXTRA,
)


def name_items(requests: list[VideoRequest], named: bool) -> list[BatchItem]:
    """The items with these requests, each with a key and an output or without."""
    names = [{"key": f"k {number}", "output": f"f/{number}.mp4"} if named else {} for number in range(len(requests))]
    return [BatchItem(request, **name) for request, name in zip(requests, names, strict=True)]


def fields_of(item: BatchItem) -> dict[str, object]:
    """All fields of an item, by their names in a manifest."""
    return {name: getattr(item.request, name) for name in FIELDS} | {"key": item.key, "output": item.output}


@given(st.lists(REQUESTS, min_size=1, max_size=5), st.booleans(), st.booleans())
def test_items_written_as_jsonl_are_read_again(requests: list[VideoRequest], named: bool, escaped: bool) -> None:
    """A line with every field, null for those that are None, is the item."""
    items = name_items(requests, named)
    lines = (json.dumps(fields_of(item) | dict(item.request.extra), ensure_ascii=escaped) for item in items)
    assert read("\n".join(lines).encode(), "batch.jsonl") == items


@given(st.lists(REQUESTS, min_size=1, max_size=5), st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_items_written_as_csv_are_read_again(requests: list[VideoRequest], named: bool, end: str) -> None:
    """Rows as the standard library writes them give the same items; what is None is not given, and has the default."""
    items = name_items(requests, named)
    file = io.StringIO()
    writer = csv.DictWriter(file, [*FIELDS, "key", "output"], lineterminator=end)
    writer.writeheader()
    for item in items:
        writer.writerow(fields_of(item) | {"images": " ".join(map(str, item.request.images or ()))})
    given = ({name: value for name, value in fields_of(item).items() if value not in (None, ())} for item in items)
    expected = [
        BatchItem(VideoRequest(**{name: row[name] for name in FIELDS if name in row}), key=item.key, output=item.output)
        for row, item in zip(given, items, strict=True)
    ]
    assert read(file.getvalue().encode("utf-8-sig"), "batch.csv") == expected


VALUES = st.sampled_from(
    [None, True, 0, 5, -1, 1.0, 1e400, "true", "p", "", "1,3", [], {}, [1], ["https://a.test/1.png"]]
)


@given(st.dictionaries(st.sampled_from([*FIELDS, "seed"]), VALUES, max_size=2).map(lambda some: {"prompt": "p"} | some))
def test_line_is_read_as_a_create_body(fields: dict[str, object]) -> None:
    """A line is what body_to_request makes of it and of the defaults for what it does not say."""
    defaults = attrs.asdict(VideoRequest("any"))
    del defaults["extra"]
    try:
        expected = [BatchItem(body_to_request(defaults | fields))]
    except ValueError:
        expected = None
    assert read(json.dumps(fields).encode(), "batch.jsonl") == expected
