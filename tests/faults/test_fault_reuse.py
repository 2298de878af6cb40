"""Connections between two calls: what the server does meanwhile never makes a create doubtful that need not be."""

from __future__ import annotations

import pytest
from fault_certificates import trusted
from fault_rows import TRANSPORTS, Row
from fault_run import IDLE_S, Resolver, call, clients
from fault_table import ACCEPTED, HEALTHY, TASK, TASK_ID, Fault
from raw_server import CLOSE, RESET, Action, http, raw_server

from sora_async import VideoTask
from sora_async.connector import idle_clock

WELL = Fault("answer", "none", HEALTHY, ACCEPTED, TASK)
OTHER = http(200, '{"id":"another","status":"pending"}')


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("idle_s", [0.0, IDLE_S])
async def test_idle_connection_carries_no_create(
    transport: str, idle_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge resets what comes on the old connection; after six seconds nothing does."""
    row = Row(WELL, "create", "idle", transport)
    tls = None if transport == "http" else trusted()
    async with raw_server(HEALTHY, tls=tls, is_proxy=transport == "proxy") as judge:
        async with clients(row, judge, Resolver(judge.port), []) as (client, _):
            await call(client, row, "first")
            monkeypatch.setattr("sora_async.connector.idle_clock", lambda: idle_clock() + idle_s)
            task = await call(client, row, "second")
        await judge.settle()
    assert isinstance(task, VideoTask)
    assert [exchange.connection for exchange in judge.exchanges] == [1, 2 if idle_s else 1]
    assert judge.creates == 2


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("end", [CLOSE, RESET])
async def test_connection_that_the_server_ended_is_not_used(transport: str, end: str) -> None:
    """Its end had arrived before the next create, which goes on a new one."""
    row = Row(WELL, "create", "fresh", transport)
    tls = None if transport == "http" else trusted()
    async with raw_server((HEALTHY, end), HEALTHY, tls=tls, is_proxy=transport == "proxy") as judge:
        async with clients(row, judge, Resolver(judge.port), []) as (client, _):
            await call(client, row, "first")
            await judge.settle()
            task = await call(client, row, "second")
        await judge.settle()
    assert isinstance(task, VideoTask)
    assert [exchange.connection for exchange in judge.exchanges] == [1, 2]


LEFT_OVER: dict[str, Action] = {
    "another answer": HEALTHY + OTHER,
    "another answer, cut": HEALTHY + OTHER[:30],
}


@pytest.mark.parametrize("left", LEFT_OVER.values(), ids=LEFT_OVER)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_what_follows_an_answer_is_not_the_next_one(transport: str, left: Action) -> None:
    """A create never ends with the id of another."""
    row = Row(WELL, "create", "fresh", transport)
    tls = None if transport == "http" else trusted()
    async with raw_server(left, HEALTHY, tls=tls, is_proxy=transport == "proxy") as judge:
        async with clients(row, judge, Resolver(judge.port), []) as (client, _):
            ends = [await call(client, row, marker) for marker in ("first", "second")]
        await judge.settle()
    assert [end.id for end in ends if isinstance(end, VideoTask)] == [TASK_ID, TASK_ID]
    assert judge.creates == 2
