"""The ledger in PostgreSQL, by asyncpg: one account for many processes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import re
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from typing import Any, TypeVar

import attrs

from sora_async.batch.ledger import CANCELLED, Change, Entry, Stage
from sora_async.batch.ledger_operation import Operation
from sora_async.batch.ledger_row import Event, Request
from sora_async.batch.postgres_address import Address, Dsn
from sora_async.batch.postgres_book import Book
from sora_async.batch.postgres_errors import explain, insist
from sora_async.batch.postgres_lease import Lease, bury_dead
from sora_async.batch.postgres_schema import (
    check_readable,
    claim_account,
    is_current,
    migrate,
    read_account,
    read_version,
)
from sora_async.batch.postgres_session import check_durable, connect, cut_off, see_off, session
from sora_async.batch.postgres_tables import read_entries_of_task, read_entry, read_events, read_page, recall
from sora_async.batch.postgres_writer import Writer
from sora_async.errors import LedgerError

PAGE = 1000
"""How many entries are in memory at once while they are read."""
READ_S = 60.0
"""How long one statement may take that only reads, or makes the tables, in seconds."""
STALE = "its process was stopped before it was sent"
"""The reason of an entry whose sender was told of it too late."""

_NAME = re.compile(r"[a-z0-9_]{1,50}")

_Result = TypeVar("_Result")


@attrs.frozen
class _Entered:
    entry: Entry | None
    term: int
    """That of the lease then."""


class PostgresLedger:
    """A Ledger in a schema of a database, which many processes on many machines may write at once.

    Each works on entries of its own: `enter` claims an entry that nobody is at work on, and an entry that has ended
    belongs to nobody. An open ledger that has not been heard of for the length of a lease is dead: what it had intended
    becomes uncertain, and all else may be claimed by others. If it comes back, it goes on with what nobody has claimed,
    and settles what became uncertain by what it knows of it; what others have claimed it leaves to them.

    Whatever was answered is still there after a crash or a power cut of the server, and a server that restarts or drops
    connections is waited for. Cancelling a method does not undo what it writes, but an entry whose `enter` is cancelled
    does not stay intended. A copy by pickle is not open, and a DSN that holds a password cannot be pickled.

    Args:
        dsn: `postgresql://user@host:port/database?option=value`, with the options of libpq for TLS; or the name of an
            environment variable that holds it; or a function, also a coroutine function, that answers it. The last two
            are asked whenever a connection is made.
        name: which ledger of the database, in a-z, 0-9 and _; its tables are in the schema `sora_<name>`.
        lease_s: after how many seconds of silence a process is dead. A process must be able to reach the server within
            a third of it.
        patience_s: how long a server that is away is waited for while the ledger is open, in seconds. Nothing is bought
            meanwhile.

    Attributes:
        name: as given.

    Raises:
        ValueError: the DSN or the name is not of this form, or a time is not more than 0.
    """

    def __init__(self, dsn: Dsn, *, name: str = "default", lease_s: float = 30.0, patience_s: float = 600.0) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"the name of a ledger is 1 to 50 of a-z, 0-9 and _, not {name!r}")
        if not (lease_s > 0 and patience_s > 0):
            raise ValueError("lease_s and patience_s must be more than 0")
        self.name = name
        self._address = Address(dsn)
        self._schema = f"sora_{name}"
        self._lease_s = lease_s
        self._patience_s = patience_s
        self._is_opening = False
        self._writer: Writer | None = None

    def __repr__(self) -> str:
        return f"PostgresLedger({self._address!r}, name={self.name!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_is_opening": False, "_writer": None}

    async def migrate(self) -> None:
        """Make the tables or bring them up to date, and no more, as a user whose rights a run need not have.

        Raises:
            LedgerError: that cannot be done, or a newer version wrote them.
        """
        with self._explained():
            await self._migrate()

    async def _migrate(self) -> None:
        async with session(self._address, self._schema, READ_S) as connection:
            await migrate(connection, self._schema)

    async def open(self, account: str) -> None:
        """As Ledger says, but what a living process has intended stays; again after `close` is fine.

        Raises:
            LedgerError: it belongs to another account, was written by a newer version, cannot be read or written, or
                the server may lose what it has committed.
            RuntimeError: it is open.
        """
        if self._is_opening or self._writer is not None:
            raise RuntimeError(f"the ledger {self} is open already")
        self._is_opening = True
        try:
            with self._explained():
                self._writer = await self._begin(account)
        finally:
            self._is_opening = False

    async def _begin(self, account: str) -> Writer:
        connection = await self._connect()
        try:
            if not await is_current(connection, self._schema):
                await self._migrate()
            with cut_off(connection, self._lease_s):
                await claim_account(connection, account)
                await bury_dead(connection)
                lease = await Lease.begin(connection, f"{socket.gethostname()}:{os.getpid()}", self._lease_s)
        except BaseException:
            await see_off(connection)
            raise
        return Writer(self._connect, connection, lease, explain=self._explain, patience_s=self._patience_s)

    async def _connect(self) -> Any:
        """Open a connection to write by."""
        connection = await connect(self._address, self._schema, self._lease_s / 3)
        try:
            with cut_off(connection, self._lease_s / 3):
                await check_durable(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def enter(self, key: str, request: Mapping[str, Any], *, intend: bool) -> Entry | None:
        """As Ledger says; None while another living process, or to intend another call of this one, is at work on it.

        Raises:
            LedgerError: as Ledger says. It may be intended then, and becomes uncertain.
            RuntimeError: it is not open.
        """
        written = Request.of(request)
        writer = self._opened()

        def perform(book: Book) -> _Entered:
            return _Entered(book.enter(key, written, intend=intend), writer.lease.term)

        while True:
            entering = writer.submit(key, perform)
            try:
                entered = await entering.future
            except asyncio.CancelledError:
                if intend:
                    # A closed ledger takes no more: the entry becomes uncertain then, which is safe.
                    with contextlib.suppress(RuntimeError):
                        self._take_back(writer, entering, CANCELLED).future.cancel()  # nobody waits for it
                raise
            entry = entered.entry
            if not intend or entry is None or entry.stage is not Stage.INTENDED:
                return entry
            if writer.lease.is_firm(entered.term):
                return entry
            # This process was stopped before it could be told. What others made of it meanwhile the next look tells.
            with contextlib.suppress(LedgerError):
                await self._take_back(writer, entering, STALE).future

    def _take_back(self, writer: Writer, entering: Operation[Book, _Entered], reason: str) -> Operation[Book, None]:
        """Plan again what was intended for a caller that does not send it."""

        def take_back(book: Book) -> None:
            entry = None if entering.result is None else entering.result.entry
            if entry is not None and entry.stage is Stage.INTENDED:
                book.record(Change(key=entering.key, stage=Stage.PLANNED, reason=reason))

        return writer.submit(entering.key, take_back)

    async def record(self, change: Change) -> None:
        """As Ledger says.

        Raises:
            TakenOverError, LedgerError: as Ledger says.
            RuntimeError: it is not open.
        """
        await self._opened().submit(change.key, lambda book: book.record(change)).future

    def _opened(self) -> Writer:
        if self._writer is None:
            raise RuntimeError(f"the ledger {self} is not open")
        return self._writer

    async def entries(self, *stages: Stage) -> AsyncGenerator[Entry, None]:
        """As Ledger says; also without `open`, and while others write."""
        after, is_more = 0, True
        while is_more:
            after, page = await self._read(functools.partial(read_page, stages=stages, after=after, limit=PAGE))
            is_more = bool(after)
            for entry in page:
                yield entry

    async def entry(self, key: str) -> Entry | None:
        """Answer the entry of a key, None if there is none; also without `open`.

        Raises:
            LedgerError: it cannot be read.
        """
        return await self._read(functools.partial(read_entry, key=key))

    async def entries_of_task(self, task_id: str) -> list[Entry]:
        """Answer the entries that have this id, in the order in which they were entered; also without `open`.

        Raises:
            LedgerError: it cannot be read.
        """
        return await self._read(functools.partial(read_entries_of_task, task_id=task_id))

    async def account(self) -> str:
        """Answer whose ledger it is, to open it again for the same account; also without `open`.

        Raises:
            LedgerError: it cannot be read, or was never opened.
        """
        account = await self._read(read_account)
        if account is None:
            raise self._explain(LedgerError("it has never been opened, and belongs to nobody yet"))
        return account

    async def events(self, key: str) -> list[Event]:
        """Answer all steps that an entry took, oldest first; also without `open`.

        Raises:
            LedgerError: it cannot be read.
        """
        return await self._read(functools.partial(read_events, key=key))

    async def remember(self, name: str, text: str) -> None:
        """As Ledger says; of texts by several processes the last is kept.

        Raises:
            LedgerError: as Ledger says.
            RuntimeError: it is not open.
        """
        await self._opened().submit(name, lambda book: book.remember(name, text)).future

    async def recall(self, name: str) -> str | None:
        """As Ledger says; also without `open`.

        Raises:
            LedgerError: as Ledger says.
        """
        return await self._read(functools.partial(recall, name=name))

    async def exists(self) -> bool:
        """Answer whether it is there, which a run or `migrate` makes it; also without `open`.

        Raises:
            LedgerError: that cannot be told, or what is there is another program's or a newer version's.
        """
        return await self._ask(functools.partial(read_version, schema=self._schema)) > 0

    async def _read(self, ask: Callable[[Any], Awaitable[_Result]]) -> _Result:
        async def asked(connection: Any) -> _Result:
            await check_readable(connection, self._schema)
            return await ask(connection)

        return await self._ask(asked)

    async def _ask(self, ask: Callable[[Any], Awaitable[_Result]]) -> _Result:
        async def attempt() -> _Result:
            async with session(self._address, self._schema, READ_S) as connection:
                return await ask(connection)

        with self._explained():
            return await insist(attempt, 0.0 if self._writer is None else self._patience_s)

    async def close(self) -> None:
        """As Ledger says; a second time, and without `open`, nothing happens."""
        writer = self._writer
        if writer is None:
            return
        await writer.end()
        if self._writer is writer:
            self._writer = None

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 it is told in words that hold no secret
            raise self._explain(error) from None

    def _explain(self, error: Exception) -> LedgerError:
        return explain(f"{self.name} at {self._address}", error)
