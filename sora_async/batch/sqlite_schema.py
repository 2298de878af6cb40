"""The tables of a ledger in SQLite, how they are made, and which files and settings are fit for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sora_async.batch.ledger import LEFT_BEHIND, Stage
from sora_async.errors import LedgerError

APPLICATION_ID = 0x736F7261
"""What SQLite notes in a file of ours, and in no other: "sora"."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE account (fingerprint TEXT NOT NULL, since REAL NOT NULL) {strict}",
        """CREATE TABLE entries (
            number INTEGER PRIMARY KEY,
            key TEXT NOT NULL UNIQUE,
            request TEXT NOT NULL,
            planned_at REAL NOT NULL,
            stage TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            task_id TEXT,
            reason TEXT,
            raw BLOB NOT NULL,
            path TEXT,
            size INTEGER,
            sha256 TEXT,
            facts TEXT NOT NULL,
            submitted_at REAL,
            ended_at REAL
        ) {strict}""",
        # No further index: each would cost every step more than it saves the few who ask.
        """CREATE TABLE events (
            number INTEGER PRIMARY KEY,
            at REAL NOT NULL,
            entry INTEGER NOT NULL REFERENCES entries (number),
            stage TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            task_id TEXT,
            reason TEXT
        ) {strict}""",
        "CREATE TRIGGER entry_stays BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries are kept'); END",
        "CREATE TRIGGER event_stays BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are kept'); END",
        "CREATE TRIGGER event_is_final BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are final'); END",
    ),
    ("CREATE TABLE hints (name TEXT NOT NULL PRIMARY KEY, text TEXT NOT NULL) {strict}",),
)
"""The statements that lead from each version to the next; what was once released here is never edited."""

_SETTINGS = (
    "PRAGMA synchronous = FULL",
    # On macOS an fsync alone leaves the data in the disk's own cache.
    "PRAGMA fullfsync = 1",
    "PRAGMA checkpoint_fullfsync = 1",
    # A whole transaction fits, so that it is synced once, when it is committed.
    "PRAGMA cache_size = -16000",
)


class Cursor(Protocol):
    """What a statement gives."""

    def fetchone(self) -> Any:
        """The next row, None if there is none."""
        ...

    def fetchall(self) -> list[Any]:
        """The rows that are left."""
        ...


class Connection(Protocol):
    """What is needed of a connection in autocommit mode; that of `sqlite3` is one."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Run one statement."""
        ...

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]], /) -> object:
        """Run one statement for each row of parameters."""
        ...


def journal_mode(sqlite: tuple[int, ...]) -> str:
    """Answer the fastest journal that loses nothing with this version of SQLite.

    Before 3.51.3 a write-ahead log that is reset while a second connection reads can lose commits
    (https://sqlite.org/wal.html#walresetbug); the fix was also made in 3.50.7 and 3.44.6.
    """
    is_fixed = sqlite >= (3, 51, 3) or (3, 50, 7) <= sqlite < (3, 51) or (3, 44, 6) <= sqlite < (3, 45)
    return "wal" if is_fixed else "truncate"


def read_version(connection: Connection) -> int:
    """Answer the version of the ledger's tables; 0 for an empty file.

    Raises:
        LedgerError: it is another program's file, or a newer version's.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (application, version, tables) == (0, 0, 0):
        return 0
    if application != APPLICATION_ID:
        raise LedgerError("it is another program's database, not a ledger: give another file")
    if version > len(MIGRATIONS):
        raise LedgerError(
            f"it was written by a newer version of sora_async (format {version}, this one knows {len(MIGRATIONS)}): "
            "update sora_async"
        )
    return int(version)


def prepare(connection: Connection, account: str, now: float, sqlite: tuple[int, ...]) -> None:
    """Make a file ready to be written: its tables of this version, its settings, and nothing left intended.

    Args:
        connection: to the file; nobody else writes it.
        account: whose it must be; a new one belongs to it from now on.
        now: seconds since 1970.
        sqlite: the version of SQLite behind the connection.

    Raises:
        LedgerError: as read_version, or it belongs to another account. Nothing has been changed then.
    """
    version = read_version(connection)
    if version:
        _check_account(connection, account)
    mode = journal_mode(sqlite)
    (set_mode,) = connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()
    if set_mode != mode:
        raise LedgerError(f"its journal cannot be set to {mode!r}, it stays {set_mode!r}: close what else reads it")
    for setting in _SETTINGS:
        connection.execute(setting).fetchall()
    connection.execute("BEGIN IMMEDIATE")
    strict = "STRICT" if sqlite >= (3, 37) else ""
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement.format(strict=strict))
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    if not version:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("INSERT INTO account VALUES (?, ?)", (account, now))
    left_behind = (Stage.UNCERTAIN.value, LEFT_BEHIND, now, Stage.INTENDED.value)
    connection.execute(
        "INSERT INTO events (stage, reason, at, entry, attempt) SELECT ?, ?, ?, number, attempt FROM entries "
        "WHERE stage = ?",
        left_behind,
    )
    connection.execute("UPDATE entries SET stage = ?, reason = ?, ended_at = ? WHERE stage = ?", left_behind)
    connection.execute("COMMIT")


def _check_account(connection: Connection, account: str) -> None:
    (owner,) = connection.execute("SELECT fingerprint FROM account").fetchone()
    if owner != account:
        raise LedgerError(
            f"it belongs to the account {owner}, and this is {account}, to which its tasks are unknown: use the key "
            "and the base URL that it was begun with, or another ledger"
        )
