"""Ledgers of the command: one that is watched, one for previews, and one that lets nothing be bought."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sora_async import BatchStoppedError
from sora_async.batch import Change, Entry, Ledger, SqliteLedger, Stage
from sora_async.cli.batch_tally import Tally
from sora_async.cli.ledger_place import Place, postgres_ledger

if TYPE_CHECKING:
    _Base = SqliteLedger
else:
    _Base = object

PREVIEWS = "sandbox"
"""The account of a ledger of previews: no relay's, so that no run takes them for videos that were bought."""

_ENDED_WITH_IT = "its sandbox has ended"


class _Watched(_Base):
    """Tells a tally all that it takes."""

    _tally: Tally

    async def enter(self, key: str, request: Mapping[str, Any], *, intend: bool) -> Entry | None:
        """As the ledger has it."""
        entry = await super().enter(key, request, intend=intend)
        if entry is not None:
            self._tally.entered(entry)
        return entry

    async def record(self, change: Change) -> None:
        """As the ledger has it."""
        # Before it is written: a run that is stopped at once does not wait for that.
        self._tally.changed(change)
        await super().record(change)


class WatchedLedger(_Watched, SqliteLedger):
    """Tells a tally all that it takes."""

    def __init__(self, path: Path, tally: Tally) -> None:
        super().__init__(path)
        self._tally = tally


def make_watched(place: Place, tally: Tally) -> Ledger:
    """Make a ledger that tells a tally all that it takes."""
    if place.dsn is None:
        return WatchedLedger(Path(place.text), tally)
    kind = postgres_ledger()

    class WatchedPostgresLedger(_Watched, kind):  # type: ignore[misc, valid-type] # it needs an extra
        _tally = tally

    return cast(Ledger, cast(Any, WatchedPostgresLedger)(place.dsn, name=place.name))


class PreviewLedger(WatchedLedger):
    """Keeps the previews of sandboxes that end with their runs: what is not here at the start is made anew.

    Args:
        path: the file.
        directory: where the previews are.
        tally: as for WatchedLedger.

    Attributes:
        renewed: how many are made anew.
    """

    def __init__(self, path: Path, directory: Path, tally: Tally) -> None:
        super().__init__(path, tally)
        self._directory = directory
        self.renewed = 0

    async def open(self, account: str) -> None:  # noqa: ARG002 each sandbox has another address
        """As SqliteLedger has it, for the account of all sandboxes."""
        await super().open(PREVIEWS)
        async for entry in self.entries(Stage.SUBMITTED, Stage.READY, Stage.UNCERTAIN, Stage.DONE):
            if entry.stage is Stage.DONE:
                if (self._directory / (entry.path or "")).is_file():
                    continue
                await self._step(entry, Stage.READY)
            if entry.stage is not Stage.UNCERTAIN:
                await self._step(entry, Stage.RESOLVED)
            await self._step(entry, Stage.PLANNED)
            self.renewed += 1

    async def _step(self, entry: Entry, stage: Stage) -> None:
        await self.record(Change(key=entry.key, stage=stage, reason=_ENDED_WITH_IT))


class DryLedger:
    """Counts what would be bought, and lets nobody go on with it.

    Args:
        place: the ledger, which is only read.

    Attributes:
        known: how many inputs the ledger knows in which stage.
        kinds: how many would be bought of each model and duration.
        conflicts: keys that stand for another request in the ledger.
    """

    def __init__(self, place: Place) -> None:
        self.known: Counter[Stage] = Counter()
        self.kinds: Counter[tuple[str, int | None]] = Counter()
        self.conflicts: list[str] = []
        self._place = place
        self._entries: dict[str, tuple[Stage, int]] = {}

    async def open(self, account: str) -> None:  # noqa: ARG002 it is only read
        """Read what there is."""
        if not await self._place.exists():
            return
        async for entry in self._place.ledger().entries():
            self._entries[entry.key] = entry.stage, _digest(entry.request)

    async def enter(self, key: str, request: Mapping[str, Any], *, intend: bool) -> Entry | None:  # noqa: ARG002
        """Count an input.

        Raises:
            BatchStoppedError: always.
        """
        stage, digest = self._entries.get(key, (Stage.PLANNED, None))
        if digest is not None and digest != _digest(request):
            self.conflicts.append(key)
        elif stage is Stage.PLANNED:
            self.kinds[str(request.get("model")), request.get("duration")] += 1
        else:
            self.known[stage] += 1
        raise BatchStoppedError("nothing is bought")

    async def recall(self, name: str) -> str | None:  # noqa: ARG002 nothing will be polled
        """There may be no file yet."""
        return None

    async def remember(self, name: str, text: str) -> None:
        """It is only read."""

    async def close(self) -> None:
        """It was only read."""


class DryFileLedger(DryLedger, SqliteLedger):
    """The same for a file, from whose folder local pictures are named."""

    def __init__(self, place: Place) -> None:
        SqliteLedger.__init__(self, place.text)
        DryLedger.__init__(self, place)


def make_dry(place: Place) -> DryLedger:
    """Make a ledger that lets nothing be bought."""
    return DryFileLedger(place) if place.dsn is None else DryLedger(place)


def _digest(request: Mapping[str, Any]) -> int:
    return hash(json.dumps(dict(request), sort_keys=True))
