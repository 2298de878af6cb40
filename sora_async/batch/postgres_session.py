"""A connection to the database of a ledger: bounded in time, and durable once it says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg

from sora_async.batch.postgres_address import Address
from sora_async.errors import LedgerError

CONNECT_S = 10.0
"""How long a server may take to accept a connection, in seconds."""
CLOSE_S = 2.0
"""How long it may take to see one off."""

_CHECK = """SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
    set_config('synchronous_commit', current_setting('synchronous_commit'), false) AS synchronous_commit,
    current_setting('server_encoding') AS server_encoding"""
_FIT = {
    "fsync": {"on"},
    "full_page_writes": {"on"},
    "synchronous_commit": {"on", "remote_apply"},
    "server_encoding": {"UTF8"},
}


async def connect(address: Address, schema: str, statement_s: float) -> Any:
    """Open a connection whose statements are about one schema.

    Args:
        address: of the database.
        schema: where the tables are.
        statement_s: seconds that a statement may take, and a transaction may be left idle, before the server ends it.

    Raises:
        LedgerError: the DSN is not to be had, or what is in it cannot be used.
    """
    limit = str(max(1, round(statement_s * 1000)))
    settings = {
        "application_name": "sora_async",
        "search_path": schema,
        "default_transaction_isolation": "read committed",
        "statement_timeout": limit,
        "idle_in_transaction_session_timeout": limit,
        # A young table has no statistics: whatever these say, a key is looked up in its index.
        "enable_seqscan": "off",
    }
    return await asyncpg.connect(await address.resolve(), timeout=CONNECT_S, server_settings=settings)


async def check_durable(connection: Any) -> None:
    """See to it that what is committed on this connection outlives a power cut, whatever is configured meanwhile.

    Raises:
        LedgerError: the server is set to lose commits, or to take no text but that of some languages.
    """
    for name, value in (await connection.fetchrow(_CHECK)).items():
        if value not in _FIT[name]:
            raise LedgerError(
                f"the server's {name} is {value}, and must be {' or '.join(sorted(_FIT[name]))}, else what was bought "
                "could be lost from the ledger: set it for this database, or use another"
            )


@contextlib.contextmanager
def cut_off(connection: Any, after_s: float) -> Iterator[None]:
    """Cut a connection whose server does not answer, so that what awaits it fails.

    A time limit of the driver would first ask the server to cancel, by another connection that has no limit.
    """
    timer = asyncio.get_running_loop().call_later(after_s, connection.terminate)
    try:
        yield
    finally:
        timer.cancel()


@contextlib.asynccontextmanager
async def session(address: Address, schema: str, statement_s: float) -> AsyncIterator[Any]:
    """Hold a connection for a short while, which is cut if it takes longer than a statement may."""
    connection = await connect(address, schema, statement_s)
    try:
        with cut_off(connection, statement_s):
            yield connection
    finally:
        await see_off(connection)


async def see_off(connection: Any) -> None:
    """Close a connection, by force if the server takes its time."""
    with cut_off(connection, CLOSE_S), contextlib.suppress(Exception):
        await connection.close()
