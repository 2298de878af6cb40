"""A server that answers creates and queries with fixed bytes, so that it is never the bottleneck.

Runs in a process of its own, on the last core: `python -m benchmarks.canned_server CREATED QUERIED`, two bodies in
JSON, prints its port, then its CPU seconds and answers so far for each line that it reads, until its standard input
ends.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import IO

import attrs

from benchmarks.machine import on_core

TASK_ID = "sora-2:task_01kbq6ykm3fxsaw5xh2p2r4v9z"
CREATED = {"id": TASK_ID, "status": "pending", "status_update_time": 1763800000000}
QUERIED = {
    "id": TASK_ID,
    "status": "processing",
    "video_url": None,
    "enhanced_prompt": "A paper boat drifts along a rainy gutter at dusk, shallow focus, 35 mm",
    "status_update_time": 1763800012000,
    "progress": 42,
    "detail": {"status": "processing", "progress_pct": 0.42, "pending_info": None},
}
BASE = "{base}"
"""Stands for the server's own address in what it answers."""


@attrs.frozen
class Effort:
    """What a server has done so far."""

    cpu_s: float
    answers: int


def answer(data: bytes, kind: str = "application/json") -> bytes:
    """A whole HTTP answer around a body."""
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


class Desk:
    """Finds the answer to a request.

    Args:
        find: from the head of a request to a whole answer.
    """

    def __init__(self, find: Callable[[bytes], bytes]) -> None:
        self._find = find
        self._cpu_s = time.process_time()
        self._answers = 0

    def find(self, head: bytes) -> bytes:
        self._answers += 1
        return self._find(head)

    def effort(self) -> Effort:
        return Effort(time.process_time() - self._cpu_s, self._answers)


class _Connection(asyncio.Protocol):
    """One connection; whole requests come in one or two reads here."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            place = head.lower().find(b"content-length:")
            length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            self._transport.write(self._desk.find(head))


async def serve(make: Callable[[str], Desk]) -> None:
    """Serve, and tell the effort so far in a line for each that is read, until standard input ends.

    Args:
        make: from the server's own address to what finds its answers.
    """
    loop = asyncio.get_running_loop()
    desks: list[Desk] = []
    server = await loop.create_server(lambda: _Connection(desks[0]), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    desks.append(make(f"http://127.0.0.1:{port}"))
    print(port, flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(attrs.asdict(desks[0].effort())), flush=True)
    server.close()


class ServerProcess:
    """The running process, seen from outside."""

    def __init__(self, stdin: IO[str], stdout: IO[str]) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self.url = f"http://127.0.0.1:{int(stdout.readline())}"

    def effort(self) -> Effort:
        """Ask what it has done."""
        self._stdin.write("effort\n")
        self._stdin.flush()
        return Effort(**json.loads(self._stdout.readline()))


@contextmanager
def server_process(module: str, *args: str) -> Iterator[ServerProcess]:
    """Run a module that serves, in another process."""
    command = [sys.executable, "-m", module, *args]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield ServerProcess(process.stdin, process.stdout)
        finally:
            process.stdin.close()


def canned_server(
    created: Mapping[str, object] = CREATED, queried: Mapping[str, object] = QUERIED
) -> AbstractContextManager[ServerProcess]:
    """Serve in another process.

    Args:
        created: what a POST answers.
        queried: what a GET answers.
    """
    return server_process("benchmarks.canned_server", json.dumps(created), json.dumps(queried))


def _desk(base: str) -> Desk:
    created, queried = (answer(body.replace(BASE, base).encode()) for body in sys.argv[1:])
    return Desk(lambda head: created if head.startswith(b"P") else queried)


if __name__ == "__main__":
    with on_core(-1):
        asyncio.run(serve(_desk))
