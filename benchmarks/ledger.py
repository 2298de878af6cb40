"""What the ledger costs: durable writes by many asyncio tasks at once, and what it leaves of the loop.

A unit is one task's two writes, each durable when it is answered: the intent before a create would leave, and the id
after. Each asyncio task does one unit after the other; a ticker meanwhile tells how late the loop runs. Beside it, in
the same run: the same tables and statements by plain sqlite3 in the loop, with one commit for each write. What bounds
both is the disk, so its own time for a sync is told first. Run: `python -m benchmarks.ledger [--quick] [--folder DIR]`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import attrs

from benchmarks.machine import describe
from sora_async.batch import Change, SqliteLedger, Stage
from sora_async.batch.sqlite_book import Book
from sora_async.batch.sqlite_file import open_book
from sora_async.batch.sqlite_row import Request
from sora_async.batch.sqlite_schema import journal_mode

ACCOUNT = "account"
TICK_S = 0.005
BODY = {"model": "sora-2-all", "prompt": "a cat with a hat on a train, in the rain, by night " * 2, "duration": 10}

Write = Callable[[str], Awaitable[None]]


@attrs.frozen
class Cost:
    """What one measurement saw, in seconds."""

    units: int
    wall_s: float
    cpu_s: float
    writes_s: list[float]
    late_s: float

    def __str__(self) -> str:
        ordered = sorted(self.writes_s)
        p50, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.99))
        return (
            f"{self.units / self.wall_s:8.0f} units/s  a write p50 {p50:6.1f} ms, p99 {p99:6.1f} ms"
            f"  loop at most {self.late_s * 1000:6.1f} ms late  {self.cpu_s / self.units * 1e6:5.0f} us of CPU each"
        )


class Plain:
    """Writes each step in the loop, and commits it."""

    def __init__(self, book: Book) -> None:
        self._book = book

    async def intend(self, key: str) -> None:
        self._book.begin([key])
        self._book.enter(key, Request.of({**BODY, "key": key}), time.time(), intend=True)
        self._book.commit()
        await asyncio.sleep(0)

    async def submit(self, key: str) -> None:
        self._book.begin([key])
        self._book.record(_submitted(key), time.time())
        self._book.commit()
        await asyncio.sleep(0)


def _submitted(key: str) -> Change:
    return Change(key=key, stage=Stage.SUBMITTED, task_id=f"task_{key}", facts={"status": "queued"})


def _sync_times(folder: Path, count: int = 200) -> list[float]:
    """How long the disk takes to make 4 KiB durable that were appended, in seconds."""
    sync = getattr(os, "fdatasync", os.fsync)
    times = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(count):
            file.write(os.urandom(4096))
            began = time.perf_counter()
            sync(file.fileno())
            times.append(time.perf_counter() - began)
    return sorted(times)


async def _watch_loop(late: list[float]) -> None:
    while True:
        due = time.perf_counter() + TICK_S
        await asyncio.sleep(TICK_S)
        late.append(time.perf_counter() - due)


async def _measure(intend: Write, submit: Write, tasks: int, units: int) -> Cost:
    keys: Iterator[str] = (f"{number * 7919 % units:x}-{number}" for number in range(units))
    writes: list[float] = []
    late: list[float] = []

    async def work() -> None:
        for key in keys:
            for write in (intend, submit):
                began = time.perf_counter()
                await write(key)
                writes.append(time.perf_counter() - began)

    ticking = asyncio.create_task(_watch_loop(late))
    await asyncio.sleep(2 * TICK_S)
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(tasks)))
    cost = Cost(units, time.perf_counter() - began, time.process_time() - cpu, writes, max(late))
    ticking.cancel()
    return cost


async def _measure_ours(path: Path, tasks: int, units: int) -> Cost:
    ledger = SqliteLedger(path)

    async def intend(key: str) -> None:
        await ledger.enter(key, {**BODY, "key": key}, intend=True)

    async def submit(key: str) -> None:
        await ledger.record(_submitted(key))

    await ledger.open(ACCOUNT)
    try:
        return await _measure(intend, submit, tasks, units)
    finally:
        await ledger.close()


async def _measure_plain(path: Path, tasks: int, units: int) -> Cost:
    with ExitStack() as held:
        plain = Plain(held.enter_context(open_book(path, ACCOUNT)))
        return await _measure(plain.intend, plain.submit, tasks, units)


async def _time_listing(path: Path, late: list[float]) -> tuple[int, float]:
    """Read all entries of a ledger; answers how many there are, and the seconds."""
    ticking = asyncio.create_task(_watch_loop(late))
    began, count = time.perf_counter(), 0
    async for _ in SqliteLedger(path).entries():
        count += 1
    taken = time.perf_counter() - began
    ticking.cancel()
    return count, taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of the units, one round in place of three")
    parser.add_argument("--folder", type=Path, default=Path(), help="on the disk to be measured; default: this one")
    options = parser.parse_args()
    units, rounds = (4_000, 1) if options.quick else (20_000, 3)
    mode = journal_mode(sqlite3.sqlite_version_info)
    print(f"SQLite {sqlite3.sqlite_version}, journal {mode}, synchronous FULL. {describe()}")
    if hasattr(os, "getloadavg"):
        print(f"Other programs on this machine: load {os.getloadavg()[0]:.1f} over the last minute")
    for tasks in (1000, 50):
        ratios = []
        for number in range(rounds):
            with tempfile.TemporaryDirectory(dir=options.folder) as name:
                syncs = _sync_times(Path(name))
                ours = asyncio.run(_measure_ours(Path(name, "ours.db"), tasks, units))
                plain = asyncio.run(_measure_plain(Path(name, "plain.db"), tasks, units // 20))
                late: list[float] = []
                count, taken = asyncio.run(_time_listing(Path(name, "ours.db"), late))
            ratios.append((ours.units / ours.wall_s) / (plain.units / plain.wall_s))
            print(
                f"{tasks} tasks, round {number + 1}: a sync of 4 KiB takes p50 {syncs[len(syncs) // 2] * 1000:.2f} ms, "
                f"p99 {syncs[int(len(syncs) * 0.99)] * 1000:.2f} ms"
            )
            print(f"  the ledger        {ours}")
            print(f"  sqlite3 in loop   {plain}")
            print(f"  listing {count} entries: {taken:.2f} s, loop at most {max(late) * 1000:.1f} ms late")
        print(f"{tasks} tasks: the ledger is {statistics.median(ratios):.1f} times as fast (median of {rounds})")


if __name__ == "__main__":
    main()
