"""Everything that reads what a relay, a file server or a user wrote, fed with answers that are nearly right.

The grammar of the inputs and the rules are those of `python -m benchmarks.fuzz`, which tries a million of them.
"""

from __future__ import annotations

import asyncio
from operator import attrgetter

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from benchmarks.fuzzing.exchanges import Exchanges, http_answer
from benchmarks.fuzzing.hostile import BODIES, survive
from benchmarks.fuzzing.readers import READERS, Reader

BY_NAME = {reader.name: reader for reader in READERS}
CHANCE = st.randoms(use_true_random=False)


@pytest.mark.unmeasured
@pytest.mark.parametrize("reader", READERS, ids=attrgetter("name"))
def test_reader_keeps_its_rules(reader: Reader) -> None:
    """Only our own errors come out, nothing passes for more than it is, and what is shown is short and clean."""

    @given(CHANCE.map(reader.make))
    def keeps_its_rules(value: object) -> None:
        reader.check(value)

    keeps_its_rules()


@pytest.mark.unmeasured
@pytest.mark.parametrize("name", ["JSON of an answer", "id of a broken answer"])
def test_reader_of_bytes_keeps_its_rules_for_noise(name: str) -> None:
    """Bytes without any sense are read by the same rules."""
    reader = BY_NAME[name]

    @given(st.binary() | st.text().map(str.encode) | st.text('{}[]":,\\ nulid0').map(str.encode))
    def keeps_its_rules(body: bytes) -> None:
        reader.check(body)

    keeps_its_rules()


@pytest.mark.unmeasured
@settings(phases=[Phase.generate])  # to shrink a finding takes minutes here, and each is one answer anyway
@given(CHANCE.map(http_answer))
def test_session_gives_a_reply_or_a_transport_error(answer: tuple[bytes, bytes | None]) -> None:
    """Whatever bytes answer a create, it is one request, and what left the machine never counts as not sent."""

    async def exchange() -> None:
        async with Exchanges() as exchanges:
            await exchanges.check(answer)

    asyncio.run(exchange())


@pytest.mark.unmeasured
@pytest.mark.parametrize("name", BODIES)
def test_readers_survive_a_hostile_size(name: str) -> None:
    """No size, depth or number of parts brings anything but a short error of ours."""
    survive(BODIES[name]())


FOUND = {
    "429 with a task": ("judge", (429, b'{"id":"a","status":"queued"}')),
    "saturated 503 with a task": ("judge", (503, b'{"id":"a","status":"pending","message":"saturated"}')),
    "code on two lines": ("answer", (403, b'{"code":"no\\nfunds","message":"no"}')),
    "empty host behind brackets": ("link of a file", ("https://[::1]@/a", False)),
    "images that are a number": ("request", {"prompt": "a cat", "images": 1}),
}


@pytest.mark.parametrize(("name", "value"), FOUND.values(), ids=FOUND)
def test_reader_keeps_its_rules_for_what_broke_one_before(name: str, value: object) -> None:
    """What was found once is never forgotten."""
    BY_NAME[name].check(value)
