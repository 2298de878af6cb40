"""The published table of creates, run for the two clients that need nothing more to be installed."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks import creates
from benchmarks.peers import bare, ours
from benchmarks.trials import OK, Fault, Seen, find_id, try_all
from sora_async import WaitTimeoutError

QUICK = [fault for fault in creates.FAULTS if fault.is_quick]


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, Seen]]:
    return asyncio.run(try_all([ours.PEER, bare.PEER], QUICK, is_generate=False, bound_s=10.0))


@pytest.mark.parametrize("fault", QUICK, ids=lambda fault: fault.name)
def test_this_client_creates_once_under_every_quick_fault(table: dict[str, dict[str, Seen]], fault: Fault) -> None:
    """One logical call is one create on the wire, whatever may have become of it."""
    assert table["sora_async"][fault.name].creates == 1


@pytest.mark.parametrize(
    ("fault", "ended"),
    [
        ("no fault", OK),
        ("cut after the id", OK),
        ("read, then closed", "SubmissionUncertainError"),
        ("502 page", "SubmissionUncertainError"),
    ],
)
def test_this_client_tells_its_caller_what_became_of_the_create(
    table: dict[str, dict[str, Seen]], fault: str, ended: str
) -> None:
    """An id that arrived is told, and an open end is told as such."""
    assert table["sora_async"][fault].ended == ended


def test_the_table_counts_what_a_client_repeats(table: dict[str, dict[str, Seen]]) -> None:
    """Bare aiohttp follows a 307 with another POST each time: the server's count shows all of them."""
    seen = table["aiohttp"]["307 to itself"]
    assert (seen.creates, seen.ended) == (10, "TooManyRedirects")


def test_the_table_sees_where_an_exception_holds_the_id() -> None:
    """An id in an attribute or the text counts, one that is in neither does not."""
    assert find_id(WaitTimeoutError("task-7", None), "task-7") in {"text", "attribute"}
    assert find_id(ValueError("no such task"), "task-7") == ""
