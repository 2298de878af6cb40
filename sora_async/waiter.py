"""Waiting for tasks, over anything that can query one. Knows no HTTP.

All who wait for one id share one poller; it stops when the last of them leaves. A poll that fails says nothing about
the task: transport errors, 5xx, 429 and answers that cannot be understood are ridden out until the deadline.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Protocol

import attrs

from sora_async.errors import MissingVideoError, SoraError, TaskFailedError, WaitTimeoutError
from sora_async.events import OnEvent, Polled, Retrying, StatusChanged
from sora_async.models import State, VideoTask
from sora_async.pacing import InformedPacing
from sora_async.poller import BARE_ID_GRACE_S, NOT_FOUND_GRACE_S, Expected, Poller, Spread, Trouble, is_done
from sora_async.turn_queue import Urgency, certain

if TYPE_CHECKING:
    from sora_async.models import VideoRequest
    from sora_async.pacing import Pacing
    from sora_async.retry import Retry

logger = logging.getLogger("sora_async")

DEFAULT_TIMEOUT_S = 1800.0
"""Queue spikes of half an hour have been seen at several relays."""
LAST_POLL_S = 15.0
"""How long the poll made at the deadline may take."""
MISSING_VIDEO_POLLS = 5
"""More polls for a task that succeeded but shows no address yet."""
MOST_EXPECTED = 10_000
"""Of how many tasks it is kept what was asked for, from the create to the end of a wait."""


class Source(Protocol):
    """What the waiter needs of a client."""

    async def query(self, task_id: str, urgency: Urgency = certain) -> VideoTask:
        """Answer the task as it is now, by one request; raises SoraError.

        Args:
            task_id: the task.
            urgency: answers the chance that this brings news, as for Throttle.
        """
        ...


class Waiter:
    """Waits for tasks by polling them.

    Args:
        source: queries one task by one request.
        pacing: when to poll while all is well.
        retry: how soon to poll after a poll that failed; its `tries` do not count here, only the deadline does.
        tell: hears of each event; None for none.
    """

    def __init__(self, source: Source, *, pacing: Pacing, retry: Retry, tell: OnEvent | None) -> None:
        self._source = source
        self._pacing = pacing
        self._informed = pacing if isinstance(pacing, InformedPacing) else None
        self._retry = retry
        self._tell = tell
        self._spread = Spread()
        self._pollers: dict[str, Poller] = {}
        self._expected: dict[str, Expected] = {}
        self._stopping: set[asyncio.Task[None]] = set()

    async def wait(self, task: VideoTask | str, timeout_s: float | None) -> VideoTask:
        """Wait until the task succeeded and shows its video.

        Raises:
            TaskFailedError: it failed or was cancelled.
            MissingVideoError: it succeeded, but no address came.
            WaitTimeoutError: the deadline passed; one poll was made at it.
            APIError: the relay refuses to show the task (wrong key, no such task, ...).
        """
        if isinstance(task, VideoTask) and is_done(task):
            return _succeeded(task)
        poller = self._join(task)
        deadline = _deadline(timeout_s)
        try:
            if poller.open and not await poller.ended(deadline):
                await self._poll_last(poller)
            return _succeeded(poller.outcome())
        finally:
            self._leave(poller)

    async def watch(self, task: VideoTask | str, timeout_s: float | None) -> AsyncGenerator[VideoTask, None]:
        """Yield the task at first sight and at each change of status or progress, the final one included.

        Raises:
            MissingVideoError, WaitTimeoutError, APIError: as for wait; a failed task is yielded, not raised.
        """
        if isinstance(task, VideoTask) and is_done(task):
            yield task
            return
        poller = self._join(task)
        deadline = _deadline(timeout_s)
        shown: VideoTask | None = None
        try:
            while poller.open:
                # A success without its video is no news yet: who sees it would take it for the end.
                if poller.last is not None and not poller.last.state.is_final and _differ(shown, poller.last):
                    shown = poller.last
                    yield shown
                elif not await poller.polled(deadline):
                    await self._poll_last(poller)
            yield poller.outcome()
        finally:
            self._leave(poller)

    def expect(self, task_id: str, request: VideoRequest, age_s: float = 0.0) -> None:
        """Tell what was asked for, for a pacing that can use it; the oldest of many that nobody waits for is forgotten.

        Args:
            task_id: the task.
            request: what was asked for.
            age_s: seconds since its create was accepted.
        """
        if self._informed is not None:
            if request.images or request.extra:  # large, and of no use any more
                request = attrs.evolve(request, images=(), extra={})
            self._expected[task_id] = Expected(request, asyncio.get_running_loop().time() - age_s)
            if len(self._expected) > MOST_EXPECTED:
                del self._expected[next(iter(self._expected))]

    def learned(self) -> str | None:
        """What the pacing has learnt, as JSON; None if it learns nothing."""
        return None if self._informed is None else json.dumps(self._informed.learned())

    def learn(self, learned: str) -> None:
        """Teach the pacing what `learned` told in an earlier process; what it cannot use is left out."""
        if self._informed is not None:
            try:
                self._informed.learn(json.loads(learned))
            except ValueError as error:
                logger.warning("what was learnt of durations earlier cannot be used: %s", error)

    def remaining_s(self, task: VideoTask) -> float | None:
        """The seconds after which a task that was just seen has ended as likely as not; None if nothing tells."""
        expected = self._expected.get(task.id)
        return None if expected is None else self._remaining_s(task, expected)

    def _remaining_s(self, task: VideoTask, expected: Expected) -> float | None:
        if self._informed is None or expected.request is None or task.state.is_final:
            return None
        return self._informed.remaining_s(expected.request, expected.age_s(), task.progress)

    async def close(self) -> None:
        """Stop all polling; whoever still waits gets a RuntimeError."""
        for poller in self._pollers.values():
            poller.fail(RuntimeError("the client was closed while this task was waited for; wait for its id again"))
            self._stop(poller)
        self._pollers.clear()
        if self._stopping:
            await asyncio.wait(self._stopping)

    def _join(self, task: VideoTask | str) -> Poller:
        task_id = task if isinstance(task, str) else task.id
        poller = self._pollers.get(task_id)
        if poller is None:
            poller = self._begin(task_id, None if isinstance(task, str) else task)
        poller.members += 1
        return poller

    def _begin(self, task_id: str, last: VideoTask | None) -> Poller:
        expected = self._expected.get(task_id) or Expected(None, asyncio.get_running_loop().time())
        if self._informed is None:
            delays = self._pacing.delays()
        else:
            delays = self._informed.delays_for(expected.request, expected.age_s)
        next(delays)
        # Nothing is known of a bare id, so it is looked at at once.
        delay_s = self._spread.delay() + (0.0 if last is None else delays.send(last))
        poller = self._pollers[task_id] = Poller(task_id, last, expected=expected, delays=delays)
        poller.plan(delay_s, self._start)
        return poller

    def _leave(self, poller: Poller) -> None:
        poller.members -= 1
        if poller.members == 0 and self._pollers.get(poller.task_id) is poller:
            del self._pollers[poller.task_id]
            self._stop(poller)

    def _stop(self, poller: Poller) -> None:
        poller.unplan()
        if poller.polling is not None:
            poller.polling.cancel()
            self._stopping.add(poller.polling)
            poller.polling.add_done_callback(self._stopping.discard)

    async def _poll_last(self, poller: Poller) -> None:
        """Make one last poll for somebody whose deadline has come, unless one is under way or began at it.

        Raises:
            WaitTimeoutError: that has not ended the wait either.
        """
        now = asyncio.get_running_loop().time()
        if poller.polling is None and poller.began_at < now:
            self._start(poller, certain)
        if poller.polling is not None:
            await poller.polled(now + LAST_POLL_S)
        if poller.open:
            raise WaitTimeoutError(poller.task_id, poller.last)

    def _start(self, poller: Poller, urgency: Urgency | None = None) -> None:
        poller.start(self._poll(poller, urgency or self._urgency(poller)))

    async def _poll(self, poller: Poller, urgency: Urgency) -> None:
        """One poll, which wakes all who wait for it, and the plan for the next."""
        try:
            delay_s = await self._look(poller, urgency)
        except Exception as error:  # noqa: BLE001 it is raised in everybody who waits, instead of being lost here
            poller.fail(error)
        poller.polling = None
        if poller.open:
            poller.plan(delay_s, self._start)
        else:
            self._expected.pop(poller.task_id, None)
        poller.wake()

    def _urgency(self, poller: Poller) -> Urgency:
        """By which one poll goes before another where turns are scarce."""
        informed, last = self._informed, poller.last
        if informed is None or last is None or last.state.is_final:
            return certain

        def chance() -> float:
            seen_s, age_s = poller.seen_s, poller.expected.age_s()
            return informed.urgency(poller.expected.request, seen_s=seen_s, age_s=age_s, progress=last.progress)

        return chance

    async def _look(self, poller: Poller, urgency: Urgency) -> float:
        """Ask once and take the answer in; answers the seconds until the next poll."""
        try:
            task = await self._source.query(poller.task_id, urgency)
        except SoraError as error:
            if poller.trouble is None:
                grace_s = BARE_ID_GRACE_S if poller.last is None else NOT_FOUND_GRACE_S
                poller.trouble = Trouble(self._retry, grace_s=grace_s)
            if not poller.trouble.may_pass(error):
                raise error.about(poller.task_id) from None
            # Sooner than a healthy poll at first, and never later but for a Retry-After.
            delay_s = poller.trouble.delay(error, poller.delays.send(poller.last))
            self._tell_retry(poller, error, delay_s)
            return delay_s
        poller.trouble = None
        if self._tell is not None:
            self._tell(Polled(task=task, remaining_s=self._remaining_s(task, poller.expected)))
            if _differ(poller.last, task):
                self._tell(StatusChanged(task=task, previous=poller.last))
        poller.last = task
        poller.seen_s = poller.expected.age_s()
        if task.state is State.SUCCEEDED and task.video_url is None:
            poller.missing += 1
            if poller.missing > MISSING_VIDEO_POLLS:
                raise MissingVideoError(task)
        return poller.delays.send(task)

    def _tell_retry(self, poller: Poller, error: SoraError, delay_s: float) -> None:
        if self._tell is not None:
            self._tell(Retrying(operation="query", task_id=poller.task_id, error=str(error), delay_s=delay_s))


def _differ(before: VideoTask | None, after: VideoTask) -> bool:
    return before is None or (before.status, before.state, before.progress) != (
        after.status,
        after.state,
        after.progress,
    )


def _succeeded(task: VideoTask) -> VideoTask:
    if task.state is not State.SUCCEEDED:
        raise TaskFailedError(task)
    return task


def _deadline(timeout_s: float | None) -> float | None:
    return None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
