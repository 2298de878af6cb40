"""The one coroutine that writes a ledger: what waits is made durable together, by one transaction, exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sora_async.batch.ledger_operation import Operation
from sora_async.batch.postgres_book import Book
from sora_async.batch.postgres_errors import UNFIT, insist, is_passing
from sora_async.batch.postgres_lease import Lease, bury_dead, find_alive
from sora_async.batch.postgres_session import cut_off, see_off
from sora_async.batch.postgres_tables import save
from sora_async.errors import LedgerError

logger = logging.getLogger("sora_async")

MOST = 250
"""How many operations share a transaction at most, which bounds how long the loop is busy with them."""

_Result = TypeVar("_Result")


class Writer:
    """Runs operations in the order in which they come, and renews the lease while there are none.

    Args:
        connect: opens a connection that is durable.
        connection: the first one.
        lease: the right to write.
        explain: makes the error that is raised of one that the driver or the server gave.
        patience_s: how long a server that is away is waited for, in seconds.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Any]],
        connection: Any,
        lease: Lease,
        *,
        explain: Callable[[Exception], LedgerError],
        patience_s: float,
    ) -> None:
        self.lease = lease
        self._connect = connect
        self._connection = connection
        self._explain = explain
        self._patience_s = patience_s
        self._waiting: deque[Operation[Book, Any]] = deque()
        self._awake = asyncio.Event()
        self._is_ending = False
        self._is_in_doubt = False
        self._attempts: dict[str, int | None] = {}
        self._changed_attempts: dict[str, int | None] = {}
        self._is_away = False
        self._lost: LedgerError | None = None
        self._bury_at = 0.0
        self._running = asyncio.create_task(self._run(), name="sora_async ledger")

    def submit(self, key: str, run: Callable[[Book], _Result]) -> Operation[Book, _Result]:
        """Queue an operation.

        Raises:
            RuntimeError: the ledger was closed.
        """
        if self._is_ending or self._running.done():
            raise RuntimeError("the ledger is closed: open it again")
        operation = Operation(key, run, asyncio.get_running_loop().create_future())
        self._waiting.append(operation)
        self._awake.set()
        return operation

    async def end(self) -> None:
        """Finish what is queued, and let go of the lease and the connection."""
        self._is_ending = True
        self._awake.set()
        await asyncio.wait([self._running])

    async def _run(self) -> None:
        group: list[Operation[Book, Any]] = []
        try:
            while self._waiting or not self._is_ending:
                group = await self._take()
                await self._write(group)
            await self._let_go()
        finally:
            # Only a loop that ends before the ledger is closed comes here with something left.
            for operation in [*group, *self._waiting]:
                operation.future.cancel()
            self._drop()

    async def _take(self) -> list[Operation[Book, Any]]:
        """Wait for operations until the lease must be renewed, and take what there is."""
        if not self._waiting and not self._is_ending:
            self._awake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.lease.heartbeat_s):
                    await self._awake.wait()
        return [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]

    async def _write(self, group: list[Operation[Book, Any]]) -> None:
        error: LedgerError | None = None
        try:
            if self._lost is None:
                await insist(lambda: self._try(group), self._patience_s)
        except Exception as failure:  # noqa: BLE001 it is raised where the operations are awaited
            error = self._explain(failure)
            if self._is_in_doubt:
                error = LedgerError(f"{error}; whether its last steps were noted is not known")
            if self._is_in_doubt or isinstance(failure, LedgerError) or is_passing(failure):
                self._lost = error
            elif isinstance(failure, UNFIT) and len(group) > 1:
                await self._write(group[: len(group) // 2])
                await self._write(group[len(group) // 2 :])
                return
        error = self._lost or error
        for operation in group:
            if error is not None:
                operation.result, operation.error = None, LedgerError(*error.args)
            operation.answer()

    async def _try(self, group: list[Operation[Book, Any]]) -> None:
        """Commit a group, unless the last try, whose answer was lost, has done so."""
        try:
            self._connection = self._connection or await self._connect()
            with cut_off(self._connection, self.lease.length_s / 2):
                if self._is_in_doubt:
                    is_done = await self.lease.was_committed(self._connection)
                    self._is_in_doubt = False
                    if is_done:
                        self._confirm()
                        return
                await self._bury()
                while not await self._commit(self._connection, group):
                    pass
            self._is_away = False
        except BaseException as error:
            self._drop()
            if isinstance(error, Exception) and is_passing(error) and not self._is_away:
                self._is_away = True
                logger.warning("%s; it is tried again for %g s", self._explain(error), self._patience_s)
            raise

    async def _bury(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._bury_at:
            await bury_dead(self._connection)
            self._bury_at = now + self.lease.heartbeat_s

    async def _commit(self, connection: Any, group: list[Operation[Book, Any]]) -> bool:
        """Run a transaction; False if another process has just entered one of its keys."""
        await connection.execute("BEGIN")
        now, rows = await self.lease.renew(connection, {operation.key for operation in group})
        others = {row.owner for row in rows if row.owner is not None} - {self.lease.number}
        alive = await find_alive(connection, others)
        book = Book(rows, owner=self.lease.number, alive=alive, attempts=self._attempts, now=now)
        for operation in group:
            try:
                operation.perform(book)
            except (TypeError, ValueError) as error:
                operation.error = LedgerError(f"{operation.key!r} holds, or is to hold, what it cannot: {error}")
        if not await save(connection, book, now):
            await connection.execute("ROLLBACK")
            return False
        self._changed_attempts = book.attempts
        self._is_in_doubt = True
        await connection.execute("COMMIT")
        self._is_in_doubt = False
        self._confirm()
        return True

    def _confirm(self) -> None:
        self.lease.confirm()
        self._attempts.update(self._changed_attempts)
        for key, attempt in self._changed_attempts.items():
            if attempt is None:
                del self._attempts[key]

    async def _let_go(self) -> None:
        # If the server is away, the lease expires by itself.
        if self._connection is not None:
            with contextlib.suppress(Exception), cut_off(self._connection, self.lease.length_s / 2):
                await self.lease.end(self._connection)
            await see_off(self._connection)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
