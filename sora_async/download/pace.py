"""Leaves a server that is silent, or that drips: each byte in time for the silence limit, and yet no end to be seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sora_async.download.policy import DownloadPolicy
from sora_async.download.trouble import DripError, TroubleError

LOOKS = 8
"""So many looks in a row at which nothing has come make a silence."""


class Pace:
    """Looks once in each span of time at how much has come, also while nothing comes that could be counted.

    It looks for silence, too: the timers that aiohttp sets anew for each read would cost a tenth of a download.

    Args:
        policy: the slowest rate, and the span; and the longest silence, which may be passed by an eighth.
        scope: ends what is too slow.

    Attributes:
        is_aside: whether nobody listens, so that silence means nothing.
        is_silent: whether nothing came for too long.
    """

    def __init__(self, policy: DownloadPolicy, scope: asyncio.Timeout) -> None:
        self._policy = policy
        self._scope = scope
        self._loop = asyncio.get_running_loop()
        self._bytes, self._was_slow = 0, False
        self._timer = self._loop.call_later(policy.rate_window_s, self._look)
        self.is_aside = self.is_silent = False
        self._has_come, self._silent_looks = False, 0
        self._listening = self._loop.call_later(policy.read_s / LOOKS, self._listen)

    def count(self, received: int) -> None:
        """Count some bytes; 0 for news of another kind."""
        self._bytes += received
        self._has_come = True

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()
        self._listening.cancel()

    def _listen(self) -> None:
        # Looks are counted, not seconds: while a loop stands still, nobody looks.
        self._silent_looks = 0 if self._has_come or self.is_aside else self._silent_looks + 1
        self._has_come = False
        if self._silent_looks == LOOKS:
            self.is_silent = True
            self._scope.reschedule(self._loop.time())
        else:
            self._listening = self._loop.call_later(self._policy.read_s / LOOKS, self._listen)

    def _look(self) -> None:
        # One slow span alone may be a loop that stood still, or a machine that slept.
        slow = self._bytes < self._policy.min_rate * self._policy.rate_window_s
        if slow and self._was_slow:
            self._scope.reschedule(self._loop.time())
            return
        self._bytes, self._was_slow = 0, slow
        self._timer = self._loop.call_later(self._policy.rate_window_s, self._look)


@asynccontextmanager
async def keep_pace(policy: DownloadPolicy) -> AsyncIterator[Pace]:
    """Watch over the block.

    Raises:
        DripError: less came than the policy puts up with.
        TroubleError: nothing came for longer than it puts up with.
    """
    pace: Pace | None = None
    scope = asyncio.timeout(None)
    try:
        async with scope:
            pace = Pace(policy, scope)
            try:
                yield pace
            finally:
                pace.stop()
    except TimeoutError:
        if scope.expired() and pace is not None and pace.is_silent:
            raise TroubleError("its server was silent for too long") from None
        if scope.expired():
            raise DripError(f"its server sends less than {policy.min_rate:.0f} bytes per second") from None
        raise
