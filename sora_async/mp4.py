"""Whether a file is a whole video: looks at the headers of its boxes, never at the pictures."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import BinaryIO, TypeVar

_MAX_BOXES = 100_000
_FAR = 1 << 80
"""Behind the end of any file."""
_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_LOOKS_LIKE = (
    (re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+)?html", re.IGNORECASE), "an HTML page"),
    (re.compile(rb"(\xef\xbb\xbf)?\s*<"), "an XML document"),
    (re.compile(rb"(\xef\xbb\xbf)?\s*[{\[]"), "a JSON document"),
    (re.compile(rb"\x1f\x8b"), "a gzip archive"),
    (re.compile(rb"GIF8|\x89PNG|\xff\xd8\xff|RIFF....WEBP", re.DOTALL), "a picture"),
)

_Found = TypeVar("_Found")
_Looking = Generator[tuple[int, int], bytes | None, _Found]
"""Asks for so many bytes from a place, each time from there on or further, and is sent them: fewer where the file ends,
None behind its end."""


def check_video(file: BinaryIO, size: int) -> str | None:
    """Say what is wrong with a video file.

    Args:
        file: the file, seekable; only some bytes of it are read.
        size: its length in bytes.

    Returns:
        None if it is a whole MP4, MOV or WebM file as far as its structure shows, else one clause such as
        "it is an HTML page".
    """
    looking = _look()
    place, count = next(looking)
    while True:
        found: bytes | None = None
        if place <= size:
            file.seek(place)
            found = file.read(count)
        try:
            place, count = looking.send(found)
        except StopIteration as end:
            fault: str | None = end.value
            return fault


class PassingVideo:
    """Says the same as `check_video` of a video that comes piece by piece, and keeps none of it."""

    def __init__(self) -> None:
        self._looking = _look()
        self._wanted: tuple[int, int] | None = next(self._looking)
        self._fault: str | None = None
        self._rest = bytearray()
        self._place = 0

    def feed(self, piece: bytes | memoryview) -> None:
        """Look at the next bytes."""
        if self._wanted is not None:
            self._rest += piece
            self._answer(is_end=False)

    def end(self) -> str | None:
        """What is wrong with it if that was all, None if it is whole."""
        self._answer(is_end=True)
        return self._fault

    def _answer(self, *, is_end: bool) -> None:
        while self._wanted is not None:
            place, count = self._wanted
            passed = min(place - self._place, len(self._rest))
            del self._rest[:passed]
            self._place += passed
            is_there = self._place == place
            if not is_end and not (is_there and len(self._rest) >= count):
                return
            try:
                self._wanted = self._looking.send(bytes(self._rest[:count]) if is_there else None)
            except StopIteration as end:
                self._wanted, self._fault = None, end.value


def _look() -> _Looking[str | None]:
    start = (yield 0, 512) or b""
    if not start:
        return "it is empty"
    if start[4:8] == b"ftyp":
        return (yield from _look_at_boxes())
    if start.startswith(_EBML):
        return (yield from _look_at_webm(start))
    what = next((name for pattern, name in _LOOKS_LIKE if pattern.match(start)), "neither MP4 nor WebM")
    return f"it is {what}"


def _look_at_boxes() -> _Looking[str | None]:
    before, place, seen = 0, 0, set[bytes]()
    for _ in range(_MAX_BOXES + 1):
        header = (yield place, 16) if place < _FAR else b""
        if header is None:
            return f"it is cut short or damaged at byte {before}"
        if not header:
            return None if b"mdat" in seen and seen & {b"moov", b"moof"} else "it holds no pictures or no index of them"
        kind, smallest, length = _read_box(header, _FAR - place)
        if length is None:
            return f"it is cut short or damaged at byte {place}"
        if kind == b"moov" and not (yield from _is_tiled(place + smallest, place + length)):
            return f"the index of its pictures, at byte {place}, is damaged"
        seen.add(kind)
        before, place = place, place + length
    return f"it has more than {_MAX_BOXES} parts"


def _is_tiled(place: int, end: int) -> _Looking[bool]:
    """Whether boxes fill a stretch of the file; some writers of QuickTime files put zeros behind the last one."""
    for _ in range(_MAX_BOXES):
        header = yield place, min(16, end - place)
        if header is None:
            return end < _FAR  # that the stretch itself is cut is found out behind it
        if not header[:4].strip(b"\0"):
            return True
        _, _, length = _read_box(header, end - place)
        if length is None:
            return False
        place += length
    return False


def _read_box(header: bytes, room: int) -> tuple[bytes, int, int | None]:
    """The kind, the least length and the length of a box; None if that does not fit into the room that is left."""
    length, kind, smallest = int.from_bytes(header[:4], "big"), header[4:8], 8
    if length == 0 and len(header) >= 8:
        return kind, smallest, room
    if length == 1:
        length, smallest = int.from_bytes(header[8:16], "big"), 16
    return kind, smallest, length if smallest <= length <= room else None


def _look_at_webm(start: bytes) -> _Looking[str | None]:
    header = _read_vint(start, 4)
    if header is None:
        return "its WebM header is damaged"
    body, length = header
    segment = body + length
    if b"webm" not in start[body:segment] and b"matroska" not in start[body:segment]:
        return "its WebM header is damaged"
    if start[segment : segment + 4] != _SEGMENT or (content := _read_vint(start, segment + 4)) is None:
        return "its WebM header is damaged"
    end = sum(content)
    return f"it is cut short: it should have {end} bytes" if (yield end, 0) is None else None


def _read_vint(data: bytes, place: int) -> tuple[int, int] | None:
    """The end and the value of an EBML length; 0 for "unknown", None if there is none."""
    first = data[place] if place < len(data) else 0
    width = 9 - first.bit_length()
    raw = data[place : place + width]
    if first == 0 or len(raw) < width:
        return None
    limit = (1 << 7 * width) - 1
    value = int.from_bytes(raw, "big") & limit
    return place + width, 0 if value == limit else value
