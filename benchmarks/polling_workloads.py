"""Tasks of known durations, whose progress tells the truth, something like it, or lies."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from random import Random

import attrs

Tell = Callable[[float], float | None]
"""Answers the progress that a poll at an age sees, 0.0 to 1.0."""

MEDIAN_S = 153.0
SPREAD = 0.45


@attrs.frozen(kw_only=True)
class Workload:
    """A stream of tasks, endless."""

    name: str
    durations: Callable[[Random], Iterator[float]]
    progress: Callable[[float, Random], Tell] | None = None
    tells_times: bool = False
    """Whether answers carry the relay's own two times, in whole seconds, by a clock that is off."""
    limit_s: float = 60.0
    """The longest time between polls, for Adaptive and the optimum."""
    lies: bool = False


def _log_normal(median_s: float, spread: float) -> Callable[[Random], Iterator[float]]:
    def draw(dice: Random) -> Iterator[float]:
        while True:
            yield dice.lognormvariate(math.log(median_s), spread)

    return draw


def _bimodal(dice: Random) -> Iterator[float]:
    while True:
        yield dice.lognormvariate(math.log(90 if dice.random() < 0.6 else 300), 0.12)


def _spikes(dice: Random) -> Iterator[float]:
    """In every thousand tasks a hundred in a row wait ten minutes more, some half an hour."""
    while True:
        for number in range(1000):
            queued_s = dice.lognormvariate(math.log(600), 0.5) if 400 <= number < 500 else 0.0
            yield queued_s + dice.lognormvariate(math.log(MEDIAN_S), 0.3)


def _exact(duration_s: float, _: Random) -> Tell:
    return lambda age_s: math.floor(100 * age_s / duration_s) / 100


def _noisy(duration_s: float, dice: Random) -> Tell:
    """Refreshed every 8 s, slow at first by a power that differs from task to task, with an error of 4 points."""
    power = dice.uniform(1.3, 1.8)

    def tell(age_s: float) -> float:
        points = 100 * math.pow(age_s // 8 * 8 / duration_s, power) + dice.gauss(0, 4)
        return min(99, max(1, round(points))) / 100

    return tell


def _unrelated(_: float, dice: Random) -> Tell:
    """Runs to 99 % at a speed that has nothing to do with the end, and jumps anywhere at each tenth poll."""
    full_s = dice.lognormvariate(math.log(100), 0.8)
    return lambda age_s: (dice.randrange(100) if dice.random() < 0.1 else min(99, int(100 * age_s / full_s))) / 100


def _early(duration_s: float, _: Random) -> Tell:
    """Shows 99 % after a third of the time and sticks there."""
    return lambda age_s: min(99, int(300 * age_s / duration_s)) / 100


def _half(duration_s: float, _: Random) -> Tell:
    """Never gets beyond 50 %."""
    return lambda age_s: int(50 * age_s / duration_s) / 100


_PLAIN = _log_normal(MEDIAN_S, SPREAD)

WORKLOADS = (
    Workload(name="log-normal", durations=_PLAIN),
    Workload(name="log-normal, times told", durations=_PLAIN, tells_times=True),
    Workload(name="bimodal", durations=_bimodal),
    Workload(name="narrow", durations=_log_normal(150, 0.03)),
    Workload(name="queue spikes", durations=_spikes),
    Workload(name="exact progress", durations=_PLAIN, progress=_exact),
    Workload(name="exact progress, limit_s=300", durations=_PLAIN, progress=_exact, limit_s=300.0),
    Workload(name="noisy progress", durations=_PLAIN, progress=_noisy),
    Workload(name="unrelated progress", durations=_PLAIN, progress=_unrelated, lies=True),
    Workload(name="99 % after a third", durations=_PLAIN, progress=_early, lies=True),
    Workload(name="never beyond 50 %", durations=_PLAIN, progress=_half, lies=True),
)
