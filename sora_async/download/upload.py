"""An object on its way into a store: checked while it streams through, and complete in one step or not there at all."""

from __future__ import annotations

import errno
import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from sora_async.download.digests import Digest
from sora_async.download.disk import Disk
from sora_async.mp4 import PassingVideo

logger = logging.getLogger("sora_async")

PIECE_BYTES = 8 * 2**20
"""What is sent at once. Stores take no less than 5 MiB, no more than 10,000 pieces, and some want all of one size."""

# What would be refused to all other objects too.
_REASONS = {FileNotFoundError: (errno.ENOENT, "it is not there"), PermissionError: (errno.EACCES, "it is not allowed")}
_CODE = re.compile(r"[A-Za-z0-9]{1,60}")


class Upload:
    """A Destination in a store. It keeps what it has from one try to the next, until it is committed or discarded.

    Args:
        store: a file system of fsspec within a transaction, so that what is written waits for its commit.
        path: the object, as the store calls it.
        shown: the object, as users call it.
        threads: where its methods run.

    Attributes:
        disk, size, etag, total, digest: as for Destination.
    """

    def __init__(self, store: AbstractFileSystem, path: str, *, shown: str, threads: Executor) -> None:
        self.disk = Disk(lambda error: f"cannot write {shown}: {error.strerror or error}", threads)
        self._store = store
        self._path = path
        self._shown = shown
        self._file: Any = None
        self._failure: OSError | None = None
        self.restart()

    @property
    def sha256(self) -> str:
        """The digest of what came so far, in hex."""
        return self._hashes["sha256"].hexdigest()

    def open(self) -> None:
        """Do nothing, for what another process left cannot be taken up."""

    def restart(self, etag: str | None = None, total: int | None = None, digest: Digest | None = None) -> None:
        """Drop all bytes and start on another version of the file."""
        self.discard()
        self.size, self.etag, self.total, self.digest = 0, etag, total, digest
        self._passing = PassingVideo()
        algorithms = {"sha256"} if digest is None else {"sha256", digest.algorithm}
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}

    def write(self, chunks: Sequence[bytes]) -> None:
        """Send the chunks, in pieces of one size."""
        if self._failure is not None:
            raise self._failure  # else what follows would close the gap that the failure left
        data = memoryview(b"".join(chunks))
        self._passing.feed(data)
        for digest in self._hashes.values():
            digest.update(data)
        try:
            with translated():
                self._send(data)
        except OSError as error:
            self._failure = error
            raise

    def _send(self, data: memoryview) -> None:
        if self._file is None:
            self._file = open_held_back(self._store, self._path)
        while data:
            piece = data[: PIECE_BYTES - self.size % PIECE_BYTES]
            self._file.write(piece)
            self.size += len(piece)
            data = data[len(piece) :]

    def finish(self) -> str | None:
        """As Destination has it."""
        fault = self.check()
        if fault is None:
            self.commit()
        return fault

    def check(self) -> str | None:
        """What is wrong with the video, None if it is whole."""
        fault, digest = self._passing.end(), self.digest
        # A checksum that is first told amid the file comes too late for what has passed.
        known = None if digest is None else self._hashes.get(digest.algorithm)
        if fault is None and digest is not None and known is not None and known.hexdigest() != digest.digits:
            return f"its {digest.algorithm} is not the one that its server told"
        return fault

    def commit(self) -> None:
        """Have the store show the object."""
        with translated():
            if isinstance(self._file, AbstractBufferedFile):
                self._file.autocommit = True  # like this a small file needs one request, and else three
                self._file.close()
            else:
                self._file.commit()
        self._file = None

    def close(self) -> None:
        """Do nothing: it waits for the next try."""

    def discard(self) -> None:
        """Have the store forget what was not committed."""
        file, self._file, self._failure = self._file, None, None
        if file is None:
            return
        try:
            with translated():
                drop(file)
        except OSError as error:
            logger.warning("%s: an unfinished upload may be left there: %s", self._shown, error)


def open_held_back(store: AbstractFileSystem, path: str) -> Any:
    """Open an object for writing; if the store can hold it back, it is shown only once it is committed."""
    file = store.open(path, "wb", block_size=PIECE_BYTES)
    store.transaction.files.clear()  # each file has an end of its own
    return file


def is_held_back(file: Any) -> bool:
    """Whether a file that was opened so waits for a commit."""
    commit = getattr(file, "commit", None)
    return commit is not None and getattr(commit, "__func__", None) is not AbstractBufferedFile.commit


def drop(file: Any) -> None:
    """Throw away what was written to a file that was held back."""
    try:
        file.discard()
    finally:
        if isinstance(file, AbstractBufferedFile):
            file.closed = True  # else its finalizer would send the rest


@contextmanager
def translated() -> Iterator[None]:
    """Say in words of our own what a store refuses: those of others may hold addresses with keys in them.

    Raises:
        OSError: whatever was raised; with an errno if it is not for this one object.
    """
    refusal: OSError | None = None
    try:
        yield
    except Exception as error:  # noqa: BLE001 each store has exceptions of its own
        refusal = _translate(error)
    if refusal is not None:
        raise refusal  # out here, so that it has no context


def _translate(error: Exception) -> OSError:
    cause = error.__cause__ or error
    told = getattr(cause, "response", None)
    code = told.get("Error", {}).get("Code") if isinstance(told, dict) else getattr(cause, "code", None)
    name = str(code) if _CODE.fullmatch(str(code or "")) else type(cause).__name__
    for kind, (number, reason) in _REASONS.items():
        if isinstance(error, kind):
            return OSError(number, f"{reason} ({name})")
    return OSError(f"it failed ({name})")
