"""Leaves a server that drips: each byte in time for the silence limit, and yet no end to be seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sora_async.download.policy import DownloadPolicy
from sora_async.download.trouble import DripError


class Pace:
    """Looks once in each span of time at how much has come, also while nothing comes that could be counted.

    Args:
        policy: the slowest rate, and the span.
        scope: ends what is too slow.
    """

    def __init__(self, policy: DownloadPolicy, scope: asyncio.Timeout) -> None:
        self._policy = policy
        self._scope = scope
        self._loop = asyncio.get_running_loop()
        self._bytes, self._was_slow = 0, False
        self._timer = self._loop.call_later(policy.rate_window_s, self._look)

    def count(self, received: int) -> None:
        """Count some bytes."""
        self._bytes += received

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

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
    """
    scope = asyncio.timeout(None)
    try:
        async with scope:
            pace = Pace(policy, scope)
            try:
                yield pace
            finally:
                pace.stop()
    except TimeoutError:
        if scope.expired():
            raise DripError(f"its server sends less than {policy.min_rate:.0f} bytes per second") from None
        raise
