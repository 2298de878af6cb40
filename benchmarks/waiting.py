"""What waiting tasks cost: resident memory for each, and how late the loop runs while they are begun and polled.

A unit is one `client.wait` of a task of its own, in an asyncio task of its own, at rest before its first poll by the
default pacing. Every task was seen once, so its last answer is held too. They are begun 100 at a time, each hundred in
one go. Beside it: an asyncio task that only sleeps, the least that any client could cost. Polls are measured apart, by
a pacing that does the work of Adaptive and is due again after a second: the client itself lets their rate grow, up to
what one core can do. They are measured twice: as it comes, and after `gc.freeze()`, by which Python's collector leaves
what is waiting alone. Each number comes from a process of its own, for memory that an earlier measurement freed would
hide what the next one takes. Run: `python -m benchmarks.waiting [--quick] [--json FILE]`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import attrs

from benchmarks.canned_server import QUERIED, ServerProcess, canned_server
from benchmarks.machine import on_core, read_memory
from benchmarks.report import Result, Row, run_alone
from benchmarks.stalls import TICK_S, watching
from sora_async import Client, VideoTask
from sora_async.pacing import Adaptive, Delays, Pacing
from sora_async.wire.failure import read_answer
from sora_async.wire.task import parse_task

LONG_S = 3600.0
WARM_UP = 100
AT_ONCE = 100
KINDS = ("sleep", "wait", "poll", "frozen")

Make = Callable[[int], Coroutine[Any, Any, object]]


@attrs.frozen(kw_only=True)
class Cost:
    """What one measurement saw."""

    each_bytes: float
    late_s: float
    """The longest stall of the loop: while they were begun, or, for polls, from then on."""
    polls_per_s: float = 0.0


class Hurried:
    """Adaptive's work for each answer, and a poll each second."""

    def __init__(self, inner: Pacing) -> None:
        self._inner = inner

    def delays(self) -> Delays:
        inner = self._inner.delays()
        next(inner)
        task = yield 0.0
        while True:
            inner.send(task)
            task = yield 1.0


def _seen_task(number: int) -> VideoTask:
    """A task as a poll left it: parsed from bytes of its own, so nothing is shared with the others."""
    task_id = f"sora-2:task_{number:026d}"
    return parse_task(read_answer(200, json.dumps({**QUERIED, "id": task_id}).encode()), task_id)


async def _begin(make: Make, numbers: range) -> list[asyncio.Task[object]]:
    """Start tasks and let each come to its rest."""
    begun = []
    for number in numbers:
        begun.append(asyncio.create_task(make(number)))
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    return begun


async def _measure_rest(make: Make, count: int) -> Cost:
    """Begin `count` things in this process, which must have measured nothing before."""
    stalls: list[float] = []
    begun = await _begin(make, range(WARM_UP))
    gc.collect()
    before = read_memory("VmRSS")
    async with watching(stalls):
        begun += await _begin(make, range(WARM_UP, WARM_UP + count))
    gc.collect()
    each_bytes = (read_memory("VmRSS") - before) / count * 2**20
    await _stop(begun)
    return Cost(each_bytes=each_bytes, late_s=max(stalls))


async def _measure_polls(make: Make, count: int, server: ServerProcess, seconds: float, *, is_frozen: bool) -> Cost:
    """Begin `count` waits, and then see them polled for so many seconds."""
    stalls: list[float] = []
    # In one go: polls between would only make the beginning longer, which is not what is measured here.
    begun = [asyncio.create_task(make(number)) for number in range(count)]
    await asyncio.sleep(TICK_S)
    if is_frozen:
        gc.freeze()
    answers = server.effort().answers
    async with watching(stalls):
        await asyncio.sleep(seconds)
    answers = server.effort().answers - answers
    await _stop(begun)
    return Cost(each_bytes=0.0, late_s=max(stalls), polls_per_s=answers / seconds)


async def _stop(begun: list[asyncio.Task[object]]) -> None:
    for task in begun:
        task.cancel()
    await asyncio.gather(*begun, return_exceptions=True)


async def _measure(kind: str, count: int, seconds: float, server: ServerProcess) -> Cost:
    if kind == "sleep":
        return await _measure_rest(lambda _: asyncio.sleep(LONG_S), count)
    async with Client("any", server.url, pacing=None if kind == "wait" else Hurried(Adaptive())) as client:

        def make(number: int) -> Coroutine[Any, Any, object]:
            return client.wait(_seen_task(number), timeout=LONG_S)

        if kind == "wait":
            return await _measure_rest(make, count)
        return await _measure_polls(make, count, server, seconds, is_frozen=kind == "frozen")


def _measure_apart(kind: str, count: int, seconds: float) -> Cost:
    command = [sys.executable, "-m", "benchmarks.waiting", "--measure", kind, str(count), str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Cost(**json.loads(done.stdout))


def _rows(count: int, costs: dict[str, Cost]) -> list[Row]:
    sleeping, waiting, polled, frozen = (costs[kind] for kind in KINDS)
    return [
        Row(
            what=f"{count:,} waiting: memory of each",
            value=waiting.each_bytes / 1024,
            unit="KB",
            ratio=waiting.each_bytes / sleeping.each_bytes,
            to="a task that sleeps",
            at_most=5.0,
            is_value_judged=True,
        ),
        Row(what=f"{count:,} waiting: longest stall, begun", value=waiting.late_s * 1000, unit="ms", at_most=100),
        Row(what=f"{count:,} waiting: longest stall, polled", value=polled.late_s * 1000, unit="ms", at_most=100),
        Row(what=f"{count:,} waiting: the same after gc.freeze()", value=frozen.late_s * 1000, unit="ms"),
        Row(what=f"{count:,} waiting: polls while that", value=polled.polls_per_s, unit="polls/s"),
    ]


def measure(is_quick: bool) -> Result:
    """Measure each kind in a process of its own."""
    counts, seconds = ([1000], 5.0) if is_quick else ([1000, 10_000, 100_000], 30.0)
    costs = {count: {kind: _measure_apart(kind, count, seconds) for kind in KINDS} for count in counts}
    sleeping_ms = max(kinds["sleep"].late_s for kinds in costs.values()) * 1000
    return Result(
        name="waiting",
        unit="One unit is one waiting task that was seen once, in an asyncio task of its own",
        rows=[row for count in counts for row in _rows(count, costs[count])],
        notes=[
            f"Polls were watched for {seconds:.0f} s",
            f"The longest stall while tasks were begun that only sleep was {sleeping_ms:.0f} ms",
        ],
        details={count: {kind: attrs.asdict(cost) for kind, cost in kinds.items()} for count, kinds in costs.items()},
    )


def _measure_here(kind: str, count: str, seconds: str) -> None:
    with canned_server() as server, on_core(0):
        cost = asyncio.run(_measure(kind, int(count), float(seconds), server))
    print(json.dumps(attrs.asdict(cost)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        _measure_here(*sys.argv[2:])
    else:
        run_alone(measure, "waiting", __doc__)
