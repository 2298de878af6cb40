"""One task under poll: who waits for it, when it is polled next, and what went wrong in a row."""

from __future__ import annotations

import asyncio
import copy
import math
from typing import TYPE_CHECKING, TypeVar

from sora_async.errors import NotFoundError, SoraError, WaitTimeoutError
from sora_async.models import State, VideoTask
from sora_async.retry import retry_after

if TYPE_CHECKING:
    from sora_async.retry import Retry, Waits

T = TypeVar("T")

NOT_FOUND_GRACE_S = 60.0
"""A new task may be unknown to a relay's replica for a while; this long in a row it may be."""
BARE_ID_GRACE_S = 10.0
"""The same for an id alone, which may be new, and may as well be mistyped."""
LAST_POLL_S = 15.0
"""How long the poll made at the deadline may take."""
STARTS_PER_SECOND = 100.0
"""How fast a crowd that begins to wait at once makes its first polls; 2,000 that poll every 20 s come to this rate."""
FIRST_AT_ONCE = 5
"""How many of them need not wait for that."""


def is_done(task: VideoTask | None) -> bool:
    """Whether nothing is left to wait for: a final state, and the address if it succeeded."""
    return (
        task is not None and task.state.is_final and (task.state is not State.SUCCEEDED or task.video_url is not None)
    )


class Poller:
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
        """End the polling with an error for everybody who waits."""
        self._error = error
        self.wake()

    def wake(self) -> None:
        """Tell everybody who waits that a poll ended."""
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


class Spread:
    """Keeps apart the first polls of a crowd that begins to wait at once: it would stay a crowd, poll after poll."""

    def __init__(self) -> None:
        self._next_at = -math.inf

    def delay(self) -> float:
        """The seconds by which the next one to begin is held back; 0.0 for the first few and for who comes slowly."""
        now = asyncio.get_running_loop().time()
        delay_s = max(0.0, self._next_at - now)
        self._next_at = max(self._next_at, now - FIRST_AT_ONCE / STARTS_PER_SECOND) + 1 / STARTS_PER_SECOND
        return delay_s


class Trouble:
    """Polls that failed in a row."""

    def __init__(self, retry: Retry, *, grace_s: float) -> None:
        self._retry = retry
        self._grace_s = grace_s
        self._delays: Waits | None = None
        self._missing_since: float | None = None

    def over(self) -> None:
        """Forget it: a poll succeeded."""
        self._delays = self._missing_since = None

    def may_pass(self, error: SoraError) -> bool:
        """Whether polling on may help."""
        if not isinstance(error, NotFoundError):
            self._missing_since = None
            return error.retryable
        now = asyncio.get_running_loop().time()
        if self._missing_since is None:
            self._missing_since = now
        return now - self._missing_since < self._grace_s

    def delay(self, error: SoraError, paced_s: float) -> float:
        """The seconds until the next poll, where a healthy one would wait for `paced_s`."""
        if self._delays is None:
            self._delays = self._retry.delays()
            next(self._delays)
        return max(min(self._delays.send(error), paced_s), retry_after(error))


def _settle(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)
