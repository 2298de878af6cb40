"""Workers that know nothing of each other, and one relay that bears so many calls in a second: who gets how much?

Each worker has the throttle of a client of its own, and no end of tasks. The relay refuses what is too much with a 429,
which each worker hears of its own calls only. In virtual time: an hour takes seconds. Jain's index is 1 if all workers
got the same, and 1/n if one of n got all.

Run: `python -m benchmarks.fair_share [--quick]`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import selectors
from collections import deque
from typing import Any

import attrs

from sora_async import RateLimitError
from sora_async.throttle import Throttle

LIMIT = 100.0
"""Calls that the relay takes in each second."""
BURST_S = 1.0
"""It counts over so many seconds."""
AT_ONCE = 16
"""Calls that each worker would have under way if nothing held it."""


class _Jumping(selectors.SelectSelector):
    """Waits for nothing: the clock goes to the next timer instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        self.now += timeout or 0.0
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class Relay:
    """Takes so many calls in each second."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._taken: deque[float] = deque()

    async def call(self) -> None:
        """Answer, or refuse."""
        await asyncio.sleep(self._chance.uniform(0.05, 0.15))
        now = asyncio.get_running_loop().time()
        while self._taken and self._taken[0] <= now - BURST_S:
            self._taken.popleft()
        if len(self._taken) >= LIMIT * BURST_S:
            raise RateLimitError(429, "", "too many")
        self._taken.append(now)


@attrs.define
class Share:
    """What one worker got."""

    taken: int = 0
    refused: int = 0


@attrs.frozen
class Finding:
    """What all of them got, after the time to settle."""

    workers: int
    index: float
    calls_a_task: float
    """Of all calls, those of the beginning included."""
    used: float
    """Share of what the relay would have taken."""


async def _work(relay: Relay, throttle: Throttle, share: Share) -> None:
    while True:
        left_at = await throttle.turn("create")
        end: Exception | None = None
        try:
            await relay.call()
            share.taken += 1
        except RateLimitError as error:
            share.refused += 1
            end = error
        finally:
            throttle.done("create", left_at, end)


async def _simulate(workers: int, settle_s: float, lasts_s: float) -> Finding:
    chance = random.Random(workers)
    relay = Relay(chance)
    shares = [Share() for _ in range(workers)]
    working = []
    for share in shares:
        throttle = Throttle(pause_s=1.0)
        working += [asyncio.create_task(_work(relay, throttle, share)) for _ in range(AT_ONCE)]
        await asyncio.sleep(chance.uniform(0, 0.1))
    await asyncio.sleep(settle_s)
    before = [share.taken for share in shares]
    await asyncio.sleep(lasts_s)
    taken = [share.taken - old for share, old in zip(shares, before, strict=True)]
    for task in working:
        task.cancel()
    await asyncio.wait(working)
    everything = sum(share.taken for share in shares)
    return Finding(
        workers=workers,
        index=sum(taken) ** 2 / (workers * sum(number**2 for number in taken)),
        calls_a_task=(everything + sum(share.refused for share in shares)) / everything,
        used=sum(taken) / (LIMIT * lasts_s),
    )


def simulate(workers: int, settle_s: float, lasts_s: float) -> Finding:
    """Let so many workers call for some time."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(_simulate(workers, settle_s, lasts_s))


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="ten minutes in place of an hour")
    settle_s, lasts_s = (120.0, 600.0) if parser.parse_args().quick else (600.0, 3600.0)
    print(f"one relay that takes {LIMIT:g} calls a second; counted for {lasts_s:g} s after {settle_s:g} s")
    print(f"{'workers':>8}{'Jain':>8}{'calls a task':>14}{'of the limit':>14}")
    for workers in (1, 8, 64):
        found = simulate(workers, settle_s, lasts_s)
        print(f"{workers:8}{found.index:8.3f}{found.calls_a_task:14.3f}{found.used:14.0%}", flush=True)


if __name__ == "__main__":
    main()
