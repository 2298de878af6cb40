"""A server below HTTP: reads one request at a time, counts it, and answers with any bytes, or breaks the connection.

It shares nothing with the client, so it is a judge of what left the client and how often.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import NamedTuple

CLOSE = "close"
RESET = "reset"
STALL = "stall"

_BROKEN = (OSError, EOFError)  # TLS errors are OSErrors, and a request that ends too soon is an EOFError
_TUNNEL = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Early(NamedTuple):
    """What is done after the first byte of a request, or after `size` bytes of its body; it is never read whole."""

    action: bytes | str
    size: int = 0


class Break(NamedTuple):
    """What is done with a connection in a phase before its first request; a TLS context shows another certificate."""

    phase: str
    """`accept`, `tunnel` (instead of the proxy's yes) or `handshake` (instead of the server's part of it)."""
    action: bytes | str | ssl.SSLContext


Action = bytes | str | tuple[bytes, str] | Early


class Exchange(NamedTuple):
    """A request that arrived whole, on which connection, counted from 1, and what was done with it."""

    connection: int
    request: bytes
    action: Action


def http(status: int, body: bytes | str = b"", *, headers: Sequence[str] = (), length: int | None = None) -> bytes:
    """The bytes of an answer; `length` lies about the body's."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


class RawServer:
    """What it was asked, and what it does for the first, second, ... request; the last action is for ever.

    Args:
        actions: what is done with each request.
        breaks: what is done with each connection, None for nothing; the last one is for ever.
        tls: serves https.
        is_proxy: whether a CONNECT comes first: then this is the proxy and the server behind it in one.
    """

    def __init__(
        self,
        actions: Sequence[Action],
        *,
        breaks: Sequence[Break | None] = (),
        tls: ssl.SSLContext | None = None,
        is_proxy: bool = False,
    ) -> None:
        self.actions = list(actions)
        self.breaks = list(breaks)
        self.exchanges: list[Exchange] = []
        self.tunnels: list[bytes] = []
        self.connections = 0
        self.arrived = asyncio.Event()
        self.answered = asyncio.Event()
        self.hold: asyncio.Event | None = None
        self.port = 0
        self._tls = tls
        self._is_proxy = is_proxy
        self._stalled = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[bytes]:
        """All requests that arrived whole."""
        return [exchange.request for exchange in self.exchanges]

    @property
    def creates(self) -> int:
        """Complete paid requests that arrived."""
        return sum(request.startswith(b"POST ") for request in self.requests)

    async def accept(self, listener: socket.socket) -> None:
        """Serve all who come until this is cancelled."""
        try:
            while True:
                connection, _ = await asyncio.get_running_loop().sock_accept(listener)
                self.connections += 1
                broken = _next(self.breaks) if self.breaks else None
                task = asyncio.create_task(self._welcome(connection, self.connections, broken))
                self._tasks.add(task)
                # Not in the task alone: one that is cancelled before its first step runs no finally.
                task.add_done_callback(lambda _, connection=connection: connection.close())
        finally:
            self.release()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def release(self) -> None:
        """End all stalls."""
        self._stalled.set()

    async def settle(self) -> None:
        """Read what the client, which is closed by now, had sent: only then are the counts final."""
        self.release()
        async with asyncio.timeout(5):
            await asyncio.gather(*self._tasks)

    async def _welcome(self, connection: socket.socket, number: int, broken: Break | None) -> None:
        phase, action = broken or ("", "")
        loop = asyncio.get_running_loop()
        tls = self._tls
        try:
            with connection:
                # asyncio does not do it for a socket made without a protocol's number: 40 ms for each small write.
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if phase == "accept":
                    return await self._break(connection, action)
                if self._is_proxy:
                    self.tunnels.append(await _read_head(connection))
                    if phase == "tunnel":
                        return await self._break(connection, action)
                    await loop.sock_sendall(connection, _TUNNEL)
                if isinstance(action, ssl.SSLContext):
                    tls = action
                elif phase == "handshake":
                    await loop.sock_recv(connection, 1 << 16)
                    return await self._break(connection, action)
                reader = asyncio.StreamReader()
                transport, protocol = await loop.connect_accepted_socket(
                    lambda: asyncio.StreamReaderProtocol(reader), connection.dup(), ssl=tls
                )
            await self._serve(reader, asyncio.StreamWriter(transport, protocol, reader, loop), number)
        except _BROKEN:
            pass

    async def _break(self, connection: socket.socket, action: bytes | str | ssl.SSLContext) -> None:
        if isinstance(action, bytes):
            await asyncio.get_running_loop().sock_sendall(connection, action)
        elif action == STALL:
            await self._stalled.wait()
        elif action == RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        try:
            is_open = True
            while is_open:
                first = await reader.readexactly(1)
                if isinstance(early := self.actions[0], Early):
                    await _read_part(reader, early.size)
                    _next(self.actions)
                    if await self._act(writer, early.action):
                        await _discard(reader)
                    return
                request = first + await _read(reader)
                action = _next(self.actions)
                self.exchanges.append(Exchange(number, request, action))
                self.arrived.set()
                if self.hold is not None:
                    await self.hold.wait()
                is_open = await self._act(writer, action)
        finally:
            writer.close()

    async def _act(self, writer: asyncio.StreamWriter, action: Action) -> bool:
        """Do it, and answer whether the connection stays open."""
        assert not isinstance(action, Early)
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
        return not end


def _next(plan: list[Action] | list[Break | None]) -> Action | Break | None:
    return plan.pop(0) if len(plan) > 1 else plan[0]


async def _read_head(connection: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = await asyncio.get_running_loop().sock_recv(connection, 1 << 16)
        if not data:
            raise EOFError
        head += data
    return head


def _length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0)


async def _read(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await reader.readexactly(_length(head))


async def _read_part(reader: asyncio.StreamReader, size: int) -> None:
    """Of a request whose first byte was read, nothing more, or its head and `size` bytes of its body."""
    if size:
        assert _length(await reader.readuntil(b"\r\n\r\n")) > size
        await reader.readexactly(size)


async def _discard(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 16):
        pass


@asynccontextmanager
async def raw_server(
    *actions: Action,
    breaks: Sequence[Break | None] = (),
    tls: ssl.SSLContext | None = None,
    is_proxy: bool = False,
) -> AsyncIterator[RawServer]:
    """Serve on a free port of 127.0.0.1 until the block ends; no connection survives it. The arguments are its own."""
    judge = RawServer(actions, breaks=breaks, tls=tls, is_proxy=is_proxy)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        judge.port = listener.getsockname()[1]
        accepting = asyncio.create_task(judge.accept(listener))
        try:
            yield judge
        finally:
            accepting.cancel()
            await asyncio.wait([accepting])


def closed_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def full_port() -> Iterator[int]:
    """A port of 127.0.0.1 whose listener is too busy for any more connection: it answers nothing."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
