"""The one thread that writes a ledger: what waits is made durable together, by one commit."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from sora_async.batch.ledger_operation import Operation
from sora_async.batch.sqlite_book import Book
from sora_async.errors import LedgerError

MOST = 500
"""How many operations share a commit at most, which bounds how long the loop is busy with their answers."""

_UNFIT = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    AttributeError,
    OverflowError,
    TypeError,
    ValueError,
)
"""What a value of an operation may raise that no column takes; all else is the disk's or the file's fault."""

_Result = TypeVar("_Result")


class Writer:
    """Runs operations on a book in the order in which they come. Its methods are for the loop that made it.

    Args:
        open_book: gives the book, and lets go of it, in the thread.
        explain: makes the error that is raised of one that the disk or SQLite gave.
    """

    def __init__(
        self, open_book: Callable[[], AbstractContextManager[Book]], explain: Callable[[Exception], LedgerError]
    ) -> None:
        self._open_book = open_book
        self._explain = explain
        self._loop = asyncio.get_running_loop()
        self._waiting: queue.SimpleQueue[Operation[Book, Any] | None] = queue.SimpleQueue()
        self._is_ending = False
        self._is_last = False
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        # A daemon: a process that ends without closing is a crash, and those lose nothing that was durable.
        threading.Thread(target=self._run, name="sora_async ledger", daemon=True).start()

    async def started(self) -> None:
        """Wait until the book is open; raises what opening it raised."""
        await self._started

    def submit(self, key: str, run: Callable[[Book], _Result]) -> Operation[Book, _Result]:
        """Queue an operation.

        Raises:
            RuntimeError: the ledger was closed.
        """
        if self._is_ending:
            raise RuntimeError("the ledger is closed: open it again")
        operation = Operation(key, run, self._loop.create_future())
        self._waiting.put(operation)
        return operation

    async def end(self) -> None:
        """Finish what is queued, and wait until the book is let go of."""
        if not self._is_ending:
            self._is_ending = True
            self._waiting.put(None)
        await asyncio.shield(self._ended)

    def _run(self) -> None:
        try:
            with self._open_book() as book:
                is_heard = self._tell(_settle, self._started, None)
                while is_heard and (group := self._take()):
                    self._write(book, group)
                    is_heard = self._tell(_answer, group)
        except Exception as error:  # noqa: BLE001 it is raised where the opening is awaited
            self._tell(_settle, self._started, error)
        finally:
            self._tell(_settle, self._ended, None)

    def _tell(self, function: Callable[..., object], *args: object) -> bool:
        """Call something in the loop; False if that is closed, so that nobody will ask for anything any more."""
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            return False
        return True

    def _take(self) -> list[Operation[Book, Any]]:
        """Wait for an operation, and take all that wait with it; none at the end."""
        group: list[Operation[Book, Any]] = []
        while not self._is_last and len(group) < MOST and not (group and self._waiting.empty()):
            operation = self._waiting.get()
            if operation is None:
                self._is_last = True
            else:
                group.append(operation)
        return group

    def _write(self, book: Book, group: list[Operation[Book, Any]]) -> None:
        try:
            book.begin(operation.key for operation in group)
            for operation in group:
                operation.perform(book)
            book.commit()
        except Exception as error:  # noqa: BLE001 it is raised where the operations are awaited
            # After some errors SQLite has rolled back by itself.
            with contextlib.suppress(sqlite3.Error):
                book.rollback()
            if isinstance(error, _UNFIT) and len(group) > 1:
                for operation in group:
                    self._write(book, [operation])
                return
            for operation in group:
                operation.result, operation.error = None, self._explain(error)


def _settle(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(None)


def _answer(group: Iterable[Operation[Book, Any]]) -> None:
    for operation in group:
        operation.answer()
