"""A relay of a few lines, so that it is never the bottleneck of a batch: tasks that take known times, and one file.

Runs in a process of its own, on the last core: `python -m benchmarks.canned_relay SECONDS` prints its port, then its
CPU seconds and answers so far for each line that it reads, until its standard input ends. SECONDS is a list in JSON:
the tasks take these in turn, in the order of their creates; at 0 a create is answered finished.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager

from benchmarks.batch_trial import CLIP
from benchmarks.canned_server import Desk, ServerProcess, answer, serve, server_process
from benchmarks.machine import on_core


class Relay:
    """The tasks and the file.

    Args:
        base: its own address.
        takes_s: how long the tasks take, in turn.
    """

    def __init__(self, base: str, takes_s: Sequence[float]) -> None:
        self._base = base
        self._takes_s = itertools.cycle(takes_s)
        self._ends: list[float] = []
        self._file = answer(CLIP, "video/mp4")

    def find(self, head: bytes) -> bytes:
        """From the head of a request to a whole answer."""
        if head.startswith(b"GET /file"):
            return self._file
        if head.startswith(b"P"):
            self._ends.append(time.monotonic() + next(self._takes_s))
            return self._show(len(self._ends) - 1)
        return self._show(int(head.split(b" ", 2)[1].rpartition(b"-")[2]))

    def _show(self, number: int) -> bytes:
        is_done = time.monotonic() >= self._ends[number]
        told = {
            "id": f"task-{number}",
            "status": "completed" if is_done else "processing",
            "video_url": f"{self._base}/file" if is_done else None,
        }
        return answer(json.dumps(told).encode())


def canned_relay(takes_s: Sequence[float]) -> AbstractContextManager[ServerProcess]:
    """Serve in another process."""
    return server_process("benchmarks.canned_relay", json.dumps(takes_s))


if __name__ == "__main__":
    with on_core(-1):
        asyncio.run(serve(lambda base: Desk(Relay(base, json.loads(sys.argv[1])).find)))
