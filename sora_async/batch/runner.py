"""A batch: inputs of any number in, outcomes out as they come, with bounded memory and an exact account."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

from sora_async.batch.budget import Budget
from sora_async.batch.item import BatchItem
from sora_async.batch.keys import Ordinals, body_key, ledger_body
from sora_async.batch.ledger import Ledger
from sora_async.batch.outcome import Outcome
from sora_async.batch.policy import BatchPolicy
from sora_async.batch.sources import Requests, read_items
from sora_async.batch.storage import make_storage
from sora_async.batch.worker import Verbs, Worker
from sora_async.errors import LedgerError

DURATIONS = "durations"
"""The name under which a ledger keeps what was learnt of when tasks end."""
LEARNING = 100
"""After so many outcomes it is kept again."""
LOOK_S = 0.05
"""How often a run that is ending looks for workers that have become idle."""


class Runner:
    """One run of a batch.

    Args:
        verbs: the client's.
        ledger: opened and closed here.
        account: whose ledger it must be.
        directory: where the files go, a folder or a URL; None fetches none.
        policy: the limits.
        folder: local pictures are noted relative to it; None notes them as given.
    """

    def __init__(
        self,
        verbs: Verbs,
        *,
        ledger: Ledger,
        account: str,
        directory: str | os.PathLike[str] | None,
        policy: BatchPolicy,
        folder: Path | None = None,
    ) -> None:
        self._folder = folder
        self._verbs = verbs
        self._ledger = ledger
        self._account = account
        self._budget = Budget(policy.max_tasks)
        self._storage = None if directory is None else make_storage(directory, threads=policy.downloads)
        self._worker = Worker(verbs, ledger=ledger, budget=self._budget, storage=self._storage, policy=policy)
        self._slots = asyncio.Semaphore(policy.concurrency)
        # A consumer that is slow holds up the workers, and these the reading of inputs.
        self._shelf = asyncio.Semaphore(policy.concurrency)
        self._outcomes: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._working: set[asyncio.Task[None]] = set()
        self._keys: set[str] = set()
        self._failure: Exception | None = None
        self._ended = asyncio.Event()

    async def run(self, requests: Requests) -> AsyncGenerator[Outcome, None]:
        """Yield the outcome of each input as it comes. Left early, it first brings home the creates under way.

        Raises:
            BatchStoppedError: the buying was stopped; after the last outcome.
            LedgerError: the ledger cannot be opened, or, after the last outcome, could not be written any more.
            ValueError: the storage cannot be used; or an input is unusable, which is raised after the last outcome, as
                is all that reading the inputs raises.
        """
        try:
            await self._ledger.open(self._account)
            if self._storage is not None:
                await self._storage.open()
            if (learned := await self._ledger.recall(DURATIONS)) is not None:
                self._verbs.learn(learned)
            feeding = asyncio.create_task(self._feed(requests))
            try:
                count = 0
                while (outcome := await self._outcomes.get()) is not None:
                    self._shelf.release()
                    yield outcome
                    count += 1
                    if count % LEARNING == 0:
                        await self._remember()
            finally:
                await self._wind_down(feeding)
                await self._remember()
        finally:
            if self._storage is not None:
                self._storage.close()
            await self._ledger.close()
            self._ended.set()
        if (failure := self._failure or self._budget.stopped_by) is not None:
            raise failure

    async def _remember(self) -> None:
        learned = self._verbs.learned()
        if learned is not None:
            # A hint that is lost costs some polls; and a ledger that cannot be written is told by what it was to note.
            with suppress(LedgerError):
                await self._ledger.remember(DURATIONS, learned)

    async def stop(self, reason: Exception) -> None:
        """End the run for its consumer with this reason, and wait until it has let go of everything."""
        self._failure = reason
        self._outcomes.put_nowait(None)
        await self._ended.wait()

    async def _feed(self, requests: Requests) -> None:
        """Read inputs as slots are free, and tell the end of all work."""
        try:
            await self._read(requests)
        except Exception as error:  # noqa: BLE001 it is raised in the consumer, after what is under way
            self._failure = error
        while self._working:
            await asyncio.wait(self._working)
        self._outcomes.put_nowait(None)

    async def _read(self, requests: Requests) -> None:
        with Ordinals() as ordinals:
            async with aclosing(read_items(requests)) as items:
                while self._budget.is_open and self._failure is None:
                    await self._slots.acquire()
                    item = await anext(items, None)
                    if item is None:
                        return
                    body = ledger_body(item.request, self._folder)
                    key = item.key
                    if key is None:
                        digest = body_key(body)
                        key = f"{digest}-{ordinals.next(digest)}"
                    task = asyncio.create_task(self._work(key, item, body))
                    self._working.add(task)
                    task.add_done_callback(self._working.discard)

    async def _work(self, key: str, item: BatchItem, body: Mapping[str, Any]) -> None:
        try:
            outcome = await self._bring(key, item, body)
            if outcome is not None:
                await self._shelf.acquire()
                self._outcomes.put_nowait(outcome)
        except Exception as error:  # noqa: BLE001 it is raised in the consumer, after what is under way
            self._failure = error
        finally:
            self._slots.release()

    async def _bring(self, key: str, item: BatchItem, body: Mapping[str, Any]) -> Outcome | None:
        if key in self._keys:
            error = ValueError(f"two inputs have the key {key!r}: give each its own")
            return Outcome(key=key, request=item.request, error=error)
        self._keys.add(key)
        try:
            return await self._worker.bring(key, item, body)
        finally:
            self._keys.discard(key)

    async def _wind_down(self, feeding: asyncio.Task[None]) -> None:
        """Buy nothing more, let the creates under way come home, and leave the rest as it is, for a later run.

        Cancelled, it leaves those creates in doubt.
        """
        self._worker.is_stopping = True
        self._budget.close()
        feeding.cancel()
        try:
            await self._dismiss()
        except asyncio.CancelledError:
            for task in self._working:
                task.cancel()
            await _outlast([feeding, *self._working])
            raise
        await asyncio.wait([feeding])

    async def _dismiss(self) -> None:
        """Cancel each worker once it is idle, until there are none."""
        dismissed: set[asyncio.Task[None]] = set()
        while self._working:
            for task in self._working - dismissed:
                if self._worker.is_idle(task):
                    task.cancel()
                    dismissed.add(task)
            # Looked at again and again, since a create that was refused is idle until it is repeated.
            await asyncio.wait(self._working, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)


async def _outlast(tasks: Collection[asyncio.Task[None]]) -> None:
    """Wait for tasks that note what became of the money, however often this is cancelled."""
    while pending := [task for task in tasks if not task.done()]:
        with suppress(asyncio.CancelledError):
            await asyncio.wait(pending)
