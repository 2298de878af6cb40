"""What goes wrong with API calls, seen from outside."""

import asyncio
import contextlib

import aiohttp
import pytest

from sora_async.sandbox import KINDS, Faults


def faults_for(operation, kinds):
    return Faults(**{operation: kinds})


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("close_unread", aiohttp.ServerDisconnectedError),
        ("reset_unread", aiohttp.ClientOSError),
        ("close_before", aiohttp.ServerDisconnectedError),
        ("reset_before", aiohttp.ClientOSError),
    ],
)
async def test_fault_before_accepting_bills_nothing(visit, kind, error):
    """A connection that breaks before the create is accepted leaves no task."""
    visitor = await visit(Faults(create=[kind]))
    with pytest.raises(error):
        await visitor.create()
    assert visitor.sandbox.creates == []
    assert visitor.sandbox.calls["create"] == 1


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("close_after", aiohttp.ServerDisconnectedError),
        ("reset_after", aiohttp.ClientOSError),
        ("cut_before_id", aiohttp.ClientPayloadError),
        ("cut_in_id", aiohttp.ClientPayloadError),
        ("cut_after_id", aiohttp.ClientPayloadError),
    ],
)
async def test_fault_after_accepting_bills_the_task(visit, kind, error):
    """A connection that breaks after the create was accepted leaves a task that nobody was told of."""
    visitor = await visit(Faults(create=[kind]))
    with pytest.raises(error):
        await visitor.create()
    assert len(visitor.sandbox.creates) == 1


@pytest.mark.parametrize(("kind", "billed"), [("stall_unread", 0), ("stall_before", 0), ("stall_after", 1)])
async def test_fault_stall_never_answers(visit, until, kind, billed):
    """A stalled create hangs until its client gives up, and may be billed all the same."""
    visitor = await visit(Faults(create=[kind]))
    call = asyncio.create_task(visitor.create())
    await until(lambda: visitor.sandbox.calls["create"] and len(visitor.sandbox.creates) == billed)
    assert not call.done()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert len(visitor.sandbox.creates) == billed


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        ("500", 500, "bad_response_status_code"),
        ("502", 502, "bad_response_status_code"),
        ("503", 503, "bad_response_status_code"),
        ("504", 504, "bad_response_status_code"),
        ("502_html", 502, "<title>502 Bad Gateway"),
        ("429", 429, "rate_limit_exceeded"),
        ("429_empty", 429, ""),
        ("saturated", 500, "upstream_saturated"),
        ("no_quota", 403, "insufficient_user_quota"),
        ("no_quota_429", 429, "insufficient_user_quota"),
        ("html", 200, "<title>Welcome"),
        ("redirect", 307, ""),
    ],
)
async def test_fault_that_refuses_answers_and_bills_nothing(visit, kind, status, text):
    """A refusal is an answer, and leaves no task."""
    visitor = await visit(Faults(create=[kind]))
    answer = await visitor.create()
    assert answer.status == status
    assert text in answer.body.decode()
    assert visitor.sandbox.creates == []


@pytest.mark.parametrize(
    ("kind", "status"),
    [("502_html_after", 502), ("html_after", 200), ("empty", 200), ("no_id", 200), ("oversize", 200)],
)
async def test_fault_that_hides_the_id_bills_the_task(visit, kind, status):
    """An answer without a readable id may stand for a task that was accepted."""
    visitor = await visit(Faults(create=[kind]))
    answer = await visitor.create()
    assert answer.status == status
    assert visitor.sandbox.creates[0].id.encode() not in answer.body[: 4 * 2**20]
    assert len(visitor.sandbox.creates) == 1


@pytest.mark.parametrize(
    ("kind", "start", "end"),
    [("cut_before_id", "", ""), ("cut_in_id", "sora-2:ta", ""), ("cut_after_id", "sora-2:ta", '"')],
)
async def test_fault_cut_keeps_as_much_of_the_id_as_its_name_says(visit, kind, start, end):
    """A cut answer ends before, in, or right after the id."""
    visitor = await visit(Faults(create=[kind]))
    received = b""
    with contextlib.suppress(aiohttp.ClientPayloadError):
        url, body = visitor.sandbox.url + "/v1/video/create", {"model": "m", "prompt": "p"}
        async with visitor.session.post(url, json=body) as response:
            async for piece in response.content.iter_any():
                received += piece
    kept = received.decode().removeprefix('{"id": ').removeprefix('"')
    whole = visitor.sandbox.creates[0].id + '"'
    assert kept.startswith(start)
    assert kept.endswith(end)
    assert (kept == whole) is (kind == "cut_after_id")


@pytest.mark.parametrize(("kind", "header"), [("429", None), ("429+2", "2"), ("429+0.05", "0.05")])
async def test_fault_429_says_when_only_if_asked_to(visit, kind, header):
    """The number after the plus sign is the Retry-After."""
    visitor = await visit(Faults(query=[kind]))
    await visitor.create()
    assert (await visitor.query()).headers.get("Retry-After") == header


async def test_fault_redirect_leads_to_the_same_call(visit):
    """A client that follows the redirect of a create repeats it."""
    visitor = await visit(Faults(create=["redirect"]))
    answer = await visitor.create()
    assert answer.headers["Location"] == "/v1/video/create"


async def test_fault_after_accepting_does_not_hide_a_refusal(visit):
    """A create that is wrong in itself is refused, whatever was to happen to its answer."""
    visitor = await visit(Faults(create=["close_after"]))
    assert (await visitor.create(duration="ten")).status == 422


@pytest.mark.parametrize(
    ("operation", "kind"),
    [(operation, kind) for operation in ("query", "character") for kind in sorted(KINDS[operation])],
)
async def test_fault_for_other_operations_strikes_once(visit, until, operation, kind):
    """Every kind strikes the operation it is meant for, and the next request is healthy."""
    visitor = await visit(faults_for(operation, [kind]))
    await visitor.create()

    def call():
        return visitor.query() if operation == "query" else visitor.character(timestamps="1,3", url="u")

    first = asyncio.create_task(call())
    await until(lambda: first.done() or ("stall" in kind and visitor.sandbox.calls[operation]))
    first.cancel()
    (struck,) = await asyncio.gather(first, return_exceptions=True)
    healthy = (await call()).json
    hidden = healthy["id"].encode() not in getattr(struck, "body", b"")
    assert hidden or kind in {"oversize", "unknown_word", "no_url"}
    assert visitor.sandbox.calls[operation] == 2


async def test_fault_cut_of_an_answer_with_another_id_ends_with_its_head(visit):
    """Where an answer does not hold the id it is cut right at the start."""
    visitor = await visit(Faults(query=["cut_before_id"]), dialect="grok")
    await visitor.create()
    with pytest.raises(aiohttp.ClientPayloadError, match="received 0 of"):
        await visitor.query()


async def test_faults_by_probability_follow_the_seed(visit):
    """The same seed lets the same requests fail, about as often as was asked for."""
    runs = []
    for _ in range(2):
        visitor = await visit(Faults(create={"500": 0.3, "429": 0.2}))
        runs.append([(await visitor.create()).status for _ in range(100)])
    assert runs[0] == runs[1]
    assert 15 <= runs[0].count(500) <= 45
    assert 8 <= runs[0].count(429) <= 35


async def test_faults_of_one_operation_do_not_shift_those_of_another(visit):
    """What happens to creates does not depend on how often is polled."""
    runs = []
    for polls in (0, 3):
        visitor = await visit(Faults(create={"500": 0.5}, query={"500": 0.5}))
        for _ in range(polls):
            await visitor.query("none")
        runs.append([(await visitor.create()).status for _ in range(20)])
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("operation", "script", "message"),
    [
        ("create", ["nonsense"], "unknown create fault 'nonsense'; there are: 429, 429_empty, 500"),
        ("create", ["not_found"], "unknown create fault 'not_found'"),
        ("download", {"close_after": 0.5}, "unknown download fault"),
        ("create", "500", "not the bare string '500'"),
        ("create", ["429+soon"], "unknown create fault"),
        ("create", ["429+-1"], "unknown create fault"),
        ("download", ["429+1"], "unknown download fault"),
        ("query", {"500": 1.5}, "probabilities"),
        ("query", {"500": 0.6, "429": 0.6}, "sum is at most 1"),
    ],
)
def test_faults_that_do_not_exist_are_refused_at_once(operation, script, message):
    """A wrong kind or probability is a ValueError that says what there is."""
    with pytest.raises(ValueError, match=message.replace("+", r"\+")):
        faults_for(operation, script)


def test_faults_do_not_change_with_the_list_they_were_made_from():
    """A script is copied."""
    script = ["500"]
    faults = Faults(create=script)
    script.append("429")
    assert faults.create == ("500",)
