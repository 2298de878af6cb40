"""What a PostgreSQL ledger is opened on: its tables, its server's settings, and the rights of its user."""

import asyncio
import re
import subprocess
import sys
import uuid
from pathlib import Path

import asyncpg
import pytest
from ledger_suite import ACCOUNT, CAT, all_of, bring
from postgres_store import Store, until

from sora_async.batch import Change, PostgresLedger, Stage
from sora_async.batch import postgres_schema as schema_module
from sora_async.errors import LedgerError

README = (Path(__file__).parents[2] / "README.md").read_text()
(GRANTS,) = re.findall(r"^```sql\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
async def runner(store):
    """A user who may do what the README lists, on a ledger that somebody else has made."""
    role = f"runner_{uuid.uuid4().hex[:8]}"
    await store.execute(f"CREATE ROLE {role} LOGIN")
    yield role
    await store.execute(f"DROP OWNED BY {role}")
    await store.execute(f"DROP ROLE {role}")


def as_user(dsn, role):
    return re.sub(r"//([^@/]*@)?", f"//{role}@", dsn, count=1)


async def grant(store, role):
    for statement in GRANTS.strip().split("\n"):
        await store.execute(statement.replace("sora_default", store.schema).replace("runner", role))


async def test_user_with_the_right_to_read_reads(store, runner):
    """For a dashboard, say."""
    async with store.opened() as ledger:
        await bring(ledger, "cat", Stage.SUBMITTED)
    await store.execute(f"GRANT USAGE ON SCHEMA {{schema}} TO {runner}")
    await store.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {{schema}} TO {runner}")
    reader = store(as_user(store.dsn, runner))
    assert [await reader.entry("cat")] == await all_of(reader)
    assert len(await reader.events("cat")) == 3
    assert await reader.account() == ACCOUNT
    with pytest.raises(LedgerError, match="permission denied"):
        await reader.open(ACCOUNT)


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM {schema}.entries", "UPDATE {schema}.events SET at = 0", "TRUNCATE {schema}.events, {schema}.entries"],
)
async def test_owner_cannot_undo_what_was_noted(store, statement):
    """Not even by mistake."""
    async with store.opened() as ledger:
        await bring(ledger, "cat", Stage.SUBMITTED)
    with pytest.raises(asyncpg.PostgresError, match="are kept"):
        await store.execute(statement)


@pytest.mark.parametrize("is_made", [False, True])
async def test_user_without_rights_is_told_what_to_do(store, runner, is_made):
    """Neither a ledger nor its schema is made or read by who may not."""
    if is_made:
        await store().migrate()
    ledger = store(as_user(store.dsn, runner))
    with pytest.raises(LedgerError, match=r"permission denied .*let the owner of the database grant it"):
        await ledger.open(ACCOUNT)
    await ledger.close()


async def test_right_that_is_taken_away_fails_what_needs_it_only(store, runner):
    """What cannot be written is told as not written; when it can be again, the run goes on."""
    await store().migrate()
    await grant(store, runner)
    async with store.opened(as_user(store.dsn, runner)) as ledger:
        await bring(ledger, "cat", Stage.INTENDED)
        change = Change(key="cat", stage=Stage.SUBMITTED, task_id="task-1")
        await store.execute(f"REVOKE INSERT ON {{schema}}.events FROM {runner}")
        with pytest.raises(LedgerError, match="permission denied for table events"):
            await ledger.record(change)
        await store.execute(f"GRANT INSERT ON {{schema}}.events TO {runner}")
        await ledger.record(change)


async def test_tables_are_made_once_though_many_open_at_once(store):
    """One makes them, the others wait for that."""
    ledgers = [store() for _ in range(8)]
    await asyncio.gather(*(ledger.open(ACCOUNT) for ledger in ledgers))
    entered = await asyncio.gather(*(ledger.enter("cat", CAT, intend=True) for ledger in ledgers))
    assert len(list(filter(None, entered))) == 1
    await asyncio.gather(*(ledger.close() for ledger in ledgers))
    assert [tuple(row) for row in await store.execute("SELECT version FROM {schema}.format")] == [(1,)]


async def test_tables_of_a_newer_version_are_refused(store):
    """What this version does not know it does not touch."""
    await store().migrate()
    await store.execute("UPDATE {schema}.format SET version = 9")
    for opening in (store().open(ACCOUNT), store().account(), store().migrate()):
        with pytest.raises(LedgerError, match=r"newer version of sora_async \(format 9, this one knows 1\): update"):
            await opening


async def test_tables_of_an_older_version_are_brought_up_to_date(store, monkeypatch):
    """By the next run; until then they cannot be read."""
    async with store.opened() as ledger:
        await bring(ledger, "cat", Stage.DONE)
    added = ("ALTER TABLE entries ADD COLUMN colour text",)
    monkeypatch.setattr(schema_module, "MIGRATIONS", (*schema_module.MIGRATIONS, added))
    with pytest.raises(LedgerError, match="older format 1: run its batch again"):
        await store().entry("cat")
    async with store.opened() as ledger:
        assert (await ledger.entry("cat")).stage is Stage.DONE
    assert [row["colour"] for row in await store.execute("SELECT colour FROM {schema}.entries")] == [None]


async def test_schema_of_another_program_is_refused_untouched(store):
    """Its tables are not ours to add to."""
    await store.execute("CREATE SCHEMA {schema}")
    await store.execute("CREATE TABLE {schema}.theirs (number integer)")
    with pytest.raises(LedgerError, match="is another program's: give another name"):
        await store().open(ACCOUNT)
    with pytest.raises(LedgerError, match="is another program's: give another name"):
        await store().exists()


async def test_schema_that_is_empty_is_filled(store):
    """It may have been made for a user who must not make any."""
    await store.execute("CREATE SCHEMA {schema}")
    async with store.opened() as ledger:
        assert await ledger.account() == ACCOUNT


async def test_ledger_that_was_never_opened_has_nothing_to_read(store):
    """It is not made by looking for it, and belongs to nobody before it is opened."""
    with pytest.raises(LedgerError, match="there is no such ledger: check its name"):
        await all_of(store())
    assert not await store().exists()
    await store().migrate()
    assert await store().exists()
    assert await all_of(store()) == []
    with pytest.raises(LedgerError, match="never been opened"):
        await store().account()


async def test_ledger_is_opened_by_one_caller_at_a_time(store):
    """Also while the opening is under way."""
    ledger = store()
    ends = await asyncio.gather(ledger.open(ACCOUNT), ledger.open(ACCOUNT), return_exceptions=True)
    assert ends[0] is None
    assert isinstance(ends[1], RuntimeError)
    await ledger.close()


async def test_session_is_isolated_as_it_must_be(store):
    """Whatever the database is set to, who is alive is looked up anew by each statement."""
    async with store.opened(f"{store.dsn}&default_transaction_isolation=serializable") as ledger:
        assert await ledger._writer._connection.fetchval("SHOW transaction_isolation") == "read committed"


async def test_session_that_would_lose_commits_is_refused(store):
    """Whoever asks for it, by the DSN, the user or the database."""
    with pytest.raises(LedgerError, match="synchronous_commit is off, and must be on or remote_apply, else what was"):
        await store(f"{store.dsn}&synchronous_commit=off").open(ACCOUNT)


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
async def test_server_that_would_lose_commits_is_refused(postgres_server, setting):
    """A power cut would take what it said was written."""
    store = Store(postgres_server.dsn, f"setting_{setting}")
    await reload(store, f"ALTER SYSTEM SET {setting} = off", setting, "off")
    try:
        with pytest.raises(LedgerError, match=f"the server's {setting} is off, and must be on"):
            await store().open(ACCOUNT)
    finally:
        await reload(store, f"ALTER SYSTEM RESET {setting}", setting, "on")


async def test_setting_that_is_changed_later_does_not_reach_a_run(postgres_server):
    """What was checked at the opening holds until the end."""
    store = Store(postgres_server.dsn, "later")
    async with store.opened() as ledger:
        await reload(store, "ALTER SYSTEM SET synchronous_commit = off", "synchronous_commit", "off")
        try:
            await ledger.enter("cat", CAT, intend=True)
            assert await ledger._writer._connection.fetchval("SHOW synchronous_commit") == "on"
        finally:
            await reload(store, "ALTER SYSTEM RESET synchronous_commit", "synchronous_commit", "on")
    await store.drop()


async def reload(store, statement, setting, value):
    await store.execute(statement)
    await store.execute("SELECT pg_reload_conf()")
    await until(lambda: store.execute("SELECT WHERE current_setting($1) = $2", setting, value))


async def test_database_that_takes_not_every_character_is_refused(store):
    """A reason in Chinese could not be noted in it."""
    database = f"latin_{store.name}"
    await store.execute(f"CREATE DATABASE {database} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    dsn = re.sub(r"(//[^/]*/)[^?]*", rf"\1{database}", store.dsn)
    with pytest.raises(LedgerError, match="server_encoding is LATIN1, and must be UTF8"):
        await store(dsn).open(ACCOUNT)
    await store.execute(f"DROP DATABASE {database}")


def test_importing_batches_does_not_load_the_driver():
    """Nor does it need to be installed for a ledger in a file."""
    code = "import sys, sora_async.batch; sora_async.batch.SqliteLedger; sys.exit('asyncpg' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["", "Cats", "a-b", 'a"b', "a" * 51, "ä"])
def test_name_is_plain(name):
    """It becomes part of statements, and of a name that PostgreSQL would cut."""
    with pytest.raises(ValueError, match="the name of a ledger is 1 to 50 of a-z"):
        PostgresLedger("postgresql://host/database", name=name)


@pytest.mark.parametrize("options", [{"lease_s": 0}, {"patience_s": -1}])
def test_times_are_more_than_nothing(options):
    """A lease of no time could not be held."""
    with pytest.raises(ValueError, match="must be more than 0"):
        PostgresLedger("postgresql://host/database", **options)
