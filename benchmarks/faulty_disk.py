"""A disk for SQLite that loses power at a chosen step, and with it what was not synced."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import apsw
import attrs

SECTOR = 512
"""What a disk writes whole or not at all, in bytes."""


@attrs.define
class _Write:
    """Bytes that were written and not synced."""

    offset: int
    data: bytes

    def survive(self, content: bytearray, chance: random.Random) -> None:
        """Put some of the sectors there; which, nobody knows."""
        for start in range(0, len(self.data), SECTOR):
            if chance.random() < 0.5:
                _put(content, self.offset + start, self.data[start : start + SECTOR])


def _put(content: bytearray, offset: int, data: bytes) -> None:
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


@attrs.define(eq=False)
class _Content:
    """What belongs to one file, under whatever name."""

    synced: bytearray = attrs.field(factory=bytearray)
    pending: list[_Write | int] = attrs.field(factory=list)
    """Writes and truncations, these by the new size."""

    def sync(self) -> None:
        """Make all of it durable."""
        for change in self.pending:
            if isinstance(change, int):
                del self.synced[change:]
            else:
                _put(self.synced, change.offset, change.data)
        self.pending.clear()

    def survive(self, chance: random.Random) -> bytes:
        """What is there after the cut: of each pending change all, nothing, or some sectors."""
        content = bytearray(self.synced)
        for change in self.pending:
            fate = chance.choice(["all", "nothing", "torn"])
            if isinstance(change, int):
                if fate == "all":
                    del content[change:]
            elif fate == "torn":
                change.survive(content, chance)
            elif fate == "all":
                _put(content, change.offset, change.data)
        return bytes(content)


class Disk(apsw.VFS):
    """Passes everything on to the real files of a folder, and notes what would survive.

    Args:
        name: under which SQLite knows it.
        last_step: the power goes at this write, sync, truncation or removal, counted from 1.
    """

    def __init__(self, name: str, last_step: int) -> None:
        self._name = name
        self._steps_left = last_step
        self._now: dict[str, _Content] = {}
        self._synced: dict[str, _Content] = {}
        self._renames: list[tuple[str, _Content | None]] = []
        """Names that were made, or with None removed, since the folder was synced."""
        super().__init__(name, "")

    def connect(self, path: Path) -> apsw.Connection:
        """Open a database on this disk, made if it is not there."""
        return apsw.Connection(str(path), vfs=self._name)

    @property
    def is_off(self) -> bool:
        """Whether the power is gone."""
        return self._steps_left <= 0

    def takes_step(self) -> bool:
        """Count a step, and answer whether the power was still there for it.

        Without power a step is done to the files, so that SQLite comes to its end, and to nothing that survives.
        """
        self._steps_left -= 1
        return not self.is_off

    def content(self, path: str) -> _Content:
        """What belongs to this name, made if there is none."""
        if self.is_off:
            return _Content()
        if path not in self._now:
            self._now[path] = _Content()
            self._renames.append((path, self._now[path]))
        return self._now[path]

    def sync_folder(self) -> None:
        """Make all names durable."""
        self._keep_names(len(self._renames))

    def _keep_names(self, count: int) -> None:
        for path, content in self._renames[:count]:
            if content is None:
                self._synced.pop(path, None)
            else:
                self._synced[path] = content
        del self._renames[:count]

    def survive(self, folder: Path, chance: random.Random) -> None:
        """Write what is there after the cut into a folder."""
        # A file system with a journal keeps the order of names.
        self._keep_names(chance.randint(0, len(self._renames)))
        for path, content in self._synced.items():
            folder.joinpath(Path(path).name).write_bytes(content.survive(chance))

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> _File:  # noqa: N802 apsw's name
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 apsw's name
        is_noted = self.takes_step()
        super().xDelete(filename, syncdir)
        if is_noted and self._now.pop(filename, None) is not None:
            self._renames.append((filename, None))
        if is_noted and syncdir:
            self.sync_folder()


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk = disk
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._content = disk.content(path) if path else _Content()
        self._is_database = bool(flags[0] & apsw.SQLITE_OPEN_MAIN_DB)
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 apsw's name
        if self._disk.takes_step():
            self._content.pending.append(_Write(offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 apsw's name
        if self._disk.takes_step():
            self._content.pending.append(newsize)
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: ARG002, N802 apsw's name
        if not self._disk.takes_step():
            return
        self._content.sync()
        if not self._is_database:
            # With the first sync of a journal SQLite's own layer syncs the folder too.
            self._disk.sync_folder()
