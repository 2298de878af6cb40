"""A batch: inputs of any number in, outcomes out as they come, with bounded memory and an exact account."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing, suppress
from pathlib import Path

from sora_async.batch.budget import Budget
from sora_async.batch.intake import Intake
from sora_async.batch.ledger import Ledger
from sora_async.batch.outcome import Outcome
from sora_async.batch.policy import BatchPolicy
from sora_async.batch.sources import Requests
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
        self._concurrency = policy.concurrency
        self._intake: Intake | None = None
        self._verbs = verbs
        self._ledger = ledger
        self._account = account
        self._budget = Budget(policy.max_tasks)
        self._storage = None if directory is None else make_storage(directory, threads=policy.downloads)
        self._worker = Worker(verbs, ledger=ledger, budget=self._budget, storage=self._storage, policy=policy)
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
            self._intake = Intake(
                requests,
                self._worker.bring,
                is_open=lambda: self._budget.is_open and self._failure is None,
                fail=self._fail,
                concurrency=self._concurrency,
                folder=self._folder,
            )
            try:
                count = 0
                async with aclosing(self._intake.outcomes()) as outcomes:
                    async for outcome in outcomes:
                        yield outcome
                        count += 1
                        if count % LEARNING == 0:
                            await self._remember()
            finally:
                await self._wind_down(self._intake)
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
        if self._intake is not None:
            self._intake.end()
        await self._ended.wait()

    async def _fail(self, error: Exception) -> None:
        self._failure = error

    async def _wind_down(self, intake: Intake) -> None:
        """Buy nothing more, let the creates under way come home, and leave the rest as it is, for a later run.

        Cancelled, it leaves those creates in doubt.
        """
        self._worker.is_stopping = True
        self._budget.close()
        intake.reading.cancel()
        try:
            await self._dismiss(intake.working)
        except asyncio.CancelledError:
            for task in intake.working:
                task.cancel()
            await _outlast([intake.reading, *intake.working])
            raise
        await asyncio.wait([intake.reading])

    async def _dismiss(self, working: Collection[asyncio.Task[None]]) -> None:
        """Cancel each worker once it is idle, until there are none."""
        dismissed: set[asyncio.Task[None]] = set()
        while working:
            for task in set(working) - dismissed:
                if self._worker.is_idle(task):
                    task.cancel()
                    dismissed.add(task)
            # Looked at again and again, since a create that was refused is idle until it is repeated.
            await asyncio.wait(working, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)


async def _outlast(tasks: Collection[asyncio.Task[None]]) -> None:
    """Wait for tasks that note what became of the money, however often this is cancelled."""
    while pending := [task for task in tasks if not task.done()]:
        with suppress(asyncio.CancelledError):
            await asyncio.wait(pending)
