"""What the waiter tells a pacing that learns, and what that tells the user."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from test_waiter import BARE, DONE, RUNNING, Script, at
from virtual_time import run_virtual

from sora_async import Adaptive, Event, Fixed, InformedPacing, Polled, Retry, VideoRequest, VideoTask, WaitTimeoutError
from sora_async.events import OnEvent
from sora_async.pacing import Delays
from sora_async.turn_queue import certain
from sora_async.waiter import MOST_EXPECTED, Waiter

REQUEST = VideoRequest("a cat", images=["https://a.example/cat.png"], extra={"seed": 4}, duration=15)


class Noting(Adaptive):
    """Polls every ten seconds, and notes what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[VideoRequest | None] = []
        self.ages: list[float] = []

    def delays_for(self, request: VideoRequest | None, age_s: Callable[[], float]) -> Delays:
        self.requests.append(request)
        yield 0.0
        while True:
            self.ages.append(age_s())
            yield 10.0


def waiter_with(pacing: InformedPacing, script: Script, tell: OnEvent | None = None) -> Waiter:
    return Waiter(script, pacing=pacing, retry=Retry(), tell=tell)


async def expect_and_wait(waiter: Waiter, *, age_s: float = 0.0) -> VideoTask:
    waiter.expect("t", REQUEST, age_s=age_s)
    return await waiter.wait(RUNNING, None)


def test_pacing_learns_what_was_asked_for() -> None:
    """It gets the request, without the pictures that nobody needs any more."""
    pacing = Noting()
    run_virtual(expect_and_wait(waiter_with(pacing, Script(RUNNING, DONE))))
    (request,) = pacing.requests
    assert request is not None
    assert (request.prompt, request.duration, request.images, request.extra) == ("a cat", 15, (), {})


def test_pacing_reads_the_age_since_the_create() -> None:
    """The time that answers take is part of it, and so is the one before this process."""
    pacing = Noting()
    run_virtual(expect_and_wait(waiter_with(pacing, Script(RUNNING, DONE, takes_s=2.0)), age_s=100.0))
    assert pacing.ages == [100.0, 112.0, 124.0]


def test_pacing_of_an_unknown_id_counts_from_the_wait() -> None:
    """Nothing is known of it, so nothing is made up."""
    pacing = Noting()
    run_virtual(waiter_with(pacing, Script(RUNNING, DONE)).wait("t", None))
    assert pacing.requests == [None]
    assert pacing.ages == [0.0, 10.0]


def test_second_wait_still_knows_the_request() -> None:
    """Until the end is seen, somebody may wait again."""
    pacing = Noting()

    async def main(waiter: Waiter) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(15):
                await expect_and_wait(waiter)
        await waiter.wait("t", None)
        await waiter.wait("t", None)

    run_virtual(main(waiter_with(pacing, Script(RUNNING, RUNNING, DONE))))
    assert [request is not None for request in pacing.requests] == [True, True, False]


def test_tasks_that_nobody_waits_for_are_forgotten() -> None:
    """A service that only creates does not grow."""

    async def main(waiter: Waiter) -> int:
        for number in range(MOST_EXPECTED + 5):
            waiter.expect(f"t{number}", REQUEST)
        return len(waiter._expected)

    assert run_virtual(main(waiter_with(Noting(), Script(DONE)))) == MOST_EXPECTED


def test_pacing_that_learns_nothing_is_told_nothing() -> None:
    """What nobody uses is not kept."""

    async def main(waiter: Waiter) -> int:
        waiter.expect("t", REQUEST)
        return len(waiter._expected)

    assert run_virtual(main(Waiter(Script(DONE), pacing=Fixed(1), retry=Retry(), tell=None))) == 0


def test_polls_tell_how_long_it_will_take() -> None:
    """Each poll of a task that runs on tells the rest; the last one has nothing to tell."""
    events: list[Event] = []
    waiter = waiter_with(Adaptive(), Script(RUNNING, at(50), DONE), events.append)
    run_virtual(expect_and_wait(waiter))
    first, second, last = [event.remaining_s for event in events if isinstance(event, Polled)]
    assert first is not None
    assert second is not None
    assert 0 < second < first
    assert last is None


@pytest.mark.parametrize("pacing", [Adaptive(), Fixed(1)])
def test_rest_of_an_unknown_task_is_not_told(pacing: Any) -> None:
    """Its age is not known, or nothing was learnt: then a number would be made up."""
    waiter = Waiter(Script(RUNNING, DONE), pacing=pacing, retry=Retry(), tell=(events := []).append)
    assert waiter.remaining_s(RUNNING) is None
    run_virtual(waiter.wait("t", None))
    assert [event.remaining_s for event in events if isinstance(event, Polled)] == [None, None]


def test_broken_pacing_fails_the_wait_at_once() -> None:
    """It is the user's own, so its exception reaches the user, and nothing stays behind."""

    class Broken:
        def delays(self) -> Delays:
            raise ZeroDivisionError
            yield 0.0

    waiter = Waiter(Script(DONE), pacing=Broken(), retry=Retry(), tell=None)
    with pytest.raises(ZeroDivisionError):
        run_virtual(waiter.wait("t", None))
    assert not waiter._pollers


def taught() -> Adaptive:
    """A pacing that saw tasks end after some 40 s."""
    pacing = Adaptive()
    for age_s in (38.0, 40.0, 42.0):
        delays = pacing.delays_for(REQUEST, iter([0.0, age_s, age_s]).__next__)
        next(delays)
        delays.send(RUNNING)
        delays.send(DONE)
    return pacing


def test_what_was_learnt_goes_on_in_another_process() -> None:
    """As a text, which any ledger can keep."""
    before, after = waiter_with(taught(), Script(DONE)), waiter_with(Adaptive(), Script(DONE))
    learned = before.learned()
    assert learned is not None
    after.learn(learned)
    assert after.learned() == learned


def test_knowledge_that_is_damaged_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """A hint that is gone costs some polls; it is no reason to stop."""
    waiter = waiter_with(Adaptive(), Script(DONE))
    waiter.learn("[1")
    waiter.learn('{"version": 0}')
    assert caplog.text.count("cannot be used") == 2


def test_pacing_that_learns_nothing_has_nothing_to_keep() -> None:
    """And what another one learnt is of no use to it."""
    waiter = Waiter(Script(DONE), pacing=Fixed(1), retry=Retry(), tell=None)
    waiter.learn('{"version": 0}')
    assert waiter.learned() is None


class Rating(Noting):
    """Notes what it is asked about urgency."""

    def __init__(self) -> None:
        super().__init__()
        self.rated: list[tuple[float, float, float | None]] = []

    def urgency(
        self, request: VideoRequest | None, *, seen_s: float, age_s: float, progress: float | None = None
    ) -> float:
        self.rated.append((seen_s, age_s, progress))
        return 0.5


class Asking(Script):
    """Asks how urgent each query is, as a throttle does while it must wait."""

    def __init__(self, *answers: VideoTask) -> None:
        super().__init__(*answers)
        self.told: list[float] = []

    async def query(self, task_id: str, urgency: Callable[[], float] = certain) -> VideoTask:
        self.told.append(urgency())
        return await super().query(task_id)


def test_polls_tell_how_urgent_they_are() -> None:
    """By what the last answer showed, and when that was."""
    pacing, script = Rating(), Asking(at(50), at(60), DONE)
    run_virtual(expect_and_wait(waiter_with(pacing, script), age_s=100.0))
    assert script.told == [0.5, 0.5, 0.5]
    assert pacing.rated == [(100.0, 110.0, None), (110.0, 120.0, 0.5), (120.0, 130.0, 0.6)]


def test_polls_of_which_nothing_is_known_are_urgent() -> None:
    """The first look at a bare id, and one more after a success without its video."""
    pacing, script = Rating(), Asking(BARE, BARE, DONE)
    run_virtual(waiter_with(pacing, script).wait("t", None))
    assert script.told == [1.0, 1.0, 1.0]
    assert pacing.rated == []


def test_poll_at_a_deadline_is_urgent() -> None:
    """Somebody waits for just this one."""
    script = Asking(RUNNING)
    with pytest.raises(WaitTimeoutError):
        run_virtual(waiter_with(Rating(), script).wait(RUNNING, 15.0))
    assert script.told == [0.5, 1.0]
