"""Power cuts under the ledger: does a row that was acknowledged survive, and is the file still whole?

SQLite writes through a file system that keeps apart what was synced and what was not. At a random write, sync,
truncation or removal the power goes: each thing that was not synced is then there, not there, or torn to sectors of
512 bytes, and removals and new names only up to some point. What is left is opened with the ledger as it is. The same
statements as in use are run by the same code; only the connection is apsw's, for the standard library's cannot be given
a file system. Each journal runs as the ledger sets it, and, to show that this harness sees losses, with less syncing.
Run: `python -m benchmarks.powercut [--quick]`; needs apsw, from the extra `bench`.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path

import apsw
import attrs

from benchmarks.faulty_disk import Disk
from benchmarks.machine import describe
from sora_async.batch.ledger import MOVES, Change, Stage
from sora_async.batch.ledger_row import Request
from sora_async.batch.sqlite_book import Book
from sora_async.batch.sqlite_file import open_book, read_book
from sora_async.batch.sqlite_schema import prepare
from sora_async.errors import LedgerError

ACCOUNT = "account"
SQLITE_WITH = {"truncate": (3, 40, 1), "wal": (3, 51, 3)}
"""A version of SQLite with which the ledger uses this journal."""
LAST_STEP = 400
"""The power goes at one of so many steps of the disk, which are some twenty to fifty commits."""

Account = dict[str, tuple[Stage, int]]
"""The stage and attempts of each key."""


@attrs.define
class Seen:
    """What became of the ledgers of one kind."""

    cuts: int = 0
    commits: int = 0
    losing: int = 0
    """Cuts after which something acknowledged was gone, or half a transaction was there."""
    rows_lost: int = 0
    corrupt: int = 0


@attrs.define
class _Written:
    """What a writer knows when the power goes."""

    kept: Account | None = None
    """As last acknowledged; None if the ledger was not even open."""
    begun: Account = attrs.field(factory=dict)
    """As it would be with the transaction under way."""
    commits: int = 0


def _write_group(book: Book, account: Account, chance: random.Random) -> None:
    """Write a transaction of steps of new and of known keys, each counted in the account."""
    keys = [f"key-{chance.randint(0, 60)}" for _ in range(chance.randint(1, 12))]
    book.begin(keys)
    for key in keys:
        if key not in account:
            book.enter(key, Request.of({"prompt": key * 20}), 1.0, intend=False)
            account[key] = (Stage.PLANNED, 0)
            continue
        stage, attempt = account[key]
        after = chance.choice(sorted(MOVES[stage], key=lambda each: each.value))
        book.record(Change(key=key, stage=after, task_id=f"task-{key}", raw=b"?" * 300), 1.0)
        account[key] = (after, attempt + (after is Stage.INTENDED))
    book.commit()


def _write_until_cut(disk: Disk, path: Path, mode: str, settings: Sequence[str], chance: random.Random) -> _Written:
    written = _Written()
    with contextlib.closing(disk.connect(path)) as connection:
        prepare(connection, ACCOUNT, 1.0, SQLITE_WITH[mode])
        if not disk.is_off:
            written.kept = {}
        for setting in settings:
            connection.execute(setting)
        book = Book(connection)
        while written.kept is not None and not disk.is_off:
            written.begun = dict(written.kept)
            _write_group(book, written.begun, chance)
            if not disk.is_off:
                written.kept = written.begun
                written.commits += 1
    return written


def _read(path: Path) -> Account:
    with read_book(path) as book:
        _, entries = book.read_page([], 0, 1000)
    return {entry.key: (entry.stage, entry.attempt) for entry in entries}


def _is_whole(path: Path) -> bool:
    """Whether the ledger opens, its file is sound, and nothing in it is left intended."""
    try:
        with open_book(path, ACCOUNT), contextlib.closing(sqlite3.connect(path)) as connection:
            (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        return verdict == "ok" and all(stage is not Stage.INTENDED for stage, _ in _read(path).values())
    except (LedgerError, sqlite3.DatabaseError):
        return False


def _examine(path: Path, written: _Written, seen: Seen) -> None:
    """Look at what is left of a ledger."""
    seen.cuts += 1
    seen.commits += written.commits
    if written.kept is not None:
        try:
            left = _read(path)
        except LedgerError:
            left = {}
        # All of the transaction under way, or nothing of it.
        if left not in (written.kept, written.begun):
            seen.losing += 1
            seen.rows_lost += sum(left.get(key) != state for key, state in written.kept.items())
    seen.corrupt += not _is_whole(path)


def cut_power(mode: str, cuts: int, *, settings: Sequence[str] = (), seed: int = 0) -> Seen:
    """Write a ledger until the power goes, and look at what is left; as often as told.

    Args:
        mode: the journal, truncate or wal.
        cuts: how often.
        settings: PRAGMAs that follow those of the ledger.
        seed: another one gives other cuts.
    """
    seen = Seen()
    for number in range(cuts):
        chance = random.Random(f"{mode} {seed} {number}")
        with tempfile.TemporaryDirectory() as before, tempfile.TemporaryDirectory() as after:
            disk = Disk(f"cut {mode} {number}", chance.randint(1, LAST_STEP))
            try:
                written = _write_until_cut(disk, Path(before, "ledger.db"), mode, settings, chance)
            finally:
                disk.unregister()
            disk.survive(Path(after), chance)
            _examine(Path(after, "ledger.db"), written, seen)
    return seen


KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "truncate, FULL (as in use)": ("truncate", ()),
    "wal, FULL (as in use)": ("wal", ()),
    "wal, FULL, log reset often": ("wal", ("PRAGMA wal_autocheckpoint = 20",)),
    "truncate, NORMAL": ("truncate", ("PRAGMA synchronous = NORMAL",)),
    "truncate, OFF": ("truncate", ("PRAGMA synchronous = OFF",)),
    "wal, NORMAL": ("wal", ("PRAGMA synchronous = NORMAL",)),
    "wal, OFF, log reset often": ("wal", ("PRAGMA synchronous = OFF", "PRAGMA wal_autocheckpoint = 20")),
}


def main() -> None:
    """Cut and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 cuts of each kind in place of 1,000")
    parser.add_argument("--seed", type=int, default=0, help="another one gives other cuts")
    options = parser.parse_args()
    print(f"SQLite {apsw.sqlite_lib_version()} writes, {sqlite3.sqlite_version} reads. {describe('apsw')}")
    print(f"{'journal and syncing':28}{'cuts':>7}{'commits':>9}{'cuts that lost':>16}{'rows lost':>11}{'corrupt':>9}")
    for name, (mode, settings) in KINDS.items():
        seen = cut_power(mode, 100 if options.quick else 1000, settings=settings, seed=options.seed)
        row = f"{seen.cuts:7}{seen.commits:9}{seen.losing:16}{seen.rows_lost:11}{seen.corrupt:9}"
        print(f"{name:28}{row}", flush=True)


if __name__ == "__main__":
    main()
