"""What runs within the workers of a fleet, in the event loop of each."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

from distributed import WorkerPlugin, get_worker
from distributed.protocol.pickle import loads
from distributed.worker_state_machine import SecedeEvent

from sora_async.batch.fleet_order import Job, Order, Report
from sora_async.batch.fleet_stages import TELL_S, tell
from sora_async.batch.fleet_worker_batch import WorkerBatch
from sora_async.errors import LedgerError

PLUGIN = "sora_async"
IDLE_S = 10.0
"""A part to which nothing was given for so long is closed, for the process that read the batch may be gone."""
REMEMBERED = 1000
"""How many batches that are over are known, so that their last jobs come too late."""


class WorkerBatches(WorkerPlugin):
    """What one worker brings, of each batch its part. All fleets share the plugin, so nothing is left behind."""

    idempotent = True

    def setup(self, worker: Any) -> None:
        """Begin on this worker."""
        self._worker = worker
        self._worker_batches: dict[str, WorkerBatch] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._stopped: deque[str] = deque(maxlen=REMEMBERED)
        self._over: deque[str] = deque(maxlen=REMEMBERED)
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:  # noqa: ARG002 Dask names them
        """Nobody waits for a task any more: it, or the process that wanted it, was given up."""
        task = self._tasks.get(key)
        if finish == "released" and task is not None:
            task.cancel()

    async def teardown(self, worker: Any) -> None:  # noqa: ARG002 Dask names it
        """The worker ends: bring home what was sent."""
        for batch in tuple(self._worker_batches):
            self._retire(batch)
        if self._closing:
            await asyncio.wait(self._closing)

    async def bring(self, job: Job) -> Report:
        """Bring one input to its end."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 it runs in one
        self._tasks[job.name] = task
        try:
            return await self._bring(job)
        except asyncio.CancelledError:
            self._retire_if_idle(job.batch, 0.0)
            raise
        finally:
            del self._tasks[job.name]
            asyncio.get_running_loop().call_later(IDLE_S, self._retire_if_idle, job.batch, IDLE_S)

    async def _bring(self, job: Job) -> Report:
        is_second = False
        while job.batch not in self._over:
            try:
                worker_batch = self._find(job)
            except Exception as error:  # noqa: BLE001 it ends the batch, where it is raised
                return Report(has_bought=True, stopped_by=error)
            pending, outcome = await worker_batch.bring(job)
            is_lost = worker_batch.is_lost and (outcome is None or isinstance(outcome.error, LedgerError))
            if is_lost and not is_second:
                # The server was away for too long, and may be back: this worker may begin anew, once.
                self._retire(job.batch, worker_batch)
                is_second = True
            else:
                return Report(
                    outcome=outcome,
                    entry=pending.entry,
                    has_bought=pending.has_bought,
                    is_new=pending.is_new,
                    is_unbought=pending.is_unbought,
                    stopped_by=worker_batch.stopped_by if is_lost or not worker_batch.is_lost else None,
                )
        return Report(has_bought=True)

    def _find(self, job: Job) -> WorkerBatch:
        worker_batch = self._worker_batches.get(job.batch)
        if worker_batch is None:
            order: Order = loads(job.order)  # type: ignore[no-untyped-call]
            worker_batch = self._worker_batches[job.batch] = WorkerBatch(order)
            if job.batch in self._stopped:
                worker_batch.stop_buying()
            self._tell_stages(job.batch, worker_batch)
        return worker_batch

    def _tell_stages(self, batch: str, worker_batch: WorkerBatch) -> None:
        """Tell from now on as long as it is at work."""
        if self._worker_batches.get(batch) is worker_batch:
            tell(self._worker, batch, worker_batch.stages())
            asyncio.get_running_loop().call_later(TELL_S, self._tell_stages, batch, worker_batch)

    def _retire_if_idle(self, batch: str, for_s: float) -> None:
        worker_batch = self._worker_batches.get(batch)
        if worker_batch is not None and worker_batch.idle_s >= for_s:
            self._retire(batch)

    def _retire(self, batch: str, worker_batch: WorkerBatch | None = None) -> None:
        """Close this worker's part of a batch, unless it is another one by now."""
        found = self._worker_batches.get(batch)
        if found is not None and (worker_batch is None or worker_batch is found):
            del self._worker_batches[batch]
            closing = asyncio.create_task(found.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def stop_buying(self, batch: str) -> None:
        """Send no more creates of a batch, and bring home what was bought."""
        self._stopped.append(batch)
        worker_batch = self._worker_batches.get(batch)
        if worker_batch is not None:
            worker_batch.stop_buying()

    async def leave(self, batch: str) -> None:
        """End a batch: creates under way come home, the ledger is let go of."""
        self._over.append(batch)
        self._retire(batch)
        if self._closing:
            await asyncio.wait(self._closing)


def _worker_batches(worker: Any) -> WorkerBatches:
    worker_batches: WorkerBatches = worker.plugins[PLUGIN]
    return worker_batches


async def bring(job: Job) -> Report:
    """Bring one input to its end: the task of Dask."""
    worker = get_worker()
    # What `secede` does for a task in a thread: it waits for minutes, and many may do so at once.
    worker.handle_stimulus(SecedeEvent(key=job.name, compute_duration=0.0, stimulus_id=f"secede-{time.time()}"))
    return await _worker_batches(worker).bring(job)


def stop_buying(batch: str, dask_worker: Any) -> None:
    """As WorkerBatches has it."""
    _worker_batches(dask_worker).stop_buying(batch)


async def leave(batch: str, dask_worker: Any) -> None:
    """As WorkerBatches has it."""
    await _worker_batches(dask_worker).leave(batch)
