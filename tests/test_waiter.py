"""The waiter, in virtual time, over a source that follows a script."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from virtual_time import run_virtual

from sora_async import (
    AuthenticationError,
    DecodeError,
    Event,
    Fixed,
    Growing,
    MissingVideoError,
    NotFoundError,
    Polled,
    RateLimitError,
    Retry,
    Retrying,
    ServerError,
    State,
    StatusChanged,
    TaskFailedError,
    TransportError,
    VideoTask,
    WaitTimeoutError,
)
from sora_async.events import OnEvent
from sora_async.poller import BARE_ID_GRACE_S, NOT_FOUND_GRACE_S
from sora_async.waiter import MISSING_VIDEO_POLLS, Waiter

RUNNING = VideoTask(id="t", status="processing", state=State.RUNNING)
DONE = VideoTask(id="t", status="completed", state=State.SUCCEEDED, video_url="https://cdn.example/v.mp4")
BARE = VideoTask(id="t", status="completed", state=State.SUCCEEDED)
FAILED = VideoTask(id="t", status="failed", state=State.FAILED, error_message="no luck")
NOT_FOUND = NotFoundError(404, "task_not_exist", "no such task")

Answer = VideoTask | Exception


class Script:
    """Answers each query with the next line of a script, the last one for ever; notes when it was asked."""

    def __init__(self, *answers: Answer, takes_s: float = 0.0) -> None:
        self.answers = list(answers)
        self.takes_s = takes_s
        self.asked: list[float] = []

    async def query(self, task_id: str, urgency: object = None) -> VideoTask:
        self.asked.append(asyncio.get_running_loop().time())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        if isinstance(answer, Exception):
            raise answer
        return answer


def waiter_over(script: Script, *, every: float = 10.0, tell: OnEvent | None = None) -> Waiter:
    return Waiter(script, pacing=Fixed(every), retry=Retry(first=1, factor=2, limit=8), tell=tell)


def wait(script: Script, task: VideoTask | str = RUNNING, timeout_s: float | None = 1000.0) -> VideoTask:
    return run_virtual(waiter_over(script).wait(task, timeout_s))


def test_wait_polls_until_the_task_succeeded() -> None:
    """The answer of the poll that shows the end is what wait answers."""
    script = Script(RUNNING, RUNNING, DONE)
    assert wait(script) is DONE
    assert script.asked == [10.0, 20.0, 30.0]


def test_wait_for_an_id_polls_at_once() -> None:
    """Nothing is known of a bare id, so it is not slept on."""
    script = Script(DONE)
    assert wait(script, "t") is DONE
    assert script.asked == [0.0]


def test_wait_for_a_finished_task_polls_never() -> None:
    """A create may answer finished already."""
    script = Script(RUNNING)
    assert wait(script, DONE) is DONE
    assert script.asked == []


def test_wait_raises_for_a_task_that_fails() -> None:
    """A failure carries the task and its reason."""
    with pytest.raises(TaskFailedError, match="no luck") as caught:
        wait(Script(RUNNING, FAILED))
    assert caught.value.task is FAILED


def test_wait_raises_for_a_task_that_had_failed() -> None:
    """Also when nothing had to be polled."""
    with pytest.raises(TaskFailedError):
        wait(Script(RUNNING), FAILED)


def test_deadline_clips_the_last_sleep_and_polls_once_more() -> None:
    """The last poll is made at the deadline, not before and not after."""
    script = Script(RUNNING)
    with pytest.raises(WaitTimeoutError) as caught:
        wait(script, timeout_s=25.0)
    assert script.asked == [10.0, 20.0, 25.0]
    assert caught.value.last is RUNNING
    assert caught.value.task_id == "t"


def test_poll_at_the_deadline_can_still_succeed() -> None:
    """A task that ends in the last gap is not lost."""
    assert wait(Script(RUNNING, DONE), timeout_s=15.0) is DONE


def test_deadline_of_zero_polls_once() -> None:
    """A zero timeout is a look, not a refusal."""
    script = Script(RUNNING)
    with pytest.raises(WaitTimeoutError):
        wait(script, "t", timeout_s=0.0)
    assert len(script.asked) == 1


def test_deadline_waits_for_a_poll_under_way() -> None:
    """Some relays take long over the first completed answer; it is not asked for twice."""
    script = Script(DONE, takes_s=5.0)
    assert wait(script, timeout_s=12.0) is DONE
    assert script.asked == [10.0]


def test_deadline_does_not_hang_on_a_stalled_poll() -> None:
    """A poll that does not end costs some seconds after the deadline, not more."""

    async def main() -> float:
        with suppress(WaitTimeoutError):
            await waiter_over(Script(DONE, takes_s=10_000.0)).wait("t", 5.0)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 20.0


@pytest.mark.parametrize(
    "error",
    [
        ServerError(503, "", "down"),
        TransportError("the server closed the connection"),
        RateLimitError(429, "", "slow down"),
        DecodeError("an HTML page"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_wait_rides_out_an_outage(error: Exception) -> None:
    """A failing poll says nothing about the task."""
    assert wait(Script(*[error] * 40, DONE)) is DONE


def test_outage_is_retried_sooner_than_the_pacing_and_ever_slower() -> None:
    """After trouble polls come by the retry policy, with jitter on top only."""
    script = Script(*[ServerError(503, "", "down")] * 5, DONE)
    wait(script)
    gaps = [later - sooner for sooner, later in zip(script.asked, script.asked[1:], strict=False)]
    for gap, planned in zip(gaps, [1, 2, 4, 8, 8], strict=True):
        assert planned <= gap <= planned * 1.25


def test_outage_never_slows_the_polls_below_their_pacing() -> None:
    """A long outage costs as many polls as health would, and is over as soon."""
    script = Script(*[ServerError(503, "", "down")] * 5, DONE)
    run_virtual(waiter_over(script, every=1.5).wait(RUNNING, 1000.0))
    assert script.asked[2:] == pytest.approx([script.asked[1] + 1.5 * number for number in range(1, 5)])


def test_deadline_ends_an_outage() -> None:
    """Only the deadline does, and it says that nothing was seen."""
    with pytest.raises(WaitTimeoutError, match="no poll succeeded") as caught:
        wait(Script(TransportError("gone")), "t", timeout_s=600.0)
    assert caught.value.billed == "yes"


def test_retry_after_is_a_floor() -> None:
    """The relay's wish is honoured even when the policy would poll sooner."""
    script = Script(RateLimitError(429, "", "slow down", None, 40.0), DONE)
    wait(script)
    assert script.asked == [10.0, 50.0]


def test_refusal_ends_the_wait_with_the_id() -> None:
    """A wrong key does not mend itself, and the error names the paid task."""
    with pytest.raises(AuthenticationError) as caught:
        wait(Script(AuthenticationError(401, "", "bad key")))
    assert caught.value.task_id == "t"
    assert caught.value.billed == "yes"


def test_not_found_right_after_create_passes() -> None:
    """A replica may lag behind."""
    assert wait(Script(NOT_FOUND, NOT_FOUND, DONE)) is DONE


def test_not_found_for_long_ends_the_wait() -> None:
    """After a minute in a row it is believed."""
    script = Script(NOT_FOUND)
    with pytest.raises(NotFoundError) as caught:
        wait(script)
    assert caught.value.task_id == "t"
    assert NOT_FOUND_GRACE_S <= script.asked[-1] - script.asked[0] < 2 * NOT_FOUND_GRACE_S


def test_mistyped_id_is_told_soon() -> None:
    """An id alone is more likely wrong than new."""
    script = Script(NOT_FOUND)
    with pytest.raises(NotFoundError):
        wait(script, "t")
    assert BARE_ID_GRACE_S <= script.asked[-1] < 2 * BARE_ID_GRACE_S


def test_id_that_was_seen_once_is_not_mistyped() -> None:
    """From then on it has as long as a task of which more is known."""
    script = Script(RUNNING, NOT_FOUND)
    with pytest.raises(NotFoundError):
        wait(script, "t")
    assert NOT_FOUND_GRACE_S <= script.asked[-1] - script.asked[1] < 2 * NOT_FOUND_GRACE_S


def test_not_found_grace_starts_anew_after_another_answer() -> None:
    """Only an unbroken row of not-founds counts."""
    outage = [NOT_FOUND] * 5 + [ServerError(503, "", "down")] + [NOT_FOUND] * 5 + [RUNNING] + [NOT_FOUND] * 5
    assert wait(Script(*outage, DONE)) is DONE


def test_success_without_url_is_polled_on() -> None:
    """The address may come some polls later."""
    assert wait(Script(BARE, BARE, DONE)) is DONE


def test_success_without_url_ends_as_an_error_of_its_own() -> None:
    """After some more polls the wait ends with the task as last seen."""
    script = Script(BARE)
    with pytest.raises(MissingVideoError) as caught:
        wait(script)
    assert caught.value.task is BARE
    assert len(script.asked) == MISSING_VIDEO_POLLS + 1


def test_foreign_exception_reaches_the_caller() -> None:
    """A broken pacing or source does not hang the wait."""
    with pytest.raises(ZeroDivisionError):
        wait(Script(ZeroDivisionError()))


def test_two_waits_share_the_polls() -> None:
    """Twenty callers of one id cost as many polls as one."""
    script = Script(RUNNING, DONE)

    async def main() -> list[VideoTask]:
        waiter = waiter_over(script)
        return await asyncio.gather(*(waiter.wait(RUNNING, 100.0) for _ in range(20)))

    assert run_virtual(main()) == [DONE] * 20
    assert script.asked == [10.0, 20.0]


def test_shared_failure_reaches_each_caller_as_its_own_exception() -> None:
    """Tracebacks of different callers do not mix."""

    errors = run_virtual(shared_refusal())
    assert len(errors) == 2
    assert errors[0] is not errors[1]


async def shared_refusal() -> list[BaseException]:
    waiter = waiter_over(Script(AuthenticationError(401, "", "bad key")))
    ends = await asyncio.gather(*(waiter.wait("t", None) for _ in range(2)), return_exceptions=True)
    return [end for end in ends if isinstance(end, AuthenticationError)]


def test_earlier_deadline_of_one_caller_leaves_the_other_waiting() -> None:
    """Each caller has a deadline of its own; the extra poll serves both."""
    script = Script(RUNNING, RUNNING, DONE)

    async def main() -> list[VideoTask | BaseException]:
        waiter = waiter_over(script)
        return await asyncio.gather(waiter.wait(RUNNING, 15.0), waiter.wait(RUNNING, 100.0), return_exceptions=True)

    impatient, patient = run_virtual(main())
    assert isinstance(impatient, WaitTimeoutError)
    assert patient is DONE


def test_cancelled_wait_stops_the_polls() -> None:
    """Nobody waits, so nobody asks, and no task is left behind."""
    script = Script(RUNNING)

    async def main() -> set[asyncio.Task[object]]:
        waiting = asyncio.create_task(waiter_over(script).wait(RUNNING, None))
        await asyncio.sleep(25.0)
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(100.0)
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert run_virtual(main()) == set()
    assert script.asked == [10.0, 20.0]


def test_cancelling_one_of_two_leaves_the_other_waiting() -> None:
    """The shared polls go on for whoever is left."""

    async def main() -> VideoTask:
        waiter = waiter_over(Script(RUNNING, RUNNING, DONE))
        first = asyncio.create_task(waiter.wait(RUNNING, None))
        second = asyncio.create_task(waiter.wait(RUNNING, None))
        await asyncio.sleep(5.0)
        first.cancel()
        return await second

    assert run_virtual(main()) is DONE


def test_close_ends_all_waits() -> None:
    """A closed client leaves nobody hanging and nothing running."""

    async def main() -> tuple[BaseException, int]:
        waiter = waiter_over(Script(RUNNING))
        waiting = asyncio.create_task(waiter.wait(RUNNING, None))
        await asyncio.sleep(5.0)
        await waiter.close()
        (end,) = await asyncio.gather(waiting, return_exceptions=True)
        assert isinstance(end, RuntimeError)
        return end, len(asyncio.all_tasks())

    end, tasks = run_virtual(main())
    assert "wait for its id again" in str(end)
    assert tasks == 1


def watch(script: Script, task: VideoTask | str = "t", timeout_s: float | None = 1000.0) -> list[VideoTask]:
    async def main() -> list[VideoTask]:
        return [seen async for seen in waiter_over(script).watch(task, timeout_s)]

    return run_virtual(main())


def at(percent: int) -> VideoTask:
    return VideoTask(id="t", status="processing", state=State.RUNNING, progress=percent / 100)


def test_watch_yields_each_change_once() -> None:
    """Polls that show nothing new are not shown."""
    assert watch(Script(RUNNING, RUNNING, at(10), at(10), at(50), DONE)) == [RUNNING, at(10), at(50), DONE]


def test_watch_yields_a_failed_task() -> None:
    """Failure is news too; only wait raises it."""
    assert watch(Script(RUNNING, FAILED)) == [RUNNING, FAILED]


def test_watch_of_a_finished_task_yields_it() -> None:
    """Nothing is polled for it."""
    script = Script(RUNNING)
    assert watch(script, DONE) == [DONE]
    assert script.asked == []


def test_watch_holds_a_success_back_until_its_video_shows() -> None:
    """Who sees a success takes it for the end."""
    assert watch(Script(RUNNING, BARE, BARE, DONE)) == [RUNNING, DONE]


def test_watch_raises_at_the_deadline() -> None:
    """As wait does."""
    with pytest.raises(WaitTimeoutError):
        watch(Script(RUNNING), timeout_s=30.0)


def test_left_watch_stops_the_polls() -> None:
    """Leaving the loop early closes it."""
    script = Script(RUNNING, at(10), at(20))

    async def main() -> None:
        watching = waiter_over(script).watch("t", None)
        async for _ in watching:
            break
        await watching.aclose()
        await asyncio.sleep(100.0)

    run_virtual(main())
    assert script.asked == [0.0]


def test_events_tell_changes_and_repetitions() -> None:
    """What happened is told once each, in order."""
    events: list[Event] = []
    script = Script(RUNNING, ServerError(503, "", "down"), RUNNING, DONE)
    run_virtual(waiter_over(script, tell=events.append).wait("t", None))
    assert [type(event) for event in events] == [Polled, StatusChanged, Retrying, Polled, Polled, StatusChanged]
    assert events[:2] == [Polled(task=RUNNING), StatusChanged(task=RUNNING, previous=None)]
    assert events[-1] == StatusChanged(task=DONE, previous=RUNNING)


def test_growing_pacing_paces_the_polls() -> None:
    """The waiter sleeps exactly what the pacing says."""
    script = Script(*[RUNNING] * 5, DONE)
    waiter = Waiter(script, pacing=Growing(5, 2, 20), retry=Retry(), tell=None)
    run_virtual(waiter.wait(RUNNING, None))
    assert script.asked == [5, 15, 35, 55, 75, 95]
