"""The ledger in a file, by the standard library's SQLite."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from sora_async.batch.ledger import CANCELLED, Change, Entry, Stage
from sora_async.batch.ledger_operation import Operation
from sora_async.batch.ledger_row import Event, Request
from sora_async.batch.sqlite_book import Book
from sora_async.batch.sqlite_file import explain, open_book, read_book
from sora_async.batch.sqlite_writer import Writer

PAGE = 1000
"""How many entries are in memory at once while they are read."""

_Result = TypeVar("_Result")


class SqliteLedger:
    """A Ledger in a file. One process at a time writes it; others may read it meanwhile, without `open`.

    Whatever was answered is still there after a crash or a power cut. Cancelling a method does not undo what it
    writes, but an entry whose `enter` is cancelled does not stay intended.

    Args:
        path: the file, made when it is first opened, in a folder that exists. Beside it stand its lock, `<path>.lock`,
            and while it is written the journal of SQLite. It must be on a disk of this machine, for the locks of
            network drives cannot be trusted.

    Attributes:
        path: as given.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._writer: Writer | None = None

    async def open(self, account: str) -> None:
        """As Ledger says; again after `close` is fine.

        Raises:
            LedgerError: as Ledger says.
            RuntimeError: it is open.
        """
        if self._writer is not None:
            raise RuntimeError(f"the ledger {self.path} is open already")
        self._writer = Writer(functools.partial(open_book, self.path, account), functools.partial(explain, self.path))
        try:
            await self._writer.started()
        except BaseException:
            await self.close()
            raise

    async def enter(self, key: str, request: Mapping[str, Any], *, intend: bool) -> Entry | None:
        """As Ledger says; None also if another call of this process has intended it and is at work on it.

        Raises:
            LedgerError: as Ledger says.
            RuntimeError: it is not open.
        """
        written = Request.of(request)
        entering = self._submit(key, lambda book: book.enter(key, written, time.time(), intend=intend))
        try:
            return await entering.future
        except asyncio.CancelledError:
            if intend:
                self._take_back(key, entering)
            raise

    def _take_back(self, key: str, entering: Operation[Book, Entry | None]) -> None:
        """Plan again what was intended for a caller that was cancelled, hence never sends it."""

        def take_back(book: Book) -> None:
            entry = entering.result
            if entry is not None and entry.stage is Stage.INTENDED:
                book.record(Change(key=key, stage=Stage.PLANNED, reason=CANCELLED), time.time())

        # A closed ledger takes no more: the entry becomes uncertain then, which is safe.
        with contextlib.suppress(RuntimeError):
            self._submit(key, take_back).future.cancel()  # nobody waits for it

    async def record(self, change: Change) -> None:
        """As Ledger says.

        Raises:
            LedgerError: as Ledger says.
            RuntimeError: it is not open.
        """
        await self._submit(change.key, lambda book: book.record(change, time.time())).future

    def _submit(self, key: str, run: Callable[[Book], _Result]) -> Operation[Book, _Result]:
        if self._writer is None:
            raise RuntimeError(f"the ledger {self.path} is not open")
        return self._writer.submit(key, run)

    async def entries(self, *stages: Stage) -> AsyncGenerator[Entry, None]:
        """As Ledger says; also without `open`, and while another process writes."""
        after, total = 0, 1
        while after < total:
            read = functools.partial(Book.read_page, stages=stages, after=after, limit=PAGE)
            total, page = await self._read(read)
            for entry in page:
                yield entry
            after += PAGE

    async def entry(self, key: str) -> Entry | None:
        """Answer the entry of a key, None if there is none; also without `open`.

        Raises:
            LedgerError: it cannot be read.
        """
        return await self._read(functools.partial(Book.read_entry, key=key))

    async def entries_of_task(self, task_id: str) -> list[Entry]:
        """Answer the entries that have this id, in the order in which they were entered; also without `open`.

        Raises:
            LedgerError: it cannot be read.
        """
        return await self._read(functools.partial(Book.read_entries_of_task, task_id=task_id))

    async def account(self) -> str:
        """Answer whose ledger it is, to open it again for the same account; also without `open`.

        Raises:
            LedgerError: it cannot be read.
        """
        return await self._read(Book.read_account)

    async def events(self, key: str) -> list[Event]:
        """Answer all steps that an entry took, oldest first; also without `open`.

        Raises:
            LedgerError: it cannot be read.
        """
        return await self._read(functools.partial(Book.read_events, key=key))

    async def remember(self, name: str, text: str) -> None:
        """As Ledger says.

        Raises:
            LedgerError: as Ledger says.
            RuntimeError: it is not open.
        """
        await self._submit(name, lambda book: book.remember(name, text)).future

    async def recall(self, name: str) -> str | None:
        """As Ledger says; also without `open`.

        Raises:
            LedgerError: as Ledger says.
        """
        return await self._read(functools.partial(Book.recall, name=name))

    async def _read(self, read: Callable[[Book], _Result]) -> _Result:
        def read_file() -> _Result:
            with read_book(self.path) as book:
                return read(book)

        return await asyncio.to_thread(read_file)

    async def close(self) -> None:
        """As Ledger says; a second time, and without `open`, nothing happens."""
        writer = self._writer
        if writer is None:
            return
        await writer.end()
        if self._writer is writer:
            self._writer = None
