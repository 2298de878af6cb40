"""HTTP answers as raw bytes, and the oracle for the session that receives them over a real socket."""

from __future__ import annotations

import asyncio
import gzip
import re
from contextlib import AsyncExitStack
from random import Random
from typing import Any, Self

from benchmarks.fuzzing import spoiling
from benchmarks.fuzzing.answers import check_judged
from benchmarks.fuzzing.rules import check_error, hold
from sora_async import Timeouts, TransportError, VideoRequest
from sora_async.apikey import ApiKey
from sora_async.connector import Attempt
from sora_async.session import Reply, Session
from sora_async.wire.reading import MAX_BODY_BYTES
from sora_async.wire.request import build_create

_CALL = build_create(VideoRequest("a cat"))
_KEY = ApiKey("canary")
_TIMEOUTS = Timeouts(create=20)
_STATUSES = (200, 200, 200, 200, 201, 204, 302, 307, 400, 401, 403, 404, 408, 429, 500, 502, 503, 524)
_HEADERS = (
    b"Content-Type: application/json",
    b"Content-Type: text/html; charset=gbk",
    b"Retry-After: 7",
    b"Retry-After: Fri, 31 Dec 1999 23:59:59 GMT",
    b"Set-Cookie: sid=1",
    b"Location: http://127.0.0.1:9/v1/video/create",
    b"Connection: keep-alive",
    b"Content-Length: 5",
    b"Content-Length: -1",
    b"Content-Encoding: br",
    b"Content-Encoding: gzip",
    b"Transfer-Encoding: chunked",
    b"X: " + b"x" * 9000,
    b"X-\xff: \xfe",
    b": no name",
    b"folded:\r\n more",
)
_BEFORE = (b"", b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", b"\r\n")


def http_answer(dice: Random) -> tuple[bytes, bytes | None]:
    """The bytes of an HTTP answer, and the body that must be read from it if it is an honest one."""
    body = spoiling.body(dice)
    status = dice.choice(_STATUSES)
    lines = [f"HTTP/1.1 {status} Said".encode()]
    data = body
    if dice.random() < 0.2:
        data = gzip.compress(data, 1, mtime=0)
        lines.append(b"Content-Encoding: gzip")
    if dice.random() < 0.3:
        data = _chunked(dice, data)
        lines.append(b"Transfer-Encoding: chunked")
    elif dice.random() < 0.8:
        lines.append(f"Content-Length: {len(data)}".encode())
    is_honest = dice.random() < 0.4
    if not is_honest:
        lines += dice.sample(_HEADERS, dice.randrange(4))
    raw = b"\r\n".join(lines) + b"\r\n\r\n" + data
    if is_honest:
        return raw, None if status == 204 else body
    raw = dice.choice(_BEFORE) + raw
    for _ in range(dice.choice((0, 1, 1, 2))):
        raw = spoiling.spoil(dice, raw)
    return raw, None


def _chunked(dice: Random, data: bytes) -> bytes:
    chunks = []
    while data:
        size = dice.randrange(1, 60)
        chunks.append(b"%x\r\n%s\r\n" % (len(data[:size]), data[:size]))
        data = data[size:]
    return b"".join([*chunks, b"0\r\n\r\n"])


class Exchanges:
    """A session and a server on 127.0.0.1 that answers each request with the bytes at hand, then closes."""

    def __init__(self) -> None:
        self._answer = b""
        self._requests = 0
        self._complaints: list[dict[str, Any]] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self._complaints.append(context))
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        await self._stack.enter_async_context(server)
        self._base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
            self._requests += 1
            writer.write(self._answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def receive(self, answer: bytes, attempt: Attempt | None = None) -> Reply:
        """Send one create, answered with these bytes."""
        self._answer = answer
        self._requests = 0
        self._complaints.clear()
        # A connection of the last exchange could be closed by the server at the moment when it is used again.
        session = Session(self._base, _KEY, timeouts=_TIMEOUTS)
        try:
            return await session.send(_CALL, attempt)
        finally:
            await session.close()

    async def check(self, case: tuple[bytes, bytes | None]) -> None:
        """One request leaves; a Reply or a TransportError comes, and nothing that left counts as not sent."""
        answer, honest = case
        attempt = Attempt()
        try:
            reply = await self.receive(answer, attempt)
        except TransportError as error:
            check_error(error)
            hold("canary" not in str(error), "the key is shown")
            hold(error.sent and attempt.sent, "a request that left counts as not sent")
            hold(honest is None, f"an honest answer was not read: {error}")
        else:
            hold(re.search(rb"%03d" % reply.status, answer), f"HTTP {reply.status} was not said")
            hold(len(reply.body) <= MAX_BODY_BYTES, f"a body of {len(reply.body)} bytes")
            hold(honest is None or (reply.body, reply.cut) == (honest, None), f"an honest body is {reply.body!r}")
            check_judged((reply.status, reply.body))
        hold(self._requests == 1, f"{self._requests} requests left")
        hold(not self._complaints, f"the loop complains: {self._complaints}")
