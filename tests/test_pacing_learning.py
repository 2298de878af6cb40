"""What an Adaptive learns: kept apart by kind, bounded, told as JSON and taken over from it."""

from __future__ import annotations

import json
import math
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_async import State, VideoRequest
from sora_async.pacing import Adaptive
from sora_async.pacing.curve import EDGES, least
from sora_async.pacing.durations import Durations
from sora_async.pacing.priors import prior_masses
from sora_async.pacing.progress import Progress
from tests.pacing_driver import REQUEST, lags_and_polls, log_normal, poll_to_end, seen

OTHER = VideoRequest("a boat", model="sora-2", duration=15)


def through_json(pacing: Adaptive) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(json.dumps(pacing.learned(), allow_nan=False))
    return told


def taught(count: int = 40, median_s: float = 60.0) -> Adaptive:
    pacing = Adaptive()
    lags_and_polls(pacing, log_normal(median_s, 0.2, count), lambda duration_s: lambda age_s: age_s / duration_s)
    return pacing


def test_learning_moves_the_expected_time() -> None:
    """From the prior's 153 s to the minute that was seen."""
    assert taught().remaining_s(REQUEST, 0.0) == pytest.approx(60, rel=0.15)


def test_learning_keeps_kinds_apart() -> None:
    """What was learnt of clips of 10 s says nothing of those of 15 s."""
    assert taught().remaining_s(OTHER, 0.0) == pytest.approx(Adaptive().remaining_s(OTHER, 0.0))


def test_learning_of_new_durations_replaces_the_old() -> None:
    """A relay that became slower is known to be slow after some more hundred tasks."""
    pacing = taught(100)
    lags_and_polls(pacing, log_normal(240, 0.2, 250))
    assert pacing.remaining_s(REQUEST, 0.0) == pytest.approx(240, rel=0.2)


def test_learned_is_the_same_after_json() -> None:
    """A new one that takes it over expects the same, and tells the same."""
    old = taught()
    new = Adaptive(learned=through_json(old))
    assert through_json(new) == through_json(old)
    for progress in (None, 0.3, 0.8):
        assert new.remaining_s(REQUEST, 20.0, progress) == pytest.approx(
            old.remaining_s(REQUEST, 20.0, progress), rel=0.1
        )


def test_request_is_not_kept_while_its_task_is_waited_for() -> None:
    """It may hold pictures of megabytes."""
    request = VideoRequest("a boat")
    kept = weakref.ref(request)
    delays = Adaptive().delays_for(request, lambda: 0.0)
    next(delays)
    delays.send(seen())
    del request
    assert kept() is None


def test_learned_stays_small() -> None:
    """It is a few kilobytes for a kind, however many tasks there were."""
    assert len(json.dumps(taught(400).learned())) < 12_000


def test_kinds_are_bounded() -> None:
    """The one not used for longest is forgotten."""
    pacing = taught()
    for duration in range(1, 70):
        pacing.remaining_s(VideoRequest("a boat", model="m" * 500, size=None, duration=duration), 0.0)
    assert pacing.learned()["kinds"] == []


@pytest.mark.parametrize(
    "learned",
    [
        {},
        {"version": 2, "kinds": []},
        {"version": 1, "kinds": 5},
        {"version": 1, "kinds": [{"model": "m", "duration": 1.5, "size": None}]},
        {"version": 1, "kinds": [{"model": "m", "duration": 1, "size": []}]},
        {"version": 1, "kinds": [{"model": 5, "duration": 1, "size": None}]},
        {"version": 1, "kinds": [{"model": "m", "duration": 1, "size": None, "ends": {"384": 1}}]},
        {"version": 1, "kinds": [{"model": "m", "duration": 1, "size": None, "ends": {"x": 1}}]},
        {"version": 1, "kinds": [{"model": "m", "duration": 1, "size": None, "ends": {"3": -1}}]},
        {"version": 1, "kinds": [{"model": "m", "duration": 1, "size": None, "lag": [1, True]}]},
        {"version": 1, "kinds": [{"model": "m", "duration": 1, "size": None, "lag": [1]}]},
        {"version": 1, "kinds": [{"model": "m", "duration": 1, "size": None, "progress": {"1": [1, 0, 0, 0]}}]},
        {"version": 1, "kinds": [{"model": "m", "duration": 1, "size": None, "progress": {"1": [1, 0, 1, 99]}}]},
        {"version": 1, "kinds": [{"model": "m", "duration": 1, "size": None, "progress": {"1": "text"}}]},
    ],
)
def test_damaged_knowledge_is_refused(learned: Any) -> None:
    """Nothing of it is taken over."""
    pacing = Adaptive()
    with pytest.raises(ValueError, match="learned"):
        pacing.learn(learned)
    assert pacing.learned()["kinds"] == []


def test_relays_own_times_tell_the_end() -> None:
    """Where they lie well between two polls, the end is known to a second."""
    pacing = Adaptive()
    for duration_s in [100.3] * 30:
        poll_to_end(pacing, duration_s, tells_times=True)
    (kind,) = pacing.learned()["kinds"]
    assert sum(count for place, count in kind["ends"].items() if 98 < EDGES[int(place)] < 102) > 15


@pytest.mark.parametrize("told_s", [0.0, -500.0, 90.0, 1e6])
def test_times_that_cannot_be_are_ignored(told_s: float) -> None:
    """An end before it was seen running, or at the time of the answer, teaches what no times would."""
    now = [0.0]
    answers = []
    for ended_s in (told_s, None):
        pacing = Adaptive()
        now[0] = 0.0
        delays = pacing.delays_for(REQUEST, lambda: now[0])
        next(delays)
        delays.send(seen())
        for now[0], task in ((50.0, seen()), (90.0, seen(1.0, State.FAILED, ended_s))):
            delays.send(task)
        answers.append(pacing.learned())
    assert answers[0] == answers[1]


def test_poll_that_failed_shows_nothing_new() -> None:
    """The end may lie before it: it was not seen running then."""
    now, task = [0.0], seen()
    pacing = Adaptive()
    delays = pacing.delays_for(REQUEST, lambda: now[0])
    next(delays)
    delays.send(task)
    for now[0], answer in ((60.0, seen()), (100.0, None), (140.0, seen(1.0, State.SUCCEEDED))):
        delays.send(answer)
    (kind,) = pacing.learned()["kinds"]
    assert min(EDGES[int(place)] for place in kind["ends"]) < 65


def test_end_without_time_passed_teaches_no_nonsense() -> None:
    """Two answers at one age, by a clock that stands still."""
    pacing = Adaptive()
    delays = pacing.delays_for(REQUEST, lambda: 70.0)
    next(delays)
    for task in (seen(), seen(0.5), seen(0.6), seen(1.0, State.SUCCEEDED)):
        delays.send(task)
    assert 0 < pacing.remaining_s(REQUEST, 0.0) < 300


def test_progress_of_many_looks_is_bounded() -> None:
    """A task that is polled for hours keeps a dozen of its looks."""
    pacing = Adaptive()
    poll_to_end(pacing, 16_000.0, progress=lambda age_s: age_s / 16_000)
    (kind,) = pacing.learned()["kinds"]
    assert 0 < len(kind["progress"]) <= 12


def test_durations_outlive_their_scale() -> None:
    """New ends weigh ever more until all are scaled back: that changes nothing."""
    durations = Durations(prior_masses("sora", 10))
    masses = durations.masses()
    for _ in range(7200):
        durations.learn(100.0, 110.0, masses)
    assert durations.seen == pytest.approx(500, rel=0.01)
    assert sum(durations.masses()) == pytest.approx(1)


@given(st.lists(st.tuples(st.floats(0, 20_000), st.floats(0, 20_000)), max_size=4))
def test_durations_stay_a_distribution(ends: list[tuple[float, float]]) -> None:
    """Whatever ends are learnt, the masses are none below 0 and sum to 1."""
    durations = Durations(prior_masses("wan", 5))
    expected = durations.masses()
    for one, other in ends:
        durations.learn(min(one, other), max(one, other), expected)
    masses = durations.masses()
    assert min(masses) >= 0
    assert sum(masses) == pytest.approx(1)


@given(
    st.lists(
        st.tuples(st.floats(0.001, 1), st.floats(0, 1e5), st.floats(0, 1e5), st.floats(1e-3, 1e5), st.floats(0, 1)),
        max_size=40,
    )
)
def test_progress_stays_finite(looks: list[tuple[float, float, float, float, float]]) -> None:
    """However wrong the progress is, what it says remains a number."""
    progress = Progress()
    for told, age_s, low_s, more_s, blind in looks:
        progress.learn(told, age_s, low_s, low_s + more_s, blind)
        chance, lag_s = progress.bet(told, age_s).ended(30.0)
        assert 0 <= chance <= 1
        assert math.isfinite(lag_s)


@pytest.mark.parametrize("at", [1.0, 4.0, 17.5, 60.0])
def test_least_finds_the_lowest_cost(at: float) -> None:
    """Between two bounds, and at each of them."""
    assert least(lambda delay_s: (math.log(delay_s) - math.log(at)) ** 2, 1.0, 60.0) == pytest.approx(at, rel=0.15)


def test_what_is_known_better_here_stays() -> None:
    """An old ledger does not make a long-lived client forget."""
    few, many = Adaptive(), Adaptive()
    poll_to_end(few, 300.0)
    for _ in range(5):
        poll_to_end(many, 40.0)
    known = many.learned()
    many.learn(few.learned())
    assert many.learned() == known
    few.learn(known)
    assert few.learned() == known


def test_lag_that_is_not_the_pacings_own_teaches_no_haste() -> None:
    """Where turns are scarce, or answers slow, polling more often would make it worse."""
    held_up, punctual = Adaptive(), Adaptive()
    for pacing, late_s in ((held_up, 40.0), (punctual, 0.0)):
        for _ in range(30):
            now = [100.0]
            delays = pacing.delays_for(REQUEST, lambda now=now: now[0])  # type: ignore[misc]
            next(delays)
            now[0] += delays.send(seen()) + late_s
            delays.send(seen(None, State.SUCCEEDED))
    lag_of = [pacing.learned()["kinds"][0]["lag"][0] for pacing in (held_up, punctual)]
    assert lag_of[0] < lag_of[1]
