"""What waiting tasks cost: resident memory for each, and how late the loop runs meanwhile.

A unit is one `client.wait` of a task of its own, in an asyncio task of its own, between two polls. Every task was
polled once before, so its last answer is held too. Beside it: an asyncio task that only sleeps, the least that any
client could cost. Run: `python -m benchmarks.waiting [--quick]`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from benchmarks.canned_server import QUERIED, canned_server
from benchmarks.machine import describe
from sora_async import Client, Fixed, VideoTask
from sora_async.wire.task import parse_task

LONG_S = 3600.0


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def _lateness(seconds: float) -> float:
    """The worst delay in seconds of a timer that is due every 10 ms."""
    worst, end = 0.0, time.perf_counter() + seconds
    while (now := time.perf_counter()) < end:
        await asyncio.sleep(0.01)
        worst = max(worst, time.perf_counter() - now - 0.01)
    return worst


async def _cost(make: Callable[[int], Coroutine[Any, Any, object]], count: int) -> tuple[float, float]:
    """Resident bytes for each of `count` waiting things, and the loop's worst lateness while they wait."""
    gc.collect()
    before = _resident_bytes()
    waiting = []
    for number in range(count):
        waiting.append(asyncio.create_task(make(number)))
        if number % 1000 == 0:
            await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    gc.collect()
    each = (_resident_bytes() - before) / count
    late_s = await _lateness(2.0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return each, late_s


def _seen_task(number: int) -> VideoTask:
    """A task as a poll left it: parsed from bytes of its own, so nothing is shared with the others."""
    task_id = f"sora-2:task_{number:026d}"
    return parse_task(json.loads(json.dumps({**QUERIED, "id": task_id})), task_id)


async def _measure(base: str, count: int) -> None:
    sleeping, _ = await _cost(lambda _: asyncio.sleep(LONG_S), count)
    async with Client("any", base, pacing=Fixed(LONG_S)) as client:
        each, late_s = await _cost(lambda number: client.wait(_seen_task(number), timeout=2 * LONG_S), count)
    print(
        f"{count:7} waiting  {each / 1024:6.2f} KB resident each  ({each / sleeping:4.1f} x a bare asyncio.sleep of"
        f" {sleeping / 1024:.2f} KB)  loop at most {late_s * 1000:.0f} ms late"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only 1,000 waiting tasks")
    counts = [1000] if parser.parse_args().quick else [1000, 20_000, 100_000]
    print(f"One unit is one waiting task. {describe()}")
    with canned_server() as base:
        for count in counts:
            asyncio.run(_measure(base, count))


if __name__ == "__main__":
    main()
