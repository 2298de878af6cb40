"""A server that answers creates and queries with fixed bytes, so that it is never the bottleneck.

Runs in a process of its own: `python -m benchmarks.canned_server` prints its port, then serves until its standard
input ends.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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


def _answer(body: object) -> bytes:
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


class _Canned(asyncio.Protocol):
    """One connection; whole requests come in one or two reads here, and are told apart by their first letter."""

    created = _answer(CREATED)
    queried = _answer(QUERIED)

    def __init__(self) -> None:
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
            self._transport.write(self.created if head.startswith(b"P") else self.queried)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Canned, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


@contextmanager
def canned_server() -> Iterator[str]:
    """Serve in another process; gives the base URL."""
    command = [sys.executable, "-m", "benchmarks.canned_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


if __name__ == "__main__":
    asyncio.run(_serve())
