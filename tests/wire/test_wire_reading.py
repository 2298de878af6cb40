"""Bytes to JSON: bounded, tolerant, and nothing but a DecodeError for what cannot be read."""

from __future__ import annotations

import contextlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_async.errors import DecodeError
from sora_async.wire.reading import MAX_BODY_BYTES, find_id, is_task_id, parse_json

UNREADABLE = {
    "empty": (b"", "empty"),
    "blank": (b" \r\n\t", "empty"),
    "byte order mark alone": (b"\xef\xbb\xbf", "empty"),
    "over the cap": (b'"' + b"a" * MAX_BODY_BYTES + b'"', "larger than"),
    "not UTF-8": (b'{"id":"\xff"}', "not UTF-8"),
    "not JSON": (b"upstream error", "not JSON"),
    "cut": (b'{"id":"a","sta', "not JSON"),
    "page": (b"\n<!DOCTYPE html><html><body>secret", "check the base URL"),
    "page in capitals": (b"<HTML><BODY>secret", "check the base URL"),
    "XML": (b"<error>secret</error>", "is not JSON"),
    "two values": (b"{} {}", "not JSON"),
    "deep for the stack": (b"[" * 49_000 + b"]" * 49_000, "too deep"),
    "deep": (b"[" * 101 + b"]" * 101, "too deep"),
    "deep objects": (b'{"a":' * 101 + b"1" + b"}" * 101, "too deep"),
    "long number": (b'{"seed":' + b"9" * 5000 + b"}", "number that is too long"),
    "many values": (b"[" + b"1," * 200_001 + b"1]", "too many parts"),
    "many parts": (b"[" + b"{}," * 49_999 + b"{}]", "too many parts"),
}


@pytest.mark.parametrize(("body", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_parse_json_unreadable(body: bytes, said: str) -> None:
    """What cannot be read is a DecodeError that says why, keeps 2 KiB of it, and quotes nothing."""
    with pytest.raises(DecodeError, match=f"^the answer .*{said}") as caught:
        parse_json(body)
    assert caught.value.raw == body[:2048]
    assert "secret" not in str(caught.value)


READABLE = {
    "object": (b' {"id":"a"} ', {"id": "a"}),
    "byte order mark": (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
    "no numbers": (b'{"a":NaN,"b":Infinity,"c":-Infinity,"d":1e999}', dict.fromkeys("abcd")),
    "float": (b"[0.25]", [0.25]),
    "said twice": (b'{"status":"a","status":"b"}', {"status": "b"}),
    "id said twice alike": (b'{"id":"a","id":"a"}', {"id": "a"}),
    "id said twice": (b'{"id":"a","status":"b","id":"c"}', {"id": None, "status": "b"}),
    "task_id said twice": (b'{"data":{"task_id":"a","task_id":["c"]}}', {"data": {"task_id": None}}),
    "raw line break in a text": (b'{"prompt":"a\nb"}', {"prompt": "a\nb"}),
    "as deep as allowed": (b"[" * 100 + b"]" * 100, None),
    "as many parts as allowed": (b"[" + b"{}," * 49_998 + b"{}]", [{}] * 49_999),
    "as many values as allowed": (b"[" + b"1," * 200_000 + b"1]", [1] * 200_001),
}


@pytest.mark.parametrize(("body", "value"), READABLE.values(), ids=READABLE)
def test_parse_json_readable(body: bytes, value: object) -> None:
    """Sloppy JSON is read; what no JSON can hold, and an id that contradicts itself, read as None."""
    read = parse_json(body)
    assert read == value or value is None
    assert pickle.loads(pickle.dumps(read)) == read


def test_parse_json_keeps_no_query_of_a_link() -> None:
    """It may sign the link, and errors are shown."""
    with pytest.raises(DecodeError) as caught:
        parse_json(b"see https://cdn.example/a.mp4?sig=x now")
    assert caught.value.raw == b"see https://cdn.example/a.mp4?*** now"


def test_parse_json_at_the_cap() -> None:
    """An answer of exactly 4 MiB is read."""
    assert len(parse_json(b'"' + b"a" * (MAX_BODY_BYTES - 2) + b'"')) == MAX_BODY_BYTES - 2


@given(st.binary() | st.text().map(str.encode))
def test_parse_json_any_bytes(body: bytes) -> None:
    """Whatever arrives, a value that can be pickled or a DecodeError comes out."""
    with contextlib.suppress(DecodeError):
        assert pickle.dumps(parse_json(body))


IDS = [
    "sora-2:task_01K7XKJ0Z0ABCDEFGHJKMNPQRS",
    "veo3.1-fast:1760000000-aB3dE5fG7h",
    "grok:0b6b6b0e-8f4c-4a8e-9e43-5a3f6f0a9d11",
    "video_0b6b6b0e-8f4c-4a8e-9e43-5a3f6f0a9d11",
    "0b6b6b0e-8f4c-4a8e-9e43-5a3f6f0a9d11",
    "a/b%2F?c#d..",
    "a b",
    "任务",
    "x" * 512,
]


@pytest.mark.parametrize("value", IDS)
def test_is_task_id_accepts(value: str) -> None:
    """Every form of id that relays use passes."""
    assert is_task_id(value)


@pytest.mark.parametrize(
    "value", ["", " ", " a", "a ", "a\n", "a\x00b", "\x7f", "\ud800", "\u00a0", "x" * 513, 7, None, True, ["a"], b"a"]
)
def test_is_task_id_rejects(value: object) -> None:
    """Blank, overlong, unprintable, and anything but text is no id."""
    assert not is_task_id(value)


CREATED = {
    "flat": ({"id": "T", "status": "pending", "status_update_time": 1}, "T"),
    "only task_id": ({"task_id": "T"}, "T"),
    "both": ({"task_id": "other", "id": "T"}, "T"),
    "data.id": ({"code": "success", "data": {"id": "T"}}, "T"),
    "data.task_id": ({"code": 0, "data": {"task_id": "T", "data": {"id": "inner"}}}, "T"),
    "data both": ({"data": {"task_id": "other", "id": "T"}}, "T"),
    "data as text": ({"code": 200, "message": "ok", "data": "T"}, "T"),
    "result.id": ({"result": {"id": "T"}}, "T"),
    "result.task_id": ({"result": {"task_id": "T"}}, "T"),
    "result as text": ({"result": "T"}, "T"),
    "outer before inner": ({"data": {"id": "inner"}, "id": "T"}, "T"),
    "outer task_id before inner id": ({"data": {"id": "inner"}, "task_id": "T"}, "T"),
    "other ids": ({"request_id": "r", "detail": {"id": "d"}, "data": {"data": {"id": "i"}}}, None),
    "number": ({"id": 17}, None),
    "bad id, good task_id": ({"id": " ", "task_id": "T"}, "T"),
    "data as a sentence": ({"data": "not yet there"}, None),
    "null": ({"id": None, "data": None}, None),
    "list": (["T"], None),
    "surrogate": ({"id": "\ud800"}, None),
}


@pytest.mark.parametrize(("body", "found"), CREATED.values(), ids=CREATED)
def test_find_id_places(body: object, found: str | None) -> None:
    """The outermost id counts, `id` before `task_id`; inner ids of the upstream do not."""
    assert find_id(body) == found
