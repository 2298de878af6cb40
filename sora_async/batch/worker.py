"""The way of one input through a batch: looked up, bought, waited for, fetched; each step noted before the next."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from sora_async.batch.budget import Budget
from sora_async.batch.item import BatchItem
from sora_async.batch.ledger import LEFT_BEHIND, Change, Entry, Ledger, Stage, TakenOverError
from sora_async.batch.outcome import Outcome
from sora_async.batch.policy import BatchPolicy
from sora_async.batch.storage import Place, Storage
from sora_async.download import Destination
from sora_async.errors import LedgerError, SoraError, SubmissionUncertainError, TaskFailedError
from sora_async.models import State, VideoRequest, VideoTask
from sora_async.naming import file_name

logger = logging.getLogger("sora_async")

INTERRUPTED = "the batch was stopped before the answer came"
BUSY_S = 0.5
"""How often an input is looked at on which another process is at work; a dead one holds it until its lease ends."""
RESENT = "sent again, as on_uncertain='retry' says"


@attrs.frozen(kw_only=True)
class Verbs:
    """What a batch needs of a client."""

    create: Callable[[VideoRequest, Callable[[], AbstractAsyncContextManager[None]]], Awaitable[VideoTask]]
    """Submits one video, with the errors of `Client.create`; what the second argument answers is entered just before
    each POST, and left with its end."""
    expect: Callable[[str, VideoRequest, float], None]
    """Tells of a task that was created earlier what was asked for, and how many seconds ago it was accepted."""
    watch: Callable[[VideoTask | str, float | None], AsyncGenerator[VideoTask, None]]
    """Yields a task until it is final, with the errors of `Client.watch`."""
    download: Callable[[VideoTask | str, Path | Destination], Awaitable[object]]
    """Fetches the file of a finished task, with the errors of `Client.download`."""
    learn: Callable[[str], None]
    """Takes in what `learned` told in an earlier run."""
    learned: Callable[[], str | None]
    """Tells what was learnt of when tasks end; None for nothing."""
    may_have_sent: Callable[[asyncio.Task[Any]], bool]
    """Whether a create of this asyncio task has left, and no answer has proven that it was without effect."""


class Worker:
    """Takes inputs on their way, any number at once.

    Args:
        verbs: the client's.
        ledger: an open ledger.
        budget: what may be bought.
        storage: where the files go; None fetches none.
        policy: the limits.
    """

    def __init__(
        self, verbs: Verbs, *, ledger: Ledger, budget: Budget, storage: Storage | None, policy: BatchPolicy
    ) -> None:
        self._verbs = verbs
        self._ledger = ledger
        self._budget = budget
        self._storage = storage
        self._policy = policy
        self._creates = asyncio.Semaphore(policy.creates)
        self._downloads = asyncio.Semaphore(policy.downloads)
        self._resends_left = policy.max_resends
        self._buying: set[asyncio.Task[Any]] = set()
        self._creating: set[asyncio.Task[Any]] = set()
        self.is_stopping = False
        """Whether what is bought from now on is left for a later run."""

    def is_idle(self, task: asyncio.Task[Any]) -> bool:
        """Whether cancelling this task, in which an input is brought, leaves nothing in doubt and nothing unnoted."""
        if task in self._creating:
            return not self._verbs.may_have_sent(task)
        return task not in self._buying

    async def bring(self, key: str, item: BatchItem, body: Mapping[str, Any]) -> Outcome | None:
        """Bring one input to its end; None if nothing may be bought any more.

        What another process is at work on is waited for. Cancelled while it waits or fetches, it leaves the entry as it
        is, for a later run; while it buys, uncertain.

        Args:
            key: its name in the ledger.
            item: the input.
            body: its create as the ledger keeps it.
        """
        while True:
            try:
                return await self._bring(key, item, body)
            except TakenOverError as error:
                logger.warning("%s, which had taken this one for dead: it is waited for", error)

    async def _bring(self, key: str, item: BatchItem, body: Mapping[str, Any]) -> Outcome | None:
        request = item.request
        task: VideoTask | None = None
        try:
            entry = await self._enter(key, body)
            if entry is None:
                return None
            storage, name = self._storage, item.output or file_name(key, label=request.prompt)
            if entry.stage is Stage.UNCERTAIN and self._may_resend():
                entry = await self._plan_again(entry)
            if entry.stage is Stage.PLANNED:
                if storage is not None:
                    await storage.check_free(name)
                task = await self._buy(entry, request)
                if task is None or self.is_stopping:
                    return None
            elif entry.stage is Stage.DONE:
                found = await self._find(entry)
                if found is not None:
                    return Outcome(key=key, request=request, **found)
                await self._note(key, Stage.READY, reason="its file is gone")
            else:
                _check_goes_on(entry, request)
            if entry.stage is Stage.SUBMITTED and entry.task_id and entry.submitted_at:
                self._verbs.expect(entry.task_id, request, time.time() - entry.submitted_at)
            is_new = entry.stage is not Stage.DONE and entry.stage is not Stage.READY
            task = await self._watch(key, task or entry.task_id or "", is_new=is_new, is_last=storage is None)
            place: Place = {} if storage is None else await self._fetch(key, task, storage, name)
            return Outcome(key=key, request=request, task=task, **place)
        except TakenOverError:
            raise
        except (SoraError, ValueError, OSError) as error:
            self._budget.notice(error)
            seen = error.task if isinstance(error, TaskFailedError) else task
            return Outcome(key=key, request=request, task=seen, error=error)

    async def _enter(self, key: str, body: Mapping[str, Any]) -> Entry | None:
        """Look an input up, as soon as nobody else is at work on it; None if nothing is bought any more until then."""
        while (entry := await self._ledger.enter(key, body, intend=False)) is None:
            if not self._budget.is_open:
                return None
            await asyncio.sleep(BUSY_S)
        return entry

    def _may_resend(self) -> bool:
        if not self._resends_left:
            return False
        self._resends_left -= 1
        return True

    async def _plan_again(self, entry: Entry) -> Entry:
        await self._note(entry.key, Stage.PLANNED, reason=RESENT)
        return attrs.evolve(entry, stage=Stage.PLANNED)

    async def _buy(self, entry: Entry, request: VideoRequest) -> VideoTask | None:
        """Send the create until its end is certain enough; None if nothing may be bought any more."""
        while await self._budget.reserve():
            end: BaseException | None = None
            try:
                return await self._send(entry, request)
            except BaseException as error:
                end = error
                if not (isinstance(error, SubmissionUncertainError) and self._may_resend()):
                    raise
            finally:
                self._budget.settle(end)
            entry = await self._plan_again(entry)
        return None

    async def _send(self, entry: Entry, request: VideoRequest) -> VideoTask:
        """Send one create, and note before and after."""
        me = asyncio.current_task()
        assert me is not None  # noqa: S101 it runs in one
        async with self._creates:
            self._buying.add(me)
            try:
                task = await self._create(entry, request, me)
                await self._note_bought(entry.key, task)
                return task
            finally:
                self._buying.discard(me)

    async def _create(self, entry: Entry, request: VideoRequest, me: asyncio.Task[Any]) -> VideoTask:
        self._creating.add(me)
        try:
            return await self._verbs.create(request, lambda: self._noting(entry, me))
        finally:
            self._creating.discard(me)

    @asynccontextmanager
    async def _noting(self, entry: Entry, me: asyncio.Task[Any]) -> AsyncGenerator[None, None]:
        """Have an entry intended while a POST of it is under way; what waits for its turn is not in doubt."""
        intended = await self._ledger.enter(entry.key, entry.request, intend=True)
        if intended is None or intended.stage is not Stage.INTENDED:
            raise TakenOverError(f"somebody else went on with {entry.key!r}")
        try:
            yield
        except (SoraError, ValueError, asyncio.CancelledError) as error:
            await self._note_unbought(entry.key, error, me)
            raise

    async def _note_unbought(self, key: str, error: BaseException, me: asyncio.Task[Any]) -> None:
        """Note the end of a POST that brought no id."""
        if isinstance(error, SubmissionUncertainError):
            await self._note(key, Stage.UNCERTAIN, reason=error.reason, raw=error.raw)
        elif isinstance(error, asyncio.CancelledError):
            stage = Stage.UNCERTAIN if self._verbs.may_have_sent(me) else Stage.PLANNED
            await self._note(key, stage, reason=INTERRUPTED)
        else:
            # A refusal that may have cost a fee would cost it again.
            may_cost = isinstance(error, SoraError) and error.billed != "no"
            await self._note(key, Stage.UNCERTAIN if may_cost else Stage.PLANNED, reason=str(error))

    async def _note_bought(self, key: str, task: VideoTask) -> None:
        try:
            await self._note(key, Stage.SUBMITTED, task_id=task.id, facts={"status": task.status})
        except LedgerError as error:
            # The one place where the id would go with the process.
            logger.critical("task %s of %r is bought and cannot be noted in the ledger: %s", task.id, key, error)
            raise error.about(task.id) from None

    async def _note(self, key: str, stage: Stage, **facts: Any) -> None:
        """Write a step to its end; a cancel waits for that."""
        writing = asyncio.ensure_future(self._ledger.record(Change(key=key, stage=stage, **facts)))
        cancelled: asyncio.CancelledError | None = None
        while not writing.done():
            try:
                await asyncio.wait([writing])
            except asyncio.CancelledError as error:
                cancelled = error
        writing.result()
        if cancelled is not None:
            raise cancelled

    async def _watch(self, key: str, task: VideoTask | str, *, is_new: bool, is_last: bool) -> VideoTask:
        """Wait for the end of a task and note it, unless it was known already."""
        started_at: float | None = None
        last: VideoTask | None = None
        async for last in self._verbs.watch(task, self._policy.timeout):
            if started_at is None and last.state is State.RUNNING:
                started_at = time.time()
        assert last is not None  # noqa: S101 it yields a task or raises
        facts = {"status": last.status, **({} if started_at is None else {"started_at": started_at})}
        if last.state is not State.SUCCEEDED:
            failure = TaskFailedError(last)
            await self._note(key, Stage.FAILED, reason=last.error_message, facts=facts)
            raise failure
        if is_last or is_new:
            await self._note(key, Stage.DONE if is_last else Stage.READY, facts=facts)
        return last

    async def _find(self, entry: Entry) -> Place | None:
        """Where the file of a done entry is; None if it is not there any more as it was noted."""
        if self._storage is None:
            return {}
        if entry.path is None or not await self._storage.has(entry.path, entry.size):
            return None
        return self._storage.locate(entry.path)

    async def _fetch(self, key: str, task: VideoTask, storage: Storage, name: str) -> Place:
        """Bring the file home, and note it."""
        async with self._downloads:
            size, sha256 = await storage.receive(name, partial(self._verbs.download, task))
        await self._note(key, Stage.DONE, path=name, size=size, sha256=sha256)
        return storage.locate(name)


def _check_goes_on(entry: Entry, request: VideoRequest) -> None:
    """Raise the error of an entry that has come to an end without a video."""
    if entry.stage is Stage.UNCERTAIN:
        raise SubmissionUncertainError(request, entry.reason or LEFT_BEHIND, entry.raw)
    if entry.stage is Stage.FAILED:
        status = str(entry.facts.get("status", "failed"))
        task_id = entry.task_id or ""
        raise TaskFailedError(VideoTask(id=task_id, status=status, state=State.FAILED, error_message=entry.reason))
    if entry.stage is Stage.RESOLVED:
        raise SoraError(f"{entry.key!r} was given up in the ledger: {entry.reason}")
    if entry.stage is Stage.INTENDED:
        raise LedgerError(f"{entry.key!r} is being sent by another run on this ledger")
