"""The id out of an answer to a create that did not arrive whole: it is paid, so it must not be lost."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_async.wire.reading import salvage_id

TASK_ID = "sora-2:task_01K7XKJ0Z0ABCDEFGHJKMNPQRS"
ANSWERS = {
    "sora": {"id": TASK_ID, "status": "pending", "status_update_time": 1760000000123, "video_url": None},
    "finished": {"status": "completed", "video_url": "https://cdn.example/a%2Fb.mp4?x=%2B", "id": TASK_ID},
    "wrapped": {"code": "success", "message": "", "data": {"task_id": TASK_ID, "status": "NOT_START", "data": {}}},
    "wrapped, inner id": {"code": 0, "data": {"task_id": TASK_ID, "data": {"id": "inner", "error": None}}},
    "wrapped id": {"code": "0", "message": "ok", "data": {"id": TASK_ID, "progress": "0%"}},
    "result": {"result": {"id": TASK_ID, "status": "queued"}},
    "detail": {"id": TASK_ID, "detail": {"id": "inner", "status": "queued", "failure_reason": 'attempt 1: {"id"'}},
    "veo": {"id": TASK_ID, "status": "pending", "detail": {"upsample_video_url": ""}, "status_update_time": 1760000000},
    "grok": {"request_id": "r1", "id": TASK_ID, "status": "pending", "error": {"message": "", "code": ""}},
    "openai": {"id": TASK_ID, "object": "video", "error": None, "output": [], "task_id": "another"},
    "only task_id": {"object": "video", "task_id": TASK_ID, "images": ['https://x.example/"id"'], "n": 1.5},
    "data as text": {"code": 200, "message": "ok", "data": TASK_ID},
    "echo": {"prompt": 'say "id":"fake" \\ \u732b', "images": [{"id": "picture"}], "id": TASK_ID},
}


def _cuts(answer: object, **style: object) -> list[tuple[bytes, bool]]:
    """Each byte-cut of an answer, and whether the whole id is in it."""
    body = json.dumps(answer, **style).encode()
    end = body.index(TASK_ID.encode()) + len(TASK_ID) + 1
    return [(body[:cut], cut >= end) for cut in range(len(body) + 1)]


@pytest.mark.parametrize("style", [{}, {"separators": (",", ":")}, {"indent": 1, "ensure_ascii": False}], ids=str)
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_salvage_id_at_every_byte(answer: object, style: dict[str, object]) -> None:
    """From the closing quote of the id on every cut gives the id, and before it none gives a part of it."""
    for body, has_id in _cuts(answer, **style):
        assert salvage_id(body) == (TASK_ID if has_id else None), body


WHOLE = {
    "byte order mark": (b'\xef\xbb\xbf{"id":"a"', "a"),
    "escapes": (b'{"\\u0069d":"a\\/b\\u003ac"', "a/b:c"),
    "escaped quote": (b'{"id":"a\\"b"', 'a"b'),
    "leading space": (b'\n {"id":"a"', "a"),
    "bad escape": (b'{"id":"a\\xb"', None),
    "open escape": (b'{"id":"a\\', None),
    "bad UTF-8 elsewhere": (b'{"id":"a","prompt":"\xff\xfe', "a"),
    "bad UTF-8 in it": (b'{"id":"a\xff"', None),
    "long number elsewhere": (b'{"id":"a","seed":' + b"9" * 5000 + b"}", "a"),
    "deep elsewhere": (b'{"id":"a","x":' + b"[" * 9000, "a"),
    "garbage behind": (b'{"id":"a"}<br>', "a"),
    "closed too often": (b'{"id":"a"}}}', "a"),
    "said twice": (b'{"id":"a","id":"b"', None),
    "said twice alike": (b'{"id":"a","id":"a"', "a"),
    "said thrice": (b'{"id":"a","id":"b","id":"a"', None),
    "data said twice": (b'{"data":{"id":"a"},"data":{"id":"b"}', None),
    "data as text and object": (b'{"data":"t","data":{"id":"b"}', None),
    "outer after inner": (b'{"data":{"id":"b"},"id":"a"', "a"),
    "only in data.data": (b'{"data":{"data":{"id":"b"', None),
    "only in detail": (b'{"detail":{"id":"b"', None),
    "only in a list": (b'{"data":[{"id":"b"', None),
    "request_id": (b'{"request_id":"r"', None),
    "id as a value": (b'{"key":"id","x":["id","b"', None),
    "number": (b'{"id":12', None),
    "behind too many parts": (b'{"x":[' + b'"",' * 60_000 + b'],"id":"a"', None),
    "page": (b'<html><script>{"id":"G-1"}</script>', None),
    "text": (b'error: {"id":"a"}', None),
    "empty": (b"", None),
    "error": (b'{"id":"req","error":{"message":"no', None),
    "error with text": (b'{"id":"req","error":{"message":"no money"}}}', None),
    "error just begun": (b'{"id":"req","error":{', None),
    "error as text": (b'{"id":"req","error":"no money"', None),
    "error with a bad escape": (b'{"id":"req","error":"no \\x"', None),
    "error with a raw line break": (b'{"id":"req","error":"no \\"money\\"\n"', None),
    "empty error": (b'{"id":"a","error":{"message":"","code":""},', "a"),
    "empty error as text": (b'{"id":"a","error":"",', "a"),
    "failed task": (b'{"id":"a","status":"failed","error":{"message":"no', "a"),
    "wrapped failed task": (b'{"data":{"id":"a","status":"failed"},"error":{"message":"no', "a"),
    "id within an error": (b'{"status":"failed","error":{"id":"e"', None),
}


@pytest.mark.parametrize(("body", "found"), WHOLE.values(), ids=WHOLE)
def test_salvage_id_hard_cases(body: bytes, found: str | None) -> None:
    """Only an id that can be trusted is taken out of a broken answer."""
    assert salvage_id(body) == found


@pytest.mark.parametrize("unit", [b"[", b'\\"', b'"', b'"a" ', b'"id":"a",', b'{"a":', b"\\", b" "])
def test_salvage_id_of_a_huge_body(unit: bytes) -> None:
    """A hostile 4 MiB body is walked in linear time."""
    body = b'{"x":"' + unit * (4 * 1024 * 1024 // len(unit))
    assert salvage_id(body) is None


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.lists(st.sampled_from('{}[]":,\\ ') | st.just('"id"')).map("".join).map(str.encode)
)
def test_salvage_id_any_bytes(body: bytes) -> None:
    """Whatever arrives, an id that can be sent again or None comes out."""
    found = salvage_id(b"{" + body)
    assert found is None or found.encode()
