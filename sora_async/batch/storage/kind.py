"""What a folder and a store have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypedDict

from sora_async.download import Destination

Bring = Callable[[Path | Destination], Awaitable[object]]
"""Fetches one file into a place: it is whole there, or there is nothing."""

TAKEN = "exists, and the ledger does not know it: nothing was bought; move it away or name another output"
"""Perhaps the ledger was lost or forgotten, and this is what it would have told to be bought already."""


class Place(TypedDict, total=False):
    """Where a file is, in the words of an Outcome."""

    path: Path
    url: str


class Storage(Protocol):
    """Keeps files by their names, which have `/` between folders."""

    async def open(self) -> None:
        """Find out whether it can be written.

        Raises:
            ValueError: it cannot; nothing was bought.
            ImportError: it needs a package that is not installed.
        """
        ...

    def locate(self, name: str) -> Place:
        """Say where a file is, or would be."""
        ...

    async def check_free(self, name: str) -> None:
        """Check that a file can take its place.

        Raises:
            ValueError: there is one already, or it could not be written.
            DownloadError: the storage does not tell.
        """
        ...

    async def has(self, name: str, size: int | None) -> bool:
        """Whether there is a file of this size.

        Raises:
            DownloadError: the storage does not tell.
        """
        ...

    async def receive(self, name: str, bring: Bring) -> tuple[int, str]:
        """Have a file brought, and answer its size and its SHA-256 in hex; with the errors of `bring`."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...
