"""Drives a pacing through tasks whose end is known, in no time at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from random import Random

from sora_async import State, VideoRequest, VideoTask
from sora_async.pacing import Adaptive

REQUEST = VideoRequest("a paper boat", model="sora-2", duration=10)
EPOCH = datetime(2031, 1, 1, tzinfo=UTC)


def seen(progress: float | None = None, state: State = State.RUNNING, ended_s: float | None = None) -> VideoTask:
    """A task as a poll sees it; the relay's two times tell the end if it is given."""
    told = None if ended_s is None else EPOCH + timedelta(seconds=ended_s)
    created = None if ended_s is None else EPOCH
    return VideoTask(id="t", status=state.value, state=state, progress=progress, created_at=created, updated_at=told)


def poll_to_end(
    pacing: Adaptive,
    duration_s: float,
    *,
    request: VideoRequest | None = REQUEST,
    progress: Callable[[float], float | None] = lambda age_s: None,
    tells_times: bool = False,
) -> list[float]:
    """The ages at which one task was polled, the last of them at or after its end."""
    now = [0.0]
    delays = pacing.delays_for(request, lambda: now[0])
    next(delays)
    now[0] += delays.send(seen(state=State.QUEUED))
    ages = [now[0]]
    while now[0] < duration_s:
        now[0] += delays.send(seen(progress(now[0])))
        ages.append(now[0])
    delays.send(seen(1.0, State.SUCCEEDED, duration_s if tells_times else None))
    return ages


def log_normal(median_s: float, spread: float, count: int, seed: int = 1) -> Iterable[float]:
    """Durations, always the same."""
    dice = Random(seed)
    return [dice.lognormvariate(math.log(median_s), spread) for _ in range(count)]


def lags_and_polls(
    pacing: Adaptive, durations: Iterable[float], make: Callable[[float], Callable[[float], float | None]] | None = None
) -> tuple[float, float]:
    """The mean lag and the mean number of polls."""
    runs = []
    for duration_s in durations:
        ages = poll_to_end(pacing, duration_s, **({} if make is None else {"progress": make(duration_s)}))
        runs.append((ages[-1] - duration_s, len(ages)))
    return sum(lag for lag, _ in runs) / len(runs), sum(polls for _, polls in runs) / len(runs)
