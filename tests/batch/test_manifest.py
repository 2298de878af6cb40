"""Manifests: everything that is wrong is said before anything is bought, and the rest is read as it was written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from manifests import DIGEST, PNG, Write, problems, read, writer

from sora_async.batch.item import BatchItem
from sora_async.batch.manifest import MAX_PROBLEMS, Problem
from sora_async.images import MAX_IMAGE_BYTES
from sora_async.models import VideoRequest


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a manifest."""
    return writer(tmp_path)


def test_line_with_a_prompt_has_the_defaults(write: Write) -> None:
    """What a line does not say is what VideoRequest takes."""
    assert read(write('{"prompt": "a cat"}')) == [BatchItem("a cat")]


def test_line_with_all_fields(write: Write) -> None:
    """A line is a create body with a key and an output; unknown fields are passed on."""
    fields = {"images": ["https://a.test/1.png"], "model": "m", "orientation": "portrait", "size": "large"}
    fields |= {"duration": 15, "watermark": False, "private": True, "character_url": "https://a.test/2.mp4"}
    fields |= {"character_timestamps": "1,3"}
    line = json.dumps({"prompt": "p", **fields, "seed": [1, None], "key": "k", "output": "a/b.mp4"})
    expected = BatchItem(VideoRequest("p", **fields, extra={"seed": [1, None]}), key="k", output="a/b.mp4")
    assert read(write(line)) == [expected]


def test_null_leaves_a_field_out(write: Write) -> None:
    """Null says that a field is not sent, which its absence does not."""
    line = '{"prompt": "p", "images": null, "duration": null, "watermark": null, "key": null, "output": null}'
    assert read(write(line)) == [BatchItem(VideoRequest("p", images=None, duration=None, watermark=None))]


def test_flag_may_be_a_text(write: Write) -> None:
    """Relays' own pages show the flag as a text."""
    assert read(write('{"prompt": "p", "watermark": "false"}'))[0].request.watermark is False


def test_jsonl_is_read_however_an_editor_saved_it(write: Write) -> None:
    """A byte order mark, either line end, blank lines and comments count for nothing."""
    path = write(b'\xef\xbb\xbf{"prompt": "a"}\r', "", " \r", "# a note", '{"prompt": "b"}')
    assert [item.request.prompt for item in read(path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "column", "text"),
    [
        ('{"prompt": "a", b}', 17, "no JSON (Expecting property name enclosed in double quotes)"),
        ('{"prompt": "a"} {"prompt": "b"}', 17, "no JSON (Extra data): write one whole object in each line"),
        ("a cat", 1, 'such as {"prompt": "a cat"}'),
        ('["a cat"]', None, "this is no object"),
        ('{"prompt": "a", "n": {"b": 1, "b": 2}}', 31, "'b' is given twice"),
        ('{"b": 1, "n": {"b": 1, "b": 2}}', None, "'b' is given twice"),
        ('{"prompt": "NaN", "seed": NaN}', 27, "NaN is no JSON: give a number"),
        ('{"prompt": "p", "seed": NaNsense}', None, "NaN is no JSON"),
        ('{"prompt": "p", "seed": 1e999}', 25, "1e999 is too large a number"),
        (f'{{"prompt": "p", "seed": {"1" * 5000}}}', 25, "11111111111111111111... is too long a number"),
        (f'{{"prompt": "p", "a": {"[" * 100}{"]" * 100}}}', None, "deeper than 100"),
        (f'{{"prompt": "p", "a": {"[" * 100_000}{"]" * 100_000}}}', None, "deeper than 100"),
        (r'{"prompt": "\ud83d"}', None, "half of a character"),
        ('{"model": "m"}', 1, "there is no prompt"),
        ('{"prompt": null}', 2, "prompt must be a text that is not empty, not None"),
        ('{"n": {"duration": 1}, "prompt": "p", "duration": "10"}', 39, "duration must be a whole number of seconds"),
        ('{"prompt": "p", "watermark": "maybe"}', 17, "watermark must be True or False, not 'maybe'"),
        ('{"prompt": "p", "images": "a.png"}', 17, "images must be a list, not 'a.png'"),
        ('{"prompt": "p", "images": {"https://a.test": 1}}', 17, "images must be a list"),
        ('{"prompt": "p", "images": [1]}', 17, "images[0] must be an http(s) URL"),
        ('{"prompt": "p", "images": ["ftp://a.test/a.png"]}', 17, "images[0] must be an http(s) URL"),
        ('{"prompt": "p", "images": ["no.png"]}', 17, "images[0] is not a readable file: "),
        (f'{{"prompt": "p", "images": ["{"n" * 300}"]}}', 17, "images[0] is not a readable file: "),
        (f'{{"prompt": "p", "images": ["https://a.test", "{DIGEST}"]}}', 17, "images[1] holds only the digest"),
        (f'{{"prompt": "p", "first": {{"frames": ["{DIGEST}"]}}}}', 17, "first holds only the digest"),
        (f'{{"prompt": "p", "character_url": "{DIGEST}"}}', 17, "put the picture back, as a data: URI"),
        ('{"prompt": "p", "extra": {"seed": 1}}', 17, "write what is in it beside the other fields"),
        ('{"prompt": "p", "key": 1}', 17, "key must be a printable text"),
        ('{"prompt": "p", "output": "../a.mp4"}', 17, "leave out '..', which leads out of it"),
        (b'{"prompt": "\xc3\xa9 \xe9"}', 15, "byte 0xe9 is not UTF-8: save the file as UTF-8"),
    ],
)
def test_bad_line_is_named(write: Write, line: str | bytes, column: int | None, text: str) -> None:
    """Each kind of mistake has its line, its column if there is one, and a way out."""
    (found,) = problems(write('{"prompt": "fine"}', line))
    assert found[:2] == (2, column)
    assert text in found[2]


def test_all_that_is_wrong_is_told(write: Write) -> None:
    """One look is enough: every field of every line is judged."""
    found = problems(write('{"prompt": "", "duration": 0, "key": ""}', "{", '{"prompt": "p"}', "[]"))
    assert [place[:2] for place in found] == [(1, 2), (1, 16), (1, 31), (2, 2), (4, None)]


def test_problems_are_bounded_and_short(write: Write) -> None:
    """A file that is no manifest brings a page, not a flood."""
    found = problems(write(*[json.dumps({"prompt": ["x" * 1000]})] * (MAX_PROBLEMS + 5)))
    assert len(found) == MAX_PROBLEMS + 1
    assert max(len(text) for _, _, text in found) <= 300
    assert found[-1] == (None, None, "these are the first 1,000 problems: the rest was not checked")


def test_problem_shows_its_place() -> None:
    """A problem as text says where, as far as that is known."""
    shown = [str(Problem(line=line, column=column, text="no")) for line, column in ((None, None), (3, None), (3, 14))]
    assert shown == ["no", "line 3: no", "line 3, column 14: no"]


def test_same_key_twice(write: Write) -> None:
    """A key stands for one video, so two lines cannot have the same."""
    found = problems(write('{"prompt": "a", "key": "k"}', '{"prompt": "b", "key": "K"}', '{"key": "k", "prompt": "c"}'))
    assert found == [(3, 2, "line 1 has the same key: give each line one of its own")]


def test_same_output_twice(write: Write) -> None:
    """Two lines cannot have one file, also where only case, the writing of accents or a second slash differ."""
    lines = [json.dumps({"prompt": "p", "output": output}) for output in ("É/a.mp4", "x.mp4", "e\u0301//A.MP4")]
    assert problems(write(*lines)) == [(3, 17, "line 1 has the same output: give each line one of its own")]


def test_same_name_as_key_and_output(write: Write) -> None:
    """Keys and outputs are told apart."""
    assert len(read(write('{"prompt": "p", "key": "a"}', '{"prompt": "p", "output": "a"}'))) == 2


def test_local_images_are_beside_the_manifest(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder does not matter: neither for finding a picture nor for what the item is called."""
    (tmp_path / "my pictures").mkdir()
    (tmp_path / "my pictures" / "1.png").write_bytes(PNG)
    monkeypatch.chdir(tmp_path)
    path = write('{"prompt": "p", "images": ["my pictures/1.png", "DATA:image/png;base64,aa", "HTTPS://a.test/1"]}')
    expected = (tmp_path / "my pictures" / "1.png", "DATA:image/png;base64,aa", "HTTPS://a.test/1")
    assert read(path)[0].request.images == read(Path(path.name))[0].request.images == expected


def test_local_image_that_is_no_picture(write: Write, tmp_path: Path) -> None:
    """What could not be sent is found before the batch begins."""
    (tmp_path / "1.png").write_text("no picture")
    (tmp_path / "2.png").write_bytes(PNG)
    with (tmp_path / "3.png").open("wb") as large:
        large.write(PNG)
        large.truncate(MAX_IMAGE_BYTES + 1)
    found = problems(write(*(json.dumps({"prompt": "p", "images": ["2.png", name]}) for name in ("1.png", "3.png"))))
    assert [(line, column, text.partition(str(tmp_path))[2]) for line, column, text in found] == [
        (1, 17, "/1.png' is no picture"),
        (2, 17, "/3.png' is over 20 MiB: make it smaller"),
    ]
