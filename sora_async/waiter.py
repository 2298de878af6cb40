"""Waiting for tasks, over anything that can query one. Knows no HTTP.

All who wait for one id share one poller; it stops when the last of them leaves. A poll that fails says nothing about
the task: transport errors, 5xx, 429 and answers that cannot be understood are ridden out until the deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Protocol

from sora_async.errors import MissingVideoError, SoraError, TaskFailedError
from sora_async.events import OnEvent, Retrying, StatusChanged
from sora_async.models import State, VideoTask
from sora_async.poller import BARE_ID_GRACE_S, NOT_FOUND_GRACE_S, Poller, Spread, Trouble, is_done

if TYPE_CHECKING:
    from sora_async.pacing import Pacing
    from sora_async.retry import Retry

DEFAULT_TIMEOUT_S = 1800.0
"""Queue spikes of half an hour have been seen at several relays."""
MISSING_VIDEO_POLLS = 5
"""More polls for a task that succeeded but shows no address yet."""


class Source(Protocol):
    """What the waiter needs of a client."""

    async def query(self, task_id: str) -> VideoTask:
        """Answer the task as it is now, by one request; raises SoraError."""
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
        self._retry = retry
        self._tell = tell
        self._spread = Spread()
        self._pollers: dict[str, Poller] = {}
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

    def _join(self, task: VideoTask | str) -> Poller:
        task_id = task if isinstance(task, str) else task.id
        poller = self._pollers.get(task_id)
        if poller is None:
            last = None if isinstance(task, str) else task
            poller = self._pollers[task_id] = Poller(task_id, last)
            poller.runner = asyncio.create_task(self._run(poller))
        poller.members += 1
        return poller

    def _leave(self, poller: Poller) -> None:
        poller.members -= 1
        if poller.members == 0 and self._pollers.get(poller.task_id) is poller:
            del self._pollers[poller.task_id]
            self._stop(poller)

    def _stop(self, poller: Poller) -> None:
        runner = poller.runner
        if runner is not None and not runner.done():
            runner.cancel()
            self._stopping.add(runner)
            runner.add_done_callback(self._stopping.discard)

    async def _run(self, poller: Poller) -> None:
        try:
            await self._poll(poller)
        except Exception as error:  # noqa: BLE001 it is raised in everybody who waits, instead of being lost here
            poller.fail(error)

    async def _poll(self, poller: Poller) -> None:
        """Poll one task until it is done or cannot be polled; every poll wakes all who wait for it."""
        delays = self._pacing.delays()
        next(delays)
        # Nothing is known of a bare id, so it is looked at at once.
        is_bare = poller.last is None
        delay_s = self._spread.delay() + (0.0 if is_bare else delays.send(poller.last))
        trouble = Trouble(self._retry, grace_s=BARE_ID_GRACE_S if is_bare else NOT_FOUND_GRACE_S)
        missing = 0
        while poller.open:
            await poller.rest(delay_s)
            try:
                task = await self._source.query(poller.task_id)
            except SoraError as error:
                if not trouble.may_pass(error):
                    poller.fail(error.about(poller.task_id))
                else:
                    # Sooner than a healthy poll at first, and never later but for a Retry-After.
                    delay_s = trouble.delay(error, delays.send(poller.last))
                    self._tell_retry(poller, error, delay_s)
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
