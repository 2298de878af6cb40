"""A raw file server on 127.0.0.1 that can also do everything wrong, and tiny files for it to serve."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

ETAG = '"version-1"'


def box(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind) + body


def tiny_mp4(payload: int = 1000, fill: bytes = b"v") -> bytes:
    """A video that is whole as far as its boxes tell."""
    index = box(b"moov", box(b"mvhd", bytes(range(1, 101))))
    return box(b"ftyp", b"isom\0\0\2\0isomiso2") + index + box(b"mdat", fill * payload)


class Request(NamedTuple):
    target: str
    headers: dict[str, str]


@dataclass
class Answer:
    """What goes over the wire: the head, then `body`, of which only `cut` bytes are sent if that is given.

    `raw` is sent in the place of all that; with `drip_s`, the last 500 bytes go out one by one, so many seconds apart.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    declare: bool = True
    stays: bool = False
    raw: bytes | None = None
    drip_s: float | None = None

    def spell(self) -> bytes:
        """The head and the body as bytes."""
        length = {"Content-Length": str(len(self.body))} if self.declare else {}
        lines = [f"{name}: {value}" for name, value in {"Connection": "close", **length, **self.headers}.items()]
        head = "\r\n".join([f"HTTP/1.1 {self.status} Said", *lines, "", ""])
        return head.encode("utf-8") + self.body[: self.cut]


Handler = Callable[[Request], Answer]


class Files:
    """A healthy file with a strong ETag and ranges; each cut ends one answer after that many bytes of its body."""

    def __init__(self, content: bytes, *, etag: str | None = ETAG, cuts: tuple[int, ...] = ()) -> None:
        self.content, self.etag, self.cuts = content, etag, list(cuts)

    def __call__(self, request: Request) -> Answer:
        start, total = 0, len(self.content)
        cut = self.cuts.pop(0) if self.cuts else None
        headers = {} if self.etag is None else {"ETag": self.etag}
        if "range" in request.headers and request.headers["if-range"] == self.etag:
            start = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
            if start >= total:
                return Answer(status=416, headers={"Content-Range": f"bytes */{total}"})
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        return Answer(self.content[start:], 206 if "Content-Range" in headers else 200, headers, cut)


class FileServer:
    """Gives each request to the next handler; the last one stays."""

    def __init__(self, *handlers: Handler | Answer) -> None:
        self.handlers = list(handlers)
        self.requests: list[Request] = []
        self.connections = 0
        self.url = ""
        self.asked = asyncio.Event()
        self.serving = set[asyncio.Task[None]]()
        self._closing = asyncio.Event()

    @property
    def ranges(self) -> list[str | None]:
        return [request.headers.get("range") for request in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.serving.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = dict(line.split(": ", 1) for line in head[1:] if line)
            request = Request(head[0].split(" ")[1], {name.lower(): value for name, value in fields.items()})
            self.requests.append(request)
            self.asked.set()
            handler = self.handlers.pop(0) if len(self.handlers) > 1 else self.handlers[0]
            await self._send(handler if isinstance(handler, Answer) else handler(request), writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _send(self, answer: Answer, writer: asyncio.StreamWriter) -> None:
        wire = answer.spell() if answer.raw is None else answer.raw
        dripping = 0 if answer.drip_s is None else min(500, len(wire))
        writer.write(wire[: len(wire) - dripping])
        await writer.drain()
        for place in range(len(wire) - dripping, len(wire)):
            if not self._closing.is_set():
                await asyncio.sleep(answer.drip_s)
                writer.write(wire[place : place + 1])
                await writer.drain()
        if answer.stays:
            await self._closing.wait()

    def release(self) -> None:
        self._closing.set()


@contextlib.asynccontextmanager
async def serving(*handlers: Handler | Answer, at: str = "127.0.0.1") -> AsyncIterator[FileServer]:
    files = FileServer(*handlers)
    server = await asyncio.start_server(files.serve, at, 0, limit=2**17)
    files.url = f"http://{at}:{server.sockets[0].getsockname()[1]}"
    try:
        yield files
    finally:
        files.release()
        server.close()
        await server.wait_closed()
        await asyncio.gather(*files.serving)
