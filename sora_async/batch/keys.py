"""Names for inputs that have none of their own, made from what they ask for."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import attrs

from sora_async.errors import LedgerError
from sora_async.models import VideoRequest
from sora_async.wire.request import request_to_body

KEY_DIGITS = 20
"""Hex digits of the digest in a key: two of a million requests share them in one batch of 10^12."""

# Within JSON: a text that is a data: URI as a whole. The look-behind keeps out a quote that is part of a text.
_DATA_URI = re.compile(
    r'(?<!\\)"data:([\w.+-]+/[\w.+-]+)(?:;[\w.=-]+)*,([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.IGNORECASE | re.ASCII
)
_encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_canonical = json.JSONEncoder(separators=(",", ":"), allow_nan=False, sort_keys=True)


def ledger_body(request: VideoRequest, folder: Path | None = None) -> dict[str, Any]:
    """Answer the body of a create as the ledger keeps it: pictures by their names or digests, not by their bytes.

    Args:
        request: any request; its local files are not read.
        folder: local files are named relative to it, so that all may move together; None names them as given.

    Returns:
        The JSON object of the create, with `data:<type>;sha256,<digest of what follows the comma>` for each data: URI.
    """
    body = request_to_body(attrs.evolve(request, images=()) if request.images else request)
    if request.images:
        body["images"] = [_name_image(image, folder) for image in request.images]
    text, count = _DATA_URI.subn(_name_data, _encoder.encode(body))
    named: dict[str, Any] = json.loads(text) if count else body
    return named


def _name_image(image: str | Path, folder: Path | None) -> str:
    if isinstance(image, Path) and folder is not None:
        with contextlib.suppress(ValueError):  # on another drive of Windows there is no way from the one to the other
            return Path(os.path.relpath(image, folder)).as_posix()
    return str(image)


def _name_data(found: re.Match[str]) -> str:
    return f'"data:{found[1].lower()};sha256,{hashlib.sha256(found[2].encode()).hexdigest()}"'


def request_key(request: VideoRequest, folder: Path | None = None) -> str:
    """Answer 20 hex digits that are the same for equal requests, in every process and on every machine.

    Args:
        request: any request; its local files count by their path, not by what is in them.
        folder: as for ledger_body.
    """
    return body_key(ledger_body(request, folder))


def body_key(body: Mapping[str, Any]) -> str:
    """Answer the request_key of a request from its ledger_body."""
    return hashlib.sha256(_canonical.encode(body).encode()).hexdigest()[:KEY_DIGITS]


class _Scratch:
    """A number for each of millions of names, on disk and gone when closed. For one thread at a time.

    Raises:
        LedgerError: the disk that holds temporary files is full or fails.
    """

    def __init__(self) -> None:
        # An empty name is a private file that SQLite makes in the folder for temporary files and has deleted already.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._run("PRAGMA journal_mode = OFF")
        self._run("PRAGMA synchronous = OFF")
        self._run("CREATE TABLE scratch (name BLOB PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID")
        # Never committed: what is not in the cache goes to the file anyway, and nothing else is wanted.
        self._run("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the disk space back."""
        self._database.close()

    def _run(self, statement: str, *values: object) -> Any:
        try:
            return self._database.execute(statement, values).fetchone()
        except sqlite3.Error as error:
            raise LedgerError(f"the folder for temporary files cannot take the keys of this run: {error}") from None

    def _note(self, statement: str, name: str, number: int) -> int:
        digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        self._run(statement, digest, number)
        (noted,) = self._run("SELECT number FROM scratch WHERE name = ?", digest)
        return int(noted)


class Ordinals(_Scratch):
    """Counts in one run how often each key came, so that the same request twice means two videos.

    The memory stays the same for any number of keys; they are counted in a temporary file. For one thread at a time.

    Raises:
        LedgerError: the disk that holds temporary files is full or fails.
    """

    def next(self, key: str) -> int:
        """Answer how often the key has come, this time included."""
        return self._note(
            "INSERT INTO scratch VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET number = number + 1", key, 1
        )


class FirstLines(_Scratch):
    """Knows in which line each name came first. Memory, threads and errors are those of Ordinals."""

    def find(self, name: str, line: int) -> int:
        """Answer the line given when this name came first; `line` itself if this is the first time."""
        return self._note("INSERT OR IGNORE INTO scratch VALUES (?, ?)", name, line)
