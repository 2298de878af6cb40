"""The part of a batch that one worker of its fleet brings: a client, a ledger, and runs of the one-machine batch."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing

import attrs

from sora_async.batch.budget import Budget
from sora_async.batch.fleet_ledger import SharedLedger
from sora_async.batch.fleet_order import Job, Order
from sora_async.batch.item import BatchItem
from sora_async.batch.ledger import Change, Entry, Stage
from sora_async.batch.outcome import Outcome
from sora_async.errors import BatchStoppedError, LedgerError

QUIET_S = 5.0
"""A run to which nothing was given for so long is ended, for one that has stopped buying says so at its end."""


class _InputStream:
    """What one run reads, with one share of the limits.

    Args:
        creates: its share.
        downloads: its share.

    Attributes:
        is_over: whether it takes no more.
    """

    def __init__(self, creates: int, downloads: int) -> None:
        self.share = (creates, downloads)
        self.is_over = False
        self._items: asyncio.Queue[BatchItem | None] = asyncio.Queue()

    def give(self, item: BatchItem) -> None:
        """Add an input."""
        self._items.put_nowait(item)

    def end(self) -> None:
        """Give no more."""
        if not self.is_over:
            self.is_over = True
            self._items.put_nowait(None)

    async def items(self) -> AsyncGenerator[BatchItem, None]:
        """What the run reads."""
        try:
            while True:
                async with asyncio.timeout(QUIET_S):
                    item = await self._items.get()
                if item is None:
                    return
                yield item
        except TimeoutError:
            return
        finally:
            self.is_over = True


@attrs.define(eq=False)
class PendingInput:
    """One input that is being brought."""

    stream: _InputStream
    """The run that brings it."""
    may_buy: bool
    """Whether it may be bought."""
    coming: asyncio.Future[Outcome | None]
    """Its outcome; None if it was not brought to its end."""
    entry: Entry | None = None
    """It in the ledger, as last seen."""
    was_planned: bool = False
    """Whether it was not bought when it was looked up."""
    bought: Stage | None = None
    """How far the create of this process has come; None if it sent none."""
    is_unbought: bool = False
    """Whether it is not bought, and must not be."""

    @property
    def has_bought(self) -> bool:
        """Whether it is bought, or in doubt."""
        return self.is_new or not self.was_planned

    @property
    def is_new(self) -> bool:
        """Whether this process has bought it, for certain or perhaps."""
        return self.bought not in {None, Stage.PLANNED}


class WorkerBatch:
    """Brings inputs of one batch, any number at once, each to its end.

    Args:
        order: the batch.

    Attributes:
        stopped_by: why nothing more may be bought; None as long as it may.
    """

    def __init__(self, order: Order) -> None:
        self.stopped_by: Exception | None = None
        self._order = order
        self._client = order.client()
        self._ledger = SharedLedger(order.ledger, self)
        # The runs have budgets of their own; this one sees across them, and at once.
        self._budget = Budget(None)
        self._pending: dict[str, PendingInput] = {}
        self._callers = 0
        self._left_at = 0.0
        self._stream = _InputStream(0, 0)
        self._stream.end()
        self._runs: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None

    @property
    def is_lost(self) -> bool:
        """Whether its ledger is of no use any more; a new one may be."""
        return isinstance(self.stopped_by, LedgerError)

    @property
    def idle_s(self) -> float:
        """For how many seconds nobody has waited for anything; negative if somebody does."""
        return -1.0 if self._callers else asyncio.get_running_loop().time() - self._left_at

    def stages(self) -> Counter[Stage]:
        """How many of the inputs under way are in which stage."""
        return Counter(pending.entry.stage for pending in self._pending.values() if pending.entry is not None)

    async def bring(self, job: Job) -> tuple[PendingInput, Outcome | None]:
        """Bring one input to its end, or as far as it goes. Cancelling it lets the others go on."""
        pending = self._pending.get(job.key) or self._begin(job)
        self._callers += 1
        try:
            return pending, await asyncio.shield(pending.coming)
        finally:
            self._callers -= 1
            self._left_at = asyncio.get_running_loop().time()

    def _begin(self, job: Job) -> PendingInput:
        is_open = self.stopped_by is None and self._closing is None
        stream = self._find_stream(job) if is_open else self._stream
        pending = PendingInput(stream, job.may_buy, asyncio.get_running_loop().create_future())
        if is_open:
            self._pending[job.key] = pending
            stream.give(job.item)
        else:
            pending.coming.set_result(None)
        return pending

    def _find_stream(self, job: Job) -> _InputStream:
        """The run that takes an input; a new one if the limits are not the same any more."""
        if self._stream.is_over or self._stream.share != (job.creates, job.downloads):
            self._stream.end()
            self._stream = _InputStream(job.creates, job.downloads)
            run = asyncio.create_task(self._run(self._stream))
            self._runs.add(run)
            run.add_done_callback(self._runs.discard)
        return self._stream

    async def _run(self, stream: _InputStream) -> None:
        order = self._order
        creates, downloads = stream.share
        policy = attrs.evolve(order.policy, creates=creates, downloads=downloads, max_tasks=None)
        try:
            outcomes = self._client.generate_many(
                stream.items(),
                concurrency=policy.concurrency,
                ledger=self._ledger,
                directory=order.directory,
                policy=policy,
            )
            async with aclosing(outcomes):
                async for outcome in outcomes:
                    self._deliver(outcome)
        except Exception as error:  # noqa: BLE001 it is reported, and ends the batch
            self._stop(error)
        finally:
            stream.is_over = True
            for key in [key for key, pending in self._pending.items() if pending.stream is stream]:
                self._end(key, None)

    def may_buy(self, key: str) -> bool:
        """As Watcher has it."""
        return self._pending[key].may_buy and not self._ledger.is_closed_for_buying

    def saw(self, key: str, entry: Entry) -> bool:
        """As Watcher has it."""
        pending = self._pending[key]
        pending.entry = entry
        pending.was_planned = entry.stage is Stage.PLANNED
        pending.is_unbought = pending.was_planned and not self.may_buy(key)
        return not pending.is_unbought

    def noted(self, change: Change) -> None:
        """As Watcher has it."""
        pending, stage = self._pending.get(change.key), change.stage
        if pending is None or pending.entry is None:
            return
        pending.entry = attrs.evolve(pending.entry, stage=stage, task_id=change.task_id or pending.entry.task_id)
        if stage is Stage.INTENDED or pending.bought is Stage.INTENDED:
            pending.bought = stage
            if stage is Stage.SUBMITTED:
                self._budget.settle(None)

    def _deliver(self, outcome: Outcome) -> None:
        error, pending = outcome.error, self._pending[outcome.key]
        if isinstance(error, BatchStoppedError):
            self._end(outcome.key, None)
            return
        if error is not None:
            is_of_create = pending.bought in {Stage.INTENDED, Stage.PLANNED, Stage.UNCERTAIN}
            (self._budget.settle if is_of_create else self._budget.notice)(error)
            if self._budget.stopped_by is not None:
                self._stop(self._budget.stopped_by)
        self._end(outcome.key, outcome)

    def _end(self, key: str, outcome: Outcome | None) -> None:
        self._pending.pop(key).coming.set_result(outcome)

    def _stop(self, reason: Exception) -> None:
        """Buy nothing more; what was bought is brought home, unless the ledger is lost."""
        if self.stopped_by is None:
            self.stopped_by = reason
            self.stop_buying()
            self._stream.end()
            if self.is_lost:
                self._begin_closing()

    def stop_buying(self) -> None:
        """Let no create leave any more."""
        self._ledger.is_closed_for_buying = True

    async def close(self) -> None:
        """Buy nothing more, bring home the creates under way, let go of the ledger; the rest stays for a later run."""
        await asyncio.shield(self._begin_closing())

    def _begin_closing(self) -> asyncio.Task[None]:
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        return self._closing

    async def _close(self) -> None:
        self.stop_buying()
        for run in self._runs:
            run.cancel()
        if self._runs:
            await asyncio.wait(self._runs)
        await self._ledger.end()
        await self._client.close()
