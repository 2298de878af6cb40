"""Waiting for tasks, over anything that can query one. Knows no HTTP.

All who wait for one id share one poller; it stops when the last of them leaves. A poll that fails says nothing about
the task: transport errors, 5xx, 429 and answers that cannot be understood are ridden out until the deadline.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Protocol, TypeVar

from sora_async.errors import MissingVideoError, NotFoundError, SoraError, TaskFailedError, WaitTimeoutError
from sora_async.events import OnEvent, Retrying, StatusChanged
from sora_async.models import State, VideoTask

if TYPE_CHECKING:
    from sora_async.pacing import Pacing
    from sora_async.retry import Retry, Waits

T = TypeVar("T")

DEFAULT_TIMEOUT_S = 1800.0
"""Queue spikes of half an hour have been seen at several relays."""
NOT_FOUND_GRACE_S = 60.0
"""A new task may be unknown to a relay's replica for a while; this long in a row it may be."""
MISSING_VIDEO_POLLS = 5
"""More polls for a task that succeeded but shows no address yet."""
LAST_POLL_S = 15.0
"""How long the poll made at the deadline may take."""


class Source(Protocol):
    """What the waiter needs of a client."""

    async def query(self, task_id: str) -> VideoTask:
        """Answer the task as it is now, by one request; raises SoraError."""
        ...


def is_done(task: VideoTask | None) -> bool:
    """Whether nothing is left to wait for: a final state, and the address if it succeeded."""
    return (
        task is not None and task.state.is_final and (task.state is not State.SUCCEEDED or task.video_url is not None)
    )


class Waiter:
    """Waits for tasks by polling them.

    Args:
        source: queries one task by one request.
        pacing: when to poll while all is well.
        retry: when to poll after a poll that failed; its `tries` do not count here, only the deadline does.
        tell: hears of each event; None for none.
    """

    def __init__(self, source: Source, *, pacing: Pacing, retry: Retry, tell: OnEvent | None) -> None:
        self._source = source
        self._pacing = pacing
        self._retry = retry
        self._tell = tell
        self._pollers: dict[str, _Poller] = {}
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
            while poller.open:
                await poller.next_poll(deadline)
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
                else:
                    await poller.next_poll(deadline)
            yield poller.outcome()
        finally:
            self._leave(poller)

    async def close(self) -> None:
        """Stop all polling; whoever still waits gets a RuntimeError."""
        for poller in self._pollers.values():
            poller.fail(RuntimeError("the client was closed while this task was waited for; wait for its id again"))
            self._stop(poller)
        self._pollers.clear()
        if self._stopping:
            await asyncio.wait(self._stopping)

    def _join(self, task: VideoTask | str) -> _Poller:
        task_id = task if isinstance(task, str) else task.id
        poller = self._pollers.get(task_id)
        if poller is None:
            last = None if isinstance(task, str) else task
            poller = self._pollers[task_id] = _Poller(task_id, last)
            poller.runner = asyncio.create_task(self._run(poller))
        poller.members += 1
        return poller

    def _leave(self, poller: _Poller) -> None:
        poller.members -= 1
        if poller.members == 0 and self._pollers.get(poller.task_id) is poller:
            del self._pollers[poller.task_id]
            self._stop(poller)

    def _stop(self, poller: _Poller) -> None:
        runner = poller.runner
        if runner is not None and not runner.done():
            runner.cancel()
            self._stopping.add(runner)
            runner.add_done_callback(self._stopping.discard)

    async def _run(self, poller: _Poller) -> None:
        try:
            await self._poll(poller)
        except Exception as error:  # noqa: BLE001 it is raised in everybody who waits, instead of being lost here
            poller.fail(error)

    async def _poll(self, poller: _Poller) -> None:
        """Poll one task until it is done or cannot be polled; every poll wakes all who wait for it."""
        delays = self._pacing.delays()
        next(delays)
        # Nothing is known of a bare id, so it is looked at at once.
        delay_s = 0.0 if poller.last is None else delays.send(poller.last)
        trouble = _Trouble(self._retry)
        missing = 0
        while poller.open:
            await poller.rest(delay_s)
            try:
                task = await self._source.query(poller.task_id)
            except SoraError as error:
                if not trouble.may_pass(error):
                    poller.fail(error.about(poller.task_id))
                else:
                    delay_s = trouble.delay(error)
                    if self._tell is not None:
                        self._tell(
                            Retrying(operation="query", task_id=poller.task_id, error=str(error), delay_s=delay_s)
                        )
            else:
                trouble.over()
                if self._tell is not None and _differ(poller.last, task):
                    self._tell(StatusChanged(task=task, previous=poller.last))
                poller.last = task
                if task.state is State.SUCCEEDED and task.video_url is None:
                    missing += 1
                    if missing > MISSING_VIDEO_POLLS:
                        poller.fail(MissingVideoError(task))
                delay_s = delays.send(task)
            poller.wake()

    def _tell_retry(self, poller: _Poller, error: SoraError, delay_s: float) -> None:
        if self._tell is not None:
            self._tell(Retrying(operation="query", task_id=poller.task_id, error=str(error), delay_s=delay_s))


class _Poller:
    """One task under poll, and those who wait for it."""

    __slots__ = ("_alarm", "_error", "_waiting", "last", "members", "runner", "task_id")

    def __init__(self, task_id: str, last: VideoTask | None) -> None:
        self.task_id = task_id
        self.last = last
        self.members = 0
        self.runner: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._alarm: asyncio.Future[None] | None = None
        self._waiting: list[asyncio.Future[bool]] = []

    @property
    def open(self) -> bool:
        """Whether there is still something to wait for."""
        return self._error is None and not is_done(self.last)

    def outcome(self) -> VideoTask:
        """The task at its end, or the error that ended the polling; one of each for everybody who waits."""
        if self._error is not None:
            raise copy.copy(self._error)
        assert self.last is not None  # noqa: S101 open until then
        return self.last

    def fail(self, error: Exception) -> None:
        self._error = error
        self.wake()

    def wake(self) -> None:
        for future in self._waiting:
            _settle(future, True)
        self._waiting.clear()

    async def rest(self, delay_s: float) -> None:
        """Sleep until the next poll is due, or somebody's deadline has come."""
        loop = asyncio.get_running_loop()
        self._alarm = loop.create_future()
        timer = loop.call_later(delay_s, _settle, self._alarm, None)
        try:
            await self._alarm
        finally:
            timer.cancel()
            self._alarm = None

    async def next_poll(self, deadline: float | None) -> None:
        """Wait for the end of a poll; at the deadline for the end of one last poll.

        Raises:
            WaitTimeoutError: that last poll has not ended the wait either.
        """
        if await self._polled(deadline):
            return
        if self._alarm is not None:
            _settle(self._alarm, None)
        await self._polled(asyncio.get_running_loop().time() + LAST_POLL_S)
        if self.open:
            raise WaitTimeoutError(self.task_id, self.last)

    async def _polled(self, deadline: float | None) -> bool:
        """Whether a poll ended before the deadline."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(future)
        timer = None if deadline is None else loop.call_at(deadline, _settle, future, False)
        try:
            return await future
        finally:
            if timer is not None:
                timer.cancel()
            if future in self._waiting:
                self._waiting.remove(future)


class _Trouble:
    """Polls that failed in a row."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._delays: Waits | None = None
        self._missing_since: float | None = None

    def over(self) -> None:
        self._delays = self._missing_since = None

    def may_pass(self, error: SoraError) -> bool:
        """Whether polling on may help."""
        if not isinstance(error, NotFoundError):
            self._missing_since = None
            return error.retryable
        now = asyncio.get_running_loop().time()
        if self._missing_since is None:
            self._missing_since = now
        return now - self._missing_since < NOT_FOUND_GRACE_S

    def delay(self, error: SoraError) -> float:
        if self._delays is None:
            self._delays = self._retry.delays()
            next(self._delays)
        return self._delays.send(error)


def _settle(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


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
