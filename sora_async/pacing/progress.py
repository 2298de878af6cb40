"""What was learnt of how well one kind of task tells its end by its progress."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence

BUCKETS = 40
"""Progress is told apart by 2.5 points."""
_HALF = 0.005
"""Half a percent: keeps the odds finite, and is where a whole number of percent lies on average."""
_MEMORY = 100.0
_NEW = (2.0, 0.0, 0.25, -1.5)
"""A guess that weighs two looks: linear to within a factor of 1.6, to be believed at 18 %."""
MOST_BELIEF = 3.0
"""Belief ends at 95 %: one in twenty is left to what is known without progress."""
_FADE = 0.995
_GAIN, _LOSS = 1.0, 2.0
"""The most by which one look may change the logarithm of the odds of belief."""
_SLIGHT = 1e-3
_LEAST_VARIANCE = 1e-4
MOST_MEAN, MOST_VARIANCE = 8.0, 9.0
"""Beyond these nothing is told any more."""
_ROOT = math.sqrt(0.5)
_erfc, _log = math.erfc, math.log


class Bet:
    """A bet that a log-normal time remains.

    Args:
        centre: the logarithm of its median in seconds.
        spread: the standard deviation of that logarithm.
        belief: the logarithm of the odds that the bet is good.
    """

    __slots__ = ("_centre", "_spread", "belief", "mean_s")

    def __init__(self, centre: float, spread: float, belief: float) -> None:
        self._centre = centre
        self._spread = spread
        self.belief = belief
        self.mean_s = math.exp(centre + spread * spread / 2)

    def ended(self, delay_s: float) -> tuple[float, float]:
        """The chance of an end within a delay above 0, and the mean lag at it, 0 for a task that then still runs."""
        # Written out, for each poll asks this some fifteen times: 0.6 instead of 1.0 µs.
        z = (_log(delay_s) - self._centre) / self._spread
        chance = 0.5 * _erfc(-_ROOT * z)
        return chance, delay_s * chance - 0.5 * self.mean_s * _erfc(_ROOT * (self._spread - z))

    def deviation(self, delay_s: float) -> float:
        """How many standard deviations a delay lies above the median; a very low number for 0."""
        return (math.log(delay_s) - self._centre) / self._spread if delay_s > 0 else -30.0


class Progress:
    """How far the real remainder is from the linear one, and whether to believe it, for each bucket of progress.

    Args:
        rows: a bucket's weight, mean, variance and belief, by its number, as `rows` tells them.
    """

    __slots__ = ("_values",)

    def __init__(self, rows: Mapping[int, Sequence[float]] | None = None) -> None:
        self._values = array("d", _NEW * BUCKETS)
        for bucket, row in (rows or {}).items():
            self._values[4 * bucket : 4 * bucket + 4] = array("d", row)

    def rows(self) -> dict[int, list[float]]:
        """What differs from the first guess."""
        every = {bucket: self._values[4 * bucket : 4 * bucket + 4] for bucket in range(BUCKETS)}
        return {bucket: [round(value, 4) for value in row] for bucket, row in every.items() if row[0] > _NEW[0]}

    def bet(self, progress: float, age_s: float) -> Bet:
        """What a progress above 0.0, up to 1.0, says at an age."""
        place = _place_of(progress)
        count, mean, variance, belief = self._values[place : place + 4]
        spread = math.sqrt(variance * (1 + 1 / count) + _LEAST_VARIANCE)
        return Bet(math.log(max(1.0, age_s)) + _log_odds(progress) + mean, spread, belief)

    def learn(self, progress: float, age_s: float, low_s: float, high_s: float, blind: float) -> None:
        """Compare the bet of a look with the end.

        Args:
            progress: what was seen.
            age_s: when.
            low_s: the least seconds from then to the end, from 0.
            high_s: the most.
            blind: the chance that was given to these seconds without progress.
        """
        bet = self.bet(progress, age_s)
        low, high = bet.deviation(low_s), bet.deviation(high_s)
        place = _place_of(progress)
        count, mean, variance, belief = self._values[place : place + 4]
        score = math.log((_normal(high) - _normal(low) + _SLIGHT) / (blind + _SLIGHT))
        belief = max(-MOST_BELIEF, min(MOST_BELIEF, _FADE * belief + max(-_LOSS, min(_GAIN, score))))
        middle, rest = _between(low, high)
        spread = math.sqrt(variance * (1 + 1 / count) + _LEAST_VARIANCE)
        count = min(_MEMORY, count + 1)
        off = middle * spread
        step = off / count
        variance += (off * (off - step) + rest * spread * spread - variance) / count
        mean = max(-MOST_MEAN, min(MOST_MEAN, mean + step))
        variance = max(_LEAST_VARIANCE, min(MOST_VARIANCE, variance))
        self._values[place : place + 4] = array("d", (count, mean, variance, belief))


def _place_of(progress: float) -> int:
    """Where a bucket's values begin."""
    return 4 * min(BUCKETS - 1, int(progress * BUCKETS))


def _log_odds(progress: float) -> float:
    """The logarithm of what is left over what is done."""
    return math.log((1 - progress + _HALF) / (progress + _HALF))


def _normal(z: float) -> float:
    return 0.5 * _erfc(-_ROOT * z)


def _density(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def _between(low: float, high: float) -> tuple[float, float]:
    """The mean and the variance of a standard normal number that lies between two."""
    share = _normal(high) - _normal(low)
    if share < 1e-6:
        # Far out it lies at the nearer end; farther than ten deviations it teaches no more.
        return max(-10.0, min(10.0, low if low > 0 else high)), 0.0
    early, late = _density(low), _density(high)
    mean = (early - late) / share
    return mean, max(0.0, 1 + (low * early - high * late) / share - mean * mean)
