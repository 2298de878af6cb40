"""What waiting tasks cost: resident memory for each, and how late the loop runs meanwhile.

A unit is one `client.wait` of a task of its own, in an asyncio task of its own, between two polls by the default
pacing's generator. Every task was seen once, so its last answer is held too. Beside it: an asyncio task that only
sleeps, the least that any client could cost. Each number comes from a process of its own, for memory that an earlier
measurement freed would hide what the next one takes. Run: `python -m benchmarks.waiting [--quick]`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import attrs

from benchmarks.canned_server import QUERIED
from benchmarks.machine import describe
from sora_async import Client, Growing, VideoTask
from sora_async.wire.failure import read_answer
from sora_async.wire.task import parse_task

LONG_S = 3600.0
NOWHERE = "http://127.0.0.1:9"
WARM_UP = 100
KINDS = ("sleep", "wait")


@attrs.frozen
class Cost:
    """What one measurement saw."""

    each_bytes: float
    late_s: float


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _lateness(seconds: float) -> float:
    """The worst delay in seconds of a timer that is due every 10 ms."""
    worst, end = 0.0, time.perf_counter() + seconds
    while (now := time.perf_counter()) < end:
        await asyncio.sleep(0.01)
        worst = max(worst, time.perf_counter() - now - 0.01)
    return worst


def _seen_task(number: int) -> VideoTask:
    """A task as a poll left it: parsed from bytes of its own, so nothing is shared with the others."""
    task_id = f"sora-2:task_{number:026d}"
    return parse_task(read_answer(200, json.dumps({**QUERIED, "id": task_id}).encode()), task_id)


async def _start(make: Callable[[int], Coroutine[Any, Any, object]], numbers: range) -> list[asyncio.Task[object]]:
    """Start tasks and let each come to its rest."""
    waiting = []
    for number in numbers:
        waiting.append(asyncio.create_task(make(number)))
        if number % 1000 == 0:
            await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    gc.collect()
    return waiting


async def _measure(kind: str, count: int) -> Cost:
    """Start `count` waiting things in this process, which must have measured nothing before."""
    async with Client("any", NOWHERE, pacing=Growing(first=LONG_S, limit=LONG_S)) as client:

        def make(number: int) -> Coroutine[Any, Any, object]:
            return asyncio.sleep(LONG_S) if kind == "sleep" else client.wait(_seen_task(number), timeout=2 * LONG_S)

        waiting = await _start(make, range(WARM_UP))
        before = _resident_bytes()
        waiting += await _start(make, range(WARM_UP, WARM_UP + count))
        each_bytes = (_resident_bytes() - before) / count
        late_s = await _lateness(2.0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return Cost(each_bytes, late_s)


def _measure_apart(kind: str, count: int) -> Cost:
    command = [sys.executable, "-m", "benchmarks.waiting", "--measure", kind, str(count)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Cost(**json.loads(done.stdout))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only 1,000 waiting tasks")
    parser.add_argument("--measure", nargs=2, metavar=("KIND", "COUNT"), help="measure in this process; prints JSON")
    options = parser.parse_args()
    if options.measure:
        kind, count = options.measure
        print(json.dumps(attrs.asdict(asyncio.run(_measure(kind, int(count))))))
        return
    print(f"One unit is one waiting task. {describe()}")
    for count in [1000] if options.quick else [1000, 20_000, 100_000]:
        sleeping, waiting = (_measure_apart(kind, count) for kind in KINDS)
        print(
            f"{count:7} waiting  {waiting.each_bytes / 1024:6.2f} KB resident each"
            f"  ({waiting.each_bytes / sleeping.each_bytes:4.1f} x a bare asyncio.sleep of"
            f" {sleeping.each_bytes / 1024:.2f} KB)  loop at most {waiting.late_s * 1000:.0f} ms late"
        )


if __name__ == "__main__":
    main()
