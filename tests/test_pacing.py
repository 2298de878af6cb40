"""Pacings: pure generators, so they are tested by talking to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_async import Fixed, Growing, Pacing, State, VideoTask


def at(progress: float | None) -> VideoTask:
    return VideoTask(id="t", status="processing", state=State.RUNNING, progress=progress)


def delays_of(pacing: Pacing, progress: list[float | None]) -> list[float]:
    delays = pacing.delays()
    next(delays)
    return [delays.send(at(value)) for value in progress]


def test_fixed_is_always_the_same() -> None:
    """Progress does not matter to it."""
    assert delays_of(Fixed(7), [None, 0.5, 0.99]) == [7, 7, 7]


def test_growing_grows_to_its_limit() -> None:
    """The defaults are 5 s, times 1.5, up to 20 s."""
    assert delays_of(Growing(), [None] * 6) == [5, 7.5, 11.25, 16.875, 20, 20]


def test_growing_comes_back_when_progress_nears_the_end() -> None:
    """At 10 % a second a task at 70 % has three seconds left, and at 60 % four."""
    assert delays_of(Growing(first=1, factor=6, limit=60), [0.0, 0.1, 0.7, 0.75]) == pytest.approx([1, 6, 3, 10 / 3])


def test_growing_never_polls_sooner_than_its_first() -> None:
    """Progress that says finished does not start a storm."""
    assert delays_of(Growing(first=5, factor=2, limit=40), [0.0, 1.0, 1.0]) == [5, 5, 5]


@pytest.mark.parametrize(
    "progress", [[0.4] * 8, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2], [None, 0.5, None, 0.5, None, 0.5, None, 0.5]]
)
def test_growing_ignores_progress_that_does_not_move(progress: list[float | None]) -> None:
    """Stuck, falling and missing progress change nothing."""
    assert delays_of(Growing(), progress) == delays_of(Growing(), [None] * 8)


@given(st.lists(st.none() | st.floats(0, 1), max_size=30))
def test_growing_stays_between_its_bounds(progress: list[float | None]) -> None:
    """Whatever a relay reports, a poll is never before `first` nor after the plan."""
    planned = delays_of(Growing(), [None] * len(progress))
    assert all(5.0 <= delay <= plan for delay, plan in zip(delays_of(Growing(), progress), planned, strict=True))


def test_unstarted_knowledge_is_no_obstacle() -> None:
    """Before the first sight of a task None is sent."""
    delays = Growing().delays()
    next(delays)
    assert delays.send(None) == 5.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fixed(-1), "interval"),
        (lambda: Fixed(float("nan")), "interval"),
        (lambda: Growing(first=float("inf")), "first"),
        (lambda: Growing(factor=0.5), "factor"),
        (lambda: Growing(first=10, limit=5), "limit must not be under first"),
    ],
)
def test_impossible_pacing_is_refused(make: type[Pacing], message: str) -> None:
    """The message names the argument."""
    with pytest.raises(ValueError, match=message):
        make()
