"""What a sandbox answers, whole or broken, and how it leaves."""

import asyncio
import contextlib
import http
import json
import os
import socket
import struct
from collections.abc import Mapping
from typing import Literal

import attrs
from aiohttp import web

PIECE_SIZE = 256 * 1024
LINGER_FORMAT = "hh" if os.name == "nt" else "ii"


@attrs.frozen(kw_only=True)
class Reply:
    """A whole HTTP answer."""

    status: int = 200
    """The HTTP status."""
    body: bytes = b""
    """The bytes of the body."""
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """Headers beside those that frame the body."""

    def head(self, length: int | None) -> bytes:
        """Give the head as raw bytes; a `length` of None lets the body end with the connection."""
        lines = [f"HTTP/1.1 {self.status} {http.HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append("Connection: close" if length is None else f"Content-Length: {length}")
        return "\r\n".join([*lines, "", ""]).encode()

    def cut(self, sent: int) -> bytes:
        """Give the head, true to the whole length, and only the first `sent` bytes of the body."""
        return self.head(len(self.body)) + self.body[:sent]


@attrs.frozen(kw_only=True)
class Break:
    """Raw bytes, then the end of the connection."""

    sent: bytes = b""
    """What is still written before it breaks."""
    then: Literal["close", "reset", "stall"]
    """How it breaks: FIN, RST, or silence until the client or the sandbox gives up."""


@attrs.frozen(kw_only=True)
class Trickle:
    """A whole answer that leaves in small pieces."""

    reply: Reply
    """What is sent."""
    pieces: int
    """In how many pieces."""
    pause_s: float
    """Seconds between two pieces."""


Answer = Reply | Break | Trickle


def json_reply(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Answer with JSON."""
    body = json.dumps(value).encode()
    return Reply(status=status, body=body, headers={"Content-Type": "application/json", **(headers or {})})


def html_reply(title: str, status: int = 200) -> Reply:
    """Answer with a page, as a proxy or a front end does."""
    body = f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Reply(status=status, body=body.encode(), headers={"Content-Type": "text/html; charset=utf-8"})


async def send(request: web.BaseRequest, answer: Answer, closing: asyncio.Event) -> web.StreamResponse:
    """Send an answer; a stall and a trickle end as soon as `closing` is set."""
    if isinstance(answer, Break):
        return await _break(request, answer, closing)
    trickle = answer if isinstance(answer, Trickle) else Trickle(reply=answer, pieces=1, pause_s=0.0)
    reply = trickle.reply
    if trickle.pieces == 1 and len(reply.body) <= PIECE_SIZE:
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_length = len(reply.body)
    # A client that goes away in mid-answer is nothing to tell of: aiohttp finds the connection closed, too.
    with contextlib.suppress(ConnectionResetError):
        await response.prepare(request)
        size = min(PIECE_SIZE, -(-len(reply.body) // trickle.pieces))
        for start in range(0, len(reply.body), size):
            await response.write(reply.body[start : start + size])
            if trickle.pause_s and not closing.is_set():
                await asyncio.sleep(trickle.pause_s)
    return response


async def _break(request: web.BaseRequest, answer: Break, closing: asyncio.Event) -> web.StreamResponse:
    transport = request.transport
    if transport is not None:
        if answer.sent:
            transport.write(answer.sent)
        if answer.then == "stall":
            await closing.wait()
        if answer.then == "close":
            transport.close()
        else:
            connection = transport.get_extra_info("socket")
            # A linger of 0 seconds makes the kernel send RST rather than FIN.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(LINGER_FORMAT, 1, 0))
            transport.abort()
    # Nothing of this is sent: aiohttp finds the connection closed and lets go of it.
    return web.Response()
