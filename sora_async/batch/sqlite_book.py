"""What a ledger in SQLite does within one transaction, in one thread."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import attrs

from sora_async.batch.ledger import Change, Entry, Stage
from sora_async.batch.ledger_row import Event, Request, Row
from sora_async.batch.sqlite_schema import Connection
from sora_async.errors import LedgerError

# What is empty stands for NULL: to bind a None, or bytes, the sqlite3 module looks for an adapter first, each time.
_SAVE = """INSERT INTO entries (
    number, key, request, planned_at, stage, attempt, task_id, reason, raw, path, size, sha256, facts, submitted_at,
    ended_at
) VALUES (
    ?, ?, ?, ?, ?, ?, nullif(?, ''), nullif(?, ''), ?, nullif(?, ''), nullif(?, -1), nullif(?, ''), ?, nullif(?, 0.0),
    nullif(?, 0.0)
) ON CONFLICT (number) DO UPDATE SET
    stage = excluded.stage, attempt = excluded.attempt, task_id = excluded.task_id, reason = excluded.reason,
    raw = excluded.raw, path = excluded.path, size = excluded.size, sha256 = excluded.sha256, facts = excluded.facts,
    submitted_at = excluded.submitted_at, ended_at = excluded.ended_at"""
_NOTE = """INSERT INTO events (at, entry, stage, attempt, task_id, reason)
VALUES (?, ?, ?, ?, nullif(?, ''), nullif(?, ''))"""
_EVENTS = """SELECT at, events.stage, events.attempt, events.task_id, events.reason
FROM events JOIN entries ON entries.number = events.entry WHERE key = ? ORDER BY events.number"""
_REMEMBER = "INSERT INTO hints VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET text = excluded.text"
_COLUMNS = ", ".join(field.name for field in attrs.fields(Row))
_FIND = f"SELECT {_COLUMNS} FROM entries WHERE key IN (SELECT value FROM json_each(?))"  # noqa: S608 only names of columns
_OF_TASK = f"SELECT {_COLUMNS} FROM entries WHERE task_id = ? ORDER BY number"  # noqa: S608 only names of columns
_PAGE = f"SELECT {_COLUMNS} FROM entries WHERE number > ? AND number <= ?"  # noqa: S608 only names of columns


class Book:
    """The entries and events behind one connection, which must be prepared.

    Steps are collected and written by `commit`. A LedgerError has changed nothing; after any other error roll back.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last = 0
        self._rows: dict[str, Row] = {}
        self._changed: dict[int, Row] = {}
        self._events: list[tuple[object, ...]] = []

    def begin(self, keys: Iterable[str]) -> None:
        """Start a transaction that is about the entries of these keys."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._last = self._count()
        # By one statement: each gives the interpreter to the loop's thread, and waits to have it back.
        for columns in self._connection.execute(_FIND, (json.dumps(list(keys)),)).fetchall():
            row = Row(*columns)
            self._rows[row.key] = row

    def commit(self) -> None:
        """Write all steps, and make them durable."""
        if self._changed:
            self._connection.executemany(_SAVE, [*map(_bind, self._changed.values())])
            self._connection.executemany(_NOTE, self._events)
        self._connection.execute("COMMIT")
        self._forget()

    def rollback(self) -> None:
        """Undo the transaction."""
        self._forget()
        self._connection.execute("ROLLBACK")

    def _forget(self) -> None:
        self._rows, self._changed, self._events = {}, {}, []

    def enter(self, key: str, request: Request, now: float, *, intend: bool) -> Entry | None:
        """As Ledger.enter says, at a time in seconds since 1970."""
        row = self._rows.get(key)
        if row is None:
            self._last += 1
            row = self._rows[key] = Row(self._last, key, request.text, now)
            if not intend:
                self._note(row, now)
        else:
            row.check_request(request)
        if intend and row.stage == Stage.INTENDED.value:
            return None
        if intend and row.stage == Stage.PLANNED.value:
            row.take_stage(Stage.INTENDED, now)
            self._note(row, now)
        return row.show(request.body)

    def record(self, change: Change, now: float) -> None:
        """As Ledger.record says, at a time in seconds since 1970."""
        row = self._rows.get(change.key)
        if row is None:
            raise LedgerError(f"{change.key!r} is not in the ledger")
        row.take(change, now)
        self._note(row, now)

    def remember(self, name: str, text: str) -> None:
        """As Ledger.remember says."""
        self._connection.execute(_REMEMBER, (name, text))

    def recall(self, name: str) -> str | None:
        """As Ledger.recall says."""
        found = self._connection.execute("SELECT text FROM hints WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def _note(self, row: Row, now: float) -> None:
        self._changed[row.number] = row
        self._events.append((now, row.number, row.stage, row.attempt, row.task_id or "", row.reason or ""))

    def _count(self) -> int:
        """How many entries there are; their numbers go from 1 to that."""
        (number,) = self._connection.execute("SELECT max(number) FROM entries").fetchone()
        return number or 0

    def read_page(self, stages: Sequence[Stage], after: int, limit: int) -> tuple[int, list[Entry]]:
        """Answer how many entries there are, and those of the next ones that are in these stages (none: in any).

        Args:
            stages: which to answer.
            after: how many were looked at before.
            limit: how many to look at, which bounds how long a writer is held up.
        """
        chosen = f" AND stage IN ({', '.join('?' * len(stages))})" if stages else ""
        values = [after, after + limit, *(stage.value for stage in stages)]
        page = self._read(f"{_PAGE}{chosen} ORDER BY number", *values)
        return self._count(), page

    def read_entry(self, key: str) -> Entry | None:
        """Answer the entry of a key, None if there is none."""
        return next(iter(self._read(_FIND, json.dumps([key]))), None)

    def read_entries_of_task(self, task_id: str) -> list[Entry]:
        """Answer the entries that have this id. There is no index of them, so this reads the whole table."""
        return self._read(_OF_TASK, task_id)

    def _read(self, statement: str, *values: object) -> list[Entry]:
        rows = self._connection.execute(statement, values).fetchall()
        return [Row(*columns).show(json.loads(columns[2])) for columns in rows]

    def read_account(self) -> str:
        """Answer whose ledger it is."""
        (account,) = self._connection.execute("SELECT fingerprint FROM account").fetchone()
        return str(account)

    def read_events(self, key: str) -> list[Event]:
        """Answer all steps of an entry, oldest first."""
        rows = self._connection.execute(_EVENTS, (key,)).fetchall()
        return [
            Event(at=at, stage=Stage(stage), attempt=attempt, task_id=task_id, reason=reason)
            for at, stage, attempt, task_id, reason in rows
        ]


def _bind(row: Row) -> tuple[object, ...]:
    """What is bound to save a row."""
    return (
        row.number,
        row.key,
        row.request,
        row.planned_at,
        row.stage,
        row.attempt,
        row.task_id or "",
        row.reason or "",
        bytearray(row.raw),
        row.path or "",
        -1 if row.size is None else row.size,
        row.sha256 or "",
        row.facts,
        row.submitted_at or 0.0,
        row.ended_at or 0.0,
    )
