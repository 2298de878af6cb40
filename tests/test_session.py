"""The session layer against a server below HTTP: what left, what came, and what is told of it."""

from __future__ import annotations

import asyncio
import gc
import inspect

import aiohttp
import pytest
from aiohttp import client_exceptions
from raw_server import CLOSE, RESET, STALL, closed_port, http, raw_server

from sora_async import Timeouts, TransportError
from sora_async.apikey import ApiKey
from sora_async.connector import Attempt
from sora_async.session import Session, explain
from sora_async.wire.reading import MAX_BODY_BYTES
from sora_async.wire.request import Call, build_query

KEY = "sk-canary"
CREATE = Call(operation="create", method="POST", path="/v1/video/create", body=b'{"prompt":"a cat"}')
QUERY = build_query("sora-2:task_1")
BRIEF = Timeouts(create=0.03, query=0.03)


def session_to(url: str, **options: object) -> Session:
    return Session(url, ApiKey(KEY), **{"timeouts": Timeouts(), **options})  # type: ignore[arg-type]


async def test_send_brings_the_answer_as_bytes() -> None:
    """Status, body and Retry-After are all that a caller needs."""
    async with raw_server(http(418, b"\xff{", headers=["Retry-After: 7"])) as server:
        session = session_to(server.url)
        reply = await session.send(CREATE)
        await session.close()
    assert (reply.status, reply.body, reply.cut, reply.retry_after) == (418, b"\xff{", None, "7")


async def test_send_writes_what_the_format_asks_for() -> None:
    """Path, key and JSON are as published."""
    async with raw_server(http(200)) as server:
        session = session_to(f"{server.url}/relay")
        await session.send(CREATE)
        await session.close()
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /relay/v1/video/create HTTP/1.1\r\n")
    assert b"Authorization: Bearer sk-canary\r\n" in head
    assert b"Content-Type: application/json\r\n" in head
    assert body == b'{"prompt":"a cat"}'


async def test_send_writes_big_bodies_without_a_warning() -> None:
    """Requests hold whole pictures; with warnings as errors, as here, one from aiohttp would end a create."""
    body = b'{"images":["' + b"a" * (2 << 20) + b'"]}'
    async with raw_server(http(200)) as server:
        session = session_to(server.url)
        await session.send(Call(operation="create", method="POST", path="/v1/video/create", body=body))
        await session.close()
    assert server.requests[0].partition(b"\r\n\r\n")[2] == body
    assert b"Content-Type: application/json\r\n" in server.requests[0]


async def test_send_encodes_the_id() -> None:
    """Ids hold colons and could hold anything."""
    async with raw_server(http(200)) as server:
        session = session_to(server.url)
        await session.send(build_query("a/b?c=d&e#f%2f ü:.."))
        await session.close()
    assert server.requests[0].startswith(b"GET /v1/video/query?id=a/b?c%3Dd%26e%23f%252f+%C3%BC:.. HTTP/1.1\r\n")


async def test_send_follows_no_redirect() -> None:
    """A 307 would repeat the POST."""
    async with raw_server(http(307, headers=["Location: /elsewhere"])) as server:
        session = session_to(server.url)
        assert (await session.send(CREATE)).status == 307
        await session.close()
    assert len(server.requests) == 1


async def test_send_keeps_no_cookies() -> None:
    """Nothing a relay sets comes back to it."""
    async with raw_server(http(200, headers=["Set-Cookie: sid=1"])) as server:
        session = session_to(server.url.replace("127.0.0.1", "localhost"))
        await session.send(QUERY)
        await session.send(QUERY)
        await session.close()
    assert all(b"cookie" not in request.lower() for request in server.requests)


@pytest.mark.parametrize("end", [CLOSE, RESET])
async def test_broken_connection_after_the_request_counts_as_sent(end: str) -> None:
    """Whoever read it may have taken it."""
    async with raw_server(end) as server:
        session = session_to(server.url)
        attempt = Attempt()
        with pytest.raises(TransportError) as caught:
            await session.send(CREATE, attempt)
        await session.close()
    assert caught.value.sent
    assert attempt.sent
    assert server.creates == 1


async def test_refused_connection_is_proof_that_nothing_left() -> None:
    """No connection, no request."""
    session = session_to(f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(TransportError, match="refused or the host is unreachable") as caught:
        await session.send(CREATE)
    await session.close()
    assert not caught.value.sent
    assert caught.value.retryable


@pytest.mark.parametrize("end", [CLOSE, RESET, STALL])
async def test_cut_body_is_kept_as_far_as_it_came(end: str) -> None:
    """A paid id may already be in it."""
    async with raw_server((http(200, '{"id":"t-1","sta', length=500), end)) as server:
        session = session_to(server.url, timeouts=Timeouts(create=0.03))
        reply = await session.send(CREATE)
        await session.close()
    assert reply.body == b'{"id":"t-1","sta'
    assert reply.cut is not None


async def test_oversize_body_is_read_up_to_the_cap() -> None:
    """An endless answer costs bounded memory."""
    async with raw_server((http(200, b" " * (MAX_BODY_BYTES + 70_000), length=10**12), STALL)) as server:
        session = session_to(server.url)
        reply = await session.send(QUERY)
        await session.close()
    assert len(reply.body) == MAX_BODY_BYTES
    assert str(reply.cut) == "the answer is over 4 MiB"


@pytest.mark.parametrize(
    "garbage",
    [b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b"\0" * 64],
)
async def test_answer_that_is_not_http_counts_as_sent(garbage: bytes) -> None:
    """aiohttp calls some of these a status 400, which they are not."""
    async with raw_server((garbage, CLOSE)) as server:
        session = session_to(server.url)
        with pytest.raises(TransportError) as caught:
            await session.send(CREATE)
        await session.close()
    assert caught.value.sent
    assert server.creates == 1


async def test_big_headers_do_not_cost_the_answer() -> None:
    """A proxy's header of 20 KB and 300 others still let the id through."""
    headers = ["X-Big: " + "a" * 20_000, *(f"X-{number}: 1" for number in range(300))]
    async with raw_server(http(200, "{}", headers=headers)) as server:
        session = session_to(server.url)
        assert (await session.send(CREATE)).body == b"{}"
        await session.close()


async def test_creates_and_queries_use_connections_of_their_own() -> None:
    """A slow create never holds up a poll."""
    async with raw_server(http(200, "{}")) as server:
        session = session_to(server.url)
        for call in (CREATE, QUERY, CREATE, QUERY):
            await session.send(call)
        await session.close()
    assert server.connections == 2


async def test_borrowed_session_is_used_and_left_open() -> None:
    """Its owner closes it."""
    async with raw_server(http(200, "{}")) as server, aiohttp.ClientSession(headers={"X-Own": "1"}) as own:
        session = session_to(server.url, borrowed=own)
        await session.send(CREATE)
        await session.close()
        assert not own.closed
    assert b"X-Own: 1" in server.requests[0]
    assert b"Bearer sk-canary" in server.requests[0]


async def test_borrowed_session_that_is_closed_is_misuse() -> None:
    """It says whose session it is."""
    own = aiohttp.ClientSession()
    await own.close()
    with pytest.raises(RuntimeError, match=r"^the aiohttp session lent to this client is closed"):
        await session_to("http://127.0.0.1:9", borrowed=own).send(CREATE)


def foreign_errors() -> list[type[BaseException]]:
    """Every exception class that aiohttp exports."""
    names = [name for name in client_exceptions.__all__ if not name.startswith("WS")]  # no web sockets here
    kinds = [getattr(aiohttp, name) for name in names]
    return [kind for kind in kinds if inspect.isclass(kind) and issubclass(kind, Exception)]


@pytest.mark.parametrize("kind", foreign_errors(), ids=lambda kind: kind.__name__)
def test_every_exception_of_aiohttp_is_translated(kind: type[BaseException]) -> None:
    """None is left to the catch-all, so each says something of use."""
    error = kind.__new__(kind)
    assert not str(explain(error, sent=True)).startswith("the call failed")


@pytest.mark.parametrize("kind", [TimeoutError, OSError, ConnectionResetError, ValueError])
@pytest.mark.parametrize("sent", [True, False])
def test_other_exceptions_are_translated_too(kind: type[Exception], sent: bool) -> None:
    """Whatever comes, it becomes one of ours and keeps the proof."""
    ours = explain(kind("secret"), sent=sent)
    assert ours.sent is sent
    assert "secret" not in str(ours)
    assert isinstance(ours, TimeoutError) == (kind is TimeoutError)


async def test_cancelled_send_tells_whether_it_left() -> None:
    """The attempt is readable although the call brought nothing."""
    async with raw_server(STALL) as server:
        session = session_to(server.url)
        attempt = Attempt()
        sending = asyncio.create_task(session.send(CREATE, attempt))
        await server.arrived.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await session.close()
    assert attempt.sent


async def test_query_carries_no_body() -> None:
    """Some gateways refuse a GET with one, be it empty."""
    async with raw_server(http(200)) as server:
        session = session_to(server.url)
        await session.send(QUERY)
        await session.close()
    assert b"Accept: application/json\r\n" in server.requests[0]
    head = server.requests[0].lower()
    assert b"content-length" not in head
    assert b"transfer-encoding" not in head


async def test_send_brings_the_times_that_the_relay_tells() -> None:
    """A Retry-After that is a date counts from the relay's own clock."""
    times = ["Retry-After: Thu, 09 Oct 2025 08:53:50 GMT", "Date: Thu, 09 Oct 2025 08:53:20 GMT"]
    async with raw_server(http(429, headers=times)) as server:
        session = session_to(server.url)
        reply = await session.send(QUERY)
        await session.close()
    assert (reply.retry_after, reply.date) == ("Thu, 09 Oct 2025 08:53:50 GMT", "Thu, 09 Oct 2025 08:53:20 GMT")


@pytest.mark.parametrize(("excess", "cut"), [(0, None), (1, "the answer is over 4 MiB")])
async def test_body_at_the_cap(excess: int, cut: str | None) -> None:
    """Exactly 4 MiB are whole, and of what is larger the first 4 MiB are kept as they came."""
    body = (b"0123456789abcde" * (MAX_BODY_BYTES // 15 + 1))[: MAX_BODY_BYTES + excess]
    async with raw_server(http(200, body)) as server:
        session = session_to(server.url)
        reply = await session.send(QUERY)
        await session.close()
    assert reply.body == body[:MAX_BODY_BYTES]
    assert str(reply.cut) == str(cut)


async def test_cut_body_of_many_parts_is_kept_as_it_came() -> None:
    """The id may stand across the border of two of them."""
    body = b"0123456789abcde" * 70_000
    async with raw_server((http(200, body, length=1 << 21), CLOSE)) as server:
        session = session_to(server.url)
        reply = await session.send(QUERY)
        await session.close()
    assert reply.body == body
    assert str(reply.cut) == "the answer was cut off"
    assert reply.cut is not None
    assert reply.cut.sent is True


async def test_long_status_line_does_not_cost_the_answer() -> None:
    """A gateway may put the upstream's whole complaint there."""
    async with raw_server(http(200, "{}").replace(b" X\r\n", b" " + b"a" * 20_000 + b"\r\n")) as server:
        session = session_to(server.url)
        assert (await session.send(CREATE)).body == b"{}"
        await session.close()


async def test_closed_session_sends_nothing() -> None:
    """A session made after the close would never be closed."""
    async with raw_server(http(200)) as server:
        session = session_to(server.url)
        await session.close()
        with pytest.raises(RuntimeError, match=r"^the client was closed"):
            await session.send(CREATE)
    assert server.connections == 0


def responses() -> int:
    """How many answers of aiohttp are alive."""
    gc.collect()
    return sum(isinstance(thing, aiohttp.ClientResponse) for thing in gc.get_objects())


async def test_answers_that_were_read_are_not_kept() -> None:
    """Memory does not grow with the calls."""
    before = responses()
    async with raw_server(http(200, "{}")) as server:
        session = session_to(server.url)
        await session.send(QUERY)
        assert responses() == before
        await session.close()


def test_unknown_exception_is_named() -> None:
    """Of what nobody foresaw at least the class can be reported."""
    assert str(explain(ZeroDivisionError("secret"), sent=True)) == "the call failed (ZeroDivisionError)"


async def test_close_ends_the_reading_of_an_answer() -> None:
    """What came of it is kept, and nobody waits for ever."""
    begun = asyncio.Event()

    async def note(*_: object) -> None:
        begun.set()

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(note)
    half = (http(200, '{"id":"t-1","sta', length=500), STALL)
    async with raw_server(half) as server, aiohttp.ClientSession(trace_configs=[trace]) as own:
        session = session_to(server.url, borrowed=own)
        sending = asyncio.create_task(session.send(CREATE))
        await begun.wait()
        await session.close()
        reply = await sending
    assert (reply.status, reply.body) == (200, b'{"id":"t-1","sta')
    assert reply.cut is not None


async def test_queries_never_wait_for_a_connection() -> None:
    """The throttle alone bounds what is under way; aiohttp's own bound would be 100."""
    async with raw_server(http(200)) as server, asyncio.timeout(20):
        server.hold = asyncio.Barrier(101)
        session = session_to(server.url)
        replies = await asyncio.gather(*(session.send(QUERY) for _ in range(101)))
        await session.close()
    assert [reply.status for reply in replies] == [200] * 101
