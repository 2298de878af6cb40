"""A relay below HTTP that keeps its own books: what arrived, what it accepted, and which ids it handed out whole.

It shares nothing with the client, so it is a judge of what was bought.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs


def http(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


REFUSALS = {
    "429": b'{"error":{"message":"too many requests","code":"rate_limit_exceeded"}}',
    "400": b'{"error":{"message":"bad duration","code":"invalid_request"}}',
    "503": b"<html><title>503 Service Unavailable</title></html>",
}
LOST = {
    "502, though accepted": http(502, b"<html><title>502 Bad Gateway</title></html>"),
    "empty, though accepted": http(200, b""),
}
FAULTS = ("answer", "close", "reset", "cut", "stall, then answer", "answer late", "drop", *REFUSALS, *LOST)


@attrs.frozen
class Fault:
    """What the relay does to a create."""

    kind: str
    cut_at: int = 0


class Judge:
    """The relay, and its books: what arrived, what it accepted, and which ids it handed out whole, by marker."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.posts = Counter[str]()
        self.accepted = Counter[str]()
        self.handed_out: set[str] = set()
        self.stalled: set[str] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._ids: set[str] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._release = asyncio.Event()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        self._server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self._server.wait_closed()

    def release(self) -> None:
        """End all stalls that are now."""
        self.stalled.clear()
        self._release.set()
        self._release = asyncio.Event()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(lambda _: writer.close())
        task.add_done_callback(self.tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                target = head.split(b" ", 2)[1].decode()
                if head.startswith(b"GET "):
                    writer.write(self._query(parse_qs(urlsplit(target).query)["id"][0]))
                    continue
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                marker = json.loads(await reader.readexactly(length))["prompt"]
                self.posts[marker] += 1
                if not await self._create(marker, self.faults.pop(0) if self.faults else Fault("answer"), writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    def _query(self, task_id: str) -> bytes:
        if task_id not in self._ids:
            return http(404, b'{"error":{"message":"no such task","code":"task_not_exist"}}')
        done = {"id": task_id, "status": "completed", "video_url": "https://cdn.example/a.mp4"}
        return http(200, json.dumps(done).encode())

    async def _create(self, marker: str, fault: Fault, writer: asyncio.StreamWriter) -> bool:
        """Act, and say whether the connection lives on."""
        if fault.kind in REFUSALS:
            writer.write(http(int(fault.kind), REFUSALS[fault.kind]))
            return True
        if fault.kind == "drop":
            return False
        if fault.kind == "stall, then answer":
            await self._stall(marker)
        task_id = f"sora-2:task_{len(self._ids)}"
        self._ids.add(task_id)
        self.accepted[marker] += 1
        if fault.kind == "answer late":
            await self._stall(marker)
        if fault.kind == "reset":
            connection: socket.socket = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        if fault.kind in {"close", "reset"}:
            return False
        if fault.kind in LOST:
            writer.write(LOST[fault.kind])
            return True
        return self._answer(task_id, fault, writer)

    async def _stall(self, marker: str) -> None:
        self.stalled.add(marker)
        await self._release.wait()

    def _answer(self, task_id: str, fault: Fault, writer: asyncio.StreamWriter) -> bool:
        task: dict[str, Any] = {"id": task_id, "status": "queued", "detail": {"id": "inner", "status": "pending"}}
        wrapped = {"code": "success", "message": "", "data": task}
        answer = http(200, json.dumps(wrapped if len(self._ids) % 2 else task).encode())
        end = answer.index(f'"{task_id}"'.encode()) + len(task_id) + 2
        sent = answer[: fault.cut_at] if fault.kind == "cut" else answer
        writer.write(sent)
        if len(sent) >= end and not writer.transport.is_closing():
            self.handed_out.add(task_id)
        return fault.kind != "cut"
