"""The tables of a ledger in PostgreSQL, how they are made, and whose they are."""

from __future__ import annotations

from typing import Any

from sora_async.errors import LedgerError

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE format (version integer NOT NULL)",
        "INSERT INTO format VALUES (0)",
        "CREATE TABLE account (fingerprint text NOT NULL, is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only))",
        """CREATE TABLE owners (
            number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            name text NOT NULL,
            turn bigint NOT NULL,
            expires_at timestamptz NOT NULL
        )""",
        "CREATE SEQUENCE entry_number",
        # Room is left in each page, so that most steps need not touch the indexes.
        """CREATE TABLE entries (
            number bigint PRIMARY KEY,
            key text COLLATE "C" NOT NULL UNIQUE,
            request text NOT NULL,
            planned_at double precision NOT NULL,
            stage text NOT NULL,
            attempt integer NOT NULL,
            task_id text,
            reason text,
            raw bytea NOT NULL,
            path text,
            size bigint,
            sha256 text,
            facts text NOT NULL,
            submitted_at double precision,
            ended_at double precision,
            owner bigint
        ) WITH (fillfactor = 70)""",
        "CREATE INDEX entries_owned ON entries (owner) WHERE owner IS NOT NULL",
        """CREATE TABLE events (
            number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            at double precision NOT NULL,
            entry bigint NOT NULL,
            stage text NOT NULL,
            attempt integer NOT NULL,
            task_id text,
            reason text
        )""",
        "CREATE TABLE hints (name text PRIMARY KEY, text text NOT NULL)",
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '% are kept', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$""",
        "CREATE TRIGGER entry_stays BEFORE DELETE OR TRUNCATE ON entries EXECUTE FUNCTION refuse()",
        "CREATE TRIGGER event_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON events EXECUTE FUNCTION refuse()",
    ),
)
"""The statements that lead from each version to the next; what was once released here is never edited."""

_LOOK = """SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AS is_there,
    EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace($1)) AS is_used,
    EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relname = 'format') AS is_ours"""


async def migrate(connection: Any, schema: str) -> None:
    """Make the tables, or bring them up to date; of many that come at once one does it, and the others wait.

    Raises:
        LedgerError: the schema is another program's, or a newer version's.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", schema)
        version = await read_version(connection, schema)
        if not (await connection.fetchrow(_LOOK, schema))["is_there"]:
            await connection.execute(f"CREATE SCHEMA {schema}")
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                await connection.execute(statement)
        await connection.execute("UPDATE format SET version = $1", len(MIGRATIONS))


async def read_version(connection: Any, schema: str) -> int:
    """Answer the version of the tables; 0 if there are none.

    Raises:
        LedgerError: the schema is another program's, or a newer version's.
    """
    found = await connection.fetchrow(_LOOK, schema)
    if not found["is_used"]:
        return 0
    if not found["is_ours"]:
        raise LedgerError(f"the schema {schema} is another program's: give another name")
    # Named in full: without the right to use the schema its tables are not denied, they are not there.
    version = int(await connection.fetchval(f"SELECT version FROM {schema}.format"))  # noqa: S608 a plain name
    if version > len(MIGRATIONS):
        raise LedgerError(
            f"it was written by a newer version of sora_async (format {version}, this one knows {len(MIGRATIONS)}): "
            "update sora_async"
        )
    return version


async def is_current(connection: Any, schema: str) -> bool:
    """Whether nothing is left to migrate."""
    return await read_version(connection, schema) == len(MIGRATIONS)


async def check_readable(connection: Any, schema: str) -> None:
    """Raise LedgerError if there is no ledger that this version can read as it is."""
    version = await read_version(connection, schema)
    if not version:
        raise LedgerError("there is no such ledger: check its name and the database")
    if version < len(MIGRATIONS):
        raise LedgerError(f"it has the older format {version}: run its batch again, which brings it up to date")


async def claim_account(connection: Any, account: str) -> None:
    """Let a new ledger belong to an account.

    Raises:
        LedgerError: it belongs to another.
    """
    owner = await read_account(connection)
    if owner is None:
        await connection.execute("INSERT INTO account VALUES ($1) ON CONFLICT DO NOTHING", account)
        owner = await read_account(connection)
    if owner != account:
        raise LedgerError(
            f"it belongs to the account {owner}, and this is {account}, to which its tasks are unknown: use the key "
            "and the base URL that it was begun with, or another ledger"
        )


async def read_account(connection: Any) -> str | None:
    """Answer whose ledger it is; None before it was first opened."""
    account: str | None = await connection.fetchval("SELECT fingerprint FROM account")
    return account
