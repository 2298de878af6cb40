"""How long the phases of a call may take."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from sora_async.connector import Attempt

LOOKS = 8
"""How often in the time of a limit it is looked for calls that are over it."""


def _check_limit(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not value > 0:
        raise ValueError(f"{attribute.name} must be a number of seconds above 0, or None for no limit, not {value!r}")


@attrs.frozen(kw_only=True)
class Timeouts:
    """Limits in seconds for the phases of a call; None means no limit."""

    connect: float | None = attrs.field(default=10.0, validator=_check_limit)
    """For the connection: the name's address, the socket and TLS. On a session that you lend, waiting for one of its
    connections to be free counts too."""
    create: float | None = attrs.field(default=180.0, validator=_check_limit)
    """For each read of a create's answer. Gateways try several channels before they answer: not under 120."""
    query: float | None = attrs.field(default=120.0, validator=_check_limit)
    """For each read of a query's answer. Some relays fetch the whole file before the first `completed`."""
    drain: float = attrs.field(default=30.0, validator=attrs.validators.ge(0))
    """For a create that nobody awaits any more to bring its id, when the client closes."""


class Watchdog:
    """Ends calls to which nothing comes for too long, and at twice that time those to which something always comes.

    It breaks the connection: that wakes whoever waits for the answer, and leaves what came of it. One timer looks after
    all calls, as those that aiohttp sets anew for each read make a call a tenth dearer. So a limit may be passed by an
    eighth.

    Args:
        limit_s: the longest time without anything of an answer, from the last byte of the request on; None for none.
    """

    def __init__(self, limit_s: float | None) -> None:
        self._limit_s = limit_s
        self._attempts: set[Attempt] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, attempt: Attempt) -> None:
        """Look after a call."""
        if self._limit_s is not None:
            self._attempts.add(attempt)
            if self._timer is None:
                self._plan(self._limit_s)

    def end(self, attempt: Attempt) -> None:
        """It needs no looking after any more."""
        self._attempts.discard(attempt)

    def _plan(self, limit_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(limit_s / LOOKS, self._look, limit_s)

    def _look(self, limit_s: float) -> None:
        now = asyncio.get_running_loop().time()
        for attempt in self._attempts:
            if attempt.transport is None:
                continue
            if attempt.transport.get_write_buffer_size():
                attempt.heard_at = now  # it is still leaving
            if now - attempt.heard_at >= limit_s or now - attempt.left_at >= 2 * limit_s:
                attempt.is_late = True
                attempt.transport.abort()
        self._timer = None
        if self._attempts:
            self._plan(limit_s)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
