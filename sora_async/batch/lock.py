"""A lock between processes, which the system takes back from a process that dies."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from sora_async.errors import LedgerError

if sys.platform == "win32":  # pragma: no cover - the other half is what runs elsewhere
    import msvcrt

    def _lock(descriptor: int) -> None:
        # Far behind the process id, for what is locked cannot be read there.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that a file stands for; the file stays, for its removal would let two hold the lock.

    Raises:
        LedgerError: another process, or this one, holds it.
        OSError: the file cannot be written.
    """
    descriptor = os.open(path, _FLAGS, 0o600)
    try:
        try:
            _lock(descriptor)
        except (BlockingIOError, PermissionError):
            raise LedgerError(f"process {_read_holder(descriptor)} is writing it: wait for it or stop it") from None
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)


def _read_holder(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    holder = os.read(descriptor, 20).decode(errors="replace")
    return f"{holder} (this one)" if holder == str(os.getpid()) else holder or "unknown"
