"""A create's answer that ends at any byte: the id is kept from its closing quote on, and never guessed before it."""

from __future__ import annotations

import itertools

import pytest
from fault_certificates import trusted
from fault_rows import Row
from fault_run import Resolver, call, clients
from fault_table import ACCEPTED, BODY, HEALTHY, TASK_ID, UNCERTAIN, Fault, chunked, head
from raw_server import CLOSE, RESET, raw_server

from sora_async import SubmissionUncertainError, VideoTask

ID_SIZE = BODY.index(TASK_ID) + len(TASK_ID) + 1
"""How many bytes of the body hold the id and its closing quote."""


def split(size: int) -> tuple[bytes, int]:
    """The answer in chunks of so many bytes, and its shortest cut that holds the id."""
    wire, whole = chunked()[0], 0  # type: ignore[misc]
    for at in range(0, len(BODY), size):
        part = BODY[at : at + size].encode()
        wire += b"%x\r\n" % len(part)
        if at < ID_SIZE <= at + size:
            whole = len(wire) + ID_SIZE - at
        wire += part + b"\r\n"
    return wire + b"0\r\n\r\n", whole


OPEN = head()[0]
FRAMES: dict[str, tuple[bytes, int]] = {
    "length": (HEALTHY, HEALTHY.index(BODY.encode()) + ID_SIZE),
    "until the end": (OPEN, OPEN.index(BODY.encode()) + ID_SIZE),  # type: ignore[arg-type, union-attr]
    "chunk": split(len(BODY)),
    "chunks of 7": split(7),
}
WAYS = [
    *itertools.product(("http",), (CLOSE, RESET), FRAMES),
    ("tls", CLOSE, "chunks of 7"),
    ("tls", RESET, "length"),
    ("proxy", CLOSE, "length"),
]


@pytest.mark.unmeasured
@pytest.mark.parametrize(("transport", "end", "frame"), WAYS)
async def test_id_is_recovered_at_every_byte_from_its_closing_quote_on(transport: str, end: str, frame: str) -> None:
    """Each cut is a create of its own, and arrives once."""
    answer, whole = FRAMES[frame]
    row = Row(Fault("answer", "cut", end, UNCERTAIN, ACCEPTED), "create", "fresh", transport)
    cuts = range(1, len(answer) + 1)
    tls = None if transport == "http" else trusted()
    async with raw_server(HEALTHY, tls=tls, is_proxy=transport == "proxy") as judge:
        judge.actions[:] = [(answer[:cut], end) for cut in cuts]
        async with clients(row, judge, Resolver(judge.port), []) as (client, _):
            ends = [await call(client, row, f"cut {cut} of it") for cut in cuts]
        await judge.settle()
    for cut, seen, request in zip(cuts, ends, judge.requests, strict=True):
        assert f'"cut {cut} of it"'.encode() in request
        if cut >= whole:
            assert isinstance(seen, VideoTask), answer[:cut]
            assert seen.id == TASK_ID
        else:
            assert isinstance(seen, SubmissionUncertainError), answer[:cut]
