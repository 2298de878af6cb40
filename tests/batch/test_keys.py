"""Keys made from requests: the same for the same request anywhere, numbered where one comes again."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_async.batch.keys import FirstLines, Ordinals, body_key, ledger_body, request_key
from sora_async.errors import LedgerError
from sora_async.models import VideoRequest
from sora_async.wire.request import request_to_body

PICTURE = "data:image/PNG;base64,aGVsbG8="
DIGEST = hashlib.sha256(b"aGVsbG8=").hexdigest()


def test_request_key_is_the_same_in_every_process() -> None:
    """No seed, order or address of this process goes into a key."""
    code = "from sora_async.batch.keys import *; from sora_async.models import *; "
    code += "print(request_key(VideoRequest('a cat', extra={'b': 1, 'a': {'d': 2, 'c': 3}})))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == request_key(VideoRequest("a cat", extra={"a": {"c": 3, "d": 2}, "b": 1}))


def test_request_key_never_changes() -> None:
    """A new version of the package must not buy again what an older one bought."""
    assert request_key(VideoRequest("a cat")) == "e6133c37d944d31c8bbd"


@pytest.mark.parametrize(
    "other",
    [
        VideoRequest("a cat "),
        VideoRequest("a cat", duration=15),
        VideoRequest("a cat", watermark=None),
        VideoRequest("a cat", images=None),
        VideoRequest("a cat", images=["https://a.test/1.png"]),
        VideoRequest("a cat", extra={"seed": 1}),
    ],
    ids=repr,
)
def test_request_key_differs_for_any_field(other: VideoRequest) -> None:
    """Whatever is sent otherwise is another video."""
    assert request_key(other) != request_key(VideoRequest("a cat"))


def test_request_key_differs_for_other_pictures() -> None:
    """The bytes of a data: URI count, though the ledger does not keep them."""
    first, second = (VideoRequest("p", images=[f"data:image/png;base64,{text}"]) for text in ("aaaa", "bbbb"))
    assert request_key(first) != request_key(second)


def test_ledger_body_without_pictures_is_the_create_body() -> None:
    """The account holds what was sent."""
    request = VideoRequest('a "data:image/png,x" cat', duration=None, extra={"seed": 1, "note": "data: none, sorry"})
    assert ledger_body(request) == request_to_body(request)


def test_ledger_body_replaces_data_uris_at_any_depth() -> None:
    """A ledger does not grow by the size of the pictures."""
    extra = {"input": [{"first_frame": PICTURE}], "seed": 1}
    body = ledger_body(VideoRequest("p", images=["https://a.test/1.png", PICTURE], extra=extra))
    named = f"data:image/png;sha256,{DIGEST}"
    assert body["images"] == ["https://a.test/1.png", named]
    assert (body["input"], body["seed"]) == ([{"first_frame": named}], 1)


def test_ledger_body_names_local_files_by_their_path(tmp_path: Path) -> None:
    """Relative to the folder if there is one, else as given."""
    inside, outside = tmp_path / "batch" / "in" / "1.png", tmp_path / "2.png"
    inside.parent.mkdir(parents=True)
    for file in (inside, outside):
        file.write_bytes(b"x")
    request = VideoRequest("p", images=[inside, outside])
    assert ledger_body(request)["images"] == [str(inside), str(outside)]
    assert ledger_body(request, tmp_path / "batch")["images"] == ["in/1.png", "../2.png"]


def test_request_key_survives_a_move_of_the_folder(tmp_path: Path) -> None:
    """A batch that was moved together with its pictures is the same batch."""
    keys = []
    for name in ("here", "there"):
        file = tmp_path / name / "1.png"
        file.parent.mkdir()
        file.write_bytes(name.encode())
        request = VideoRequest("p", images=[file])
        file.unlink()
        keys.append(request_key(request, file.parent))
    assert keys[0] == keys[1]


def test_request_key_takes_half_a_character() -> None:
    """A lone surrogate, which no UTF-8 can hold, does not end a batch."""
    with Ordinals() as ordinals:
        assert ordinals.next(request_key(VideoRequest("\ud800"))) == 1
        assert ordinals.next("\ud800") == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just(PICTURE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(min_size=1).filter(str.strip), JSON)
def test_ledger_body_changes_nothing_but_data_uris(prompt: str, value: object) -> None:
    """Its JSON is that of the create with digests in it, and it has the key of the request."""
    request = VideoRequest(prompt, extra={"value": value})
    expected = json.dumps(request_to_body(request)).replace(PICTURE, f"data:image/png;sha256,{DIGEST}")
    assert ledger_body(request) == json.loads(expected)
    assert request_key(request) == body_key(ledger_body(request))


@given(st.lists(st.sampled_from("abc")))
def test_ordinals_count_each_key_by_itself(keys: list[str]) -> None:
    """The n-th of a key gets n, whatever stands between."""
    with Ordinals() as ordinals:
        assert [ordinals.next(key) for key in keys] == [keys[: place + 1].count(key) for place, key in enumerate(keys)]


def test_ordinals_begin_anew_in_each_run() -> None:
    """The same file again gives the same ordinals."""
    for _ in range(2):
        with Ordinals() as ordinals:
            assert [ordinals.next("a"), ordinals.next("a")] == [1, 2]


def test_ordinals_need_little_memory() -> None:
    """What the counts of many keys take is on the disk."""
    code = (
        "import resource\n"
        "from sora_async.batch.keys import Ordinals\n"
        "def peak():\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "with Ordinals() as ordinals:\n"
        "    ordinals.next('first')\n"
        "    before = peak()\n"
        "    for number in range(50_000):\n"
        "        ordinals.next(str(number))\n"
        "    print(peak() - before)\n"
    )
    pytest.importorskip("resource")
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 4096 * (1024 if sys.platform == "darwin" else 1)


def test_ordinals_say_what_is_wrong_with_the_disk() -> None:
    """Trouble of the temporary file is an error of ours: it comes before anything is bought."""
    ordinals = Ordinals()
    ordinals.close()
    with pytest.raises(LedgerError, match="folder for temporary files"):
        ordinals.next("a")


def test_first_lines_remember_the_first() -> None:
    """A name keeps the line in which it came first."""
    with FirstLines() as names:
        assert [names.find("a", 3), names.find("b", 4), names.find("a", 5)] == [3, 4, 3]
