"""Adaptive: polls when an end is likely, learns when that is, and believes progress as far as it deserves it."""

from __future__ import annotations

import math
import tracemalloc
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sora_async import State, VideoRequest
from sora_async.pacing import Adaptive, Fixed, Growing, InformedPacing
from tests.pacing_driver import REQUEST, lags_and_polls, log_normal, poll_to_end, seen

PROGRESS = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 1)
STEPS = st.lists(st.tuples(PROGRESS, st.floats(0, 100), st.booleans()), max_size=25)


def to_exact(duration_s: float):
    return lambda age_s: math.floor(100 * age_s / duration_s) / 100


def to_early(duration_s: float):
    return lambda age_s: min(0.99, 5 * age_s / duration_s)


def to_half(duration_s: float):
    return lambda age_s: age_s / duration_s / 2


def learn_exact() -> dict[str, Any]:
    """What sixty tasks taught whose progress is right."""
    pacing = Adaptive()
    lags_and_polls(pacing, log_normal(153, 0.45, 60), to_exact)
    return pacing.learned()


LEARNED = learn_exact()


@settings(max_examples=40, deadline=None)
@given(STEPS, st.sampled_from([State.RUNNING, State.QUEUED, State.FAILED]), st.booleans())
def test_adaptive_stays_between_its_bounds(steps: list, last: State, is_new: bool) -> None:
    """Whatever progress a relay tells, however late a poll is, and whether it failed, a delay is 1 to 60 s."""
    now = [0.0]
    delays = Adaptive(learned=None if is_new else LEARNED).delays_for(REQUEST, lambda: now[0])
    next(delays)
    task = None
    answers = [delays.send(task)]
    for progress, late_s, failed in steps:
        now[0] += answers[-1] + late_s
        task = task if failed else seen(progress)
        answers.append(delays.send(task))
    answers += [delays.send(seen(1.0, last)) for _ in range(3)]
    assert all(1 <= delay <= 60 for delay in answers)


@pytest.mark.parametrize("age_s", [math.nan, math.inf, -5.0, 1e300, 14_400.0])
def test_adaptive_bears_any_clock(age_s: float) -> None:
    """An age that is no age neither stops the polls nor makes a storm."""
    pacing = Adaptive(learned=LEARNED)
    delays = pacing.delays_for(REQUEST, lambda: age_s)
    next(delays)
    assert all(1 <= delays.send(seen(progress)) <= 60 for progress in (None, 0.5, 0.99, None))
    assert 0 <= pacing.remaining_s(REQUEST, age_s, 0.5) <= 15_000


def test_adaptive_is_told_apart_from_plain_pacings() -> None:
    """Who drives a pacing sees by its methods whether it wants to know the request and the age."""
    assert isinstance(Adaptive(), InformedPacing)
    assert not isinstance(Fixed(5), InformedPacing)
    assert not isinstance(Growing(), InformedPacing)


def test_adaptive_first_polls_when_an_end_becomes_likely() -> None:
    """A clip of 10 s takes some 150 s: nobody looks in the first half minute, and often around the end."""
    ages = poll_to_end(Adaptive(), 153.0)
    gaps = [late - early for early, late in pairwise(ages)]
    assert ages[0] > 30
    assert max(gaps[-3:]) < 20


@pytest.mark.parametrize("median_s", [40.0, 400.0])
def test_adaptive_reaches_its_aim_where_the_prior_is_wrong(median_s: float) -> None:
    """After sixty tasks of another duration the mean lag is about the one wanted."""
    pacing = Adaptive(5)
    lags_and_polls(pacing, log_normal(median_s, 0.3, 60))
    lag_s, _ = lags_and_polls(pacing, log_normal(median_s, 0.3, 100, seed=2))
    assert 3.5 < lag_s < 6.5


def test_adaptive_needs_fewer_polls_than_a_fixed_interval() -> None:
    """At the same mean lag at most three quarters."""
    pacing = Adaptive(5)
    durations = list(log_normal(153, 0.45, 400))
    lags_and_polls(pacing, durations[:60])
    lag_s, polls = lags_and_polls(pacing, durations[60:])
    fixed = sum(math.ceil(duration / (2 * lag_s)) for duration in durations[60:]) / 340
    assert polls < 0.75 * fixed


def test_adaptive_follows_progress_that_is_right() -> None:
    """Once known to be right, two or three polls are enough, and the last is just after the end."""
    lag_s, polls = lags_and_polls(Adaptive(learned=LEARNED), log_normal(153, 0.45, 100, seed=3), to_exact)
    assert lag_s < 5
    assert polls < 4.5


@pytest.mark.parametrize("make", [to_early, to_half])
def test_adaptive_is_not_misled_by_progress_that_lies(make) -> None:
    """Progress that sticks near the end, or ends half-way, costs no more polls than none, and no more time."""
    durations = list(log_normal(153, 0.45, 140))
    lying, silent = Adaptive(), Adaptive()
    lags_and_polls(lying, durations[:60], make)
    lags_and_polls(silent, durations[:60])
    lag_s, polls = lags_and_polls(lying, durations[60:], make)
    _, fair = lags_and_polls(silent, durations[60:])
    assert lag_s < 7
    assert polls < 1.1 * fair


def test_adaptive_doubts_progress_that_told_an_end_which_did_not_come() -> None:
    """Stuck at 99 %, a task is polled less and less often, although such progress was always right."""
    ages = poll_to_end(Adaptive(learned=LEARNED), 200.0, progress=lambda age_s: min(0.99, age_s / 60))
    assert sum(60 < age <= 200 for age in ages) < 25


def test_adaptive_uses_the_time_that_really_passed() -> None:
    """A poll that was held back for a minute is followed by one for its real age."""
    late, punctual = [0.0], [0.0]
    delays = Adaptive().delays_for(REQUEST, lambda: late[0])
    others = Adaptive().delays_for(REQUEST, lambda: punctual[0])
    next(delays), next(others)
    delays.send(seen()), others.send(seen())
    late[0], punctual[0] = 150.0, 50.0
    assert delays.send(seen()) < others.send(seen())


def test_adaptive_without_request_or_age_counts_its_own_delays() -> None:
    """Driven as a plain pacing it paces by the generic prior and teaches nothing."""
    pacing = Adaptive()
    delays = pacing.delays()
    next(delays)
    answers = [delays.send(None), *(delays.send(seen()) for _ in range(30))]
    delays.send(seen(1.0, State.SUCCEEDED))
    assert 1 < min(answers) < answers[0] <= 60
    assert pacing.learned()["kinds"] == []


def test_adaptive_waits_for_an_address_at_the_pace_of_its_aim() -> None:
    """A task that has ended needs no guess."""
    delays = Adaptive(3).delays_for(REQUEST, lambda: 100.0)
    next(delays)
    assert [delays.send(seen(1.0, State.SUCCEEDED)) for _ in range(3)] == [3, 3, 3]


def test_remaining_time_follows_the_prior_then_progress() -> None:
    """It is the median: half of the tasks of a kind take longer."""
    new, learnt = Adaptive(), Adaptive(learned=LEARNED)
    assert 140 < new.remaining_s(REQUEST, 0.0) < 175
    assert new.remaining_s(REQUEST, 0.0, math.nan) == new.remaining_s(REQUEST, 0.0)
    assert learnt.remaining_s(REQUEST, 60.0, 0.5) == pytest.approx(60, rel=0.15)
    assert learnt.remaining_s(REQUEST, 60.0, 0.9) < 15


@pytest.mark.parametrize(
    ("model", "duration", "least_s", "most_s"),
    [
        ("sora-2-all", 15, 200, 250),
        ("veo3.1-fast", None, 220, 280),
        ("grok-video-3", 6, 220, 270),
        ("wan", 5, 180, 260),
    ],
)
def test_priors_know_the_model_families(model: str, duration: int | None, least_s: float, most_s: float) -> None:
    """Before anything was seen the expected time is the one that others saw."""
    request = VideoRequest("a boat", model=model, duration=duration)
    assert least_s < Adaptive().remaining_s(request, 0.0) < most_s


def test_urgency_puts_the_likely_end_first() -> None:
    """It is the chance of an end since the task was last seen."""
    pacing, learnt = Adaptive(), Adaptive(learned=LEARNED)
    assert pacing.urgency(REQUEST, seen_s=140, age_s=160) > pacing.urgency(REQUEST, seen_s=20, age_s=40)
    assert learnt.urgency(REQUEST, seen_s=100, age_s=120, progress=0.9) > learnt.urgency(
        REQUEST, seen_s=100, age_s=120, progress=0.2
    )
    assert pacing.urgency(REQUEST, seen_s=50, age_s=50) == 0


@given(st.floats(0, 2000), st.floats(0, 500), st.floats(0, 500), PROGRESS)
def test_urgency_never_falls_while_a_task_waits(seen_s: float, first_s: float, more_s: float, progress) -> None:
    """An end that was likely becomes no less so."""
    pacing = Adaptive(learned=LEARNED)
    early = pacing.urgency(REQUEST, seen_s=seen_s, age_s=seen_s + first_s, progress=progress)
    late = pacing.urgency(REQUEST, seen_s=seen_s, age_s=seen_s + first_s + more_s, progress=progress)
    assert late >= early - 1e-9


def test_waiting_task_costs_about_a_kilobyte() -> None:
    """With what it saw of progress; a little more where each line is traced."""
    pacing, now, tasks = Adaptive(), [0.0], [seen(0.1 * number) for number in range(5)]
    pacing.remaining_s(REQUEST, 0.0)

    def age_s() -> float:
        return now[0]

    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        waiting = [pacing.delays_for(REQUEST, age_s) for _ in range(500)]
        for delays in waiting:
            next(delays)
        for task in tasks:
            now[0] += 20
            for delays in waiting:
                delays.send(task)
        assert (tracemalloc.get_traced_memory()[0] - before) / 500 < 1250
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("settings", "name"), [({"aim_s": 0.1}, "aim_s"), ({"aim_s": math.nan}, "aim_s"), ({"limit_s": 1000}, "limit_s")]
)
def test_impossible_adaptive_is_refused(settings: dict, name: str) -> None:
    """The message names the argument."""
    with pytest.raises(ValueError, match=name):
        Adaptive(**settings)


def test_adaptive_shows_its_settings() -> None:
    """And not all that it learnt."""
    assert repr(Adaptive(learned=LEARNED)) == "Adaptive(aim_s=5.0, limit_s=60.0)"
