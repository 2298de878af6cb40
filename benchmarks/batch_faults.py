"""Whole batches against a relay in another process that limits the calls and lets 5 % of them go wrong in every way.

First many tasks in one run, held against the relay's own count, and the same without a ledger and without files; then
a batch that is killed six times with SIGKILL. The faults are all that the sandbox has but two: those that say the
account is empty, at which a batch stops. Run: `python -m benchmarks.batch_faults [--quick] [--tasks N]`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import attrs

from benchmarks.batch_child import LEDGER, VIDEOS, Order
from benchmarks.batch_relay import Books, Plan, RelayProcess, relay_process
from benchmarks.batch_trial import CLIP, Ending, Zygote
from benchmarks.machine import describe, describe_load, read_memory
from sora_async import Client, Outcome, Timeouts
from sora_async.batch import Entry, SqliteLedger, Stage

CALLS_PER_S = 50.0
CONCURRENCY = 300
ANSWER_S = 10.0
"""What stalls is given up after so many seconds, in place of minutes."""
KILLS = 6


@attrs.define
class Run:
    """What one run of a batch gave and took."""

    ends: dict[str, Outcome] = attrs.field(factory=dict)
    wall_s: float = 0.0
    cpu_s: float = 0.0


async def run_batch(client: Client, tasks: int, **options: Any) -> Run:
    """Run `boat 0`, `boat 1`, ... and take the time."""
    run = Run()
    wall, cpu = time.perf_counter(), time.process_time()
    async for outcome in client.generate_many((f"boat {number}" for number in range(tasks)), **options):
        run.ends[outcome.request.prompt] = outcome
    run.wall_s, run.cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    return run


def examine_files(folder: Path) -> str:
    """Tell how many files there are, and how many are not what the relay has, byte by byte."""
    # Without a file there is no folder: killed early, all creates may be in doubt.
    paths = folder.iterdir() if folder.exists() else ()
    kinds = Counter(_examine(path) for path in paths if not path.name.startswith("."))
    note = f", {kinds['garbled']} of them with bytes that the relay garbled behind a cut" if kinds["garbled"] else ""
    return f"{kinds.total()} files, {kinds.total() - kinds['broken']} whole{note}, {kinds['broken']} broken"


def _examine(path: Path) -> str:
    content = path.read_bytes()
    return "broken" if len(content) != len(CLIP) else "right" if content == CLIP else "garbled"


async def examine_account(folder: Path, books: Books, tasks: int) -> str:
    """Hold the ledger against what the relay counted; it is an AssertionError if they do not agree."""
    entries: dict[str, Entry] = {}
    async for entry in SqliteLedger(folder / LEDGER).entries():
        entries[str(entry.request["prompt"])] = entry
    assert len(entries) == tasks
    times = Counter(prompt for prompt, _ in books.creates)
    for prompt, task_id in books.creates:
        entry = entries[prompt]
        assert entry.task_id == task_id or entry.stage is Stage.UNCERTAIN, f"{task_id} is lost: {entry}"
    stages = Counter(entry.stage.value for entry in entries.values())
    return (
        f"accepted by the relay: {len(books.creates)} creates for {len(times)} prompts, at most "
        f"{max(times.values())} for one; each of them is in the ledger, by its id or as uncertain\n"
        f"  in the ledger: {', '.join(f'{count} {name}' for name, count in sorted(stages.items()))}"
    )


def _tell_calls(books: Books, tasks: int) -> str:
    calls = books.calls
    return (
        f"calls: {calls['create']} creates, {calls['query']} queries, {calls.get('download', 0)} downloads; "
        f"{(calls['create'] + calls['query']) / tasks:.2f} creates and queries a task"
    )


async def measure_many(relay: RelayProcess, tasks: int, folder: Path) -> Run:
    """One run of many tasks, and all that is to be told of it."""
    before = read_memory("VmRSS")
    async with Client("any", relay.url, timeouts=Timeouts(create=ANSWER_S, query=ANSWER_S)) as client:
        run = await run_batch(client, tasks, concurrency=CONCURRENCY, ledger=folder / LEDGER, directory=folder / VIDEOS)
    most = read_memory("VmHWM")
    books = relay.look()
    ends = Counter(type(outcome.error).__name__ if outcome.error else "file" for outcome in run.ends.values())
    print(f"  {len(run.ends)} of {tasks} prompts have an outcome: {', '.join(f'{n} {end}' for end, n in ends.items())}")
    print(f"  {await examine_account(folder, books, tasks)}")
    print(f"  {examine_files(folder / VIDEOS)}")
    print(f"  {_tell_calls(books, tasks)}")
    sent = books.calls["create"] + books.calls["query"]
    print(
        f"  {run.wall_s:.1f} s; one create and one query each, at {CALLS_PER_S:.0f} calls/s, take "
        f"{2 * tasks / CALLS_PER_S:.1f} s, and the calls that were made {sent / CALLS_PER_S:.1f} s"
    )
    print(f"  memory of this process: {before:.1f} MiB before, at most {most:.1f} MiB", flush=True)
    return run


async def measure_bare(relay: RelayProcess, tasks: int) -> Run:
    """The same tasks without a ledger and without files."""
    async with Client("any", relay.url, timeouts=Timeouts(create=ANSWER_S, query=ANSWER_S)) as client:
        return await run_batch(client, tasks, concurrency=CONCURRENCY)


async def measure_kills(relay: RelayProcess, tasks: int, seed: int) -> None:
    """A batch that is killed six times, and run once more."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name, Zygote() as zygote:
        order = Order(
            url=relay.url,
            folder=name,
            prompts=tasks,
            concurrency=100,
            first_s=1.0,
            poll_s=1.0,
            answer_s=ANSWER_S,
        )
        ending = Ending()
        for left in range(KILLS, -1, -1):
            kill_after_s = chance.uniform(0.2, 1.0) * tasks / 120 if left else None
            ending = await asyncio.to_thread(zygote.run, attrs.evolve(order, kill_after_s=kill_after_s))
            bought = len(relay.look().creates)
            print(f"  {'killed' if ending.status else 'ended'}; the relay has accepted {bought} creates", flush=True)
        books = relay.look()
        ends = Counter(error or "file" for error in ending.outcomes.values())
        print(
            f"  {len(ending.outcomes)} of {tasks} prompts have an outcome in the last run: "
            f"{', '.join(f'{count} {end}' for end, count in ends.items())}"
        )
        print(f"  {await examine_account(Path(name), books, tasks)}")
        print(f"  {examine_files(Path(name, VIDEOS))}")
        print(f"  {_tell_calls(books, tasks)}", flush=True)


def _measure_all(tasks: int) -> None:
    plan = Plan(takes_s=4.0, calls_per_s=CALLS_PER_S, fault_share=0.05, failure_share=0.01, seed=11)
    print(f"{tasks} tasks of about 4 s, {CONCURRENCY} at once, {CALLS_PER_S:.0f} calls/s, 5 % faults of all kinds:")
    with relay_process(plan) as relay, tempfile.TemporaryDirectory() as folder:
        whole = asyncio.run(measure_many(relay, tasks, Path(folder)))
    with relay_process(plan) as relay:
        bare = asyncio.run(measure_bare(relay, tasks))
    print(
        f"  without ledger and files: {bare.wall_s:.1f} s; CPU {bare.cpu_s / tasks * 1000:.1f} ms a task in place of "
        f"{whole.cpu_s / tasks * 1000:.1f} ms"
    )
    print(f"{tasks} tasks, without the faults that say that there are too many calls, though there are not:")
    with relay_process(attrs.evolve(plan, is_fair=True)) as relay, tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure_many(relay, tasks, Path(folder)))
    killed = tasks * 3 // 20
    print(f"{killed} tasks, the same faults and limit, {KILLS} times killed with SIGKILL and run once more:")
    with relay_process(attrs.evolve(plan, takes_s=1.0, seed=12)) as relay:
        asyncio.run(measure_kills(relay, killed, 1))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="200 tasks")
    parser.add_argument("--tasks", type=int, help="default: 2,000")
    options = parser.parse_args()
    print(describe())
    print(describe_load(), flush=True)
    _measure_all(options.tasks or (200 if options.quick else 2000))


if __name__ == "__main__":
    main()
