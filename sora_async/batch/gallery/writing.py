"""From a ledger to the file of the page: whole or not at all, and never over a page of somebody else."""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from sora_async.batch.gallery.card import Desk
from sora_async.batch.gallery.page import GENERATOR, Page
from sora_async.batch.ledger import Entry, Ledger

FILE_NAME = "index.html"
_AT_A_TIME = 100
_HEAD = 4096

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


async def write_gallery(
    ledger: Ledger,
    directory: str | os.PathLike[str],
    *,
    ledger_file: str | os.PathLike[str] | None = None,
    command: str = "sora-async",
    title: str | None = None,
) -> Path:
    """Write `index.html` into the folder of a batch: all of its videos, and what became of the rest.

    The page needs nothing but the videos beside it: no network, no server, no other file. It replaces the page of an
    earlier call in one step. Cancelling leaves that one as it was, or the new one, whole.

    Args:
        ledger: the account of the batch; it is only read.
        directory: the folder of the batch, made if it is missing.
        ledger_file: the ledger as the commands on the page are to name it; None names none.
        command: how those commands call the program.
        title: the page's heading; None takes the folder's name.

    Returns:
        The file.

    Raises:
        FileExistsError: an `index.html` is there that is not of this library.
        LedgerError: the ledger cannot be read.
        ModuleNotFoundError: the extra `gallery` is not installed.
        OSError: the folder cannot be written.
        ValueError: the directory is a URL.
    """
    if "://" in os.fspath(directory):
        raise ValueError("the page of a batch is written into a folder, not into a store")
    root = Path(os.path.abspath(directory))  # noqa: ASYNC240, PTH100 no disk is asked, and links stay links
    index = root / FILE_NAME
    await _finish(_check_ours, index)
    desk = Desk(
        root=root,
        settle=(*shlex.split(command), "ledger", "resolve"),
        options=() if ledger_file is None else ("--ledger", os.fspath(ledger_file)),
    )
    page = Page(desk, title or root.name or "Videos")
    try:
        waiting: list[Entry] = []
        async for entry in ledger.entries():
            waiting.append(entry)
            if len(waiting) == _AT_A_TIME:
                await _finish(page.add, waiting)
                waiting = []
        await _finish(page.add, waiting)
        await _finish(_replace, index, page)
    finally:
        page.close()
    return index


async def _finish(function: Callable[[*_Arguments], _Result], *args: *_Arguments) -> _Result:
    """Do a piece of work in a thread, and wait for its end also when cancelled: it must not outlive its files."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *args))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


def _check_ours(index: Path) -> None:
    try:
        with index.open("rb") as file:
            is_ours = GENERATOR.encode() in file.read(_HEAD)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        is_ours = False
    if not is_ours:
        raise FileExistsError(f"{index} was not made by this library: move it away, or choose another folder")


def _replace(index: Path, page: Page) -> None:
    """Write beside the file and rename, so that nobody ever sees half a page."""
    index.parent.mkdir(parents=True, exist_ok=True)
    part = index.with_name(f".{index.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            page.write(file, time.time())
            file.flush()
            os.fsync(file.fileno())
        part.replace(index)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
