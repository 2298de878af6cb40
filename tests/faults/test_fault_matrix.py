"""Every fault on every way it can come: the class of the end, at most one accepted create, no secret in any text."""

from __future__ import annotations

import base64
import logging
import pickle
import traceback

import pytest
from fault_rows import Row, rows
from fault_run import KEY, MARKER, TRIES, Seen, is_silent, run
from fault_table import ACCEPTED, EITHER, FINAL, HEALTHY, NAMED, SALVAGED, TASK, TASK_ID, UNCERTAIN, UNSENT, End

from sora_async import (
    APIError,
    Character,
    DecodeError,
    OverloadedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    SubmissionUncertainError,
    Submitted,
    TransportError,
    VideoTask,
)

MAY_PASS = {TransportError, RequestTimeoutError, DecodeError, RateLimitError, OverloadedError, ServerError}
SECRETS = [KEY, *(base64.b64encode(text.encode()).decode().rstrip("=") for text in (KEY, f"Bearer {KEY}", f":{KEY}"))]
SECRETS += ["Bearer "]


@pytest.mark.unmeasured
@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in rows()])
async def test_fault_ends_as_the_table_says(
    row: Row, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong, whenever, and on whatever connection."""
    caplog.set_level(logging.DEBUG)
    seen = await run(row, monkeypatch)
    check_connection(row, seen)
    if row.method == "query":
        check_query(row, seen)
    else:
        check_post(row, seen)
    check_secrets(seen, caplog.text)


PASSING = [
    row
    for row in rows()
    if row.method == "create"
    and row.connection == "fresh"
    and row.fault.post in {UNSENT, RateLimitError, OverloadedError}
    and not is_silent(row.fault)  # a busy machine may be silent again by itself
]


@pytest.mark.unmeasured
@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in PASSING])
async def test_fault_that_passes_costs_one_accepted_create(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is proven not to have been taken is sent again, and the relay takes it once."""
    seen = await run(row, monkeypatch, lasts=False)
    check_accepted(row, seen)
    answers = [] if row.fault.post == UNSENT else [row.fault.does]
    assert [exchange.action for exchange in seen.creates] == [*answers, HEALTHY]


def check_connection(row: Row, seen: Seen) -> None:
    """The row tested the connection that it names."""
    numbers = {exchange.connection for exchange in seen.exchanges}
    assert seen.used == (0 if row.connection == "fresh" else 1)
    if row.connection == "idle":
        assert 1 not in numbers
        assert seen.dialled >= 1
    if row.connection == "reused":
        assert numbers <= {1} or len(seen.exchanges) > 1
        assert seen.dialled == 0 or row.method == "query" or len(seen.exchanges) > 1


def check_query(row: Row, seen: Seen) -> None:
    """A query ends as it should, is told with its task, never creates, and works again after the fault."""
    end = row.fault.get
    assert seen.creates == []
    if end == TASK:
        assert isinstance(seen.end, VideoTask)
        assert seen.end.id == MARKER
    else:
        assert type(seen.end) is end
        assert seen.end.task_id == MARKER
        assert seen.end.retryable is (end in MAY_PASS and row.fault.post != FINAL)
    assert isinstance(seen.healed, VideoTask)


def check_post(row: Row, seen: Seen) -> None:
    """A POST ends as it should, and what the judge received agrees with what the user was told."""
    expected: End = row.fault.post
    if expected == SALVAGED and row.method == "character":
        expected = UNCERTAIN
    complete = len(seen.creates)
    if expected in {UNSENT, FINAL, EITHER}:
        check_unsent(expected, seen)
        assert complete == 0
    elif expected in {UNCERTAIN, NAMED}:
        check_uncertain(expected, seen)
        assert complete == (0 if row.fault.phase in {"head", "body"} else 1)
    elif isinstance(expected, str):
        assert expected in {ACCEPTED, SALVAGED}
        check_accepted(row, seen)
        assert complete == 1
    else:
        check_refused(expected, row, seen)


def check_unsent(expected: End, seen: Seen) -> None:
    if expected == EITHER and isinstance(seen.end, SubmissionUncertainError):
        return
    assert isinstance(seen.end, TransportError)
    assert (seen.end.sent, seen.end.billed, seen.end.task_id) == (False, "no", None)
    assert seen.end.retryable is (expected != FINAL)
    assert seen.dialled == (1 if expected == FINAL else TRIES)


def check_uncertain(expected: End, seen: Seen) -> None:
    assert isinstance(seen.end, SubmissionUncertainError)
    named = TASK_ID if expected == NAMED else None
    assert (seen.end.billed, seen.end.retryable, seen.end.task_id) == ("unknown", False, named)
    assert seen.events == []


def check_accepted(row: Row, seen: Seen) -> None:
    assert isinstance(seen.end, VideoTask | Character)
    assert seen.end.id == TASK_ID
    told = [event.task.id for event in seen.events if isinstance(event, Submitted)]
    assert told == ([TASK_ID] if row.method == "create" else [])


def check_refused(expected: type[Exception], row: Row, seen: Seen) -> None:
    """All complete creates were refused by the judge, and no more of them came than may be repeated."""
    assert type(seen.end) is expected
    assert isinstance(seen.end, APIError)
    assert seen.end.billed == ("unknown" if "violation_fee" in row.name else "no")
    assert seen.end.retryable is (expected in MAY_PASS)
    assert len(seen.creates) == (0 if row.fault.phase == "body" else TRIES if expected in MAY_PASS else 1)


def check_secrets(seen: Seen, log: str) -> None:
    """Neither the key nor a form of it is in anything that a program prints, logs or stores, or that a proxy reads."""
    texts = [log, repr(seen.events), repr(seen.judge.tunnels)]
    if isinstance(seen.end, Exception):
        shown = "".join(traceback.format_exception(seen.end))
        texts += [str(seen.end), repr(seen.end), repr(seen.end.args), repr(vars(seen.end)), shown]
        texts += [pickle.dumps(seen.end).decode("latin-1")]
    for text in texts:
        assert not [secret for secret in SECRETS if secret in text]
