"""A batch on the workers of a Dask cluster: each input is a task of Dask, and the ledger makes it safe to repeat."""

from __future__ import annotations

import asyncio
import math
import os
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import CancelledError
from contextlib import AsyncExitStack, aclosing, suppress
from importlib import import_module
from typing import Any

import attrs
from distributed import Client as Dask
from distributed import KilledWorker
from distributed.protocol.pickle import dumps

from sora_async.batch.budget import Budget
from sora_async.batch.fleet_order import FleetLedger, Generator, Job, Order, Report
from sora_async.batch.fleet_stages import OnStages, Stages, topic_of
from sora_async.batch.fleet_worker import PLUGIN, WorkerBatches, bring, leave, stop_buying
from sora_async.batch.intake import Intake
from sora_async.batch.item import BatchItem
from sora_async.batch.ledger import Entry
from sora_async.batch.memory import Forgetful
from sora_async.batch.outcome import Outcome
from sora_async.batch.policy import BatchPolicy
from sora_async.batch.sources import Requests
from sora_async.batch.sqlite import SqliteLedger
from sora_async.batch.storage import find_folder
from sora_async.errors import BatchStoppedError, SoraError

MOST_ROUNDS = 10
"""So often an input is given back to Dask when workers were lost with it, which each time allows for a few."""

COUNT_S = 1.0
"""The limits are divided over the workers that there were at most so many seconds ago."""

OnEntry = Callable[[Entry, bool], None]

_UNBOUGHT = SoraError("it was not bought")


def client_of_environment() -> Generator:
    """Make a Client from SORA_API_KEY and SORA_BASE_URL of the worker."""
    # The client stands on the batch, so the batch cannot know it before it is asked for.
    client: Generator = import_module("sora_async.client").Client()
    return client


def generate_many_on(
    dask_client: Any,
    requests: Requests,
    *,
    ledger: FleetLedger,
    directory: str | os.PathLike[str] | None = None,
    concurrency: int = 50,
    policy: BatchPolicy | None = None,
    client: Callable[[], Generator] = client_of_environment,
    on_entry: OnEntry | None = None,
    on_stages: OnStages | None = None,
) -> AsyncGenerator[Outcome, None]:
    """Do what `Client.generate_many` does on the workers of a Dask cluster; yield each outcome as it comes.

    Workers may come, go and die meanwhile: what one had begun another brings to its end. If this process dies, or the
    scheduler, the workers bring home the creates under way and let go of the ledger; run the same inputs again, and
    nothing is bought twice. Leave the loop early, and the same happens.

    ```python
    async with distributed.Client("tcp://scheduler:8786", asynchronous=True) as dask:
        async for outcome in generate_many_on(dask, prompts, ledger=PostgresLedger("LEDGER_DSN"), directory="s3://boats"):
            print(outcome.url or outcome.error)
    ```

    Args:
        dask_client: a `distributed.Client` with `asynchronous=True`, or the address of a scheduler.
        requests: as for `generate_many`. Local pictures are read by the workers, under the same path.
        ledger: one that several processes may write at once, such as PostgresLedger. It is sent to the workers by
            pickle, so it must hold no password.
        directory: where the files go: the URL of a store, or a folder that all workers share; None fetches none.
        concurrency: tasks in flight on all workers together, from 1.
        policy: more limits. `creates` and `downloads` are divided over the workers, at least 1 for each. A create in
            doubt is always kept.
        on_entry: called with each input as the ledger has it when its outcome has come, and whether this run bought it
            (by the ledger's clock, where a worker was lost).
        on_stages: called each second for each worker with how many inputs are under way in which stage, on all workers
            together.
        client: makes a client on a worker, and travels there by pickle, so it must hold no key; the default reads
            SORA_API_KEY and SORA_BASE_URL of the worker's environment.

    Raises:
        ValueError: an argument is unusable; in the loop, an input is, or a worker has no key.
        TypeError: the ledger or `client` cannot be pickled.
        LedgerError: the ledger cannot be used by a worker.
        OSError: there is no scheduler.
        BatchStoppedError: after the last outcome: the buying was stopped, or the scheduler was lost.
    """
    policy = attrs.evolve(policy or BatchPolicy(), concurrency=concurrency)
    if not isinstance(dask_client, str) and not getattr(dask_client, "asynchronous", False):
        raise ValueError("dask_client must be an address, or of this loop: distributed.Client(..., asynchronous=True)")
    if isinstance(ledger, SqliteLedger | Forgetful | str | os.PathLike) or ledger is None:
        raise ValueError("a fleet needs a ledger that many processes write at once, such as PostgresLedger")
    if policy.on_uncertain != "keep":
        raise ValueError("a fleet sends no create in doubt again: settle those in the ledger, and run it again")
    order = Order(
        batch=uuid.uuid4().hex, ledger=ledger, directory=_find_directory(directory), policy=policy, client=client
    )
    return _run(dask_client, order, requests, on_entry, None if on_stages is None else Stages(on_stages))


async def _run(
    dask: Any, order: Order, requests: Requests, on_entry: OnEntry | None, stages: Stages | None
) -> AsyncGenerator[Outcome, None]:
    async with AsyncExitStack() as stack:
        if isinstance(dask, str):
            dask = await stack.enter_async_context(Dask(dask, asynchronous=True))  # type: ignore[no-untyped-call]
        if stages is not None:
            dask.subscribe_topic(topic_of(order.batch), stages.heard)
            stack.callback(_unsubscribe, dask, topic_of(order.batch))
        outcomes = await stack.enter_async_context(aclosing(_Fleet(dask, order, on_entry).run(requests)))
        async for outcome in outcomes:
            yield outcome


def _unsubscribe(dask: Any, topic: str) -> None:
    if dask.status == "running":  # else nobody is there to be told
        dask.unsubscribe_topic(topic)


def _find_directory(directory: str | os.PathLike[str] | None) -> str | None:
    """The same place for all workers, whatever folders they run in."""
    if directory is None:
        return None
    folder = find_folder(directory)  # here, since what it refuses may hold a secret, and must not travel
    return os.fspath(directory) if folder is None else str(folder.absolute())


class _Fleet:
    """One run of a batch on a cluster.

    Args:
        dask: the client of Dask.
        order: the batch.
        on_entry: as for generate_many_on.
    """

    def __init__(self, dask: Any, order: Order, on_entry: OnEntry | None) -> None:
        self._on_entry = on_entry
        self._dask = dask
        self._batch = order.batch
        self._policy = order.policy
        self._order: bytes = dumps(order)  # type: ignore[no-untyped-call]
        self._budget = Budget(order.policy.max_tasks)
        self._sent = 0
        self._began_at = time.time()
        self._workers = 1
        self._counted_at = -math.inf
        self._failure: Exception | None = None
        self._is_lost = False

    async def run(self, requests: Requests) -> AsyncGenerator[Outcome, None]:
        """Yield the outcome of each input as it comes, with the errors of `generate_many_on`."""
        await self._dask.register_plugin(WorkerBatches(), name=PLUGIN)
        await self._count_workers()
        self._intake = Intake(
            requests,
            self._bring,
            is_open=lambda: self._failure is None and self._budget.is_open,
            fail=self._stop,
            concurrency=self._policy.concurrency,
        )
        try:
            async with aclosing(self._intake.outcomes()) as outcomes:
                async for outcome in outcomes:
                    yield outcome
        finally:
            await self._wind_down(self._intake)
        if self._failure is not None:
            raise self._failure

    async def _wind_down(self, intake: Intake) -> None:
        """Have nothing more bought, and wait until all workers have brought home what they sent."""
        ending = [intake.reading, *intake.working]
        for task in ending:
            task.cancel()
        await asyncio.wait(ending)
        await self._tell_workers(leave)

    async def _bring(self, key: str, item: BatchItem, _: Mapping[str, Any]) -> Outcome | None:
        # Named where all inputs are seen in their order.
        report = await self._look_and_buy(key, attrs.evolve(item, key=key))
        if report.stopped_by is not None:
            await self._stop(report.stopped_by)
        if self._on_entry is not None and report.entry is not None and report.outcome is not None:
            # What a worker that was lost has bought in this run, another has found in the ledger.
            is_new = report.is_new or (report.entry.submitted_at or 0.0) >= self._began_at
            self._on_entry(report.entry, is_new)
        return report.outcome

    async def _look_and_buy(self, key: str, item: BatchItem) -> Report:
        if self._policy.max_tasks is None:
            return await self._send(key, item, may_buy=True)
        # What the ledger knows takes nothing of what may be bought; and a worker that is lost cannot tell.
        report = await self._send(key, item, may_buy=False)
        if not report.is_unbought or not await self._budget.reserve():
            return report
        bought = Report(has_bought=True)
        try:
            bought = await self._send(key, item, may_buy=True)
        finally:
            self._budget.settle(None if bought.has_bought else _UNBOUGHT)
        return bought

    async def _send(self, key: str, item: BatchItem, *, may_buy: bool) -> Report:
        """Have one input brought by some worker, however many of them are lost meanwhile."""
        for _ in range(MOST_ROUNDS):
            with suppress(KilledWorker):  # more workers were lost with it than Dask allows a task
                return await self._submit(key, item, may_buy=may_buy)
        raise BatchStoppedError(f"the workers that were to bring {key!r} were lost again and again: look at their logs")

    async def _submit(self, key: str, item: BatchItem, *, may_buy: bool) -> Report:
        await self._count_workers()
        self._sent += 1
        job = Job(
            name=f"sora_async-{self._batch}-{self._sent}",
            batch=self._batch,
            order=self._order,
            key=key,
            item=item,
            may_buy=may_buy,
            creates=max(1, self._policy.creates // self._workers),
            downloads=max(1, self._policy.downloads // self._workers),
        )
        future = self._dask.submit(bring, job, key=job.name, pure=False)
        try:
            report: Report = await future
        except (CancelledError, OSError):
            self._is_lost = True
            # The one that is there now, if there is one, knows none of the other tasks either.
            for task in self._intake.working - {asyncio.current_task()}:
                task.cancel()
            raise BatchStoppedError(
                "the scheduler of Dask was lost: the workers bring home what they sent; run the batch again"
            ) from None
        finally:
            future.release()
        return report

    async def _count_workers(self) -> None:
        if time.monotonic() - self._counted_at > COUNT_S:
            self._counted_at = time.monotonic()
            with suppress(OSError):  # without a scheduler the batch ends anyway
                self._workers = max(1, len(await self._dask.nthreads()))

    async def _stop(self, reason: Exception) -> None:
        """Buy nothing more on any worker; what was bought comes to its end."""
        if self._failure is None:
            self._failure = reason
            self._budget.close()
            await self._tell_workers(stop_buying)

    async def _tell_workers(self, what: Callable[..., object]) -> None:
        """Have something done on all workers; without a scheduler they leave by themselves."""
        if not self._is_lost:
            with suppress(OSError):
                await self._dask.run(what, self._batch, on_error="ignore")
