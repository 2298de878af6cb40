"""What the operations of one transaction make of the entries that they are about, in memory."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Iterable, MutableMapping

import attrs

from sora_async.batch.ledger import LEFT_BEHIND, Change, Entry, Stage, TakenOverError
from sora_async.batch.ledger_row import Request, Row
from sora_async.errors import LedgerError


@attrs.define
class OwnedRow(Row):
    """The columns of an entry, in the order of the table."""

    owner: int | None = None
    """Who is at work on it; nobody, once it has ended."""


COLUMNS = tuple(field.name for field in attrs.fields(OwnedRow))
"""All of them."""


@attrs.frozen
class Step:
    """An event to be noted."""

    row: OwnedRow
    """Of which entry; a new one has no number yet."""
    stage: str
    attempt: int
    task_id: str | None
    reason: str | None


class Book:
    """The entries of some keys, within a transaction. An operation that raises has taken no step.

    Args:
        rows: those that are there, locked.
        owner: who writes.
        alive: which other owners of these rows are at work.
        attempts: by key the creates that the owner has intended, and of which it has not noted the ends; not changed.
        now: seconds since 1970.

    Attributes:
        fresh: new rows, in the order in which they came.
        changed: rows that were there and are not as they were, by key.
        steps: the events, in order.
        hints: texts to be remembered, by name.
        attempts: how `attempts` is to be changed; None for what has ended.
    """

    def __init__(
        self,
        rows: Iterable[OwnedRow],
        *,
        owner: int,
        alive: Collection[int],
        attempts: MutableMapping[str, int | None],
        now: float,
    ) -> None:
        self._rows = {row.key: row for row in rows}
        self._owner = owner
        self._alive = alive
        self.attempts: dict[str, int | None] = {}
        self._attempts = ChainMap(self.attempts, attempts)
        self._now = now
        self.fresh: list[OwnedRow] = []
        self.changed: dict[str, OwnedRow] = {}
        self.steps: list[Step] = []
        self.hints: dict[str, str] = {}

    def enter(self, key: str, request: Request, *, intend: bool) -> Entry | None:
        """As Ledger.enter says."""
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = OwnedRow(0, key, request.text, self._now, owner=self._owner)
            self.fresh.append(row)
            if not intend:
                self._note(row)
        else:
            row.check_request(request)
            if self._attempts.get(key) not in {None, row.attempt}:
                self._attempts[key] = None  # another attempt has followed: what came of it is told to nobody any more
            if not self._claim(row):
                return None
        if intend and row.stage == Stage.INTENDED.value:
            return None
        if intend and row.stage == Stage.PLANNED.value:
            row.take_stage(Stage.INTENDED, self._now)
            self._note(row)
            self._attempts[key] = row.attempt
        return row.show(request.body)

    def record(self, change: Change) -> None:
        """As Ledger.record says."""
        row, attempt = self._rows.get(change.key), self._attempts.get(change.key)
        if row is None:
            raise LedgerError(f"{change.key!r} is not in the ledger")
        if attempt is None and not self._claim(row):
            raise TakenOverError(f"another process is at work on {change.key!r}")
        if attempt is not None and attempt != row.attempt:
            raise LedgerError(f"{change.key!r} was settled by somebody else, and is sent anew since then")
        before = [getattr(row, name) for name in COLUMNS]
        if attempt is not None:
            # Whatever others made of it while this owner was taken for dead: it alone knows how that create ended.
            row.stage = Stage.INTENDED.value
        try:
            row.take(change, self._now)
        except (LedgerError, TypeError, ValueError):
            for name, value in zip(COLUMNS, before, strict=True):
                setattr(row, name, value)
            raise
        # A text of PostgreSQL holds any character but this one.
        row.reason = row.reason and row.reason.replace("\0", "?")
        self._note(row)
        if change.stage is Stage.INTENDED or attempt is not None:
            self._attempts[change.key] = row.attempt if change.stage is Stage.INTENDED else None

    def remember(self, name: str, text: str) -> None:
        """As Ledger.remember says."""
        self.hints[name] = text

    def _claim(self, row: OwnedRow) -> bool:
        """Make a row this owner's; False if another is at work on it."""
        if row.owner == self._owner:
            return True
        if row.owner in self._alive:
            return False
        if row.stage == Stage.INTENDED.value:
            row.take_stage(Stage.UNCERTAIN, self._now)
            row.reason = LEFT_BEHIND
            self._note(row)
        elif row.ended_at is None:
            row.owner = self._owner
            self.changed[row.key] = row
        return True

    def _note(self, row: OwnedRow) -> None:
        row.owner = self._owner if row.ended_at is None else None
        if row.number:
            self.changed[row.key] = row
        self.steps.append(Step(row, row.stage, row.attempt, row.task_id, row.reason))
