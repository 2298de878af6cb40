"""The SQLite ledger does what every ledger must, with both journals."""

import contextlib
import sqlite3
import tempfile
from pathlib import Path

import pytest
from ledger_suite import LedgerSuite

from sora_async.batch import SqliteLedger


class SqliteSuite(LedgerSuite):
    @contextlib.contextmanager
    def new_store(self):
        with tempfile.TemporaryDirectory() as folder:
            yield lambda: SqliteLedger(Path(folder, "ledger.db"))


class TestLedgerInSqlite(SqliteSuite):
    """With the journal that fits this machine's SQLite."""


class TestLedgerInSqliteOfAnotherVersion(SqliteSuite):
    """With the journal that would not be taken here."""

    @pytest.fixture(autouse=True)
    def _other_version(self, monkeypatch):
        is_old = sqlite3.sqlite_version_info < (3, 51, 3)
        monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3) if is_old else (3, 40, 1))
