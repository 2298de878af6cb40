"""Malformed answers: what of their body can be read all the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_async.wire.raw_answer import read_raw_answer

BODY = b'{"id":"sora-2:task_1"}'
READ = {
    "plain": (b"HTTP/1.1 200 OK\r\n\r\n" + BODY, BODY),
    "without a reason": (b"HTTP/1.0 201\n\n" + BODY, BODY),
    "cut": (b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n" + BODY[:9], BODY[:9]),
    "nothing yet": (b"HTTP/1.1 200 OK\r\n\r\n", b""),
    "behind interim answers": (
        b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 103 H\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + BODY,
        BODY,
    ),
    "garbage behind its length": (b"HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n" + BODY + b"garbage", BODY),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\n" + BODY, BODY),
    "a length that is none": (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + BODY, BODY),
    "malformed headers": (b"HTTP/1.1 200 OK\r\nno colon\r\n\0: \0\r\n\r\n" + BODY, BODY),
    "packed as it is": (b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\n\r\n" + BODY, BODY),
    "chunks": (
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\n{"id"\r\n2\r\n:1\r\n0\r\n\r\nmore',
        b'{"id":1',
    ),
    "chunks with sizes in letters": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1F\r\n"
        + b"a" * 31
        + b"\r\na\r\n"
        + b"b" * 10
        + b"\r\n0\r\n",
        b"a" * 31 + b"b" * 10,
    ),
    "chunks and a bad size": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n", b"{}"),
    "chunks and a bad end": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, CHUNKED\r\n\r\n2\r\n{}XX3\r\nabc\r\n",
        b"{}",
    ),
    "half a chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}", b"{}"),
}


@pytest.mark.parametrize(("came", "body"), READ.values(), ids=READ)
def test_raw_answer_is_read_as_far_as_it_goes(came: bytes, body: bytes) -> None:
    """Whatever is wrong in or behind it, what came of the body counts."""
    assert read_raw_answer(came) == body


UNREAD = {
    "nothing": b"",
    "not HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nX: y\r\n",
    "another status": b"HTTP/1.1 500 No\r\n\r\n" + BODY,
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n" + BODY,
    "only interim": b"HTTP/1.1 100 Go on\r\n\r\n",
    "another status behind interim": b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 302 Away\r\n\r\n" + BODY,
    "packed": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + BODY,
}


@pytest.mark.parametrize("came", UNREAD.values(), ids=UNREAD)
def test_raw_answer_that_proves_nothing_is_not_read(came: bytes) -> None:
    """No healthy status, or no way to its bytes."""
    assert read_raw_answer(came) is None


@given(
    st.binary(),
    st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]),
)
def test_raw_answer_of_any_bytes_holds_only_what_came(noise: bytes, start: bytes) -> None:
    """It never raises, and makes nothing up."""
    body = read_raw_answer(start + noise)
    assert body is None or len(body) <= len(noise)
