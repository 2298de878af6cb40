"""Batches in processes that die when they are told to, forked from one that has everything imported.

`python batch_child.py` reads an order, one JSON object in each line of its standard input, and forks a process that
carries it out. It writes one JSON object in each line: the process's id, the outcomes as that process tells them, and
how it ended. A process dies by SIGKILL: at the n-th time that it comes to a point, or some seconds after its start.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401 else each process would load it anew
import contextlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NoReturn

import attrs

import sora_async.batch.runner  # noqa: F401 likewise
from sora_async import BatchStoppedError, Client, Fixed, Retry, Timeouts, VideoRequest, VideoTask
from sora_async.batch import BatchPolicy, Change, Entry, SqliteLedger, sqlite_file
from sora_async.batch.sqlite_book import Book
from sora_async.download import Destination

LEDGER = "batch.ledger"
VIDEOS = "videos"
VERBS = ("enter", "record", "commit", "create", "download")
POINTS = tuple(f"{side} {verb}" for verb in VERBS for side in ("before", "after"))
"""Where a process can die: at each call of the ledger, at each commit, at each create and each download."""


@attrs.frozen(kw_only=True)
class Order:
    """One run of a batch, and how it dies."""

    url: str
    """The relay's address."""
    folder: str
    """Where the ledger and the folder of the files are."""
    prompts: int
    """How many inputs: the prompts are `boat 0`, `boat 1`, ..."""
    concurrency: int
    """Tasks in flight."""
    point: str = ""
    """One of POINTS; empty for none."""
    at: int = 1
    """At the how many-th time that it comes there."""
    kill_after_s: float | None = None
    """Seconds after its start; None lives on."""
    first_s: float = 0.0
    """As for Retry."""
    poll_s: float = 0.0
    """Seconds between polls."""
    answer_s: float = 180.0
    """Seconds until an answer is given up."""


def _tell(**facts: Any) -> None:
    # By one write, which is whole or absent whenever the process dies.
    os.write(1, json.dumps(facts).encode() + b"\n")


class _Death:
    """Kills its own process at the n-th time that this comes to a point."""

    def __init__(self, order: Order) -> None:
        self._point = order.point
        self._left = order.at

    def at(self, point: str) -> None:
        if point == self._point:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)


class _Ledger(SqliteLedger):
    def __init__(self, path: Path, death: _Death) -> None:
        super().__init__(path)
        self._death = death

    async def enter(self, key: str, request: Mapping[str, Any], *, intend: bool) -> Entry | None:
        self._death.at("before enter")
        entry = await super().enter(key, request, intend=intend)
        self._death.at("after enter")
        return entry

    async def record(self, change: Change) -> None:
        self._death.at("before record")
        await super().record(change)
        self._death.at("after record")


class _Client(Client):
    def __init__(self, order: Order, death: _Death) -> None:
        super().__init__(
            "any",
            order.url,
            pacing=Fixed(order.poll_s),
            retry=Retry(first=order.first_s),
            timeouts=Timeouts(create=order.answer_s, query=order.answer_s),
        )
        self._death = death

    async def _create(
        self, wanted: VideoRequest, noting: Callable[[], AbstractAsyncContextManager[None]] | None = None
    ) -> VideoTask:
        @contextlib.asynccontextmanager
        async def noting_and_dying() -> AsyncIterator[None]:
            async with contextlib.nullcontext() if noting is None else noting():
                self._death.at("before create")
                yield

        task = await super()._create(wanted, noting_and_dying)
        self._death.at("after create")
        return task

    async def _fetch(self, task: VideoTask | str, target: Path | Destination) -> None:
        self._death.at("before download")
        await super()._fetch(task, target)
        self._death.at("after download")


def _book_of(death: _Death) -> type[Book]:
    class Dying(Book):
        def commit(self) -> None:
            death.at("before commit")
            super().commit()
            death.at("after commit")

    return Dying


async def _run(order: Order) -> None:
    death = _Death(order)
    sqlite_file.Book = _book_of(death)  # type: ignore[attr-defined] # where the ledger looks for it
    ledger = _Ledger(Path(order.folder, LEDGER), death)
    prompts = (f"boat {number}" for number in range(order.prompts))
    async with _Client(order, death) as client:
        outcomes = client.generate_many(
            prompts,
            concurrency=order.concurrency,
            ledger=ledger,
            directory=Path(order.folder, VIDEOS),
            policy=BatchPolicy(creates=order.concurrency),
        )
        try:
            async for outcome in outcomes:
                _tell(prompt=outcome.request.prompt, error=type(outcome.error).__name__ if outcome.error else "")
        except BatchStoppedError as error:
            _tell(stopped=str(error))


def main() -> None:
    """Carry out orders until there are no more."""
    child = 0
    for line in sys.stdin:
        if child:
            # Only now it loses its id: whoever killed it late has killed nobody else.
            os.waitpid(child, 0)
        order = Order(**json.loads(line))
        child = os.fork()
        if not child:
            _die_of(order)
        _tell(pid=child)
        if order.kill_after_s is not None:
            time.sleep(order.kill_after_s)
            os.kill(child, signal.SIGKILL)
        end = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        assert end is not None
        _tell(ended=end.si_status if end.si_code == os.CLD_EXITED else -end.si_status)


def _die_of(order: Order) -> NoReturn:
    """Carry out an order, and end this process, whatever comes."""
    try:
        asyncio.run(_run(order))
    except BaseException:  # noqa: BLE001 nothing of the parent's may run on in the child
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
