"""One shared request budget for all calls to one host: a 429 slows every task, not one."""

from __future__ import annotations

import asyncio

from sora_async.errors import APIError, OverloadedError, RateLimitError


class Throttle:
    """Lets calls pass, or holds all of them while the relay asked for a pause.

    Args:
        pause_s: seconds to hold them after an error that names no time; relays usually send no Retry-After.
    """

    def __init__(self, *, pause_s: float) -> None:
        self._pause_s = pause_s
        self._resume_at = 0.0

    async def turn(self) -> None:
        """Wait until a call may be made. Cancelling it is free of consequences."""
        loop = asyncio.get_running_loop()
        while (left := self._resume_at - loop.time()) > 0:  # noqa: ASYNC110 the pause may have grown meanwhile
            await asyncio.sleep(left)

    def note(self, error: APIError) -> None:
        """Take notice of an error answer: one that says "too much" holds all calls."""
        if isinstance(error, RateLimitError | OverloadedError):
            pause_s = self._pause_s if error.retry_after is None else error.retry_after
            self._resume_at = max(self._resume_at, asyncio.get_running_loop().time() + pause_s)
