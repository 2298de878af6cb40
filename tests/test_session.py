"""The session layer against a server below HTTP: what left, what came, and what is told of it."""

from __future__ import annotations

import asyncio
import gc
import inspect
import pickle
from collections.abc import Callable
from functools import partial

import aiohttp
import pytest
from aiohttp import client_exceptions
from aiohttp.client_proto import ResponseHandler
from raw_server import CLOSE, RESET, STALL, closed_port, full_port, http, raw_server

from sora_async import RequestTimeoutError, Timeouts, TransportError
from sora_async.session import MAX_CAME_BYTES, ApiKey, Attempt, ProofConnector, Session, _Answers, _to_limits, explain
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


async def test_silent_server_is_a_timeout_that_may_have_taken_it() -> None:
    """The read limit is per phase, and the error is a builtin TimeoutError too."""
    async with raw_server(STALL) as server:
        session = session_to(server.url, timeouts=BRIEF)
        with pytest.raises(RequestTimeoutError, match="the answer took too long") as caught:
            await session.send(CREATE)
        await session.close()
    assert caught.value.sent
    assert isinstance(caught.value, TimeoutError)


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


@pytest.mark.parametrize("key", ["", "  ", "two words", "tab\tinside", "schlüssel", "line\nbreak", "\0"])
def test_unusable_key_is_refused_without_showing_it(key: str) -> None:
    """It would break the header; the message tells where to get it."""
    with pytest.raises(ValueError, match=r"^the API key must be printable ASCII") as caught:
        ApiKey(key)
    assert not key.strip() or key not in str(caught.value)


@pytest.mark.parametrize("pasted", [KEY, f"  {KEY}\n", f"Bearer {KEY}"])
def test_key_is_cleaned_of_what_pasting_adds(pasted: str) -> None:
    """Files end in newlines, and consoles show whole headers."""
    assert ApiKey(pasted).header == {"Authorization": f"Bearer {KEY}"}


def test_key_shows_itself_to_nobody() -> None:
    """Not in text, not in pickle."""
    assert KEY not in repr(ApiKey(KEY))
    assert KEY not in str(ApiKey(KEY))
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(ApiKey(KEY))


@pytest.mark.parametrize("make", [lambda: Timeouts(connect=0), lambda: Timeouts(create=-1), lambda: Timeouts(drain=-1)])
def test_impossible_timeout_is_refused(make: Callable[[], Timeouts]) -> None:
    """Zero and negative limits would end every call."""
    with pytest.raises(ValueError, match="must be"):
        make()


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


def test_attempt_that_was_not_begun_left_nothing() -> None:
    """The proof holds from the first moment."""
    assert Attempt().sent is False


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


async def test_connection_of_the_pool_is_used_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """After exactly 4 idle seconds it is used, after more a new one is made; its owner's traces see both."""
    clock = [0.0]
    monkeypatch.setattr("sora_async.session.idle_clock", lambda: clock[0])
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


def test_unknown_exception_is_named() -> None:
    """Of what nobody foresaw at least the class can be reported."""
    assert str(explain(ZeroDivisionError("secret"), sent=True)) == "the call failed (ZeroDivisionError)"


def test_key_says_that_it_is_one() -> None:
    """Where it is printed, and where it is pickled."""
    assert repr(ApiKey(KEY)) == "ApiKey('***')"
    with pytest.raises(TypeError, match=r"^an API key cannot be pickled"):
        pickle.dumps(ApiKey(KEY))


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


def test_fingerprint_tells_keys_apart() -> None:
    """Eight hex digits, the same for the same key however it was pasted."""
    assert ApiKey(KEY).fingerprint == ApiKey(f" {KEY}\n").fingerprint
    assert ApiKey(KEY).fingerprint != ApiKey("sk-other").fingerprint
    assert len(bytes.fromhex(ApiKey(KEY).fingerprint)) == 4


@pytest.mark.parametrize(("key", "shown"), [("sk-12345", "wrong key ***!"), ("sk-1234", "wrong key sk-1234!")])
def test_key_is_hidden_in_what_a_relay_repeats(key: str, shown: str) -> None:
    """Unless it is too short to be one: then it may be a part of any word."""
    assert ApiKey(key).hide(f"wrong key {key}!".encode()) == shown.encode()


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
    protocol = _Answers(loop=asyncio.get_running_loop())
    protocol.attempt = attempt = Attempt()
    protocol.data_received(b"HTTP/")
    protocol.data_received(b"1.1 ")
    assert attempt.came == b"HTTP/1.1 "
    protocol.data_received(b"x" * (MAX_CAME_BYTES - len(attempt.came)))
    protocol.data_received(b"x")
    assert len(attempt.came) == MAX_CAME_BYTES


@pytest.mark.parametrize(
    ("connect", "read", "total"), [(10.0, 180.0, 370.0), (None, 180.0, None), (10.0, None, None), (None, None, None)]
)
def test_total_limit_leaves_room_for_both_phases(
    connect: float | None, read: float | None, total: float | None
) -> None:
    """It is for what the limit of a read misses, and there is none where a phase has none."""
    limits = _to_limits(connect, read)
    assert (limits.connect, limits.sock_read, limits.total) == (connect, read, total)


async def test_queries_never_wait_for_a_connection() -> None:
    """The throttle alone bounds what is under way; aiohttp's own bound would be 100."""
    async with raw_server(http(200)) as server, asyncio.timeout(20):
        server.hold = asyncio.Barrier(101)
        session = session_to(server.url)
        replies = await asyncio.gather(*(session.send(QUERY) for _ in range(101)))
        await session.close()
    assert [reply.status for reply in replies] == [200] * 101


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
