"""Paid creates against faults: the class of each end, and how many creates the server saw."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from raw_server import CLOSE, RESET, STALL, Action, RawServer, closed_port, http, raw_server

from sora_async import (
    APIError,
    AuthenticationError,
    Client,
    ContentRejectedError,
    Event,
    InvalidRequestError,
    LedgerError,
    OverloadedError,
    QuotaError,
    RateLimitError,
    Retry,
    Retrying,
    SoraError,
    State,
    SubmissionUncertainError,
    Submitted,
    Timeouts,
    TransportError,
    VideoRequest,
    VideoTask,
)

ACCEPTED = http(200, '{"id":"sora-2:task_1","status":"pending","status_update_time":1763800000000}')
QUICK = Retry(tries=4, first=0)


@asynccontextmanager
async def client_to(url: str, **options: object) -> AsyncIterator[Client]:
    async with Client("sk-canary", url, **{"retry": QUICK, **options}) as client:  # type: ignore[arg-type]
        yield client


async def create(*actions: Action, **options: object) -> tuple[VideoTask | SoraError, RawServer]:
    """One create against a server that acts so; its end and the judge."""
    async with raw_server(*actions) as server, client_to(server.url, **options) as client:
        try:
            return await client.create("a cat"), server
        except SoraError as error:
            return error, server


async def test_accepted_create_answers_the_task() -> None:
    """One POST, one id."""
    end, server = await create(ACCEPTED)
    assert isinstance(end, VideoTask)
    assert (end.id, end.status, end.state) == ("sora-2:task_1", "pending", State.QUEUED)
    assert server.creates == 1


UNCERTAIN: dict[str, Action] = {
    "dropped after the request was read": CLOSE,
    "reset after the request was read": RESET,
    "502 with an HTML page": http(502, "<html><title>502 Bad Gateway</title></html>"),
    "500 that says nothing": http(500, '{"error":{"message":"internal error","code":"server_error"}}'),
    "503 without a body": http(503),
    "504": http(504, "upstream timed out"),
    "524 of a CDN": http(524, "<html>timeout</html>"),
    "408": http(408, '{"error":"timeout"}'),
    "409": http(409, '{"error":"conflict"}'),
    "425": http(425),
    "HTML with 200": http(200, "<!doctype html><title>Console</title>"),
    "empty 200": http(200),
    "204": http(204),
    "null": http(200, "null"),
    "200 without an id": http(200, '{"code":"success","data":null}'),
    "200 with an unknown error": http(200, '{"error":{"message":"something odd"}}'),
    "an id that is no text": http(200, '{"id":NaN,"status":"pending"}'),
    "an id said twice": http(200, '{"id":"a","id":"b"}'),
    "cut before the id is whole": (http(200, '{"id":"sora-2:ta', length=90), CLOSE),
    "not UTF-8": http(200, b'{"id":"\xff\xfe"}'),
    "nested too deep": http(200, "[" * 200_000),
    "a number of 5000 digits": http(200, '{"n":' + "9" * 5000 + "}"),
    "over the cap": (http(200, b" " * (5 << 20)), CLOSE),
    "not HTTP": (b"SSH-2.0-OpenSSH\r\n", CLOSE),
}


@pytest.mark.parametrize("action", UNCERTAIN.values(), ids=UNCERTAIN)
async def test_answer_that_proves_nothing_is_uncertain_and_never_repeated(action: Action) -> None:
    """It may have been billed, so it is sent once and the user is told."""
    end, server = await create(action)
    assert isinstance(end, SubmissionUncertainError)
    assert (end.billed, end.retryable, end.task_id) == ("unknown", False, None)
    assert server.creates == 1
    assert "sk-canary" not in str(end) + repr(end)


CONTRADICTING = {
    "429": http(429, '{"id":"sora-2:task_1","status":"queued"}'),
    "saturated": http(503, '{"id":"sora-2:task_1","status":"pending","message":"saturated"}'),
    "bad field": http(400, '{"data":{"task_id":"sora-2:task_1","status":"running"},"message":"no"}'),
}


@pytest.mark.parametrize("action", CONTRADICTING.values(), ids=CONTRADICTING)
async def test_refusal_that_shows_a_healthy_task_is_uncertain_and_names_it(action: Action) -> None:
    """It may have been bought, so it is sent once, and the user can look at the task."""
    end, server = await create(action)
    assert isinstance(end, SubmissionUncertainError)
    assert (end.task_id, end.billed) == ("sora-2:task_1", "unknown")
    assert server.creates == 1


MALFORMED = b"HTTP/1.1 %b\r\nContent-Length: many\r\n\r\n%b"


async def test_id_in_an_answer_that_is_no_valid_http_counts_as_accepted() -> None:
    """aiohttp gives up all of it; what came is looked into all the same."""
    end, server = await create((MALFORMED % (b"200 OK", b'{"id":"sora-2:task_1","status":"pending"}'), CLOSE))
    assert isinstance(end, VideoTask)
    assert (end.id, server.creates) == ("sora-2:task_1", 1)


@pytest.mark.parametrize("status", [b"200 OK", b"400 No"])
async def test_answer_that_is_no_valid_http_proves_nothing_else(status: bytes) -> None:
    """Not even a refusal; what came of it is kept."""
    came = MALFORMED % (status, b'{"error":{"message":"invalid key","code":"invalid_api_key"}}')
    end, server = await create((came, CLOSE))
    assert isinstance(end, SubmissionUncertainError)
    assert (end.raw, server.creates) == (came, 1)


async def test_task_that_may_have_sent_is_known() -> None:
    """From the moment that the request may leave until an answer proves that it bought nothing."""
    refusal = http(400, '{"error":{"message":"no","code":"invalid_request"}}')
    async with raw_server(ACCEPTED, refusal) as server, client_to(server.url) as client:
        server.hold = asyncio.Event()
        creating = asyncio.create_task(client.create("a cat"))
        assert not client.may_have_sent(creating)
        await server.arrived.wait()
        assert client.may_have_sent(creating)
        server.hold.set()
        await creating
        assert client.may_have_sent(creating)
        refused = asyncio.create_task(client.create("a cat"))
        with suppress(InvalidRequestError):
            await refused
        assert not client.may_have_sent(refused)


async def test_create_that_may_not_be_sent_yet_is_not_sent() -> None:
    """What comes before the POST, such as a note in a ledger, can keep it back; its turn is given back."""

    @asynccontextmanager
    async def refuse() -> AsyncIterator[None]:
        raise LedgerError("the disk is full")
        yield

    async with raw_server(ACCEPTED) as server, client_to(server.url) as client:
        with pytest.raises(LedgerError):
            await client._create(VideoRequest("a cat"), refuse)
        assert server.creates == 0
        assert (await client.create("a cat")).id == "sora-2:task_1"


async def test_stalled_create_is_uncertain() -> None:
    """The read limit passed; the relay may still accept it."""
    end, server = await create(STALL, timeouts=Timeouts(create=0.03))
    assert isinstance(end, SubmissionUncertainError)
    assert server.creates == 1


async def test_uncertain_create_keeps_the_answer_and_the_request() -> None:
    """The relay's support can be shown both."""
    end, _ = await create(http(502, "<html>bad gateway</html>"))
    assert isinstance(end, SubmissionUncertainError)
    assert end.raw == b"<html>bad gateway</html>"
    assert end.request.prompt == "a cat"  # type: ignore[union-attr]


SALVAGED: dict[str, Action] = {
    "closed": (http(200, '{"id":"sora-2:task_1","sta', length=90), CLOSE),
    "reset": (http(200, '{"id":"sora-2:task_1"', length=90), RESET),
    "whole but not JSON": http(200, '{"id":"sora-2:task_1","status":}'),
}


@pytest.mark.parametrize("action", SALVAGED.values(), ids=SALVAGED)
async def test_id_in_a_broken_answer_counts_as_accepted(action: Action) -> None:
    """A paid task is not lost for the lack of a brace."""
    end, server = await create(action)
    assert isinstance(end, VideoTask)
    assert (end.id, end.state) == ("sora-2:task_1", State.QUEUED)
    assert server.creates == 1


REFUSED: dict[str, tuple[Action, type[APIError]]] = {
    "bad key": (http(401, '{"error":{"message":"无效的令牌","code":""}}'), AuthenticationError),
    "no money": (http(403, '{"code":"insufficient_user_quota","message":"额度不足","data":null}'), QuotaError),
    "no money as 429": (http(429, '{"error":{"message":"负载已饱和","code":"insufficient_user_quota"}}'), QuotaError),
    "no money with 200": (http(200, '{"code":"insufficient_user_quota","message":"x","data":null}'), QuotaError),
    "bad field": (http(422, '{"error":{"message":"duration"}}'), InvalidRequestError),
    "moderation": (http(400, '{"error":{"message":"x","code":"prompt_blocked"}}'), ContentRejectedError),
    "redirect": (http(307, headers=["Location: /v1/video/create"]), APIError),
}


@pytest.mark.parametrize(("action", "kind"), REFUSED.values(), ids=REFUSED)
async def test_final_refusal_is_sent_once(action: Action, kind: type[APIError]) -> None:
    """Repeating would not help; nothing was bought."""
    end, server = await create(action)
    assert isinstance(end, kind)
    assert end.billed == "no"
    assert server.creates == 1


REPEATABLE: dict[str, tuple[Action, type[APIError]]] = {
    "429": (http(429), RateLimitError),
    "saturated": (http(500, '{"error":{"message":"当前分组上游负载已饱和"}}'), OverloadedError),
    "no channel": (http(503, '{"error":{"code":"model_not_found","message":"no channel"}}'), OverloadedError),
}


@pytest.mark.parametrize(("action", "kind"), REPEATABLE.values(), ids=REPEATABLE)
async def test_refusal_that_may_pass_is_repeated_until_accepted(action: Action, kind: type[APIError]) -> None:
    """The answer proves that it was not taken."""
    events: list[Event] = []
    end, server = await create(action, action, ACCEPTED, on_event=events.append)
    assert isinstance(end, VideoTask)
    assert server.creates == 3
    assert [type(event) for event in events] == [Retrying, Retrying, Submitted]


@pytest.mark.parametrize(("action", "kind"), REPEATABLE.values(), ids=REPEATABLE)
async def test_refusal_is_repeated_a_bounded_number_of_times(action: Action, kind: type[APIError]) -> None:
    """In the end the refusal itself is raised."""
    end, server = await create(action)
    assert isinstance(end, kind)
    assert (end.billed, end.retryable) == ("no", True)
    assert server.creates == QUICK.tries


async def test_refused_connection_is_repeated_a_bounded_number_of_times() -> None:
    """Nothing left, so it is free to repeat, and nothing was billed in the end."""
    events: list[Event] = []
    async with client_to(f"http://127.0.0.1:{closed_port()}", on_event=events.append) as client:
        with pytest.raises(TransportError) as caught:
            await client.create("a cat")
    assert len(events) == QUICK.tries - 1
    assert (caught.value.sent, caught.value.billed) == (False, "no")


async def test_borrowed_session_without_proof_is_uncertain_where_an_own_one_is_not() -> None:
    """What is not proven is not assumed."""
    async with aiohttp.ClientSession() as own, client_to("https://sora-async.invalid", session=own) as client:
        with pytest.raises(SubmissionUncertainError):
            await client.create("a cat")
    async with client_to("https://sora-async.invalid") as client:
        with pytest.raises(TransportError):
            await client.create("a cat")


@asynccontextmanager
async def create_under_way(
    action: Action, events: list[Event]
) -> AsyncIterator[tuple[asyncio.Task[VideoTask], RawServer]]:
    """A create whose request has arrived and whose answer has not."""
    release = asyncio.Event()
    async with raw_server(action) as server:
        server.hold = release
        async with client_to(server.url, on_event=events.append, timeouts=Timeouts(drain=5)) as client:
            creating = asyncio.create_task(client.create("a cat"))
            await server.arrived.wait()
            yield creating, server
            release.set()


async def test_cancelled_create_brings_its_id_home(caplog: pytest.LogCaptureFixture) -> None:
    """The request had left, so the answer is awaited in the background and told."""
    events: list[Event] = []
    caplog.set_level(logging.INFO, "sora_async")
    async with create_under_way(ACCEPTED, events) as (creating, server):
        creating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await creating
        assert events == []
    (event,) = events
    assert isinstance(event, Submitted)
    assert (event.task.id, event.abandoned) == ("sora-2:task_1", True)
    assert "sora-2:task_1" in caplog.text
    assert server.creates == 1


async def test_cancelled_create_that_ends_uncertain_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is there to catch the error, so the log says that money may be gone."""
    async with create_under_way(CLOSE, []) as (creating, _):
        creating.cancel()
        with suppress(asyncio.CancelledError):
            await creating
    assert "may have been billed" in caplog.text


async def test_create_that_outlasts_the_drain_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Closing waits for a while, not for ever, and says what it gave up."""
    async with raw_server(STALL) as server:
        async with client_to(server.url, timeouts=Timeouts(drain=0.01)) as client:
            creating = asyncio.create_task(client.create("a cat"))
            await server.arrived.wait()
            creating.cancel()
            with suppress(asyncio.CancelledError):
                await creating
        assert "may have been billed" in caplog.text


async def test_close_brings_home_the_creates_that_are_awaited_elsewhere() -> None:
    """Whoever awaits them gets the task, and nothing is cut off."""
    release = asyncio.Event()
    async with raw_server(ACCEPTED) as server:
        server.hold = release
        client = Client("k", server.url)
        creating = asyncio.create_task(client.create("a cat"))
        await server.arrived.wait()
        asyncio.get_running_loop().call_later(0.01, release.set)
        await client.close()
        assert (await creating).id == "sora-2:task_1"


async def test_create_that_outlasts_the_drain_is_uncertain_to_whoever_awaits_it() -> None:
    """It is not a cancel, and it may have been billed."""
    async with raw_server(STALL) as server:
        client = Client("k", server.url, timeouts=Timeouts(drain=0.01))
        creating = asyncio.create_task(client.create("a cat"))
        await server.arrived.wait()
        await client.close()
        with pytest.raises(SubmissionUncertainError, match="closed before its answer"):
            await creating


async def test_create_between_two_tries_stops_at_the_close() -> None:
    """Nothing is bought after the client was closed."""
    events: list[Event] = []
    async with raw_server(http(429)) as server:
        client = Client("k", server.url, retry=Retry(first=0.02), on_event=events.append)
        creating = asyncio.create_task(client.create("a cat"))
        while not events:  # noqa: ASYNC110 the callback is no coroutine
            await asyncio.sleep(0)
        await client.close()
        with pytest.raises(RuntimeError, match="closed meanwhile"):
            await creating
    assert server.creates == 1


async def test_create_that_the_loop_cuts_off_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A loop that shuts down cancels everything; the log says that money may be gone."""
    async with raw_server(STALL) as server, client_to(server.url) as client:
        creating = asyncio.create_task(client.create("a cat"))
        await server.arrived.wait()
        creating.cancel()
        with suppress(asyncio.CancelledError):
            await creating
        (exchange,) = (task for task in asyncio.all_tasks() if "_exchange" in repr(task.get_coro()))
        exchange.cancel()
        await asyncio.wait([exchange])
    assert "may have been accepted and billed" in caplog.text


async def test_create_cancelled_before_it_left_sends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is simply gone."""
    async with raw_server(ACCEPTED) as server, client_to(server.url) as client:
        creating = asyncio.create_task(client.create("a cat"))
        await asyncio.sleep(0)
        creating.cancel()
        with suppress(asyncio.CancelledError):
            await creating
    assert server.creates == 0
    assert caplog.text == ""


async def test_event_callback_that_fails_does_not_cost_the_id(caplog: pytest.LogCaptureFixture) -> None:
    """The user's own mistake is logged; the paid task is answered."""

    def broken(_: Event) -> None:
        raise ZeroDivisionError

    end, _ = await create(ACCEPTED, on_event=broken)
    assert isinstance(end, VideoTask)
    assert "on_event failed for Submitted" in caplog.text


async def test_pause_asked_for_holds_all_creates() -> None:
    """One 429 slows every task of the client, not one."""
    limited = http(429, headers=["Retry-After: 0.04"])
    hold = asyncio.Event()
    async with raw_server(limited, ACCEPTED) as server, client_to(server.url, on_event=lambda _: hold.set()) as client:
        first = asyncio.create_task(client.create("first"))
        await hold.wait()
        second = asyncio.create_task(client.create("second"))
        await asyncio.sleep(0.01)
        assert server.creates == 1
        await asyncio.gather(first, second)
    prompts = [json.loads(request.partition(b"\r\n\r\n")[2])["prompt"] for request in server.requests]
    assert sorted(prompts) == ["first", "first", "second"]


async def test_character_is_submitted_by_the_same_rules() -> None:
    """It is a POST that may cost, so it is never sent twice on a doubt."""
    async with raw_server(http(200, '{"id":"ch_1","username":"cat"}')) as server, client_to(server.url) as client:
        character = await client.create_character(timestamps="1,3", from_task="sora-2:task_1")
    assert (character.id, character.username) == ("ch_1", "cat")
    assert json.loads(server.requests[0].partition(b"\r\n\r\n")[2]) == {
        "timestamps": "1,3",
        "from_task": "sora-2:task_1",
    }
    async with (
        raw_server((http(200, '{"id":"ch_1","user', length=80), CLOSE)) as server,
        client_to(server.url) as client,
    ):
        with pytest.raises(SubmissionUncertainError) as caught:
            await client.create_character(timestamps="1,3", url="https://a.example/v.mp4")
    assert caught.value.request == {"timestamps": "1,3", "url": "https://a.example/v.mp4"}
    assert server.creates == 1
