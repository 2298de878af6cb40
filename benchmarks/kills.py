"""Batches that are killed with SIGKILL again and again: is anything bought twice, or lost, or half?

A batch is killed at a moment, or at a boundary (before and after each call of the ledger, each commit, each create,
each download; and when the relay has accepted and its answer is under way), again when it goes on, and then run to its
end. What must hold after each run is in `benchmarks.batch_trial`.

Run: `python -m benchmarks.kills [--quick] [--seed N]`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time

from benchmarks.batch_child import POINTS
from benchmarks.batch_trial import PROMPTS, Tally, Zygote, trying
from benchmarks.machine import describe, describe_load

KILLS_OF_A_BATCH = 12
LONGEST_S = 0.05
"""A kill at a random moment of the start comes within so many seconds."""


async def kill_at_boundary(
    zygote: Zygote,
    tally: Tally,
    point: str,
    chance: random.Random,
    *,
    prompts: int = PROMPTS,
    concurrency: int = PROMPTS,
) -> int:
    """Kill batches at the first, second, ... time that they come to a point, until there is none.

    Each is killed at drawn points when it goes on, and then run to its end.

    Returns:
        How many such boundaries there are.
    """
    at = 0
    is_over = False
    while not is_over:
        at += 1
        async with trying(zygote, tally, prompts=prompts, concurrency=concurrency) as (trial, _):
            is_over = await trial.run(point=point, at=at)
            for _ in range(0 if is_over else 2):
                await trial.run(point=chance.choice(POINTS), at=chance.randint(1, 2))
            await trial.finish()
    return at - 1


async def kill_at_answer(zygote: Zygote, tally: Tally, *, prompts: int = PROMPTS) -> None:
    """Kill batches when the relay has accepted their n-th create and its answer does not come yet, for each n."""
    for at in range(1, prompts + 1):
        async with trying(zygote, tally, stall_at=at, prompts=prompts, concurrency=prompts) as (trial, sandbox):
            assert not await trial.run_and_kill(lambda: len(sandbox.creates) >= at)  # noqa: B023
            await trial.finish()


async def kill_at_random(zygote: Zygote, tally: Tally, kills: int, chance: random.Random) -> None:
    """Kill batches at random moments, so often in all: soon after their start, or after any call or file."""
    goal = tally.kills + kills
    while tally.kills < goal:
        async with trying(zygote, tally, prompts=2 * PROMPTS) as (trial, sandbox):
            is_over = False
            for _ in range(KILLS_OF_A_BATCH):
                if is_over or tally.kills == goal:
                    break
                if chance.random() < 0.2:
                    is_over = await trial.run(kill_after_s=chance.uniform(0, LONGEST_S))
                else:
                    calls = sandbox.calls.total() + chance.randint(1, 6)
                    is_over = await trial.run_and_kill(
                        lambda: sandbox.calls.total() >= calls,  # noqa: B023
                        chance.uniform(0, LONGEST_S / 5),
                    )
            await trial.finish()


async def _measure(zygote: Zygote, *, prompts: int, kills: int, chance: random.Random) -> None:
    """Kill at all boundaries, and then at random until it was done so often; print what was seen."""
    total = 0

    def show(name: str, tally: Tally) -> None:
        nonlocal total
        total += tally.kills
        seen = [tally.trials, tally.runs, tally.kills, tally.accepted, tally.doubtful, tally.doubtful_accepted]
        print(f"{name:34}{''.join(f'{number:11}' for number in seen)}", flush=True)

    for concurrency in (1, prompts):
        for point in POINTS:
            tally = Tally()
            count = await kill_at_boundary(zygote, tally, point, chance, prompts=prompts, concurrency=concurrency)
            show(f"{point} 1 to {count}, {concurrency} at once", tally)
    tally = Tally()
    await kill_at_answer(zygote, tally, prompts=prompts)
    show(f"accepted 1 to {prompts}, unanswered", tally)
    tally = Tally()
    await kill_at_random(zygote, tally, max(kills // 4, kills - total), chance)
    show("random moments", tally)
    print(f"{total} kills: nothing was bought twice, nothing is lost, nothing is half, every doubt was told")


def main() -> None:
    """Kill and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2 inputs and 300 kills in place of 4 and 1,000")
    parser.add_argument("--seed", type=int, default=0, help="another one gives other moments")
    options = parser.parse_args()
    print(describe())
    print(describe_load())
    columns = ("batches", "runs", "kills", "bought", "in doubt", "bought too")
    print(f"{'killed':34}{''.join(f'{column:>11}' for column in columns)}")
    began = time.perf_counter()
    prompts, kills = (2, 300) if options.quick else (4, 1000)
    with Zygote() as zygote:
        asyncio.run(_measure(zygote, prompts=prompts, kills=kills, chance=random.Random(options.seed)))
    print(f"in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
