"""The fewest polls for a mean lag: for schedules that know the distribution, and for polls at a fixed interval."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random

from benchmarks.polling_workloads import Workload

DRAWS = 60_000
STEP_S = 1.0
_HALVINGS = 9


class Optimum:
    """Schedules of polls by dynamic programming over the known distribution, on a grid of one second.

    With a price for a poll in seconds of lag, the cost of waiting on from each age is the least over all next polls;
    each price gives one schedule, and each schedule one point of the curve of polls against lag.

    Args:
        workload: whose durations are known, by a large sample of its own seed.
    """

    def __init__(self, workload: Workload) -> None:
        known = sorted(islice(workload.durations(Random(1)), DRAWS))
        self._grid = math.ceil(known[-1] / STEP_S) + 1
        self._alive = [1 - bisect_left(known, place * STEP_S) / DRAWS for place in range(self._grid + 1)]
        self._limit = int(workload.limit_s / STEP_S)

    def polls(self, durations: Sequence[float], lag_s: float) -> float:
        """The polls for each task that a mix of two schedules needs on these tasks for this mean lag."""
        low, high = math.log(0.005), math.log(500.0)
        points = []
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            points.append(_walk(self._schedule(math.exp(middle)), durations))
            low, high = (middle, high) if points[-1][0] < lag_s else (low, middle)
        below = max((point for point in points if point[0] <= lag_s), default=min(points))
        above = min((point for point in points if point[0] > lag_s), default=max(points))
        if above[0] <= below[0]:
            return below[1]
        return below[1] + (above[1] - below[1]) * (lag_s - below[0]) / (above[0] - below[0])

    def _schedule(self, price: float) -> list[float]:
        """The ages of the polls."""
        alive, grid = self._alive, self._grid
        area = [0.0] * (grid + 1)
        for place in range(grid):
            area[place + 1] = area[place] + STEP_S * (alive[place] + alive[place + 1]) / 2
        # Costs are weighed by the share alive, so what can no longer happen costs nothing.
        costs = [0.0] * (grid + 1)
        steps = [self._limit] * (grid + 1)
        for place in range(grid - 1, -1, -1):
            share, start = alive[place], area[place]
            costs[place], steps[place] = min(
                (price * share + step * STEP_S * share - area[place + step] + start + costs[place + step], step)
                for step in range(1, min(self._limit, grid - place) + 1)
            )
        place, ages = 0, []
        while place <= grid:
            place += steps[place]
            ages.append(place * STEP_S)
        return ages


def _walk(ages: Sequence[float], durations: Sequence[float]) -> tuple[float, float]:
    """The mean lag and the polls for each task of a schedule, which goes on at its last gap."""
    seen = [(bisect_left(ages, duration), duration) for duration in durations]
    lags = sum(ages[min(place, len(ages) - 1)] - duration for place, duration in seen)
    return lags / len(durations), sum(place + 1 for place, _ in seen) / len(durations)


def fixed_polls(durations: Sequence[float], lag_s: float) -> float:
    """The polls for each task at the fixed interval whose mean lag is this one."""
    below = above = (0.0, 0.0)
    for interval_s in _intervals():
        counts = [max(1, math.ceil(duration / interval_s)) for duration in durations]
        lag = sum(count * interval_s - duration for count, duration in zip(counts, durations, strict=True))
        below, above = above, (lag / len(durations), sum(counts) / len(durations))
        if above[0] >= lag_s:
            break
    part = (lag_s - below[0]) / (above[0] - below[0])
    return below[1] + part * (above[1] - below[1])


def _intervals() -> Iterator[float]:
    interval_s = 0.5
    while interval_s < 600:
        yield interval_s
        interval_s *= 1.01
