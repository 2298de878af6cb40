"""The signals that end a run: what was begun is brought home before it ends."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sora_async.cli.screen import silence

T = TypeVar("T")

_ENDING = [signal.SIGINT, signal.SIGTERM]
_HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)
"""The terminal was closed, or its connection dropped; Windows has no such signal."""


class Signals:
    """Turns the first SIGINT, SIGTERM or SIGHUP into a cancelled run, and a further SIGINT or SIGTERM into its end.

    A SIGHUP that is ignored, as under nohup, stays so; a further one changes nothing, as a closed terminal may send
    several.

    Args:
        told: called at the first.

    Attributes:
        number: the first, None if none came.
    """

    def __init__(self, told: Callable[[], None]) -> None:
        self.number: int | None = None
        self._told = told
        self._terminals: list[int] = []

    async def guard(self, work: Awaitable[T]) -> T:
        """Do the work while the signals are caught."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 a coroutine that runs has one
        before = {number: signal.getsignal(number) for number in _ENDING}
        if _HANGUP is not None and signal.getsignal(_HANGUP) != signal.SIG_IGN:
            before[_HANGUP] = signal.getsignal(_HANGUP)
        self._terminals = [stream.fileno() for stream in (sys.stdout, sys.stderr) if stream.isatty()]
        for number in before:
            caught = functools.partial(self._caught, number, loop, task)
            try:
                # Not signal.signal alone: a signal that comes just before the loop goes to sleep would not wake it.
                loop.add_signal_handler(number, caught)
            except NotImplementedError:
                # Windows, where the loop wakes up for signals by itself.
                signal.signal(number, lambda *_, caught=caught: loop.call_soon_threadsafe(caught))
        try:
            return await work
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _caught(self, number: int, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        if number == _HANGUP:
            self._leave_closed_terminals()
            if self.number is not None:
                return
        if self.number is not None:
            # What is left open now is left on purpose, so the loop need not tell of it.
            loop.set_exception_handler(lambda _loop, _context: None)
            raise KeyboardInterrupt
        self.number = number
        task.cancel()
        self._told()

    def _leave_closed_terminals(self) -> None:
        """Say no more to terminals that are gone: an error there would end the run before its creates are home."""
        for descriptor in self._terminals:
            if not os.isatty(descriptor):
                silence(descriptor)
