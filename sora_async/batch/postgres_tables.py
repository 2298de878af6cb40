"""How entries and events are read from the tables and saved in them, many by one statement."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sora_async.batch.ledger import Entry, Stage
from sora_async.batch.ledger_row import Event
from sora_async.batch.postgres_book import COLUMNS, Book, OwnedRow

_TYPES = {
    "number": "bigint",
    "key": "text",
    "request": "text",
    "planned_at": "double precision",
    "stage": "text",
    "attempt": "integer",
    "task_id": "text",
    "reason": "text",
    "raw": "bytea",
    "path": "text",
    "size": "bigint",
    "sha256": "text",
    "facts": "text",
    "submitted_at": "double precision",
    "ended_at": "double precision",
    "owner": "bigint",
}
_STEP = {"entry": "bigint", "key": "text", "stage": "text", "attempt": "integer", "task_id": "text", "reason": "text"}
_GIVEN = [name for name in COLUMNS if name != "number"]
_CHANGING = [name for name in COLUMNS if name not in {"key", "request", "planned_at"}]


def _unnested(names: Iterable[str], first: int) -> str:
    return ", ".join(f"${place}::{(_TYPES | _STEP)[name]}[]" for place, name in enumerate(names, first))


# By one statement, for what costs the most is to wait for an answer. Numbers follow the order in which the rows are
# given, while they are locked in the order of their keys.
_SAVE = f"""WITH fresh AS (
    INSERT INTO entries ({", ".join(COLUMNS)})
    SELECT * FROM (
        SELECT nextval('entry_number'), given.* FROM unnest({_unnested(_GIVEN, 2)}) AS given ({", ".join(_GIVEN)})
    ) AS numbered ORDER BY key ON CONFLICT (key) DO NOTHING RETURNING key, number
), changed AS (
    UPDATE entries SET {", ".join(f"{name} = given.{name}" for name in _CHANGING[1:])}
    FROM unnest({_unnested(_CHANGING, 2 + len(_GIVEN))}) AS given ({", ".join(_CHANGING)})
    WHERE entries.number = given.number
), noted AS (
    INSERT INTO events (entry, at, stage, attempt, task_id, reason)
    SELECT coalesce(fresh.number, entry), $1, stage, attempt, task_id, reason
    FROM unnest({_unnested(_STEP, 2 + len(_GIVEN) + len(_CHANGING))}) WITH ORDINALITY
        AS given ({", ".join(_STEP)}, place) LEFT JOIN fresh ON fresh.key = given.key ORDER BY place
)
SELECT count(*) FROM fresh"""  # noqa: S608 only names of columns
_REMEMBER = """INSERT INTO hints SELECT * FROM unnest($1::text[], $2::text[]) AS given (name, text) ORDER BY name
ON CONFLICT (name) DO UPDATE SET text = excluded.text"""
_PAGE = f"""SELECT {", ".join(COLUMNS)} FROM entries
WHERE number > $1 AND ($2::text[] IS NULL OR stage = ANY($2)) ORDER BY number LIMIT $3"""  # noqa: S608
_ENTRY = f"SELECT {', '.join(COLUMNS)} FROM entries WHERE key = $1"  # noqa: S608
_OF_TASK = f"SELECT {', '.join(COLUMNS)} FROM entries WHERE task_id = $1 ORDER BY number"  # noqa: S608
_EVENTS = """SELECT at, events.stage, events.attempt, events.task_id, events.reason
FROM events JOIN entries ON entries.number = events.entry WHERE key = $1 ORDER BY events.number"""


async def save(connection: Any, book: Book, now: float) -> bool:
    """Write what a book holds; False if another process has entered one of the new keys meanwhile: roll back then."""
    if book.fresh or book.changed or book.steps:
        steps = [[getattr(step.row, name) for step in book.steps] for name in ("number", "key")]
        steps += [[getattr(step, name) for step in book.steps] for name in ("stage", "attempt", "task_id", "reason")]
        given = (*_columns(book.fresh, _GIVEN), *_columns(book.changed.values(), _CHANGING), *steps)
        if await connection.fetchval(_SAVE, now, *given) < len(book.fresh):
            return False
    if book.hints:
        await connection.execute(_REMEMBER, [*book.hints], [*book.hints.values()])
    return True


def _columns(rows: Collection[OwnedRow], names: Iterable[str]) -> list[list[Any]]:
    return [[getattr(row, name) for row in rows] for name in names]


async def read_page(connection: Any, stages: Sequence[Stage], after: int, limit: int) -> tuple[int, list[Entry]]:
    """Answer the next entries in these stages (none: in any), and the number of the last; 0 for the last page.

    Args:
        connection: to read by.
        stages: which to answer.
        after: the number of the entry before.
        limit: how many to answer.
    """
    words = [stage.value for stage in stages] or None
    rows = [OwnedRow(*columns) for columns in await connection.fetch(_PAGE, after, words, limit)]
    return rows[-1].number if len(rows) == limit else 0, [_show(row) for row in rows]


async def read_entry(connection: Any, key: str) -> Entry | None:
    """Answer one entry; None if there is none."""
    columns = await connection.fetchrow(_ENTRY, key)
    return None if columns is None else _show(OwnedRow(*columns))


async def read_entries_of_task(connection: Any, task_id: str) -> list[Entry]:
    """Answer the entries that have this id. There is no index of them, so this reads the whole table."""
    return [_show(OwnedRow(*columns)) for columns in await connection.fetch(_OF_TASK, task_id)]


async def recall(connection: Any, name: str) -> str | None:
    """As Ledger.recall says."""
    text: str | None = await connection.fetchval("SELECT text FROM hints WHERE name = $1", name)
    return text


async def read_events(connection: Any, key: str) -> list[Event]:
    """Answer all steps of an entry, oldest first."""
    return [
        Event(at=at, stage=Stage(stage), attempt=attempt, task_id=task_id, reason=reason)
        for at, stage, attempt, task_id, reason in await connection.fetch(_EVENTS, key)
    ]


def _show(row: OwnedRow) -> Entry:
    return row.show(json.loads(row.request))
