"""One task under poll: who waits for it, when it is polled next, and what went wrong in a row."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import math
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from sora_async.errors import NotFoundError, SoraError
from sora_async.models import State, VideoTask
from sora_async.retry import retry_after

if TYPE_CHECKING:
    from sora_async.models import VideoRequest
    from sora_async.pacing import Delays
    from sora_async.retry import Retry

NOT_FOUND_GRACE_S = 60.0
"""A new task may be unknown to a relay's replica for a while; this long in a row it may be."""
BARE_ID_GRACE_S = 10.0
"""The same for an id alone, which may be new, and may as well be mistyped."""
STARTS_PER_SECOND = 100.0
"""How fast a crowd that begins to wait at once makes its first polls; 2,000 that poll every 20 s come to this rate."""
FIRST_AT_ONCE = 5
"""How many of them need not wait for that."""


def is_done(task: VideoTask | None) -> bool:
    """Whether nothing is left to wait for: a final state, and the address if it succeeded."""
    return (
        task is not None and task.state.is_final and (task.state is not State.SUCCEEDED or task.video_url is not None)
    )


class Expected:
    """What is known of a task beside its answers.

    Args:
        request: what was asked for, without what is of no use any more; None if that is not known.
        accepted_at: when its create was accepted, on the loop's clock, or when it was first heard of.
    """

    __slots__ = ("accepted_at", "request")

    def __init__(self, request: VideoRequest | None, accepted_at: float) -> None:
        self.request = request
        self.accepted_at = accepted_at

    def age_s(self) -> float:
        """The seconds since its create was accepted."""
        return asyncio.get_running_loop().time() - self.accepted_at


class Poller:
    """One task under poll, and those who wait for it.

    Between two polls there is no asyncio task for it, only a timer: of a hundred thousand, most are between two polls.

    Args:
        task_id: the task.
        last: it as last seen; None if it was not.
        expected: what else is known of it.
        delays: paces it; started.

    Attributes:
        members: how many wait for it.
        polling: the poll under way.
        trouble: counts polls that failed in a row; None while there are none.
        began_at: when the latest poll began, on the loop's clock.
        seen_s: its age when it was last seen running.
        missing: how many polls showed a success without an address.
    """

    __slots__ = (
        "_alarm",
        "_context",
        "_error",
        "_waiting",
        "_watching",
        "began_at",
        "delays",
        "expected",
        "last",
        "members",
        "missing",
        "polling",
        "seen_s",
        "task_id",
        "trouble",
    )

    def __init__(self, task_id: str, last: VideoTask | None, *, expected: Expected, delays: Delays) -> None:
        self.task_id = task_id
        self.last = last
        self.expected = expected
        self.delays = delays
        self.trouble: Trouble | None = None
        self.members = 0
        self.seen_s = expected.age_s()
        self.missing = 0
        self.began_at = -math.inf
        self.polling: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._alarm: asyncio.TimerHandle | None = None
        # One for all that is done for it: each handle and task would copy it, which is half of what a wait costs the
        # garbage collector.
        self._context = contextvars.copy_context()
        self._waiting: list[asyncio.Future[None]] = []
        self._watching: list[asyncio.Future[None]] = []

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
        """Tell everybody who is to know that a poll ended."""
        for futures in (self._watching,) if self.open else (self._watching, self._waiting):
            for future in futures:
                _settle(future)
            futures.clear()

    def plan(self, delay_s: float, start: Callable[[Poller], None]) -> None:
        """Have the next poll started after a while."""
        self._alarm = asyncio.get_running_loop().call_later(delay_s, start, self, context=self._context)

    def start(self, poll: Coroutine[Any, Any, None]) -> None:
        """Poll now."""
        self.unplan()
        loop = asyncio.get_running_loop()
        self.began_at = loop.time()
        self.polling = loop.create_task(poll, context=self._context)

    def unplan(self) -> None:
        """Take the next poll back."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    async def polled(self, deadline: float | None) -> bool:
        """Whether a poll ended that began before the deadline, and the deadline has not come."""
        return await self._told(self._watching, deadline) and (deadline is None or self.began_at < deadline)

    def ended(self, deadline: float | None) -> Coroutine[Any, Any, bool]:
        """Whether nothing is left to wait for, and the deadline has not come; polls on the way wake nobody."""
        # Not a coroutine of its own: of a hundred thousand that wait, each would hold one more.
        return self._told(self._waiting, deadline)

    async def _told(self, futures: list[asyncio.Future[None]], deadline: float | None) -> bool:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        futures.append(future)
        timer = None if deadline is None else loop.call_at(deadline, _settle, future, context=self._context)
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()
            is_late = future in futures  # who tells takes it out
            if is_late:
                futures.remove(future)
        return not is_late


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
    """Polls that failed in a row.

    Args:
        retry: how soon to poll after a poll that failed.
        grace_s: so long in a row the task may be unknown.
    """

    __slots__ = ("_delays", "_grace_s", "_missing_since")

    def __init__(self, retry: Retry, *, grace_s: float) -> None:
        self._grace_s = grace_s
        self._missing_since: float | None = None
        self._delays = retry.delays()
        next(self._delays)

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
        return max(min(self._delays.send(error), paced_s), retry_after(error))


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
