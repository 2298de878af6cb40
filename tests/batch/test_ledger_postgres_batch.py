"""A batch on a PostgreSQL ledger, brought by two processes at once."""

import asyncio

from ledger_suite import all_of

from benchmarks.batch_trial import CLIP
from sora_async import Client, Fixed
from sora_async.batch import Stage, worker
from sora_async.sandbox import Sandbox, Scenario

PROMPTS = [f"a paper boat, take {number}" for number in range(30)]


async def test_batch_that_two_bring_at_once_is_bought_once(store, monkeypatch):
    """Each input is brought by one of them, and both are told of all: what the other is at work on is waited for."""
    monkeypatch.setattr(worker, "BUSY_S", 0.01)
    async with Sandbox(Scenario(takes_s=0.0, clip=CLIP)) as sandbox:

        async def bring():
            async with Client("key", sandbox.url, pacing=Fixed(0)) as client:
                return [outcome.key async for outcome in client.generate_many(PROMPTS, ledger=store())]

        ends = await asyncio.gather(bring(), bring())
        assert [len(keys) for keys in ends] == [len(PROMPTS)] * 2
        assert {entry.stage for entry in await all_of(store())} == {Stage.DONE}
        assert len(await bring()) == len(PROMPTS) == len(sandbox.creates)
