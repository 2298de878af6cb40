"""A batch on a PostgreSQL ledger, brought by two processes at once."""

import asyncio

from ledger_suite import all_of

from benchmarks.batch_trial import CLIP
from sora_async import Client, Fixed
from sora_async.batch import Stage
from sora_async.sandbox import Sandbox, Scenario

PROMPTS = [f"a paper boat, take {number}" for number in range(30)]


async def test_batch_that_two_bring_at_once_is_bought_once(store):
    """Each input is brought by one of them, and who comes later is told of all."""
    async with Sandbox(Scenario(takes_s=0.0, clip=CLIP)) as sandbox:

        async def bring():
            async with Client("key", sandbox.url, pacing=Fixed(0)) as client:
                return [outcome.key async for outcome in client.generate_many(PROMPTS, ledger=store())]

        ends = await asyncio.gather(bring(), bring())
        assert len({key for keys in ends for key in keys}) == len(PROMPTS)
        assert {entry.stage for entry in await all_of(store())} == {Stage.DONE}
        assert len(await bring()) == len(PROMPTS) == len(sandbox.creates)
