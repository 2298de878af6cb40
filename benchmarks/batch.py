"""Batches end to end: tasks a second, and what a batch adds to the time that its tasks take anyway.

A unit is one task, from its prompt to its file: a create, the polls, a download of 100 KB, and the ledger's account of
all of it. First tasks of 3, 4 and 5 s, polled each second: the ideal time is what the same tasks take if nothing but
their waiting takes any, each begun as soon as a slot is free. Then tasks that are finished when they are created, so
that nothing hides what the parts of a batch cost; they take turns. The relay is another process on another core. How
batches bear faults and kills is told by `batch_faults` and `kills`. Run: `python -m benchmarks.batch [--quick]
[--json FILE]`.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import attrs

from benchmarks.canned_relay import canned_relay
from benchmarks.machine import on_core
from benchmarks.report import Result, Row, run_alone
from sora_async import Client, Fixed
from sora_async.batch import BatchPolicy

POLL_S = 1.0
TAKES_S = (3.0, 4.0, 5.0)
EARLY_S = 0.1
"""So much before a poll a task ends, so that the poll sees it."""
SLOTS = 300


@attrs.frozen(kw_only=True)
class Run:
    """What one run of a batch took."""

    wall_s: float
    cpu_s: float


Way = Callable[[Client, Path, int], Awaitable[None]]


def ideal_s(takes_s: Iterable[float], slots: int) -> float:
    """The time for tasks of known lengths, each begun when a slot is free, in their order."""
    free = [0.0] * slots
    for taken_s in takes_s:
        heapq.heapreplace(free, free[0] + taken_s)
    return max(free)


async def _gather(client: Client, _: Path, tasks: int) -> None:
    """What there is without a batch: so many coroutines, held back by a semaphore."""
    slots = asyncio.Semaphore(SLOTS)

    async def generate(number: int) -> None:
        async with slots:
            await client.generate(f"boat {number}")

    await asyncio.gather(*map(generate, range(tasks)))


def _batch(*, ledger: bool, files: bool, slots: int = SLOTS) -> Way:
    async def run(client: Client, folder: Path, tasks: int) -> None:
        count = 0
        async for outcome in client.generate_many(
            (f"boat {number}" for number in range(tasks)),
            concurrency=slots,
            ledger=folder / "batch.ledger" if ledger else None,
            directory=folder / "videos" if files else None,
            policy=BatchPolicy(creates=slots),
        ):
            assert outcome.error is None, outcome.error
            count += 1
        assert count == tasks

    return run


WAYS: dict[str, Way] = {
    "gather of generate": _gather,
    "a batch": _batch(ledger=False, files=False),
    "a batch with a ledger": _batch(ledger=True, files=False),
    "a batch with files": _batch(ledger=False, files=True),
    "a batch with both": _batch(ledger=True, files=True),
}


async def _time(way: Way, url: str, tasks: int, poll_s: float) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        async with Client("any", url, pacing=Fixed(poll_s)) as client:
            wall, cpu = time.perf_counter(), time.process_time()
            await way(client, Path(folder), tasks)
            return Run(wall_s=time.perf_counter() - wall, cpu_s=time.process_time() - cpu)


def measure_waiting(tasks: int, slots: int) -> list[Row]:
    """One batch of tasks that take their time."""
    with canned_relay([taken_s - EARLY_S for taken_s in TAKES_S]) as relay, on_core(0):
        run = asyncio.run(_time(_batch(ledger=True, files=True, slots=slots), relay.url, tasks, POLL_S))
        busy = relay.effort().cpu_s / run.wall_s
    ideal = ideal_s(itertools.islice(itertools.cycle(TAKES_S), tasks), slots)
    what = f"{tasks:,} tasks of 3 to 5 s, {slots} at once"
    return [
        Row(
            what=what, value=run.wall_s, unit="s", ratio=run.wall_s / ideal, to=f"the ideal {ideal:.0f} s", at_most=1.05
        ),
        Row(what="the same", value=tasks / run.wall_s, unit="tasks/s"),
        Row(what="the same: this process's core", value=run.cpu_s / run.wall_s * 100, unit="%"),
        Row(what="the same: the relay's core", value=busy * 100, unit="%", at_most=90),
    ]


def measure_cost(tasks: int, rounds: int) -> list[Row]:
    """What a batch costs where nothing hides it; the ways take turns."""
    runs: dict[str, list[Run]] = {name: [] for name in WAYS}
    with canned_relay([0.0]) as relay, on_core(0):
        for turn in range(rounds):
            for name, way in list(WAYS.items())[:: -1 if turn % 2 else 1]:
                runs[name].append(asyncio.run(_time(way, relay.url, tasks, 0.0)))
    plain = runs["gather of generate"]
    rows = []
    for name, each in runs.items():
        ratio = statistics.median(run.wall_s / other.wall_s for run, other in zip(each, plain, strict=True))
        speed = tasks / statistics.median(run.wall_s for run in each)
        to = "gather's time"
        rows.append(
            Row(
                what=f"finished at once: {name}",
                value=speed,
                unit="tasks/s",
                ratio=None if each is plain else ratio,
                to=to,
            )
        )
    return rows


def measure(is_quick: bool) -> Result:
    """Measure both."""
    waiting = measure_waiting(160, 40) if is_quick else measure_waiting(1000, 100)
    tasks, rounds = (200, 3) if is_quick else (1000, 5)
    return Result(
        name="batch",
        unit="One unit is a task from its prompt to its file",
        rows=[*waiting, *measure_cost(tasks, rounds)],
        notes=[f"Those that are finished at once: {tasks} tasks, {SLOTS} at once, {rounds} rounds"],
    )


if __name__ == "__main__":
    run_alone(measure, "batch", __doc__)
