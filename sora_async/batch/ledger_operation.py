"""One thing to be done within a transaction that others share, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

from sora_async.errors import LedgerError

_Book = TypeVar("_Book")
_Result = TypeVar("_Result")


@attrs.define(eq=False)
class Operation(Generic[_Book, _Result]):
    """One thing to do, and what came of it."""

    key: str
    """Which entry it is about."""
    run: Callable[[_Book], _Result]
    """Does it, within a transaction."""
    future: asyncio.Future[_Result]
    """Ends when it is durable, or failed. Cancelling it does not undo it."""
    result: _Result | None = None
    """What `run` answered."""
    error: Exception | None = None
    """Why it failed."""

    def perform(self, book: _Book) -> None:
        """Run; any other error than a LedgerError is raised."""
        self.result, self.error = None, None
        try:
            self.result = self.run(book)
        except LedgerError as error:
            self.error = error

    def answer(self) -> None:
        """End the future, in its loop."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type] # it was run, hence holds a result
