"""Ledgers of a PostgreSQL server, and what a test does to the server behind their backs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
from ledger_suite import ACCOUNT

from sora_async.batch import PostgresLedger

WAIT_S = 30.0


async def until(happened: Callable[[], Awaitable[object]]) -> None:
    """Ask again and again whether something has happened at the server."""
    async with asyncio.timeout(WAIT_S):
        while not await happened():  # noqa: ASYNC110 it tells nobody
            await asyncio.sleep(0.01)


async def execute(dsn: str, statement: str, *values: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(statement, *values)
    finally:
        await connection.close()


class Store:
    """One ledger of a server, which is made when it is first opened."""

    def __init__(self, dsn: str, name: str) -> None:
        self.dsn = dsn
        self.name = name
        self.schema = f"sora_{name}"

    def __call__(self, dsn: str | None = None, **options: float) -> PostgresLedger:
        return PostgresLedger(dsn or self.dsn, name=self.name, **options)

    @contextlib.asynccontextmanager
    async def opened(self, dsn: str | None = None, **options: float) -> AsyncIterator[PostgresLedger]:
        ledger = self(dsn, **options)
        await ledger.open(ACCOUNT)
        try:
            yield ledger
        finally:
            await ledger.close()

    async def execute(self, statement: str, *values: object) -> list[asyncpg.Record]:
        return await execute(self.dsn, statement.format(**vars(self)), *values)

    async def kill(self, ledger: PostgresLedger) -> None:
        """Let the server have heard of this ledger too long ago."""
        number = ledger._writer.lease.number
        await self.execute("UPDATE {schema}.owners SET expires_at = clock_timestamp() WHERE number = $1", number)

    async def drop(self) -> None:
        await self.execute("DROP SCHEMA IF EXISTS {schema} CASCADE")
