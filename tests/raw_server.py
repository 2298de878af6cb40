"""A server below HTTP: reads one request at a time, counts it, and answers with any bytes, or breaks the connection.

It shares nothing with the client, so it is a judge of what left the client and how often.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

CLOSE = "close"
RESET = "reset"
STALL = "stall"

Action = bytes | str | tuple[bytes, str]


def http(status: int, body: bytes | str = b"", *, headers: Sequence[str] = (), length: int | None = None) -> bytes:
    """The bytes of an answer; `length` lies about the body's."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


class RawServer:
    """What it was asked, and what it does for the first, second, ... request; the last action is for ever."""

    def __init__(self, actions: Sequence[Action]) -> None:
        self.actions = list(actions)
        self.requests: list[bytes] = []
        self.connections = 0
        self.arrived = asyncio.Event()
        self.answered = asyncio.Event()
        self.hold: asyncio.Event | None = None
        self.port = 0
        self._stalled = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def creates(self) -> int:
        """Complete paid requests that arrived."""
        return sum(request.startswith(b"POST ") for request in self.requests)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (request := await self._read(reader)) is not None:
                self.requests.append(request)
                self.arrived.set()
                if self.hold is not None:
                    await self.hold.wait()
                action = self.actions.pop(0) if len(self.actions) > 1 else self.actions[0]
                data, end = action if isinstance(action, tuple) else (action, "")
                if isinstance(data, str):
                    data, end = b"", data
                writer.write(data)
                self.answered.set()
                if end == STALL:
                    await self._stalled.wait()
                if end == RESET:
                    await writer.drain()
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    writer.transport.abort()
                if end:
                    return
        except ConnectionError:
            pass

    def release(self) -> None:
        """End all stalls."""
        self._stalled.set()

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> bytes | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = [
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
            ]
            return head + await reader.readexactly(lengths[0] if lengths else 0)
        except asyncio.IncompleteReadError:
            return None


@asynccontextmanager
async def raw_server(*actions: Action) -> AsyncIterator[RawServer]:
    """Serve on a free port of 127.0.0.1 until the block ends; no connection survives it."""
    judge = RawServer(actions)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(judge.serve(reader, writer))
        tasks.add(task)
        # Not in serve itself: a task that is cancelled before its first step runs no finally.
        task.add_done_callback(lambda _: writer.close())

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    judge.port = server.sockets[0].getsockname()[1]
    try:
        yield judge
    finally:
        judge.release()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def closed_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
