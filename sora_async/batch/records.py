"""The lines of a manifest, and what every way of writing one gives: records whose fields know where they stand."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple, Protocol

import attrs

MAX_LINE_BYTES = 64 * 1024 * 1024
"""The longest line that is read; relays refuse much smaller bodies."""


class Place(NamedTuple):
    """Where something stands in a manifest, both from 1; None where it cannot be said."""

    line: int | None = None
    column: int | None = None


class Report(Protocol):
    """Takes what is wrong with a manifest; it may raise to end the reading."""

    def __call__(self, place: Place, text: str, /) -> None:
        """Take one problem, with what to do about it."""
        ...


@attrs.frozen
class Record:
    """One input of a manifest, as it was written."""

    line: int
    """Where it begins, from 1."""
    fields: dict[str, Any]
    """What it gives, by name."""
    _find: Callable[[str], Place | None]
    """Answers where a field stands."""
    is_text: bool = False
    """Whether all values are texts, those of other types too."""

    def find(self, name: str) -> Place:
        """Answer where a field stands; the begin of the record for one that is not there."""
        return self._find(name) or Place(self.line, 1)


def read_lines(file: BinaryIO, report: Report) -> Iterator[tuple[int, str]]:
    """Yield each line with its number and its ending; a bad byte is reported and replaced."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            report(Place(1, 1), "this is UTF-16: save the file as UTF-8")
            return
        if len(line) > MAX_LINE_BYTES:
            report(Place(number), f"the line is longer than {MAX_LINE_BYTES >> 20} MiB: is this a manifest?")
            _skip_line(line, file)
            continue
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            column = len(line[: error.start].decode()) + 1
            report(Place(number, column), f"byte 0x{line[error.start]:02x} is not UTF-8: save the file as UTF-8")
            text = line.decode(errors="replace")
        yield number, text


def _skip_line(line: bytes, file: BinaryIO) -> None:
    while line and not line.endswith(b"\n"):
        line = file.readline(MAX_LINE_BYTES)
