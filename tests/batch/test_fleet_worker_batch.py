"""The parts of one worker of a fleet, where the order of things is what matters."""

import asyncio
from types import SimpleNamespace

import pytest
from ledger_suite import ACCOUNT, CAT

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'sora_async[dask]'")

from sora_async import BatchItem, BatchPolicy, Client
from sora_async.batch import Change, Stage
from sora_async.batch.fleet_ledger import SharedLedger
from sora_async.batch.fleet_order import Job, Order
from sora_async.batch.fleet_worker import WorkerBatches
from sora_async.batch.fleet_worker_batch import WorkerBatch
from sora_async.errors import BatchStoppedError


def job_of(key):
    item = BatchItem("a cat", key=key)
    return Job(name=key, batch="b", order=b"", key=key, item=item, may_buy=True, creates=1, downloads=1)


@pytest.fixture
def worker_batch(store):
    def make():
        return Client("any", "http://127.0.0.1:1")

    return lambda: WorkerBatch(Order(batch="b", ledger=store(), directory=None, policy=BatchPolicy(), client=make))


async def test_shared_ledger_stays_open_until_its_end(store):
    """Runs open and close it as they come and go."""
    noted = []
    shared = SharedLedger(store(), SimpleNamespace(noted=noted.append))
    await shared.open(ACCOUNT)
    await shared.open(ACCOUNT)
    await shared.close()
    await shared.remember("name", "text")
    assert await shared.recall("name") == "text"
    assert [entry async for entry in shared.entries()] == []
    assert (await shared.enter("cat", CAT, intend=True)).stage is Stage.INTENDED
    assert await shared.enter("cat", CAT, intend=True) is None
    assert noted == [Change(key="cat", stage=Stage.INTENDED)]
    await shared.end()
    with pytest.raises(RuntimeError, match="not open"):
        await shared.enter("cat", CAT, intend=True)


async def test_shared_ledger_keeps_what_must_not_be_bought_here(store):
    """Also what was planned again just after it was looked up."""
    watcher = SimpleNamespace(may_buy=lambda _: False, saw=lambda _, entry: entry.stage is not Stage.PLANNED)
    ledger = store()
    shared = SharedLedger(ledger, watcher)
    await shared.open(ACCOUNT)
    with pytest.raises(BatchStoppedError, match="must not be bought here"):
        await shared.enter("cat", CAT, intend=False)
    assert await ledger.entry("cat") is None
    await ledger.enter("cat", CAT, intend=True)
    await ledger.record(Change(key="cat", stage=Stage.UNCERTAIN))
    assert (await shared.enter("cat", CAT, intend=False)).stage is Stage.UNCERTAIN
    enter = ledger.enter

    async def enter_just_after(key, request, *, intend):
        await ledger.record(Change(key="cat", stage=Stage.PLANNED))
        return await enter(key, request, intend=intend)

    ledger.enter = enter_just_after
    with pytest.raises(BatchStoppedError, match="must not be bought here"):
        await shared.enter("cat", CAT, intend=False)
    await shared.end()


async def test_worker_batch_that_is_closed_before_it_began_ends_what_it_was_given(worker_batch):
    """And what is given to it after that."""
    worker_batch = worker_batch()
    bringing = asyncio.create_task(worker_batch.bring(job_of("cat")))
    await asyncio.sleep(0)
    await worker_batch.close()
    assert (await bringing)[1] is None
    assert (await worker_batch.bring(job_of("dog")))[1] is None


async def test_worker_batch_stops_for_its_first_reason(worker_batch):
    """A step of an input that nobody waits for any more is only noted in the ledger."""
    worker_batch = worker_batch()
    worker_batch.noted(Change(key="cat", stage=Stage.READY))
    worker_batch._stop(ValueError("first"))
    worker_batch._stop(ValueError("second"))
    assert str(worker_batch.stopped_by) == "first"
    await worker_batch.close()


async def test_job_that_comes_after_its_batch_has_ended_is_not_begun():
    """It may have been on its way when the loop was left."""
    worker_batches = WorkerBatches()
    worker_batches.setup(worker=None)
    await worker_batches.leave("b")
    report = await worker_batches.bring(job_of("cat"))
    assert (report.outcome, report.entry, report.stopped_by) == (None, None, None)
