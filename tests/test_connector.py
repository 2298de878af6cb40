"""The connector: what it proves, keeps and throws away."""

from __future__ import annotations

import asyncio
from functools import partial

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from raw_server import CLOSE, closed_port, http, raw_server
from test_session import CREATE, QUERY, session_to

from sora_async import TransportError
from sora_async.connector import MAX_CAME_BYTES, Answers, Attempt, ProofConnector
from sora_async.wire.request import Call


async def test_borrowed_session_without_proof_proves_only_a_refusal() -> None:
    """Any other failure may have happened after the request left."""
    async with aiohttp.ClientSession() as own, raw_server(CLOSE) as server:
        with pytest.raises(TransportError) as refused:
            await session_to(f"http://127.0.0.1:{closed_port()}", borrowed=own).send(CREATE)
        with pytest.raises(TransportError) as dropped:
            await session_to(server.url, borrowed=own).send(CREATE)
        with pytest.raises(TransportError) as unresolved:
            await session_to("http://sora-async.invalid", borrowed=own).send(CREATE)
    assert (refused.value.sent, dropped.value.sent, unresolved.value.sent) == (False, True, True)


async def test_borrowed_session_with_proof_proves_as_an_own_one() -> None:
    """With our connector, a name that does not resolve is known to have sent nothing."""
    async with aiohttp.ClientSession(connector=ProofConnector()) as own:
        with pytest.raises(TransportError, match="cannot be resolved") as caught:
            await session_to("http://sora-async.invalid", borrowed=own).send(CREATE)
        async with raw_server(http(200)) as server, own.get(server.url) as response:
            assert response.status == 200  # its owner's requests carry no attempt
    assert not caught.value.sent


def test_attempt_that_was_not_begun_left_nothing() -> None:
    """The proof holds from the first moment."""
    assert Attempt().sent is False


async def test_connection_of_the_pool_is_used_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """After exactly 4 idle seconds it is used, after more a new one is made; its owner's traces see both."""
    clock = [0.0]
    monkeypatch.setattr("sora_async.connector.idle_clock", lambda: clock[0])
    connected: list[float] = []

    async def note(*_: object) -> None:
        connected.append(clock[0])

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(note)
    async with (
        raw_server(http(200)) as server,
        aiohttp.ClientSession(connector=ProofConnector(), trace_configs=[trace]) as own,
    ):
        session = session_to(server.url, borrowed=own)
        for clock[0] in (0.0, 4.0, 8.5):
            await session.send(CREATE)
    assert connected == [0.0, 8.5]
    assert server.connections == 2


@pytest.mark.parametrize(("call", "came"), [(CREATE, b"HTTP/1.1 418 X\r\n"), (QUERY, b"")], ids=["create", "query"])
async def test_what_came_is_kept_of_a_create_only(call: Call, came: bytes) -> None:
    """A query can be sent again."""
    attempt = Attempt()
    async with raw_server(http(418)) as server:
        session = session_to(server.url)
        await session.send(call, attempt)
        await session.close()
    assert bytes(attempt.came[:16]) == came


async def test_what_came_in_parts_is_kept_up_to_the_cap() -> None:
    """From the first byte on, and in bounded memory."""
    protocol = Answers(loop=asyncio.get_running_loop())
    protocol.attempt = attempt = Attempt()
    attempt.keeps = True
    protocol.data_received(b"HTTP/")
    protocol.data_received(b"1.1 ")
    assert attempt.came == b"HTTP/1.1 "
    protocol.data_received(b"x" * (MAX_CAME_BYTES - len(attempt.came)))
    protocol.data_received(b"x")
    assert len(attempt.came) == MAX_CAME_BYTES


async def test_connection_that_keeps_nothing_of_what_came_sends_all_the_same() -> None:
    """Another aiohttp may make its protocols otherwise; then a malformed answer is uncertain, and that is all."""
    connector, attempt = ProofConnector(), Attempt()
    connector._factory = partial(ResponseHandler, loop=asyncio.get_running_loop())
    async with raw_server(http(200, "{}")) as server, aiohttp.ClientSession(connector=connector) as own:
        reply = await session_to(server.url, borrowed=own).send(CREATE, attempt)
    assert reply.body == b"{}"
    assert attempt.sent is True
    assert not attempt.came


async def test_connector_whose_connections_keep_nothing_still_proves() -> None:
    """A version of aiohttp that makes them another way costs no more than the rest of a malformed answer."""
    connector = ProofConnector()
    connector._factory = partial(ResponseHandler, loop=asyncio.get_running_loop())
    async with aiohttp.ClientSession(connector=connector) as own, raw_server(http(200, "{}"), CLOSE) as server:
        session = session_to(server.url, borrowed=own)
        assert (await session.send(CREATE)).body == b"{}"
        attempt = Attempt()
        with pytest.raises(TransportError):
            await session.send(CREATE, attempt)
    assert attempt.sent
