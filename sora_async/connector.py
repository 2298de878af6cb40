"""Connections that prove what left this machine, and keep what came of an answer that is paid for."""

from __future__ import annotations

import asyncio
import math
import time
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    from aiohttp import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

# Servers close idle connections after 5 s; a create that meets that moment would end uncertain.
KEEPALIVE_S = 4.0
MAX_CAME_BYTES = 64 * 1024

# Linux's and macOS's usual monotonic clocks stand still while the machine sleeps, and servers close connections
# meanwhile. These go on, as the only one of Windows does.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
idle_clock = time.monotonic if _CLOCK is None else partial(time.clock_gettime, _CLOCK)
"""Seconds that a step of the wall clock does not change, and that pass while the machine sleeps."""


class Attempt:
    """What is known of one request on its way.

    Attributes:
        sent: False only while it is proven that nothing left.
        came: the first bytes of the answer to a POST as they came, whatever became of them.
        transport: what it leaves by; None as long as there is no connection.
        left_at: since when it may leave, on the loop's clock.
        heard_at: when something came last, or when it began to leave, on the loop's clock.
        is_late: whether it was ended because nothing came for too long.
    """

    __slots__ = ("came", "heard_at", "is_late", "keeps", "left_at", "sent", "transport")

    def __init__(self) -> None:
        self.sent = False
        self.came = bytearray()
        self.transport: asyncio.Transport | None = None
        self.left_at = self.heard_at = math.inf
        self.is_late = False
        self.keeps = False

    def leave_by(self, transport: asyncio.Transport, now: float, *, keeps: bool) -> None:
        """It gets a connection."""
        self.sent = True
        self.transport = transport
        self.left_at = self.heard_at = now
        self.keeps = keeps


current_attempt: ContextVar[Attempt | None] = ContextVar("current_attempt", default=None)
"""The attempt that the connector is to prove."""


class Answers(ResponseHandler):
    """Notes when something came, and keeps it if it is paid for: of a malformed answer aiohttp drops all.

    Attributes:
        attempt: the one that uses the connection.
        heard_at: when something came last, on the idle clock; infinite before that.
    """

    attempt: Attempt | None = None
    heard_at: float = math.inf

    def data_received(self, data: bytes) -> None:
        """Some bytes came."""
        self.heard_at = idle_clock()
        attempt = self.attempt
        if attempt is not None:
            attempt.heard_at = self._loop.time()
            if attempt.keeps and len(attempt.came) < MAX_CAME_BYTES:
                attempt.came += data[:MAX_CAME_BYTES]
        super().data_received(data)


class ProofConnector(aiohttp.TCPConnector):
    """Proves what was not sent: a request is written only to a connection that this has handed out.

    The proof is positive. Were this ever bypassed, a failed create would count as uncertain, not as unsent. Give
    one to a session of your own before you lend it: `aiohttp.ClientSession(connector=ProofConnector())`. Whatever its
    `keepalive_timeout`, it hands out no connection that was idle for more than KEEPALIVE_S, asleep or awake.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Where aiohttp knows no such attribute any more, a malformed answer is uncertain, and that is all.
        self._factory = partial(Answers, loop=self._loop)  # type: ignore[assignment]  # partial is invariant

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        """Hand out a connection; while it is not handed out, nothing has left."""
        attempt = current_attempt.get()
        if attempt is not None:
            attempt.sent = False
        connection = await super().connect(req, traces, timeout)
        while _is_stale(connection):
            connection.close()
            connection = await super().connect(req, traces, timeout)
        if attempt is not None:
            assert connection.transport is not None  # noqa: S101 it was handed out just now
            attempt.leave_by(connection.transport, self._loop.time(), keeps=req.method == hdrs.METH_POST)
            if isinstance(connection.protocol, Answers):
                connection.protocol.attempt = attempt
        return connection


def _is_stale(connection: Connection) -> bool:
    """Whether nothing has come for long: as it was handed out just now, it was idle since then."""
    protocol = connection.protocol
    return isinstance(protocol, Answers) and idle_clock() - protocol.heard_at > KEEPALIVE_S
