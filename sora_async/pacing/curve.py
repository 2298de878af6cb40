"""A distribution of durations as a table: how likely an end is, and what it costs to wait on for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from operator import mul

STEP = 0.025
"""Width of a bin in the logarithm of seconds: 2.5 %, finer than any useful poll."""
BINS = 384
"""From 1 s to four hours."""
EDGES = tuple(math.exp(STEP * place) for place in range(BINS + 1))
"""The bins' borders in seconds; what ends in the first second counts to the first bin."""
_END_S = EDGES[-1]
FLOOR_S = 1.0
"""The shortest time between polls."""
_WIDTHS = tuple(high - low for low, high in pairwise(EDGES))
_NEARLY_NONE = 1e-12
_SPARE = 0.7
"""Polls that the rule for dense polls leaves out: two thirds for a steady hazard, one for a certain end."""
_GUIDED = 1.5
"""Polls still to come once progress tells the end, besides those that the longest time between polls asks for."""
_COARSE = 8
_FINE = 3
_GOLDEN = (math.sqrt(5) - 1) / 2
_log = math.log


class Curve:
    """The survival of a kind of task, and the cost of waiting on from each age.

    Args:
        masses: the probability of an end in each bin; they sum to 1.
        aim_s: the mean lag wanted.
        limit_s: the longest time between polls.
        trim: multiplies the price of a poll, which otherwise is the one that meets the aim.
        guided: 0.0 to 1.0, how far progress is going to tell the end.
    """

    __slots__ = ("_delays", "_limit_s", "_rows", "price")

    def __init__(self, masses: Sequence[float], *, aim_s: float, limit_s: float, trim: float, guided: float) -> None:
        self._limit_s = limit_s
        alive = _from_the_end(masses)
        times = [(now + then) / 2 * width for (now, then), width in zip(pairwise(alive), _WIDTHS, strict=True)]
        areas = list(accumulate(times, initial=EDGES[0]))
        roots = [math.sqrt(mass / time) for mass, time in zip(masses, times, strict=True)]
        self.price = _price(masses, roots, aim_s, limit_s) * trim
        """The seconds of lag that one poll is worth."""
        gaps = _gaps(roots, self.price, limit_s)
        spent = [self.price * time / gap + mass * gap / 2 for time, mass, gap in zip(times, masses, gaps, strict=True)]
        costs = [
            self._blend(cost / share, (areas[-1] - area) / share, guided)
            for cost, share, area in zip(_from_the_end(spent), alive, areas, strict=True)
        ]
        # One row for each bin, with slopes: read twenty times for a poll, this halves the time.
        self._rows = [
            (edge, share, (alive[place] - share) / width, area, cost, (costs[place] - cost) / width)
            for place, (edge, share, width, area, cost) in enumerate(
                zip(EDGES[:-1], alive[:-1], _WIDTHS, areas[:-1], costs[:-1], strict=True), 1
            )
        ]
        self._delays: list[float | None] = [None] * (BINS + 1)

    def _blend(self, blind: float, remaining_s: float, guided: float) -> float:
        blind += _SPARE * self.price
        return blind + guided * min(0.0, self.cost_when_told(remaining_s) - blind)

    def cost_when_told(self, remaining_s: float) -> float:
        """The cost of waiting on for an end that is told some seconds ahead."""
        return self.price * (_GUIDED + remaining_s / self._limit_s)

    def at(self, age_s: float) -> tuple[float, float, float]:
        """The share still running at an age, the area under that share up to it, and the cost of waiting on from it."""
        if age_s <= 1.0:
            return 1.0, age_s, self._rows[0][4]
        edge, early, slope, area, cost, cost_slope = self._rows[min(int(_log(age_s) / STEP), BINS - 1)]
        beyond = min(age_s, _END_S) - edge
        alive = early + slope * beyond
        return alive, area + beyond * (early + alive) / 2, cost + cost_slope * beyond

    def delay(self, age_s: float) -> float:
        """The seconds from an age to the best next look, if no progress tells more."""
        exact = math.log(age_s) / STEP if age_s > EDGES[0] else 0.0
        place = int(exact)
        early = self._delay_at(place)
        return early + (exact - place) * (self._delay_at(place + 1) - early) if exact else early

    def _delay_at(self, place: int) -> float:
        delay_s = self._delays[place]
        if delay_s is None:
            age_s = EDGES[place] if place else 0.0
            alive, area, _ = self.at(age_s)

            def cost(delay_s: float) -> float:
                then, then_area, then_cost = self.at(age_s + delay_s)
                return delay_s - (then_area - area - then * then_cost) / alive

            delay_s = self._delays[place] = least(cost, FLOOR_S, self._limit_s)
        return delay_s


def least(cost: Callable[[float], float], low: float, high: float) -> float:
    """Where a cost is least between two delays: a coarse look at all, then a golden section around the best."""
    step = math.log(high / low) / _COARSE
    points = [low * math.exp(step * place) for place in range(_COARSE + 1)]
    values = [cost(point) for point in points]
    best = values.index(min(values))
    left, right = points[max(0, best - 1)], points[min(_COARSE, best + 1)]
    first, second = right - _GOLDEN * (right - left), left + _GOLDEN * (right - left)
    early, late = cost(first), cost(second)
    for _ in range(_FINE):
        if early <= late:
            right, second, late = second, first, early
            first = right - _GOLDEN * (right - left)
            early = cost(first)
        else:
            left, first, early = first, second, late
            second = left + _GOLDEN * (right - left)
            late = cost(second)
    return (left + right) / 2


def _from_the_end(values: Sequence[float]) -> list[float]:
    """The sums from each place to the end; never quite 0."""
    return list(accumulate(reversed(values), initial=_NEARLY_NONE))[::-1]


def _gaps(roots: Sequence[float], price: float, limit_s: float) -> list[float]:
    """The seconds between polls where the square root of the hazard is such: that root sets their density."""
    wide = math.sqrt(2 * price)
    return [max(FLOOR_S, wide / root) if root * limit_s > wide else limit_s for root in roots]


def _price(masses: Sequence[float], roots: Sequence[float], aim_s: float, limit_s: float) -> float:
    """The price of a poll at which the mean lag, half a gap, meets the aim."""
    low, high = math.log(1e-4), math.log(1e5)
    for _ in range(16):
        middle = (low + high) / 2
        if sum(map(mul, masses, _gaps(roots, math.exp(middle), limit_s))) / 2 < aim_s:
            low = middle
        else:
            high = middle
    return math.exp(low)
