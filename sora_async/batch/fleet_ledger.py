"""The ledger of one worker of a fleet: open as long as the worker is at work, and watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from sora_async.batch.fleet_order import FleetLedger
from sora_async.batch.ledger import Change, Entry, Stage
from sora_async.errors import BatchStoppedError

UNBOUGHT = "it must not be bought here"


class Watcher(Protocol):
    """Who is told what goes through a ledger."""

    def may_buy(self, key: str) -> bool:
        """Whether an input may be bought."""
        ...

    def saw(self, key: str, entry: Entry) -> bool:
        """An entry was looked up; answers whether to go on with it."""
        ...

    def noted(self, change: Change) -> None:
        """A step was taken."""
        ...


class SharedLedger:
    """A Ledger that several runs, one after the other or at once, open and close, and that stays open until `end`.

    Args:
        ledger: not open.
        watcher: told of all that goes through.

    Attributes:
        is_closed_for_buying: whether no create may leave any more.
    """

    def __init__(self, ledger: FleetLedger, watcher: Watcher) -> None:
        self.is_closed_for_buying = False
        self._ledger = ledger
        self._watcher = watcher
        self._opening = asyncio.Lock()
        self._is_open = False

    async def open(self, account: str) -> None:
        """As Ledger says; all runs have the same account."""
        async with self._opening:
            if self._is_open:
                return
            await self._ledger.open(account)
            self._is_open = True

    async def enter(self, key: str, request: Mapping[str, Any], *, intend: bool) -> Entry | None:
        """As Ledger says.

        Raises:
            BatchStoppedError: nothing is bought any more, or this must not be bought here.
        """
        if intend and self.is_closed_for_buying:
            raise BatchStoppedError("the batch has stopped buying")
        if not intend and not self._watcher.may_buy(key):
            # What is entered is this worker's, until it lets go of the ledger, and perhaps another is to buy it.
            seen = await self._ledger.entry(key) or Entry(key=key, stage=Stage.PLANNED, request=request)
            if seen.stage is Stage.PLANNED:
                self._watcher.saw(key, seen)
                raise BatchStoppedError(UNBOUGHT)
        entry = await self._ledger.enter(key, request, intend=intend)
        if entry is not None and intend:
            self._watcher.noted(Change(key=key, stage=entry.stage))
        elif entry is not None and not self._watcher.saw(key, entry):
            raise BatchStoppedError(UNBOUGHT)
        return entry

    async def record(self, change: Change) -> None:
        """As Ledger says."""
        await self._ledger.record(change)
        self._watcher.noted(change)

    def entries(self, *stages: Stage) -> AsyncIterator[Entry]:
        """As Ledger says."""
        return self._ledger.entries(*stages)

    async def remember(self, name: str, text: str) -> None:
        """As Ledger says."""
        await self._ledger.remember(name, text)

    async def recall(self, name: str) -> str | None:
        """As Ledger says."""
        return await self._ledger.recall(name)

    async def close(self) -> None:
        """The next run goes on with it."""

    async def end(self) -> None:
        """Close it for good."""
        if self._is_open:
            await self._ledger.close()
