"""A batch that is left, cancelled or closed: creates come home, the account is exact, nothing is left behind."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from raw_server import STALL, http, raw_server
from stage_play import Notebook, Relay

from sora_async import Client, Fixed, Timeouts
from sora_async.batch import BatchPolicy, Outcome, Stage
from sora_async.batch.runner import Runner


class Stopped:
    """A run whose creates, watches or downloads are held until told."""

    def __init__(self, held: str, directory: Path | None = None) -> None:
        self.log: list[tuple[str, str]] = []
        self.relay = Relay(self.log)
        self.relay.hold[held] = asyncio.Event()
        self.release = self.relay.hold[held].set
        self.held = held
        self.ledger = Notebook(self.log)
        self.runner = Runner(
            self.relay.verbs(), ledger=self.ledger, account="me", directory=directory, policy=BatchPolicy(concurrency=3)
        )

    async def consume(self) -> list[Outcome]:
        return [outcome async for outcome in self.runner.run(map(str, range(100)))]

    async def until_held(self) -> asyncio.Task[list[Outcome]]:
        consuming = asyncio.create_task(self.consume())
        await until(lambda: self.relay.under_way[self.held] == 3)
        return consuming


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 it is told by no event
            await asyncio.sleep(0.001)


def assert_nothing_is_left() -> None:
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cancelled_batch_brings_its_creates_home() -> None:
    """They are paid; their ids are noted before the cancel goes on, and nothing more is bought."""
    play = Stopped("create")
    consuming = await play.until_held()
    consuming.cancel()
    await asyncio.sleep(0.005)
    assert not consuming.done()
    play.release()
    with pytest.raises(asyncio.CancelledError):
        await consuming
    assert play.ledger.stages() == dict.fromkeys("012", Stage.SUBMITTED)
    assert not play.ledger.is_open
    assert_nothing_is_left()


async def test_batch_cancelled_twice_leaves_its_creates_in_doubt() -> None:
    """At once, and the ledger says so."""
    play = Stopped("create")
    consuming = await play.until_held()
    consuming.cancel()
    await asyncio.sleep(0.005)
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming
    assert play.ledger.stages() == dict.fromkeys("012", Stage.UNCERTAIN)
    assert all(entry.reason == "the batch was stopped before the answer came" for entry in play.ledger.book.values())
    assert_nothing_is_left()


async def test_cancelled_batch_does_not_wait_for_creates_of_which_nothing_has_left() -> None:
    """They are refused again and again, say; nothing was bought, and the ledger says so."""
    play = Stopped("create")
    play.relay.is_sending = False
    consuming = await play.until_held()
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming
    assert play.ledger.stages() == dict.fromkeys("012", Stage.PLANNED)
    assert_nothing_is_left()


async def test_create_that_is_refused_after_the_stop_is_not_repeated() -> None:
    """Between two tries nothing is under way."""
    play = Stopped("create")
    consuming = await play.until_held()
    consuming.cancel()
    await asyncio.sleep(0.005)
    play.relay.is_sending = False
    with pytest.raises(asyncio.CancelledError):
        await consuming
    assert set(play.ledger.stages().values()) == {Stage.PLANNED}


async def test_stop_waits_for_what_is_being_noted() -> None:
    """An id that has come is in the ledger before the batch ends, however often it is cancelled."""
    play = Stopped("create")
    slow = asyncio.Event()
    record = play.ledger.record

    async def record_slowly(change: Any) -> None:
        await slow.wait()
        await record(change)

    play.ledger.record = record_slowly  # type: ignore[method-assign]
    consuming = await play.until_held()
    play.release()
    await until(lambda: play.relay.under_way["create"] == 0)
    for _ in range(3):
        consuming.cancel()
        await asyncio.sleep(0.005)
    assert not consuming.done()
    slow.set()
    with pytest.raises(asyncio.CancelledError):
        await consuming
    assert {play.ledger.stages()[prompt] for prompt in play.relay.bought()} == {Stage.SUBMITTED}


@pytest.mark.parametrize(("held", "stage"), [("watch", Stage.SUBMITTED), ("download", Stage.READY)])
async def test_cancelled_batch_leaves_the_rest_as_it_is(held: str, stage: Stage, tmp_path: Path) -> None:
    """Waits and downloads cost nothing to begin again."""
    play = Stopped(held, tmp_path)
    consuming = await play.until_held()
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming
    assert set(play.ledger.stages().values()) == {stage}
    assert_nothing_is_left()


async def test_left_batch_stops_buying() -> None:
    """Whoever breaks out of the loop wants no more."""
    play = Stopped("nothing")
    outcomes = play.runner.run(map(str, range(100)))
    async for _ in outcomes:
        break
    await outcomes.aclose()
    bought = len(play.relay.bought())
    assert bought < 12
    assert set(play.ledger.stages().values()) <= {Stage.PLANNED, Stage.SUBMITTED, Stage.DONE}
    assert_nothing_is_left()


async def test_stopped_batch_tells_its_consumer_why() -> None:
    """As a client that is closed does."""
    play = Stopped("watch")
    consuming = await play.until_held()
    await play.runner.stop(RuntimeError("closed"))
    with pytest.raises(RuntimeError, match="closed"):
        await consuming
    assert_nothing_is_left()


async def test_batch_that_is_stopped_while_its_ledger_is_opened_buys_nothing() -> None:
    """There is nothing to end yet."""
    play = Stopped("create")
    is_opened = asyncio.Event()

    async def open_slowly(_: str) -> None:
        await is_opened.wait()
        play.ledger.is_open = True

    play.ledger.open = open_slowly  # type: ignore[method-assign]
    consuming = asyncio.create_task(play.consume())
    await asyncio.sleep(0)
    stopping = asyncio.create_task(play.runner.stop(RuntimeError("closed")))
    await asyncio.sleep(0)
    is_opened.set()
    with pytest.raises(RuntimeError, match="closed"):
        await consuming
    await stopping
    assert play.log == []
    assert_nothing_is_left()


async def test_batch_of_a_client_that_is_closed_ends(tmp_path: Path) -> None:
    """Its creates come home first, and the ledger can be used again."""
    running = http(200, '{"id":"t-1","status":"running"}')
    async with raw_server(running) as server:
        client = Client("k", server.url, pacing=Fixed(0.001), timeouts=Timeouts(drain=1))
        outcomes = client.generate_many(["a cat"], ledger=tmp_path / "cats.ledger")
        consuming = asyncio.create_task(anext(outcomes))
        await until(lambda: len(server.requests) > 2)
        await client.close()
        with pytest.raises(RuntimeError, match="closed amid this batch"):
            await consuming
        async with Client("k", server.url, pacing=Fixed(0.001)) as again:
            consuming = asyncio.create_task(anext(again.generate_many(["a cat"], ledger=tmp_path / "cats.ledger")))
            before = len(server.requests)
            await until(lambda: len(server.requests) > before + 2)
            consuming.cancel()
            with suppress(asyncio.CancelledError):
                await consuming
        assert server.creates == 1


async def test_batch_that_was_broken_out_of_is_ended_by_the_client() -> None:
    """A loop that breaks leaves its generator to the client, which waits for it."""
    async with raw_server(http(200, '{"id":"t-1","status":"completed","video_url":"https://cdn.example/v"}')) as server:
        async with Client("k", server.url) as client:
            async for outcome in client.generate_many(str(number) for number in range(1000)):
                assert outcome.error is None
                break
        assert server.creates < 200
    await asyncio.sleep(0)


async def test_wrong_arguments_of_a_batch_are_told_at_once() -> None:
    """Not only when the loop begins."""
    async with raw_server(STALL) as server, Client("k", server.url) as client:
        with pytest.raises(ValueError, match="concurrency"):
            client.generate_many(["a"], concurrency=0)
    with pytest.raises(RuntimeError, match="closed"):
        client.generate_many(["a"])
