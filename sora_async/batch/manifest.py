"""A batch as a file: JSONL, of which each line is a create body, or CSV with the same fields as columns."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import shutil
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn, Self

import attrs

from sora_async.batch.inputs import check_pictures, make_item
from sora_async.batch.item import BatchItem
from sora_async.batch.jsonl import read_jsonl
from sora_async.batch.keys import FirstLines
from sora_async.batch.records import Place, Record, Report, read_lines
from sora_async.batch.rows import read_csv

MAX_PROBLEMS = 1_000
"""After so many the rest of a manifest is not looked at."""

_CHANGED = "was changed after it was checked: nothing more of it is read, so run it again"
_COPY = "manifest"
_MAX_HEAD = 64 * 1024
_MAX_TEXT = 300
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")


@attrs.frozen(kw_only=True)
class Problem:
    """One thing that is wrong with a manifest."""

    line: int | None = None
    """Its line, from 1; None if it is the whole file."""
    column: int | None = None
    """The character in that line, from 1; None if there is no one place."""
    text: str
    """What is wrong, and what to do about it."""

    def __str__(self) -> str:
        place = [f"line {self.line}"] * (self.line is not None) + [f"column {self.column}"] * (self.column is not None)
        return f"{', '.join(place)}: {self.text}" if place else self.text


class _EnoughError(Exception):
    """There are so many problems that the rest is not looked at."""


class Manifest:
    """The inputs of a batch in a file, which is checked as a whole before its items are read one by one.

    A line of JSONL, or a row of CSV below the names of the columns, holds the fields of a create body, and perhaps
    `key` and `output`. A field that is missing, or a cell that is empty, has the default of VideoRequest; null leaves
    the field out. Local images are relative to the folder of the file. A file that ends neither in `.csv` nor in
    `.jsonl` is CSV if its first line names a column `prompt`. However long the file is, the memory stays the same.

    Use it in `with`, or close it: standard input and pipes are copied to a temporary file.

    Args:
        path: the file; `-` for standard input, in which local images are relative to the current folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = None if os.fspath(path) == "-" else Path(path)
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._checked: tuple[int, int] | None = None
        self.name = "standard input" if self._path is None else str(self._path)
        """What to call it in messages."""
        self.folder = (self._path or Path("-")).absolute().parent
        """Where its local images are, absolute."""
        self.count = 0
        """How many items it has; known after `check`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Delete the copy of standard input, if there is one."""
        if self._copy is not None:
            self._copy.cleanup()

    def check(self) -> list[Problem]:
        """Read all of it, and answer what is wrong; at most 1,000 problems and a last one that says so. Blocks.

        Raises:
            LedgerError: the disk that holds temporary files is full or fails.
        """
        problems: list[Problem] = []

        def report(place: Place, text: str) -> None:
            short = text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 3]}..."
            problems.append(Problem(line=place.line, column=place.column, text=short))
            if len(problems) == MAX_PROBLEMS:
                raise _EnoughError

        self.count, self._checked = 0, None
        try:
            with self._open() as file:
                found = _fingerprint(file)
                self._check_items(file, report)
                if _fingerprint(file) != found:
                    report(Place(), f"{self.name} {_CHANGED}")
                if not problems and not self.count:
                    report(Place(), f"{self.name} has no lines: there is nothing to create")
        except _EnoughError:
            problems.append(Problem(text=f"these are the first {MAX_PROBLEMS:,} problems: the rest was not checked"))
        except OSError as error:
            problems.append(Problem(text=f"{self.name} cannot be read: {error.strerror}"))
        if not problems:
            self._checked = found
        return problems

    def items(self) -> Iterator[BatchItem]:
        """Read its items, one at a time and any number of times.

        Raises:
            ValueError: it was not checked, had problems, or has changed since.
        """
        if self._checked is None:
            raise ValueError("check the manifest, and settle what is wrong with it, before its items are read")
        return self._read_items(self._checked)

    def _check_items(self, file: BinaryIO, report: Report) -> None:
        with FirstLines() as names:
            for record, item in self._read(file, report):
                self.count += 1
                try:
                    check_pictures(item.request)
                except (ValueError, OSError) as error:
                    report(record.find("images"), str(error))
                for field, name in (("key", item.key), ("output", item.output and _fold(item.output))):
                    if name and (first := names.find(f"{field} {name}", record.line)) != record.line:
                        report(record.find(field), f"line {first} has the same {field}: give each line one of its own")

    def _read_items(self, checked: tuple[int, int]) -> Iterator[BatchItem]:
        def compare() -> None:
            if _fingerprint(file) != checked:
                raise ValueError(f"{self.name} {_CHANGED}")

        def refuse(place: Place, text: str) -> NoReturn:
            compare()
            problem = Problem(line=place.line, column=place.column, text=text)
            raise ValueError(f"{self.name} was right when it was checked, and is no more: {problem}")

        try:
            file = self._open()
        except OSError as error:
            raise ValueError(f"{self.name} cannot be read any more: {error.strerror}") from None
        with file:
            compare()
            for _, item in self._read(file, refuse):
                compare()  # after the line was read, so that nothing but what was checked is bought
                yield item
            compare()

    def _read(self, file: BinaryIO, report: Report) -> Iterator[tuple[Record, BatchItem]]:
        read = read_csv if self._is_csv(file) else read_jsonl
        for record in read(read_lines(file, report), report):
            item = make_item(record, self.folder, report)
            if item is not None:
                yield record, item

    def _is_csv(self, file: BinaryIO) -> bool:
        suffix = self._path.suffix.lower() if self._path else ""
        if suffix == ".csv" or suffix in _JSON_SUFFIXES:
            return suffix == ".csv"
        head = b""
        while not head and (line := file.readline(_MAX_HEAD)):
            head = line.removeprefix(codecs.BOM_UTF8).strip()
        file.seek(0)
        return not head.startswith((b"{", b"[", b"#")) and b"prompt" in head

    def _open(self) -> BinaryIO:
        """Open what can be read again, from its begin."""
        path = self._path
        if path is not None and path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder: give the file in it")
        if path is not None and not path.is_fifo() and not path.is_char_device():
            return path.open("rb")
        if self._copy is None:
            if path is None and sys.stdin is None:
                raise OSError(errno.EBADF, "it is closed")
            self._copy = self._copy_stream()
        return (Path(self._copy.name) / _COPY).open("rb")

    def _copy_stream(self) -> tempfile.TemporaryDirectory[str]:
        copy = tempfile.TemporaryDirectory(prefix="sora-async-")
        try:
            with contextlib.ExitStack() as opened:
                source = opened.enter_context(self._path.open("rb")) if self._path else sys.stdin.buffer
                shutil.copyfileobj(source, opened.enter_context((Path(copy.name) / _COPY).open("wb")))
        except BaseException:
            copy.cleanup()
            raise
        return copy


def _fingerprint(file: BinaryIO) -> tuple[int, int]:
    facts = os.fstat(file.fileno())
    return facts.st_size, facts.st_mtime_ns


def _fold(output: str) -> str:
    """Answer a text that is the same for all names of one file, also where case and accents are written otherwise."""
    return unicodedata.normalize("NFC", output).casefold()
