"""Work that blocks, out of the way of the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

from sora_async.errors import DownloadError

MOST_WAITING = 4
"""Pieces of work; a slow disk holds so much of a file in memory."""

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


class Disk:
    """Runs the work on one file in a thread, a piece after the other, and never leaves one behind.

    Pieces that are started while it is at work go on in the same thread: to hand each of them over for itself, and to
    be woken by its end, costs a download more than its writes do.

    Args:
        explain: says what it means that the system refuses, and what to do.
        threads: where it runs; None for those that the event loop has.
    """

    def __init__(self, explain: Callable[[OSError], str], threads: Executor | None = None) -> None:
        self._explain = explain
        self._threads = threads
        self._lock = threading.Lock()
        self._pieces = deque[Callable[[], Any]]()
        self._is_at_work = False
        self._work: asyncio.Future[None] | None = None
        self._result: Any = None
        self._failure: BaseException | None = None

    @property
    def is_behind(self) -> bool:
        """Whether it should be settled before more is started: much waits already, or something failed."""
        return len(self._pieces) >= MOST_WAITING or self._failure is not None

    def start(self, function: Callable[[*_Arguments], object], *args: *_Arguments) -> None:
        """Have a piece of work done after those before it; not at all if one of them fails."""
        with self._lock:
            if self._failure is not None:
                return
            if not self._is_at_work:
                self._work = asyncio.get_running_loop().run_in_executor(self._threads, self._do)
                self._is_at_work = True
            self._pieces.append(partial(function, *args))

    def _do(self) -> None:
        while True:
            with self._lock:
                if not self._pieces:
                    self._is_at_work = False
                    return
                piece = self._pieces.popleft()
            try:
                self._result = piece()
            except BaseException as error:  # noqa: BLE001 it is raised where the work is settled
                with self._lock:
                    self._failure = error
                    self._pieces.clear()

    async def settle(self) -> Any:
        """Wait for all that was started, also when cancelled, and answer what the last piece gave.

        Raises:
            DownloadError: the system refuses; what was written before stays.
        """
        work, cancelled = self._work, None
        while work is not None and not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError as error:
                cancelled = error
        result, failure = self._result, self._failure
        self._work = self._result = self._failure = None
        if cancelled is not None:
            raise cancelled
        if isinstance(failure, OSError):
            refusal = DownloadError(self._explain(failure))
            refusal.errno = failure.errno
            raise refusal from None
        if failure is not None:
            raise failure
        return result

    async def run(self, function: Callable[[*_Arguments], _Result], *args: *_Arguments) -> _Result:
        """Do a piece of work to its end, as `start` and `settle` do."""
        self.start(function, *args)
        result: _Result = await self.settle()
        return result
