"""Manifests in CSV: the first row names the columns. Read here, for the standard library limits a cell to 128 KiB."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from sora_async.batch.records import MAX_LINE_BYTES, Place, Record, Report

_OPENING_QUOTE = re.compile(r'[ \t]*+"')
_AFTER_QUOTE = re.compile(r"[ \t]*+(?=,|\r?\n|\r?\Z)")


class _Cell(NamedTuple):
    text: str
    place: Place


class _QuoteError(ValueError):
    """A quoted cell does not end as it should.

    Args:
        message: what to do about it.
        place: where to do it.
    """

    def __init__(self, message: str, place: Place) -> None:
        super().__init__(message)
        self.place = place


def read_csv(lines: Iterator[tuple[int, str]], report: Report) -> Iterator[Record]:
    """Yield each row below the first as the texts of its cells that are not blank; blank rows count for nothing."""
    rows = _read_rows(lines, report)
    names = _read_names(next(rows, (0, []))[1], report)
    for line, row in rows if names else ():
        surplus = next((cell for cell in row[len(names) :] if cell.text), None)
        if surplus:
            report(surplus.place, "more cells than the first row has names: put quotes around a text with commas")
            continue
        cells = {name: cell for name, cell in zip(names, row, strict=False) if cell.text}
        places = {name: cell.place for name, cell in cells.items()}
        yield Record(line, {name: cell.text for name, cell in cells.items()}, places.get, is_text=True)


def _read_names(row: list[_Cell], report: Report) -> list[str]:
    """Answer the names of the columns; none if something is wrong with them."""
    while row and not row[-1].text:
        row.pop()
    names: set[str] = set()
    for cell in row:
        name = cell.text.strip()
        if not name or name in names:
            report(cell.place, f"the first row names {name!r:.60} twice" if name else "this column has no name")
            return []
        names.add(name)
    if row and "prompt" not in names:
        report(row[0].place, "the first row must name the columns, one of them 'prompt', with commas between them")
        return []
    return [cell.text.strip() for cell in row]


def _read_rows(lines: Iterator[tuple[int, str]], report: Report) -> Iterator[tuple[int, list[_Cell]]]:
    """Yield the rows that are not blank, with the line in which each begins."""
    for number, text in lines:
        try:
            row = list(_Row(number, text, lines).read())
        except _QuoteError as error:
            report(error.place, str(error))
            continue
        if any(cell.text for cell in row):
            yield number, row


class _Row:
    """One row, which goes on in the following lines where a quote is open.

    Args:
        number: the number of its first line.
        text: that line.
        more: the lines that follow.
    """

    def __init__(self, number: int, text: str, more: Iterator[tuple[int, str]]) -> None:
        self._number = number
        self._text = text
        self._more = more
        self._position = 0

    def read(self) -> Iterator[_Cell]:
        """Yield its cells, a blank one as an empty text."""
        while True:
            place = Place(self._number, self._position + 1)
            opening = _OPENING_QUOTE.match(self._text, self._position)
            text = self._read_quoted(place, opening.end()) if opening else self._read_plain()
            yield _Cell(text if text.strip() else "", place)
            if not self._text.startswith(",", self._position):
                return
            self._position += 1

    def _read_plain(self) -> str:
        start, end = self._position, self._text.find(",", self._position)
        if end < 0:
            end = len(self._text)
            self._text = self._text.removesuffix("\n").removesuffix("\r")
        self._position = end
        return self._text[start:end]

    def _read_quoted(self, place: Place, start: int) -> str:
        parts: list[str] = []
        size = 0
        while (end := self._text.find('"', start)) < 0 or self._text.startswith('"', end + 1):
            parts.append(self._text[start:] if end < 0 else self._text[start : end + 1])
            size += len(parts[-1])
            start = end + 2
            if end < 0:
                self._number, self._text = next(self._more, (0, ""))
                start = 0
            if not self._number or size > MAX_LINE_BYTES:
                raise _QuoteError("the quote that begins here is never closed: close it, or double it", place)
        parts.append(self._text[start:end])
        after = _AFTER_QUOTE.match(self._text, end + 1)
        if after is None:
            text = "a comma must follow the closing quote: a quote within quotes must be doubled"
            raise _QuoteError(text, Place(self._number, end + 2))
        self._position = after.end()
        return "".join(parts)
