"""One shared request budget for all calls to one host: a 429 slows every task, not one.

Creates go before queries, and of the queries the one that most likely brings news goes first.
"""

from __future__ import annotations

import asyncio

from sora_async.errors import (
    OverloadedError,
    RateLimitError,
    ServerError,
    SubmissionUncertainError,
    TransportError,
)
from sora_async.rate import Breaker, Rate
from sora_async.turn_queue import Turn, TurnQueue, Urgency, certain

_TOO_MUCH = (RateLimitError, OverloadedError)
_FAILING = (TransportError, ServerError, SubmissionUncertainError)


class Throttle:
    """Gives every call to one host its turn.

    Args:
        pause_s: as for Rate, and the time until the first try of a failing host.
        limit_s: the longest time between two tries of a failing host.
    """

    def __init__(self, *, pause_s: float, limit_s: float = 30.0) -> None:
        self.rate = Rate(pause_s)
        self._breaker = Breaker(pause_s, limit_s)
        self._under_way = {"create": 0, "query": 0}
        # In the order in which they are served.
        self._queues = {"create": TurnQueue(), "query": TurnQueue()}
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self, kind: str, urgency: Urgency = certain) -> float:
        """Wait until a call may leave. Cancelling it is free of consequences.

        Args:
            kind: `create`, which goes first, or `query`.
            urgency: asked now and then while the call waits, never if it need not wait; what it raises is raised here.

        Returns:
            When the call leaves; `done` must be called with it once, however the call ends.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._timer is None and self._may_leave_at() <= now and self._under_way[kind] < self.rate.window:
            return self._leave(kind, now)
        turn: Turn = loop.create_future()
        self._queues[kind].join(turn, urgency, now)
        self._serve()
        try:
            return await turn
        except asyncio.CancelledError as error:
            if turn.cancelled() or turn.exception() is not None:
                self._queues[kind].leave(turn)
                self._notice_if_nobody_waits()
            else:
                self.done(kind, turn.result(), error)
            raise

    def done(self, kind: str, left_at: float, end: BaseException | None) -> None:
        """Take notice of a call's end.

        Args:
            kind: as for `turn`.
            left_at: what `turn` answered.
            end: the error that it ended with, None for an answer.
        """
        now = asyncio.get_running_loop().time()
        self._under_way[kind] -= 1
        if isinstance(end, _TOO_MUCH):
            self.rate.too_much(left_at, now, end.retry_after)
        elif isinstance(end, _FAILING):
            self._breaker.ended(now, failed=True)
        elif not isinstance(end, asyncio.CancelledError):
            if self._breaker.ended(now, failed=False):
                self.rate.resume(now)  # before the answer counts, since the outage is no part of what was usual
            self.rate.answered(now)
        if any(self._queues.values()):
            self._serve()

    def _may_leave_at(self) -> float:
        return max(self.rate.next_at, self._breaker.next_at)

    def _leave(self, kind: str, now: float) -> float:
        self._under_way[kind] += 1
        self.rate.left(now)
        self._breaker.left(now)
        return now

    def _serve(self) -> None:
        """Let leave who may, and come back when the next one may."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for kind, queue in self._queues.items():
            while queue and self._under_way[kind] < self.rate.window:
                now = loop.time()
                if (at := self._may_leave_at()) > now:
                    self._timer = loop.call_at(at, self._serve)
                    return
                turn = queue.call()
                if turn is not None and not turn.done():  # its caller may have been cancelled in this moment
                    turn.set_result(self._leave(kind, now))
        self._notice_if_nobody_waits()

    def _notice_if_nobody_waits(self) -> None:
        if not any(self._queues.values()):
            self.rate.nobody_waits()
