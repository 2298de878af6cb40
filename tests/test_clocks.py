"""Clocks that step, machines that sleep, loops that stall: no wait changes, no limit trips, no create is in doubt."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from raw_server import RawServer, http, raw_server
from virtual_time import JumpingLoop, run_virtual

from sora_async import Client, Event, Fixed, Retry, State, SubmissionUncertainError, Submitted, Timeouts, VideoTask
from sora_async.connector import KEEPALIVE_S, idle_clock
from sora_async.querier import Querier
from sora_async.session import Reply
from sora_async.throttle import Throttle
from sora_async.waiter import Waiter

ACCEPTED = http(200, '{"id":"t-1","status":"pending"}')
DONE = '{"id":"t-1","status":"completed","video_url":"https://cdn.example/v.mp4"}'
HOUR = timedelta(hours=1)


class Script:
    """A session that answers from a list, and notes when it was asked."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asked_at: list[float] = []

    async def send(self, _: object) -> Reply:
        self.asked_at.append(asyncio.get_running_loop().time())
        return self.replies.pop(0)


def step_the_wall_clock(monkeypatch: pytest.MonkeyPatch, step: timedelta) -> None:
    """From now on all who ask for the wall clock see it this much off."""

    class Stepped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + step

    before = time.time
    monkeypatch.setattr("time.time", lambda: before() + step.total_seconds())
    monkeypatch.setattr("sora_async.querier.datetime", Stepped)
    monkeypatch.setattr("sora_async.submission.datetime", Stepped)


def ask_until_done(script: Script) -> list[float]:
    """The virtual seconds at which one wait polls."""

    async def main() -> list[float]:
        retry = Retry(first=1)
        querier = Querier(script, Throttle(pause_s=1.0))  # type: ignore[arg-type]
        waiter = Waiter(querier, pacing=Fixed(5), retry=retry, tell=None)
        await waiter.wait("t-1", 600.0)
        return script.asked_at

    return run_virtual(main())


@pytest.mark.parametrize("step", [-HOUR, timedelta(0), HOUR])
def test_step_of_the_wall_clock_changes_no_wait(step: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where the relay names a time of day: it counts from the relay's own clock."""
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    until = (now + timedelta(seconds=40)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    date = now.strftime("%a, %d %b %Y %H:%M:%S GMT")
    running = Reply(status=200, body=b'{"id":"t-1","status":"running"}')
    limited = Reply(status=429, body=b"", retry_after=until, date=date)
    script = Script(running, limited, running, Reply(status=200, body=DONE.encode()))
    step_the_wall_clock(monkeypatch, step)
    assert ask_until_done(script) == [0.0, 5.0, 45.0, 50.0]


def test_idle_clock_is_no_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of the wall clock makes no connection look old or young."""
    before = idle_clock()
    step_the_wall_clock(monkeypatch, HOUR)
    assert 0 <= idle_clock() - before < 600


@pytest.mark.parametrize("asleep_s", [KEEPALIVE_S + 1, 3600.0])
async def test_create_after_a_sleep_takes_a_new_connection(asleep_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server has closed the old one, and a create that met that would be in doubt."""
    async with raw_server(ACCEPTED) as server, Client("k", server.url) as client:
        await client.create("before")
        await client.create("at once")
        assert server.connections == 1
        monkeypatch.setattr("sora_async.connector.idle_clock", lambda: idle_clock() + asleep_s)
        await client.create("after")
        await client.create("at once again")
    assert server.connections == 2
    assert server.creates == 4


@contextmanager
def server_in_a_thread(*actions: Any) -> Iterator[tuple[RawServer, asyncio.AbstractEventLoop]]:
    """A server that goes on while the loop of the test is stalled; it holds each answer until told."""
    started, box = threading.Event(), list[Any]()

    async def main() -> None:
        async with raw_server(*actions) as server:
            server.hold, end = asyncio.Event(), asyncio.Event()
            box.extend((server, asyncio.get_running_loop(), end))
            started.set()
            await end.wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    started.wait()
    server, loop, end = box
    try:
        yield server, loop
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()


async def stall_until_answered(server: RawServer, other: asyncio.AbstractEventLoop, stall_s: float) -> None:
    """Let the answer come while this loop is stalled, and so late that all its timers are due."""
    asyncio.run_coroutine_threadsafe(server.arrived.wait(), other).result()
    assert server.hold is not None
    other.call_soon_threadsafe(server.hold.set)
    asyncio.run_coroutine_threadsafe(server.answered.wait(), other).result()
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    loop.stalled_s += stall_s


async def until_sent(client: Client) -> asyncio.Task[VideoTask]:
    """A create whose request has left."""
    creating = asyncio.create_task(client.create("a cat"))
    for _ in range(30):
        await asyncio.sleep(0.001)
    return creating


def run_jumping(main: Any) -> Any:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main)


def test_stalled_loop_takes_no_answered_create_for_lost() -> None:
    """The limit has passed by the clock, but the answer is there."""

    async def main() -> VideoTask:
        async with Client("k", server.url, timeouts=Timeouts(create=180)) as client:
            creating = await until_sent(client)
            await stall_until_answered(server, other, 3600)
            return await creating

    with server_in_a_thread(ACCEPTED) as (server, other):
        assert run_jumping(main()).id == "t-1"
        assert server.creates == 1


def test_loop_that_stalled_through_the_drain_still_reads_the_id() -> None:
    """Closing cuts off no create whose answer is there, also if it takes several reads."""
    events: list[Event] = []
    long = http(200, '{"id":"t-1","status":"pending"}' + " " * 2_000_000)

    async def main() -> None:
        client = Client("k", server.url, timeouts=Timeouts(drain=30), on_event=events.append)
        creating = await until_sent(client)
        creating.cancel()
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await stall_until_answered(server, other, 3600)
        await closing

    with server_in_a_thread(long) as (server, other):
        run_jumping(main())
    (event,) = events
    assert isinstance(event, Submitted)
    assert (event.task.id, event.abandoned) == ("t-1", True)


def test_loop_that_stalled_past_a_deadline_still_looks_once() -> None:
    """A task that ended meanwhile is found, not given up."""

    async def main() -> VideoTask:
        async with Client("k", server.url, pacing=Fixed(5)) as client:
            waiting = asyncio.create_task(client.wait("t-1", timeout=60))
            for _ in range(30):
                await asyncio.sleep(0.001)
            await stall_until_answered(server, other, 3600)
            return await waiting

    with server_in_a_thread(http(200, '{"id":"t-1","status":"running"}'), http(200, DONE)) as (server, other):
        assert run_jumping(main()).state is State.SUCCEEDED
        assert len(server.requests) == 2


def test_stalled_server_is_still_told_from_a_stalled_loop() -> None:
    """Without an answer the limit ends the create as before."""

    async def main() -> None:
        async with Client("k", server.url, timeouts=Timeouts(create=180, drain=0)) as client:
            creating = await until_sent(client)
            loop = asyncio.get_running_loop()
            assert isinstance(loop, JumpingLoop)
            loop.stalled_s += 3600
            with pytest.raises(SubmissionUncertainError, match="took too long"):
                await creating

    with server_in_a_thread(ACCEPTED) as (server, _):
        run_jumping(main())
