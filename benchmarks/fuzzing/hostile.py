"""Answers that are hostile by their size. They are made one at a time, and only the package reads them, so that the
memory that they take is the package's own."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice, product
from random import Random

from benchmarks.fuzzing.exchanges import Exchanges
from benchmarks.fuzzing.rules import check_error, hold
from sora_async import (
    MissingVideoError,
    SoraError,
    TaskFailedError,
    TransportError,
    VideoRequest,
    WaitTimeoutError,
)
from sora_async.session import Reply
from sora_async.submission import Submission, _salvage_created, judge
from sora_async.wire.failure import read_answer
from sora_async.wire.reading import MAX_BODY_BYTES, salvage_id
from sora_async.wire.request import build_create
from sora_async.wire.task import parse_created, parse_task

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_REQUEST = VideoRequest("a cat")
_SUBMISSION = Submission(build_create(_REQUEST), _REQUEST, parse_created, _salvage_created)


def _filled(start: bytes, unit: bytes, end: bytes) -> Callable[[], bytes]:
    """As many units as fit into the largest answer that is read."""
    return lambda: start + unit * ((MAX_BODY_BYTES - len(start) - len(end)) // len(unit)) + end


def _texts() -> bytes:
    pairs = product(b"abcdefghijklmnopqrstuvwxyz", repeat=4)
    body = bytearray(b"[")  # not by a join, which would hold them all, and count as the package's memory
    for pair in islice(pairs, 450_000):
        body += b'"%s",' % bytes(pair)
    return bytes(body) + b'"a"]'


def _keys() -> bytes:
    body = bytearray(b'{"id":"a"')
    for number in range(400_000):
        body += b',"%x":1' % number
    return bytes(body) + b"}"


def _strings_in_strings() -> bytes:
    text = b'{"message":"no"}'
    while len(text) < MAX_BODY_BYTES // 4:
        text = b'{"message":"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"}'
    return text


BODIES: dict[str, Callable[[], bytes]] = {
    "200,000 arrays, open": lambda: b"[" * 200_000,
    "200,000 objects, open": lambda: b'{"data":' * 200_000,
    "99,000 deep, closed": lambda: b"[" * 99_000 + b"]" * 99_000,
    "99,000 deep behind an id": lambda: b'{"id":"a","status":"queued","x":' + b"[" * 99_000 + b"]" * 99_000 + b"}",
    "200,000 objects side by side": lambda: b"[" + b"{}," * 200_000 + b"{}]",
    "99,000 tasks": lambda: b"[" + b'{"id":"a","status":"completed"},' * 98_000 + b"{}]",
    "a number of 5000 digits": lambda: b'{"id":"a","progress":' + b"9" * 5000 + b"}",
    "a number of 4 MiB": _filled(b'{"id":"a","progress":', b"9", b"}"),
    "a fraction of 4 MiB": _filled(b'{"id":"a","created_at":0.', b"9", b"}"),
    "a time of 4 MiB": _filled(b'{"id":"a","created_at":"', b"9", b'"}'),
    "a status of 4 MiB": _filled(b'{"id":"a","status":"', b"x", b'"}'),
    "a failure of 4 MiB": _filled(b'{"id":"a","status":"failed","fail_reason":"', b"x ", b'"}'),
    "an error of 4 MiB": _filled(b'{"error":{"message":"', "猫".encode(), b'"}}'),
    "an error of emoji": _filled(b'{"error":{"message":"', "😀".encode(), b'"}}'),
    "a link of 4 MiB": _filled(b'{"id":"a","status":"completed","video_url":"https://a.example/', b"x", b'"}'),
    "an id of 4 MiB": _filled(b'{"id":"', b"x", b'"}'),
    "a code of 4 MiB": _filled(b'{"code":"', b"x", b'","message":"no"}'),
    "a page of 4 MiB": _filled(b"<html>", b"<title ", b""),
    "request ids": _filled(b'{"message":"', b"(request id: ", b'"}'),
    "escapes": _filled(b'{"id":"a","message":"', b"\\u0000", b'"}'),
    "backslashes": _filled(b'{"id":"a","message":"', b"\\\\", b'"}'),
    "quotes": _filled(b"{", b'"', b""),
    "ids": _filled(b"{", b'"id":"a",', b'"x":1}'),
    "two ids in turns": _filled(b"{", b'"id":"a","id":"b",', b'"x":1}'),
    "whole numbers": _filled(b"[", b"999,", b"9]"),
    "fractions": _filled(b"[", b"1.5,", b"9]"),
    "texts": _texts,
    "texts of one character": _filled(b"[", '"猫",'.encode(), b'""]'),
    "keys": _keys,
    "JSON in strings": _strings_in_strings,
    "problems": _filled(b'{"detail":[', b'"field required",', b'""]}'),
    "blanks": _filled(b"", b" ", b""),
    "more than is read": lambda: b" " * (MAX_BODY_BYTES + 1),
    "noise": lambda: Random(0).randbytes(MAX_BODY_BYTES),
}
"""Bodies by what makes them hostile."""


def survive(body: bytes) -> None:
    """Whatever the HTTP status, only errors of the package come out of its readers, and all that is shown is short."""
    salvage_id(body)
    for status in (200, 500):
        try:
            judge(Reply(status=status, body=body), _SUBMISSION, _NOW)
        except SoraError as error:
            check_error(error)
    try:
        task = parse_task(read_answer(200, body), "asked")
    except SoraError as error:
        check_error(error)
        return
    for shown in (TaskFailedError(task), MissingVideoError(task), WaitTimeoutError(task.id, task)):
        check_error(shown)


def _packed(data: Iterator[bytes]) -> bytes:
    packer = zlib.compressobj(6, wbits=31)
    body = b"".join([*map(packer.compress, data), packer.flush()])
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


ANSWERS: dict[str, Callable[[], bytes]] = {
    "a bomb of 256 MiB": lambda: _packed(bytes(1 << 20) for _ in range(256)),
    "a bomb in chunks": lambda: _packed(b'{"id":"a","x":"' + b"a" * (1 << 20) for _ in range(64)),
    "500 headers": lambda: b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b'Content-Length: 10\r\n\r\n{"id":"a"}',
    "100,000 headers": lambda: b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
    "a header of 8 MiB": lambda: b"HTTP/1.1 200 OK\r\nX: " + b"x" * (8 << 20) + b"\r\n\r\n",
    "a status line of 8 MiB": lambda: b"HTTP/1.1 200 " + b"x" * (8 << 20) + b"\r\n\r\n",
    "10,000 interim answers": lambda: b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
    "chunks of one byte": lambda: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 200_000,
    "a length of 20 digits": lambda: b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
    **{
        f"{name}, in gzip": lambda make=make: _packed(iter([make()]))  # type: ignore[misc]  # binds this one
        for name, make in BODIES.items()
        if name in {"texts", "keys", "noise", "more than is read"}
    },
}
"""Answers below HTTP by what makes them hostile."""


async def receive(exchanges: Exchanges, answer: bytes) -> None:
    """The session gives a bounded Reply or a TransportError, and the readers survive what came."""
    try:
        reply = await exchanges.receive(answer)
    except TransportError as error:
        check_error(error)
        return
    hold(len(reply.body) <= MAX_BODY_BYTES, f"a body of {len(reply.body)} bytes")
    survive(reply.body)
