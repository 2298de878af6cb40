"""The file of a SQLite ledger: whose it is, who may write it, which files are refused, and what stays in it."""

import asyncio
import os
import sqlite3
import stat
import threading

import pytest
from ledger_suite import ACCOUNT, CAT, all_of, bring

from sora_async.batch import Change, SqliteLedger, Stage
from sora_async.batch import sqlite_file as file_module
from sora_async.batch import sqlite_schema as schema_module
from sora_async.batch.sqlite_schema import APPLICATION_ID, MIGRATIONS, journal_mode, prepare
from sora_async.errors import LedgerError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger #1?.db"


async def opened(path) -> SqliteLedger:
    ledger = SqliteLedger(path)
    await ledger.open(ACCOUNT)
    return ledger


async def make_ledger(path, *stages) -> SqliteLedger:
    """Write a ledger with an entry in each stage, and close it."""
    ledger = await opened(path)
    for stage in stages:
        await bring(ledger, stage.value, stage)
    await ledger.close()
    return ledger


def execute(path, statement, *values) -> list:
    """Do something to the file behind the ledger's back."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("sqlite", "mode"),
    [
        ((3, 37, 0), "truncate"),
        ((3, 44, 5), "truncate"),
        ((3, 44, 6), "wal"),
        ((3, 45, 0), "truncate"),
        ((3, 50, 6), "truncate"),
        ((3, 50, 7), "wal"),
        ((3, 51, 0), "truncate"),
        ((3, 51, 2), "truncate"),
        ((3, 51, 3), "wal"),
        ((3, 60, 0), "wal"),
    ],
)
def test_ledger_file_journal_is_a_log_only_where_that_loses_nothing(sqlite, mode):
    """A version whose write-ahead log can lose commits gets the other journal."""
    assert journal_mode(sqlite) == mode


@pytest.mark.parametrize(("sqlite", "mode"), [((3, 36, 0), "truncate"), ((3, 51, 3), "wal")])
async def test_ledger_file_follows_the_version_that_opens_it(path, monkeypatch, sqlite, mode):
    """A ledger of one version is gone on with by another, with its journal and what it can check."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", sqlite)
    await make_ledger(path, Stage.DONE)
    ((schema,),) = execute(path, "SELECT sql FROM sqlite_master WHERE name = 'entries'")
    assert schema.endswith("STRICT") == (mode == "wal")
    for version, journal in [((3, 51, 3), "wal"), ((3, 40, 1), "delete")]:
        monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
        ledger = await make_ledger(path)
        assert execute(path, "PRAGMA journal_mode") == [(journal,)]
        assert [entry.stage for entry in await all_of(ledger)] == [Stage.DONE]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("sqlite", [(3, 40, 1), (3, 51, 3)])
async def test_ledger_file_is_its_owner_s_alone(path, monkeypatch, sqlite):
    """Whatever the umask, nobody else reads the ledger, its lock or its journals."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", sqlite)
    before = os.umask(0)
    try:
        ledger = await opened(path)
        await ledger.enter("cat", CAT, intend=True)
        files = list(path.parent.iterdir())
        await ledger.close()
    finally:
        os.umask(before)
    assert len(files) > 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in files if file.exists()} == {0o600}


async def test_ledger_file_is_written_by_one_at_a_time(path, tmp_path):
    """A second writer is told who the first is, also by another name of the file, and may come after it."""
    link = tmp_path / "link.db"
    link.symlink_to(path)
    first, second = await opened(path), SqliteLedger(link)
    with pytest.raises(LedgerError, match=rf"process {os.getpid()} \(this one\) is writing it"):
        await second.open(ACCOUNT)
    await first.close()
    await second.open(ACCOUNT)
    await second.close()


async def test_ledger_file_lock_without_a_name_is_a_lock_all_the_same(path):
    """A holder that has not yet written its number keeps others out too."""
    first = await opened(path)
    path.with_name(f"{path.name}.lock").write_bytes(b"")
    with pytest.raises(LedgerError, match="process unknown is writing it"):
        await SqliteLedger(path).open(ACCOUNT)
    await first.close()


@pytest.mark.parametrize("content", [b"my precious notes, which are not a database" * 30, None, b"PRAGMA"])
async def test_ledger_file_of_another_program_is_refused_untouched(path, content):
    """What is not ours is neither read nor written."""
    if content is None:
        execute(path, "CREATE TABLE precious (note)")
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    ledger = SqliteLedger(path)
    with pytest.raises(LedgerError, match=r"cannot use the ledger .*(give another file|give the file of a ledger)"):
        await ledger.open(ACCOUNT)
    with pytest.raises(LedgerError, match="cannot use the ledger"):
        await all_of(ledger)
    await ledger.close()
    assert path.read_bytes() == before


async def test_ledger_file_of_a_newer_version_is_refused_untouched(path):
    """What a later version wrote is left to it."""
    ledger = await make_ledger(path, Stage.INTENDED)
    execute(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=r"newer version .*format 3, this one knows 2.*update sora_async"):
        await ledger.open(ACCOUNT)
    with pytest.raises(LedgerError, match="newer version"):
        await all_of(ledger)
    assert path.read_bytes() == before


async def test_ledger_file_of_an_older_version_is_brought_up_to_date(path, monkeypatch):
    """A new format keeps all entries; until it is opened to write, an old file is not read by guesses."""
    await make_ledger(path, Stage.DONE)
    later = (*MIGRATIONS, ("ALTER TABLE account ADD COLUMN name TEXT",))
    for module in (schema_module, file_module):
        monkeypatch.setattr(module, "MIGRATIONS", later)
    with pytest.raises(LedgerError, match="older format 2: run its batch again"):
        await all_of(SqliteLedger(path))
    ledger = await make_ledger(path)
    assert [entry.stage for entry in await all_of(ledger)] == [Stage.DONE]
    assert execute(path, "SELECT fingerprint, name FROM account") == [(ACCOUNT, None)]


async def test_ledger_file_names_itself(path):
    """SQLite's own header tells a ledger from other databases."""
    await make_ledger(path)
    assert execute(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert path.read_bytes()[68:72] == b"sora"


@pytest.mark.parametrize("place", ["no/such/folder.db", "."])
async def test_ledger_file_needs_a_folder_that_exists(tmp_path, place):
    """A slip in the path makes no folders."""
    ledger = SqliteLedger(tmp_path / place)
    with pytest.raises(LedgerError, match=r"cannot use the ledger .*check the folder"):
        await ledger.open(ACCOUNT)
    with pytest.raises(RuntimeError, match="not open"):
        await ledger.enter("cat", CAT, intend=True)
    assert not (tmp_path / "no").exists()


async def test_ledger_file_that_is_not_there_is_not_read(path):
    """Reading makes no file."""
    with pytest.raises(LedgerError, match="No such file"):
        await all_of(SqliteLedger(path))
    assert not path.exists()


@pytest.mark.parametrize("sqlite", [(3, 40, 1), (3, 51, 3)])
async def test_ledger_file_is_read_without_opening_it(path, monkeypatch, sqlite):
    """While one writes, others read what is durable, and change nothing."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", sqlite)
    writer = await opened(path)
    await bring(writer, "cat", Stage.INTENDED)
    reader = SqliteLedger(path)
    assert [entry.stage for entry in await all_of(reader)] == [Stage.INTENDED]
    await writer.record(Change(key="cat", stage=Stage.SUBMITTED, task_id="task-1"))
    assert [entry.task_id for entry in await all_of(reader)] == ["task-1"]
    await writer.close()


async def test_ledger_file_keeps_every_step_with_its_time(path):
    """The events of an entry tell its whole way, also the ids of attempts that were given up."""
    ledger = await opened(path)
    await bring(ledger, "cat", Stage.FAILED)
    await ledger.record(Change(key="cat", stage=Stage.PLANNED, reason="once more"))
    await bring(ledger, "dog", Stage.DONE)
    await ledger.enter("cat", CAT, intend=True)
    await ledger.close()
    await ledger.open(ACCOUNT)
    await ledger.close()
    events = await ledger.events("cat")
    assert [(event.stage.value, event.attempt, event.task_id) for event in events] == [
        ("planned", 0, None),
        ("intended", 1, None),
        ("submitted", 1, "task-1"),
        ("failed", 1, "task-1"),
        ("planned", 1, None),
        ("intended", 2, None),
        ("uncertain", 2, None),
    ]
    assert events[4].reason == "once more"
    assert 1.7e9 < events[0].at <= events[1].at <= events[-1].at
    assert await ledger.events("nobody") == []


async def test_ledger_file_finds_an_entry_by_its_key(path):
    """One is answered, or none, whatever the key is."""
    ledger = await make_ledger(path, Stage.PLANNED, Stage.DONE)
    assert [await ledger.entry(stage.value) for stage in (Stage.PLANNED, Stage.DONE)] == await all_of(ledger)
    for key in ("", "don", "DONE", 'done"', "%", "\0", "\udcff"):
        assert await ledger.entry(key) is None


async def test_ledger_file_finds_entries_by_their_task(path):
    """More than one if a relay gave the same id twice; an attempt that was given up has none."""
    ledger = await make_ledger(path, Stage.SUBMITTED, Stage.UNCERTAIN, Stage.DONE, Stage.FAILED)
    await ledger.open(ACCOUNT)
    await ledger.record(Change(key="failed", stage=Stage.PLANNED))
    found = await ledger.entries_of_task("task-1")  # also while it is open
    await ledger.close()
    assert found == await all_of(ledger, Stage.SUBMITTED, Stage.DONE)
    assert await ledger.entries_of_task("task") == []


@pytest.mark.parametrize(
    "statement",
    ["UPDATE events SET stage = 'done'", "DELETE FROM events", "DELETE FROM entries"],
)
async def test_ledger_file_keeps_what_was_written(path, statement):
    """The file itself refuses to forget."""
    await make_ledger(path, Stage.DONE)
    with pytest.raises(sqlite3.IntegrityError, match=r"are kept|are final"):
        execute(path, statement)


@pytest.mark.parametrize("column", ["request", "facts", "stage"])
async def test_ledger_file_with_a_row_of_nonsense_is_told(path, column):
    """What somebody wrote by hand is an error of ours, not a crash, to read and to write."""
    ledger = await make_ledger(path, Stage.SUBMITTED)
    execute(path, f"UPDATE entries SET {column} = '{{'")
    with pytest.raises(LedgerError, match="what it cannot"):
        await all_of(ledger)
    await ledger.open(ACCOUNT)
    if column != "request":
        with pytest.raises(LedgerError, match="what it cannot"):
            await ledger.record(Change(key="submitted", stage=Stage.READY, facts={"status": "done"}))
    await ledger.close()


async def test_ledger_file_that_is_damaged_is_told(path):
    """A file that lost its middle is an error with advice."""
    ledger = await make_ledger(path, *Stage)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(LedgerError, match="malformed; keep it"):
        await all_of(ledger)
    with pytest.raises(LedgerError, match="malformed; keep it"):
        await ledger.open(ACCOUNT)


async def test_ledger_file_held_by_another_program_is_told_and_gone_on_with(path, monkeypatch):
    """A commit that cannot be made fails all of its steps, and the next one may succeed."""
    monkeypatch.setattr(file_module, "BUSY_S", 0.01)
    ledger = await opened(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    steps = [ledger.enter(str(number), CAT, intend=True) for number in range(3)]
    for end in await asyncio.gather(*steps, return_exceptions=True):
        assert isinstance(end, LedgerError)
        assert "locked; close the program that is using it" in str(end)
    other.close()
    assert (await ledger.enter("0", CAT, intend=True)).attempt == 1
    await ledger.close()


async def test_ledger_file_whose_journal_is_in_use_is_refused(path, monkeypatch):
    """Another journal is not just hoped for while a reader holds the old one."""
    monkeypatch.setattr(file_module, "BUSY_S", 0.01)
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))
    ledger = await make_ledger(path, Stage.DONE)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM entries").fetchall()
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 40, 1))
    with pytest.raises(LedgerError, match="close"):
        await ledger.open(ACCOUNT)
    reader.close()
    await ledger.open(ACCOUNT)
    await ledger.close()


def test_ledger_file_that_cannot_have_its_journal_is_refused():
    """Where SQLite silently keeps another journal, nothing is written."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    with pytest.raises(LedgerError, match="cannot be set to 'truncate', it stays 'memory'"):
        prepare(connection, ACCOUNT, 1.0, (3, 40, 1))
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()


async def test_ledger_file_opening_that_is_cancelled_lets_go(path):
    """After a cancel nothing is held, and it can be opened anew."""
    ledger = SqliteLedger(path)
    opening = asyncio.create_task(ledger.open(ACCOUNT))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await ledger.open(ACCOUNT)
    await ledger.close()


async def test_ledger_file_enter_cancelled_while_closing_becomes_uncertain(path):
    """What can no more be taken back is doubted, never sent again by itself."""
    ledger = await opened(path)
    entering = asyncio.create_task(ledger.enter("cat", CAT, intend=True))
    await asyncio.sleep(0)
    closing = asyncio.create_task(ledger.close())
    await asyncio.sleep(0)
    entering.cancel()
    await asyncio.gather(entering, closing, return_exceptions=True)
    await make_ledger(path)
    assert [entry.stage for entry in await all_of(ledger)] == [Stage.UNCERTAIN]


def test_ledger_file_outlives_a_loop_that_ends_first(path):
    """Without a close, what was under way is written, and then the file is let go of."""

    async def leave() -> sqlite3.Connection:
        ledger = await opened(path)
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        entering = asyncio.create_task(ledger.enter("dog", CAT, intend=False))
        await asyncio.sleep(0.01)
        assert not entering.done()
        return other

    asyncio.run(leave()).close()
    for thread in threading.enumerate():
        if thread.name == "sora_async ledger":
            thread.join()
    asyncio.run(make_ledger(path))
    assert [entry.key for entry in asyncio.run(all_of(SqliteLedger(path)))] == ["dog"]
