"""What the ledger costs: durable writes by many asyncio tasks at once, and what it leaves of the loop.

A unit is one task's two writes, each durable when it is answered: the intent before a create would leave, and the id
after. First as fast as it goes: each asyncio task does one unit after the other, so a write takes as long as it takes
to do one for every other task (Little's law). Beside it, in the same run: the same tables and statements by plain
sqlite3 in the loop, with one commit for each write. Then at a pace: 5,000 units a second are offered, each at its own
time, and a write that starts late because all tasks are busy is late from its due time on. What bounds all of it is
the disk of the current folder, so its own time for a sync is told. Run: `python -m benchmarks.ledger [--quick]
[--json FILE]`.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs

from benchmarks.report import Result, Row, run_alone, show_number
from benchmarks.stalls import watching
from sora_async.batch import Change, Ledger, SqliteLedger, Stage
from sora_async.batch.ledger_row import Request
from sora_async.batch.sqlite_book import Book
from sora_async.batch.sqlite_file import open_book
from sora_async.batch.sqlite_schema import journal_mode

ACCOUNT = "account"
OFFERED_PER_S = 5000.0
BODY = {"model": "sora-2-all", "prompt": "a cat with a hat on a train, in the rain, by night " * 2, "duration": 10}

Write = Callable[[str], Awaitable[None]]


@attrs.frozen
class Writes:
    """The two writes of a unit, by its key."""

    intend: Write
    submit: Write


@attrs.frozen(kw_only=True)
class Cost:
    """What one measurement saw."""

    units_per_s: float
    p50_ms: float
    """Of one write."""
    p99_ms: float
    late_ms: float
    """The longest stall of the loop."""
    cpu_us: float
    """Of this process, for each unit."""


def submitted(key: str) -> Change:
    return Change(key=key, stage=Stage.SUBMITTED, task_id=f"task_{key}", facts={"status": "queued"})


@asynccontextmanager
async def _plain(path: Path) -> AsyncIterator[Writes]:
    """Writes each step in the loop, and commits it."""
    with open_book(path, ACCOUNT) as book:

        async def intend(key: str) -> None:
            book.begin([key])
            book.enter(key, Request.of({**BODY, "key": key}), time.time(), intend=True)
            await commit(book)

        async def submit(key: str) -> None:
            book.begin([key])
            book.record(submitted(key), time.time())
            await commit(book)

        async def commit(book: Book) -> None:
            book.commit()
            await asyncio.sleep(0)

        yield Writes(intend, submit)


@asynccontextmanager
async def writing(ledger: Ledger) -> AsyncIterator[Writes]:
    """Open a ledger, and give the two writes of a task."""

    async def intend(key: str) -> None:
        await ledger.enter(key, {**BODY, "key": key}, intend=True)

    async def submit(key: str) -> None:
        await ledger.record(submitted(key))

    await ledger.open(ACCOUNT)
    try:
        yield Writes(intend, submit)
    finally:
        await ledger.close()


async def measure_writes(writes: Writes, tasks: int, units: int, offered_per_s: float | None = None) -> Cost:
    """Let so many asyncio tasks do the units, as fast as it goes or each at its time."""
    numbers = iter(range(units))
    took: list[float] = []
    stalls: list[float] = []

    async def work(start: float) -> None:
        for number in numbers:
            began = time.perf_counter()
            if offered_per_s is not None:
                due = start + number / offered_per_s
                await asyncio.sleep(due - began)
                began = due
            key = f"{number * 7919 % units:x}-{number}"
            await writes.intend(key)
            took.append(time.perf_counter() - began)
            began = time.perf_counter()
            await writes.submit(key)
            took.append(time.perf_counter() - began)

    async with watching(stalls):
        start, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work(start) for _ in range(tasks)))
        wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    percentiles = statistics.quantiles(took, n=100)
    return Cost(
        units_per_s=units / wall_s,
        p50_ms=percentiles[49] * 1000,
        p99_ms=percentiles[98] * 1000,
        late_ms=max(stalls) * 1000,
        cpu_us=cpu_s / units * 1e6,
    )


def _sync_ms(folder: Path, count: int = 200) -> float:
    """How long the disk takes to make 4 KiB durable that were appended, half of the times."""
    sync = getattr(os, "fdatasync", os.fsync)
    times = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(count):
            file.write(os.urandom(4096))
            began = time.perf_counter()
            sync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


async def _list(path: Path) -> dict[str, float]:
    """Read all entries of a ledger."""
    stalls: list[float] = []
    async with watching(stalls):
        began = time.perf_counter()
        count = len([entry async for entry in SqliteLedger(path).entries()])
        per_s = count / (time.perf_counter() - began)
    return {"entries_per_s": per_s, "late_ms": max(stalls) * 1000}


async def _turn(folder: Path, tasks: int, units: int) -> dict[str, Any]:
    async with writing(SqliteLedger(folder / "ours.db")) as writes:
        ours = await measure_writes(writes, tasks, units)
    async with _plain(folder / "plain.db") as writes:
        plain = await measure_writes(writes, tasks, units // 20)
    listed = await _list(folder / "ours.db")
    return {"ours": ours, "plain": plain, "listed": listed, "sync_ms": _sync_ms(folder)}


async def _pace(folder: Path, tasks: int, units: int) -> Cost:
    async with writing(SqliteLedger(folder / "paced.db")) as writes:
        return await measure_writes(writes, tasks, units, OFFERED_PER_S)


def cost_rows(what: str, turns: list[Cost], *, bound_ms: float | None) -> list[Row]:
    """Medians over the turns of what all measurements have."""
    middle = {name: statistics.median(getattr(turn, name) for turn in turns) for name in attrs.asdict(turns[0])}
    return [
        Row(what=f"{what}: a write, p50", value=middle["p50_ms"], unit="ms"),
        Row(what=f"{what}: a write, p99", value=middle["p99_ms"], unit="ms", at_most=bound_ms),
        Row(what=f"{what}: longest stall of the loop", value=middle["late_ms"], unit="ms", at_most=50),
    ]


def turn_rows(tasks: int, turns: list[dict[str, Any]], least_per_s: float | None, *, to: str) -> list[Row]:
    """Medians over the turns of the ledger, beside what is plain."""
    what, ours = f"{tasks:,} tasks", [turn["ours"] for turn in turns]
    speed = Row(
        what=f"{what}: as fast as it goes",
        value=statistics.median(cost.units_per_s for cost in ours),
        unit="units/s",
        ratio=statistics.median(turn["ours"].units_per_s / turn["plain"].units_per_s for turn in turns),
        to=to,
        at_least=least_per_s,
        is_value_judged=True,
    )
    return [speed, *cost_rows(what, ours, bound_ms=None)]


def measure(is_quick: bool) -> Result:
    """Measure each number of tasks some times, and then the pace."""
    units, rounds = (4_000, 1) if is_quick else (20_000, 3)
    turns: dict[int, list[dict[str, Any]]] = {1000: [], 50: []}
    paced: list[Cost] = []
    for _ in range(rounds):
        for tasks, each in turns.items():
            with tempfile.TemporaryDirectory(dir=Path()) as name:
                each.append(asyncio.run(_turn(Path(name), tasks, units)))
        with tempfile.TemporaryDirectory(dir=Path()) as name:
            paced.append(asyncio.run(_pace(Path(name), 1000, 3 * units)))
    reached = Row(
        what=f"{OFFERED_PER_S:,.0f} units/s offered",
        value=statistics.median(cost.units_per_s for cost in paced),
        unit="units/s",
    )
    all_turns = [turn for each in turns.values() for turn in each]
    sync_ms = statistics.median(turn["sync_ms"] for turn in all_turns)
    listed_per_s = statistics.median(turn["listed"]["entries_per_s"] for turn in all_turns)
    return Result(
        name="ledger",
        unit="One unit is a task's two durable writes",
        rows=[
            *turn_rows(1000, turns[1000], 5000, to="sqlite3 in the loop"),
            *turn_rows(50, turns[50], None, to="sqlite3 in the loop"),
            reached,
            *cost_rows(reached.what, paced, bound_ms=50),
        ],
        notes=[
            f"SQLite {sqlite3.sqlite_version}, journal {journal_mode(sqlite3.sqlite_version_info)}, synchronous FULL",
            f"A sync of 4 KiB takes {show_number(sync_ms)} ms on this disk",
            f"Listing reads {show_number(listed_per_s)} entries a second",
        ],
        details=[
            {name: attrs.asdict(part) if attrs.has(type(part)) else part for name, part in turn.items()}
            for turn in [*all_turns, *({"paced": cost} for cost in paced)]
        ],
    )


if __name__ == "__main__":
    run_alone(measure, "ledger", __doc__)
