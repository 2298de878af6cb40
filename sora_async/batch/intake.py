"""Inputs of any number in, outcomes out as they come: what is between is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from sora_async.batch.item import BatchItem
from sora_async.batch.keys import Ordinals, body_key, ledger_body
from sora_async.batch.outcome import Outcome
from sora_async.batch.sources import Requests, read_items

Bring = Callable[[str, BatchItem, Mapping[str, Any]], Awaitable[Outcome | None]]
"""Brings one input to its end, by its key, itself, and its create as a ledger keeps it; None for no outcome."""


class Intake:
    """Reads inputs as slots are free, names them, and has each of them brought in an asyncio task of its own.

    Args:
        requests: the inputs.
        bring: what is to be done with each.
        is_open: answers whether more may be begun.
        fail: hears what reading the inputs raises, or `bring`; what is under way comes to its end all the same.
        concurrency: how many are brought at once.
        folder: local pictures are noted relative to it; None notes them as given.

    Attributes:
        working: those that are being brought.
        reading: reads the inputs.
    """

    def __init__(
        self,
        requests: Requests,
        bring: Bring,
        *,
        is_open: Callable[[], bool],
        fail: Callable[[Exception], Awaitable[None]],
        concurrency: int,
        folder: Path | None = None,
    ) -> None:
        self._bring = bring
        self._is_open = is_open
        self._fail = fail
        self._folder = folder
        self._slots = asyncio.Semaphore(concurrency)
        # A consumer that is slow holds up the workers, and these the reading of inputs.
        self._shelf = asyncio.Semaphore(concurrency)
        self._outcomes: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._keys: set[str] = set()
        self.working: set[asyncio.Task[None]] = set()
        self.reading = asyncio.create_task(self._feed(requests))

    async def outcomes(self) -> AsyncGenerator[Outcome, None]:
        """Yield each outcome as it comes, up to the last."""
        while (outcome := await self._outcomes.get()) is not None:
            self._shelf.release()
            yield outcome

    def end(self) -> None:
        """Have the outcomes end before the last."""
        self._outcomes.put_nowait(None)

    async def _feed(self, requests: Requests) -> None:
        """Read inputs, and tell the end of all work."""
        try:
            await self._read(requests)
        except Exception as error:  # noqa: BLE001 it is raised in the consumer, after what is under way
            await self._fail(error)
        while self.working:
            await asyncio.wait(self.working)
        self.end()

    async def _read(self, requests: Requests) -> None:
        with Ordinals() as ordinals:
            async with aclosing(read_items(requests)) as items:
                await self._slots.acquire()
                while self._is_open():
                    item = await anext(items, None)
                    if item is None:
                        return
                    body = ledger_body(item.request, self._folder)
                    key = item.key
                    if key is None:
                        digest = body_key(body)
                        key = f"{digest}-{ordinals.next(digest)}"
                    task = asyncio.create_task(self._work(key, item, body))
                    self.working.add(task)
                    task.add_done_callback(self.working.discard)
                    await self._slots.acquire()

    async def _work(self, key: str, item: BatchItem, body: Mapping[str, Any]) -> None:
        try:
            outcome = await self._bring_once(key, item, body)
            if outcome is not None:
                await self._shelf.acquire()
                self._outcomes.put_nowait(outcome)
        except Exception as error:  # noqa: BLE001 it is raised in the consumer, after what is under way
            await self._fail(error)
        finally:
            self._slots.release()

    async def _bring_once(self, key: str, item: BatchItem, body: Mapping[str, Any]) -> Outcome | None:
        if key in self._keys:
            error = ValueError(f"two inputs have the key {key!r}: give each its own")
            return Outcome(key=key, request=item.request, error=error)
        self._keys.add(key)
        try:
            return await self._bring(key, item, body)
        finally:
            self._keys.discard(key)
