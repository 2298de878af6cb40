"""All that is known of one kind of task, and what it says of a task's end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from sora_async.pacing.curve import BINS, EDGES, FLOOR_S, Curve, least
from sora_async.pacing.durations import Durations
from sora_async.pacing.priors import prior_masses
from sora_async.pacing.progress import BUCKETS, MOST_BELIEF, MOST_MEAN, MOST_VARIANCE, Bet, Progress

_MEMORY = 200.0
"""Tasks whose lags count."""
_LOOKS = 50.0
"""Looks by which it is known whether progress tells the end."""
_PRIOR_LAGS = 5.0
_LAG_POWER = 0.7
"""The lag grows with this power of a poll's price: one half without progress, one with an exact one."""
_TRIMS = (0.03, 100.0)
_STALE = 0.05
"""Share of new tasks among those remembered that makes a new curve worth its 3 ms."""
_UNBELIEVED = 0.02
_SCATTER = 0.1
"""Polls are scattered so far to each side: where ends lie between polls at the same ages would never be learnt."""
_GOLDEN = (math.sqrt(5) - 1) / 2
"""Steps of this part of a whole fill it most evenly."""


class Outlook:
    """What the last look at a task says of its end.

    Args:
        age_s: the age at which it was seen running.
        bet: what its progress said; None if that says nothing.
        belief: 0.0 to 1.0, how far that bet counts.
    """

    __slots__ = ("age_s", "belief", "bet")

    def __init__(self, age_s: float, bet: Bet | None = None, belief: float = 0.0) -> None:
        self.age_s = age_s
        self.bet = None if belief < _UNBELIEVED else bet
        self.belief = belief


class Kind:
    """What was learnt of one kind of task.

    Args:
        model, duration: choose the prior.
        aim_s: the mean lag wanted.
        limit_s: the longest time between polls.
        state: what `state` of another one told.
    """

    def __init__(
        self, model: str, duration: int | None, *, aim_s: float, limit_s: float, state: Mapping[str, Any] | None = None
    ) -> None:
        state = state or {}
        self._aim_s = aim_s
        self._limit_s = limit_s
        counts = {_number(place, BINS): _amount(count) for place, count in state.get("ends", {}).items()}
        self._durations = Durations(prior_masses(model, duration), counts)
        self.progress = Progress({_number(key, BUCKETS): _row(row) for key, row in state.get("progress", {}).items()})
        lag_count, lag = map(_amount, state.get("lag", (_PRIOR_LAGS, 1.0)))
        self._lag_count, self._lag = max(_PRIOR_LAGS, lag_count), max(1e-3, lag)
        self._guided = min(1.0, _amount(state.get("guided", 0.0)))
        self.begun = 0
        """How many tasks began to be paced."""
        self._turn = 0.0
        self._fit()

    def state(self) -> dict[str, Any]:
        """What was learnt, as JSON values."""
        return {
            "ends": {str(place): count for place, count in self._durations.counts().items()},
            "progress": {str(bucket): row for bucket, row in self.progress.rows().items()},
            "lag": [round(self._lag_count, 3), round(self._lag, 4)],
            "guided": round(self._guided, 4),
        }

    @property
    def seen(self) -> float:
        """How many ends were seen, old ones counting less."""
        return self._durations.seen

    @property
    def trim(self) -> float:
        """How much dearer a poll may be than the rule says, by the lags seen."""
        return min(_TRIMS[1], max(_TRIMS[0], math.pow(self._lag, -1 / _LAG_POWER)))

    def _fit(self) -> None:
        self._masses = self._durations.masses()
        self._curve = Curve(self._masses, aim_s=self._aim_s, limit_s=self._limit_s, trim=self.trim, guided=self._guided)
        self._fresh = 0

    def alive(self, age_s: float) -> float:
        """The share of tasks still running at an age."""
        return self._curve.at(age_s)[0]

    def ended(self, outlook: Outlook, delay_s: float) -> tuple[float, float]:
        """The chance of an end within a delay above 0 from a look on, and the mean lag at it, 0 if it then runs."""
        alive, area, _ = self._curve.at(outlook.age_s)
        then, then_area, _ = self._curve.at(outlook.age_s + delay_s)
        chance, lag_s = 1 - then / alive, delay_s - (then_area - area) / alive
        if outlook.bet is not None:
            told_chance, told_lag_s = outlook.bet.ended(delay_s)
            chance += outlook.belief * (told_chance - chance)
            lag_s += outlook.belief * (told_lag_s - lag_s)
        return chance, lag_s

    def delay(self, outlook: Outlook, age_s: float) -> float:
        """The seconds from an age to the best next look."""
        if age_s + self._limit_s >= EDGES[-1]:
            return self._limit_s
        if outlook.bet is None:
            self._turn = (self._turn + _GOLDEN) % 1
            return self._curve.delay(age_s) * (1 + _SCATTER * (2 * self._turn - 1))
        curve, bet, belief = self._curve, outlook.bet, outlook.belief
        alive, area, _ = curve.at(age_s)
        doubt = (1 - belief) / alive

        def cost(delay_s: float) -> float:
            then, then_area, then_cost = curve.at(age_s + delay_s)
            chance, lag_s = bet.ended(delay_s)
            running_s = max(0.0, lag_s - delay_s + bet.mean_s)
            told = lag_s + curve.cost_when_told(0.0) * (1 - chance) + curve.price * running_s / self._limit_s
            return doubt * (delay_s * alive - then_area + area + then * then_cost) + belief * told

        return least(cost, FLOOR_S, self._limit_s)

    def hear(self, belief: float) -> None:
        """Count a look that showed progress, believed to some degree."""
        self._guided += (belief - self._guided) / _LOOKS

    def learn(
        self, looks: Iterable[tuple[float, float]], low_s: float, high_s: float, lag_s: float | None, trim: float
    ) -> None:
        """Add a finished task.

        Args:
            looks: age and progress of looks at it.
            low_s: the least age at its end.
            high_s: the most.
            lag_s: how late that was seen, as far as is known; None if that is not the pacing's doing.
            trim: the one that its last poll was placed with.
        """
        for age_s, progress in looks:
            blind = (self.alive(max(low_s, age_s)) - self.alive(high_s)) / self.alive(age_s)
            self.progress.learn(progress, age_s, max(0.0, low_s - age_s), high_s - age_s, blind)
        self._durations.learn(low_s, high_s, self._masses)
        # Each lag is read as the one it would have been without the trim, so a crowd that ends at once, all placed with
        # an old trim, counts as often as it is and does not drive the trim on and on.
        if lag_s is not None:
            self._lag_count = min(_MEMORY, self._lag_count + 1)
            self._lag += (max(1e-3, lag_s / (self._aim_s * trim**_LAG_POWER)) - self._lag) / self._lag_count
        self._fresh += 1
        if self._fresh > _STALE * self._durations.seen:
            self._fit()


def _amount(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"an amount must be a number from 0, not {value!r}")
    return float(value)


def _number(text: Any, limit: int) -> int:
    if not (isinstance(text, str) and text.isdecimal() and int(text) < limit):
        raise ValueError(f"a place must be a number under {limit} as text, not {text!r}")
    return int(text)


def _row(row: Any) -> list[float]:
    count, mean, variance, belief = row
    is_sound = _amount(count) >= 1 and abs(mean) <= MOST_MEAN and 0 < _amount(variance) <= MOST_VARIANCE
    if not (is_sound and abs(belief) <= MOST_BELIEF):
        raise ValueError(f"this is no row of progress: {row!r}")
    return [float(value) for value in row]
