"""The file of a ledger: made, locked, connected to, and what is told when it cannot be."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from sora_async.batch.lock import locked
from sora_async.batch.sqlite_book import Book
from sora_async.batch.sqlite_schema import MIGRATIONS, prepare, read_version
from sora_async.errors import LedgerError

BUSY_S = 30.0
"""How long a statement waits for another process that reads or writes, in seconds."""

_ADVICE = {
    sqlite3.SQLITE_BUSY: "close the program that is using it",
    sqlite3.SQLITE_CANTOPEN: "check the folder and its permissions",
    sqlite3.SQLITE_CORRUPT: "keep it, and go on from a copy that was made before",
    sqlite3.SQLITE_FULL: "free some space",
    sqlite3.SQLITE_IOERR: "check the disk and its free space",
    sqlite3.SQLITE_NOTADB: "give the file of a ledger, or a new one",
    sqlite3.SQLITE_READONLY: "check its permissions",
}


@contextlib.contextmanager
def open_book(path: Path, account: str) -> Iterator[Book]:
    """Hold the book in a file to write it, made if it is not there.

    Raises:
        LedgerError: as Ledger.open says.
    """
    with contextlib.ExitStack() as held:
        with _explained(path):
            file = path.resolve()
            held.enter_context(locked(file.with_name(f"{file.name}.lock")))
            with contextlib.suppress(FileExistsError):
                # SQLite would make it with the rights of any new file; its journals get those of this one.
                os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            connection = held.enter_context(contextlib.closing(_connect(file)))
            prepare(connection, account, time.time(), sqlite3.sqlite_version_info)
        yield Book(connection)


@contextlib.contextmanager
def read_book(path: Path) -> Iterator[Book]:
    """Hold the book in a file to read it, also while another process writes.

    Raises:
        LedgerError: it is not there, is empty or of an older version, or cannot be read.
    """
    with _explained(path):
        path.stat()
        with contextlib.closing(_connect(path.resolve())) as connection:
            connection.execute("PRAGMA query_only = 1")
            version = read_version(connection)
            if version < len(MIGRATIONS):
                raise LedgerError(f"it has the older format {version}: run its batch again, which brings it up to date")
            yield Book(connection)


def _connect(file: Path) -> sqlite3.Connection:
    # Also to read: what a crash left half done must be undone first, which a connection that is read-only cannot.
    uri = f"{file.as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_S)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (LedgerError, OSError, sqlite3.Error, TypeError, ValueError) as error:
        raise explain(path, error) from None


def explain(path: Path, error: Exception) -> LedgerError:
    """Make the error that tells what is wrong with a file, and what to do."""
    advice: str | None = None
    text = str(error)
    if isinstance(error, OSError):
        advice, text = "check the folder and its permissions", str(error.strerror)
    elif isinstance(error, sqlite3.Error):
        # The low byte of SQLite's code is the kind of it.
        advice = _ADVICE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    elif not isinstance(error, LedgerError):
        text = f"a row holds, or is to hold, what it cannot: {text}"
    return LedgerError(f"cannot use the ledger {path}: {text}{f'; {advice}' if advice else ''}")
