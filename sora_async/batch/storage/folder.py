"""The files of a batch in a folder of this machine."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

from sora_async.batch.storage.kind import TAKEN, Bring, Place


class Folder:
    """A Storage on disk.

    Args:
        root: the folder, made if it is missing.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    async def open(self) -> None:
        """Do nothing: each file may have a folder of its own, which is looked at with it."""

    def locate(self, name: str) -> Place:
        """As Storage has it."""
        return {"path": self._root / name}

    async def check_free(self, name: str) -> None:
        """As Storage has it."""
        target = self._root / name
        if target.exists():
            raise ValueError(f"{target} {TAKEN}")
        place = next(parent for parent in target.absolute().parents if parent.exists())
        if not (place.is_dir() and os.access(place, os.W_OK)):
            raise ValueError(f"{place} is no folder that can be written: nothing was bought; name another output")

    async def has(self, name: str, size: int | None) -> bool:
        """As Storage has it."""
        path = self._root / name
        return path.is_file() and path.stat().st_size == size

    async def receive(self, name: str, bring: Bring) -> tuple[int, str]:
        """As Storage has it."""
        path = self._root / name
        await bring(path)
        return await asyncio.to_thread(_measure, path)

    def close(self) -> None:
        """Do nothing, for nothing is held."""


def _measure(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest
