"""A server below HTTP, in a thread of its own, that speaks a client's own wire and breaks it on purpose.

It shares nothing with any client. A request is counted once all of its bytes are here, before anything is done to it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Literal, Self

import attrs

from benchmarks.peers.peer import Wire

STALL_S = 1.0
UNKNOWN_WORD = "sharpening"
PAGE = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    b"<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


@attrs.frozen
class Request:
    """One complete request."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""


@attrs.frozen(kw_only=True)
class Act:
    """What happens to one complete request."""

    answer: Callable[[Wire, Request], bytes] = lambda _wire, _request: b""
    """The bytes that go back."""
    after_s: float = 0.0
    ending: Literal["", "close", "reset"] = ""


def http(status: int, body: bytes, *headers: str, kind: str = "application/json") -> bytes:
    """The bytes of an answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _ok(body: Mapping[str, object], request: Request) -> bytes:
    return http(200, json.dumps(body).replace("{base}", f"http://{request.headers['host']}").encode())


def _cut(wire: Wire, request: Request, *, past_id: bool) -> bytes:
    whole = _ok(wire.created, request)
    start = whole.index(wire.task_id.encode())
    return whole[: start + len(wire.task_id) + 1 if past_id else start]


def refusing(status: int, *headers: str) -> Act:
    """Answer with a status and the wire's own error."""
    return Act(answer=lambda wire, _: http(status, json.dumps(wire.failure(status, "not now")).encode(), *headers))


def page(status: int) -> Act:
    """Answer with a proxy's page of HTML."""
    return Act(answer=lambda _wire, _request: http(status, PAGE, kind="text/html"))


def showing(word: Callable[[Wire], str]) -> Act:
    """Answer a poll with a status word."""
    return Act(answer=lambda wire, request: _ok(wire.polled(word(wire)), request))


CREATED = Act(answer=lambda wire, request: _ok(wire.created, request))
RUNNING = showing(lambda wire: wire.running)
FINISHED = showing(lambda wire: wire.finished)
UNKNOWN = showing(lambda _: UNKNOWN_WORD)
DROP = Act(ending="close")
RESET = Act(ending="reset")
STALL = Act(after_s=STALL_S, ending="close")
CUT_AFTER_ID = Act(answer=lambda wire, request: _cut(wire, request, past_id=True), ending="close")
CUT_BEFORE_ID = Act(answer=lambda wire, request: _cut(wire, request, past_id=False), ending="close")
CIRCLE = Act(answer=lambda _, request: http(307, b"", f"Location: {request.path}"))


@attrs.define
class Stage:
    """One server: its wire, what it does, and what arrived."""

    wire: Wire
    create: Act = CREATED
    """What happens to every create."""
    polls: list[Act] = attrs.field(factory=list)
    """What happens to the first polls."""
    rest: Act = FINISHED
    """What happens to all later polls."""
    requests: list[Request] = attrs.field(factory=list)

    def count(self, *methods: str) -> int:
        """How many complete requests with one of these methods arrived."""
        return sum(request.method in methods for request in self.requests)

    def act(self, request: Request) -> Act:
        """Count a request and say what happens to it."""
        self.requests.append(request)
        if request.method == "POST":
            return self.create
        if request.method != "GET":
            return Act(answer=lambda _, request: _ok({}, request))
        if request.path.partition("?")[0] == self.wire.result_path:
            return Act(answer=lambda wire, request: _ok(wire.result, request))
        return self.polls.pop(0) if self.polls else self.rest


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
    if "chunked" in headers.get("transfer-encoding", ""):
        await reader.readuntil(b"0\r\n\r\n")
    else:
        await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers)


async def _serve(stage: Stage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            request = await _read(reader)
            act = stage.act(request)
            writer.write(act.answer(stage.wire, request))
            await writer.drain()
            await asyncio.sleep(act.after_s)
            if act.ending == "reset":
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            if act.ending:
                return
    except (asyncio.IncompleteReadError, ConnectionError):
        return
    finally:
        writer.close()


class FaultServer:
    """The thread in which all stages are played."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._connections: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self, stage: Stage) -> str:
        """Play a stage on a port of its own; gives its base URL."""
        return asyncio.run_coroutine_threadsafe(self._open(stage), self._loop).result()

    async def _open(self, stage: Stage) -> str:
        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = asyncio.create_task(_serve(stage, reader, writer))
            self._connections.add(connection)
            connection.add_done_callback(self._connections.discard)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self._servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
