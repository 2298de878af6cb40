"""What was learnt of how long one kind of task takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import mul

from sora_async.pacing.curve import BINS, EDGES, STEP

MEMORY = 500
"""Tasks after which an observation weighs a third of a new one."""
PRIOR_TASKS = 2.0
"""How many observed tasks the prior weighs as much as."""
_UNIFORM = 0.01
"""What any bin may hold against all belief, so that a new duration is learnt."""
_HEAVY = 1e6
_REACH = 14
"""The widest that a bin is spread to each side: 35 %."""
_NEIGHBOURS = 0.6
"""An observation is spread until this power of their number lies around it."""


class Durations:
    """A histogram over the logarithm of seconds that forgets slowly.

    Args:
        prior: the probability of an end in each bin before anything was seen.
        counts: how many ends each bin holds, by its number, as `counts` tells them.
    """

    __slots__ = ("_counts", "_prior", "_weight")

    def __init__(self, prior: Sequence[float], counts: Mapping[int, float] | None = None) -> None:
        self._prior = prior
        self._counts = [0.0] * BINS
        for place, count in (counts or {}).items():
            self._counts[place] = count
        self._weight = 1.0

    @property
    def seen(self) -> float:
        """How many tasks are remembered."""
        return sum(self._counts) / self._weight

    def counts(self) -> dict[int, float]:
        """How many ends each bin holds, empty ones left out."""
        told = ((place, round(count / self._weight, 3)) for place, count in enumerate(self._counts))
        return {place: count for place, count in told if count}

    def learn(self, low_s: float, high_s: float, masses: Sequence[float]) -> None:
        """Add a task that ended between two ages.

        Where between them is not known, so it is spread there as it was expected. Before the first poll of all it is
        rather late than early: else each new spreading would bring it closer to 0.
        """
        first, last = place_of(low_s), place_of(high_s)
        places = range(first, last + 1)
        shares = [_part(place, low_s, high_s) * (masses[place] + _UNIFORM / BINS) for place in places]
        if not first:
            shares = list(map(mul, shares, EDGES))
        scale = self._weight / sum(shares)
        for place, share in zip(places, shares, strict=True):
            self._counts[place] += scale * share
        # New ones weigh more instead of all old ones less.
        self._weight *= 1 + 1 / MEMORY
        if self._weight > _HEAVY:
            self._counts = [count / self._weight for count in self._counts]
            self._weight = 1.0

    def masses(self) -> list[float]:
        """The probability of an end in each bin: what was seen, smoothed, and the prior."""
        seen = self.seen
        smooth = _smooth([count / self._weight for count in self._counts], seen**_NEIGHBOURS)
        total = seen + PRIOR_TASKS
        return [(count + PRIOR_TASKS * prior) / total for count, prior in zip(smooth, self._prior, strict=True)]


def place_of(age_s: float) -> int:
    """The bin that an age falls into."""
    return min(BINS - 1, int(math.log(age_s) / STEP)) if age_s > EDGES[0] else 0


def _part(place: int, low_s: float, high_s: float) -> float:
    """The part of a bin that lies between two ages, never quite 0."""
    inside = min(high_s, EDGES[place + 1]) - max(low_s, EDGES[place])
    return max(1e-9, inside / (EDGES[place + 1] - EDGES[place]))


def _smooth(counts: Sequence[float], enough: float) -> list[float]:
    """Spread each bin until enough lies around it: narrow peaks stay narrow, thin tails become smooth."""
    sums = [0.0, *accumulate(counts)]
    slopes = [0.0] * (BINS + 1)
    for place, count in enumerate(counts):
        if count:
            first = last = place
            for _ in range(_REACH):
                if sums[last + 1] - sums[first] >= enough:
                    break
                first, last = max(0, first - 1), min(BINS - 1, last + 1)
            slopes[first] += count / (last - first + 1)
            slopes[last + 1] -= count / (last - first + 1)
    return [max(0.0, height) for height in accumulate(slopes[:BINS])]
