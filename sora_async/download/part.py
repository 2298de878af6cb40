"""The unfinished file of a download: locked while it is written, kept for a later try, renamed when whole."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs

from sora_async.download.digests import Digest
from sora_async.download.disk import Disk
from sora_async.errors import DownloadError
from sora_async.mp4 import check_video

if sys.platform == "win32":  # pragma: no cover - the other half is what runs elsewhere
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _sync_folder(folder: Path) -> None:
        """Windows has no way to."""
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _sync_folder(folder: Path) -> None:
        # The file is whole and in place by now, and some network file systems cannot sync a folder.
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_writev = getattr(os, "writev", None)
_MOST_BUFFERS = 512
_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


class Part:
    """The part file of one target; its methods block, so run them through a Disk.

    Args:
        target: where the whole file is to stand.

    Attributes:
        target: as given.
        disk, size, etag, total, digest: as for Destination.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.disk = Disk(self._explain)
        self.size = 0
        self.etag: str | None = None
        self.total: int | None = None
        self.digest: Digest | None = None
        # Of all that was written, as it passed, which spares reading it again; None if a part of it is not known.
        self._hash: hashlib._Hash | None = None
        self._path = target.with_name(f".{target.name}.part")
        self._note = target.with_name(f".{target.name}.part.json")
        self._descriptor: int | None = None

    def open(self) -> None:
        """Take the lock and read what an earlier download left.

        Raises:
            ValueError: the target is a directory.
            DownloadError: another download is writing this file.
            OSError: the disk refuses.
        """
        if self.target.is_dir():
            raise ValueError(f"{self.target} is a directory: give the name of a file in it")
        self.target.parent.mkdir(parents=True, exist_ok=True)
        while not self._open_locked():
            self.close()
        self.size = os.lseek(self._fd, 0, os.SEEK_END)
        self._read_note()

    def _open_locked(self) -> bool:
        """Open and lock; False if the file was finished by another download between the two."""
        if self._path.is_symlink():
            raise OSError(errno.EINVAL, f"{self._path.name} is a link")
        self._descriptor = os.open(self._path, _FLAGS, 0o666)
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            raise OSError(errno.EINVAL, f"{self._path.name} is not a regular file")
        try:
            _lock(self._fd)
        except (BlockingIOError, PermissionError):
            raise DownloadError(f"another download is writing {self.target}: wait for it") from None
        try:
            return os.path.samestat(os.fstat(self._fd), self._path.lstat())
        except FileNotFoundError:
            return False

    @property
    def _fd(self) -> int:
        if self._descriptor is None:
            raise ValueError("the part file is not open")
        return self._descriptor

    def _read_note(self) -> None:
        try:
            note = json.loads(self._note.read_bytes())
            self.total = None if note["total"] is None else int(note["total"])
            self.digest = None if note.get("digest") is None else Digest(*note["digest"])
            self.etag = str(note["etag"])
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            # Without a readable note the bytes belong to nothing known: they are fetched anew.
            self.etag = self.total = self.digest = None

    def restart(self, etag: str | None = None, total: int | None = None, digest: Digest | None = None) -> None:
        """Drop all bytes and start on another version of the file."""
        # In this order a kill in between never leaves bytes of one version with the note of another.
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self.size, self.etag, self.total, self.digest = 0, etag, total, digest
        self._hash = None if digest is None else digest.start()
        self._note.unlink(missing_ok=True)
        if etag is not None:
            note = os.open(self._note, _FLAGS | os.O_EXCL, 0o666)
            with os.fdopen(note, "wb") as file:
                digested = None if digest is None else attrs.astuple(digest)
                file.write(json.dumps({"etag": etag, "total": total, "digest": digested}).encode())

    def write(self, chunks: Sequence[bytes]) -> None:
        """Append the chunks; what fits before the disk refuses stays and counts."""
        passing, self._hash = self._hash, None
        self._append(chunks)
        if passing is not None:
            for chunk in chunks:
                passing.update(chunk)
            self._hash = passing

    def _append(self, chunks: Sequence[bytes]) -> None:
        written = 0
        if _writev is not None and len(chunks) <= _MOST_BUFFERS:
            # By one call without a copy: each gives the interpreter to the loop's thread, and waits to have it back.
            written = _writev(self._fd, chunks)
            self.size += written
            if written == sum(map(len, chunks)):
                return
        rest = memoryview(b"".join(chunks))[written:]
        while rest:
            written = os.write(self._fd, rest)
            self.size += written
            rest = rest[written:]

    def finish(self) -> str | None:
        """As Destination has it."""
        fault = self.check()
        if fault is None:
            self.commit()
            self.close()
        return fault

    def check(self) -> str | None:
        """What is wrong with the video on disk, None if it is whole."""
        with os.fdopen(os.dup(self._fd), "rb") as file:
            fault = check_video(file, self.size)
            if fault is None and self.digest is not None:
                file.seek(0)
                found = self._hash or self.digest.read(file)
                if found.hexdigest() != self.digest.digits:
                    return f"its {self.digest.algorithm} is not the one that its server told"
            return fault

    def commit(self) -> None:
        """Make the file durable and give it its final name, in one step."""
        os.fsync(self._fd)
        if sys.platform == "win32":  # pragma: no cover - an open file cannot be renamed there
            self.close()
        self._path.replace(self.target)
        self._note.unlink(missing_ok=True)
        _sync_folder(self.target.parent)

    def close(self) -> None:
        """Let go of the file and its lock; without a commit it stays for a later try."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _explain(self, error: OSError) -> str:
        advice = "free some space" if error.errno in _FULL else "check the folder and its permissions"
        return (
            f"cannot write {self.target}: {error.strerror or error}; {advice} and download again: it goes on from what "
            "is there"
        )
