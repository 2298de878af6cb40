"""The limits of the phases of a call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from raw_server import STALL, full_port, raw_server
from test_session import BRIEF, CREATE, QUERY, session_to
from virtual_time import run_virtual

from sora_async import RequestTimeoutError, Timeouts
from sora_async.connector import Attempt
from sora_async.timeouts import Watchdog
from sora_async.wire.request import Call


async def test_silent_server_is_a_timeout_that_may_have_taken_it() -> None:
    """The read limit is per phase, and the error is a builtin TimeoutError too."""
    async with raw_server(STALL) as server:
        session = session_to(server.url, timeouts=BRIEF)
        with pytest.raises(RequestTimeoutError, match="the answer took too long") as caught:
            await session.send(CREATE)
        await session.close()
    assert caught.value.sent
    assert isinstance(caught.value, TimeoutError)


@pytest.mark.parametrize("make", [lambda: Timeouts(connect=0), lambda: Timeouts(create=-1), lambda: Timeouts(drain=-1)])
def test_impossible_timeout_is_refused(make: Callable[[], Timeouts]) -> None:
    """Zero and negative limits would end every call."""
    with pytest.raises(ValueError, match="must be"):
        make()


@pytest.mark.parametrize(
    ("call", "limits"), [(CREATE, Timeouts(create=0.03)), (QUERY, Timeouts(query=0.03))], ids=["create", "query"]
)
async def test_each_operation_has_its_own_limit_for_silence(call: Call, limits: Timeouts) -> None:
    """A query may be given up much sooner than a create."""
    async with raw_server(STALL) as server:
        session = session_to(server.url, timeouts=limits)
        with pytest.raises(RequestTimeoutError, match=r"^the answer took too long"):
            await session.send(call)
        await session.close()


@pytest.mark.parametrize("call", [CREATE, QUERY], ids=["create", "query"])
async def test_connecting_has_a_limit_and_sends_nothing(call: Call) -> None:
    """A host that drops all packets would hold a call for minutes."""
    with full_port() as port:
        session = session_to(f"http://127.0.0.1:{port}", timeouts=Timeouts(connect=0.03))
        with pytest.raises(RequestTimeoutError, match=r"^connecting took too long") as caught:
            await session.send(call)
        await session.close()
    assert caught.value.sent is False


class Line:
    """A transport that sends as fast as a test says."""

    def __init__(self) -> None:
        self.unsent = 0
        self.aborted_at: float | None = None

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.aborted_at = self.aborted_at or asyncio.get_running_loop().time()


def begin(watchdog: Watchdog, line: Line) -> Attempt:
    """A call that has its connection."""
    attempt = Attempt()
    watchdog.begin(attempt)
    attempt.leave_by(line, asyncio.get_running_loop().time(), keeps=True)  # type: ignore[arg-type]
    return attempt


def aborted_at(drive: Callable[[Line, Attempt], Awaitable[None]], limit_s: float | None = 80.0) -> float | None:
    """When a call is ended while a test drives it, with a limit of 80 seconds."""
    line = Line()

    async def main() -> None:
        watchdog = Watchdog(limit_s)
        attempt = begin(watchdog, line)
        await drive(line, attempt)
        watchdog.end(attempt)

    run_virtual(main())
    return line.aborted_at


async def stay_silent(_: Line, __: Attempt) -> None:
    await asyncio.sleep(300)


async def drip(_: Line, attempt: Attempt) -> None:
    for _ in range(15):
        await asyncio.sleep(20)
        attempt.heard_at = asyncio.get_running_loop().time()


async def upload(line: Line, _: Attempt) -> None:
    line.unsent = 1
    await asyncio.sleep(78)
    line.unsent = 0
    await asyncio.sleep(70)


def test_silence_ends_a_call_at_the_limit() -> None:
    """The limit is a multiple of the time between two looks, so it is met exactly here."""
    assert aborted_at(stay_silent) == 80.0


def test_anything_that_comes_begins_the_limit_anew() -> None:
    """What never ends and never pauses is ended after twice the limit."""
    assert aborted_at(drip) == 160.0


def test_upload_does_not_count_as_silence() -> None:
    """A picture over a slow line takes its time; the limit begins with its last byte."""
    assert aborted_at(upload) is None


def test_no_limit_ends_nothing() -> None:
    """None means what it says."""
    assert aborted_at(stay_silent, limit_s=None) is None


def test_connecting_is_not_silence() -> None:
    """It has a limit of its own, or none."""

    async def main() -> bool:
        watchdog, attempt = Watchdog(80.0), Attempt()
        watchdog.begin(attempt)
        await asyncio.sleep(1000)
        watchdog.close()
        return attempt.is_late

    assert run_virtual(main()) is False


def test_watchdog_sleeps_while_nothing_is_under_way() -> None:
    """An idle client wakes nobody, and a closed one leaves no timer behind."""

    async def main() -> tuple[object, object, object]:
        watchdog, line = Watchdog(80.0), Line()
        watchdog.end(begin(watchdog, line))
        await asyncio.sleep(20)
        idle = watchdog._timer
        begin(watchdog, line)
        busy = watchdog._timer
        watchdog.close()
        watchdog.close()
        return idle, busy, watchdog._timer

    idle, busy, closed = run_virtual(main())
    assert (idle, closed) == (None, None)
    assert busy is not None


async def test_body_of_no_told_length_is_cut_by_silence() -> None:
    """Where the end of the connection is the end of the body, our breaking it must not make it look whole."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    async with raw_server((head + b'{"id":"t-1"', STALL)) as server:
        session = session_to(server.url, timeouts=BRIEF)
        reply = await session.send(CREATE)
        await session.close()
    assert reply.body == b'{"id":"t-1"'
    assert str(reply.cut) == "the answer took too long"


@pytest.mark.parametrize(
    ("connect", "read", "total"), [(10.0, 180.0, 370.0), (None, 180.0, None), (10.0, None, None), (None, None, None)]
)
async def test_borrowed_session_gets_the_limits_of_aiohttp(
    connect: float | None, read: float | None, total: float | None
) -> None:
    """Whether its connections tell when something comes is not known; there is no total where a phase has no limit."""
    async with aiohttp.ClientSession() as own:
        session = session_to("http://127.0.0.1", timeouts=Timeouts(connect=connect, create=read), borrowed=own)
        limits = session._limits["POST"]
    assert (limits.connect, limits.sock_read, limits.total) == (connect, read, total)


async def test_borrowed_session_is_held_to_the_limit_for_silence() -> None:
    """By aiohttp's own timers."""
    async with raw_server(STALL) as server, aiohttp.ClientSession() as own:
        session = session_to(server.url, timeouts=BRIEF, borrowed=own)
        with pytest.raises(RequestTimeoutError, match=r"^the answer took too long"):
            await session.send(CREATE)
