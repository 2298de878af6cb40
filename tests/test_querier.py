"""One query: what comes of each answer, against a server below HTTP."""

from __future__ import annotations

import asyncio

import pytest
from raw_server import CLOSE, STALL, Action, RawServer, http, raw_server

from sora_async import (
    APIError,
    AuthenticationError,
    DecodeError,
    RateLimitError,
    SoraError,
    State,
    Timeouts,
    TransportError,
    VideoTask,
)
from sora_async.apikey import ApiKey
from sora_async.querier import Querier
from sora_async.session import Session
from sora_async.throttle import Throttle

RUNNING = http(200, '{"id":"another","status":"processing","progress":42}')


async def query(*actions: Action) -> tuple[VideoTask | SoraError, RawServer]:
    """One query of the task `t-1`, and its end."""
    async with raw_server(*actions) as server:
        session = Session(server.url, ApiKey("sk-canary"), timeouts=Timeouts())
        try:
            return await Querier(session, Throttle(pause_s=0.0)).query("t-1"), server
        except SoraError as error:
            return error, server
        finally:
            await session.close()


async def test_query_answers_the_task_by_the_id_from_create() -> None:
    """Relays show other ids in their answers."""
    end, server = await query(RUNNING)
    assert isinstance(end, VideoTask)
    assert (end.id, end.state, end.progress) == ("t-1", State.RUNNING, 0.42)
    assert server.requests[0].startswith(b"GET /v1/video/query?id=t-1 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        (http(401), AuthenticationError),
        (http(429, headers=["Retry-After: 3"]), RateLimitError),
        (http(307), APIError),
        (http(200, "{}"), DecodeError),
        (http(200), DecodeError),
        (CLOSE, TransportError),
        ((http(200, '{"id":"t-1","status":"processing"', length=99), CLOSE), TransportError),
    ],
)
async def test_query_that_fails_names_the_task(action: Action, kind: type[SoraError]) -> None:
    """The error says which paid task it is about."""
    end, _ = await query(action)
    assert isinstance(end, kind)
    assert end.task_id == "t-1"


async def test_query_keeps_what_the_relay_asks_to_wait() -> None:
    """Retry-After reaches the error, from where the repetitions take it."""
    end, _ = await query(http(429, headers=["Retry-After: 3"]))
    assert isinstance(end, RateLimitError)
    assert end.retry_after == 3.0


async def test_query_answered_with_too_much_holds_the_next() -> None:
    """The pause is the throttle's, so it holds for all."""
    async with raw_server(http(429, headers=["Retry-After: 100"])) as server:
        session = Session(server.url, ApiKey("sk-canary"), timeouts=Timeouts())
        querier = Querier(session, Throttle(pause_s=0.0))
        with pytest.raises(RateLimitError):
            await querier.query("t-1")
        held = asyncio.create_task(querier.query("t-2"))
        await asyncio.sleep(0.01)
        held.cancel()
        await asyncio.wait([held])
        await session.close()
    assert len(server.requests) == 1


async def test_cancelled_query_gives_its_turn_back() -> None:
    """Else cancelled waits would use the budget up."""
    async with raw_server(STALL) as server:
        session = Session(server.url, ApiKey("sk-canary"), timeouts=Timeouts())
        throttle = Throttle(pause_s=0.0)
        asking = asyncio.create_task(Querier(session, throttle).query("t-1"))
        await server.arrived.wait()
        assert throttle._under_way["query"] == 1
        asking.cancel()
        await asyncio.wait([asking])
        await session.close()
    assert throttle._under_way["query"] == 0


async def test_query_of_no_id_is_misuse() -> None:
    """Nothing is sent."""
    async with raw_server(RUNNING) as server:
        session = Session(server.url, ApiKey("sk-canary"), timeouts=Timeouts())
        with pytest.raises(ValueError, match="is not a task id"):
            await Querier(session, Throttle(pause_s=0.0)).query("")
        await session.close()
    assert server.requests == []
