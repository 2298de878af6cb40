"""What a run may still buy, and who waits for it."""

from __future__ import annotations

import asyncio

import pytest

from sora_async import BatchStoppedError, InvalidRequestError
from sora_async.batch.budget import Budget

FREE = InvalidRequestError(400, "", "no")


async def last_of(budget: Budget) -> asyncio.Task[bool]:
    """Somebody who waits for the one create that another has set aside."""
    assert await budget.reserve()
    waiting = asyncio.create_task(budget.reserve())
    await asyncio.sleep(0)
    assert not waiting.done()
    return waiting


@pytest.mark.parametrize(
    ("end", "may_buy"), [(FREE, True), (None, False), (ZeroDivisionError(), False)], ids=["refused", "bought", "odd"]
)
async def test_last_create_goes_to_who_waits_if_it_was_free(end: BaseException | None, *, may_buy: bool) -> None:
    """What may have been paid for counts."""
    budget = Budget(1)
    waiting = await last_of(budget)
    budget.settle(end)
    assert await waiting is may_buy
    assert budget.is_used_up is not may_buy


@pytest.mark.parametrize("is_closed", [True, False])
async def test_who_waits_for_a_create_is_told_when_nothing_more_is_bought(*, is_closed: bool) -> None:
    """Closed or stopped: it has nothing to do with what may be bought."""
    budget = Budget(1)
    waiting = await last_of(budget)
    if is_closed:
        budget.close()
    else:
        budget.stop(BatchStoppedError("a reason"))
    assert await waiting is False
    assert not budget.is_used_up
    assert not budget.is_open
