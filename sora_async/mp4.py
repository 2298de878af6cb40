"""Whether a file is a whole video: reads the headers of its boxes, never the pictures."""

from __future__ import annotations

import re
from typing import BinaryIO

_MAX_BOXES = 100_000
_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_LOOKS_LIKE = (
    (re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+)?html", re.IGNORECASE), "an HTML page"),
    (re.compile(rb"(\xef\xbb\xbf)?\s*<"), "an XML document"),
    (re.compile(rb"(\xef\xbb\xbf)?\s*[{\[]"), "a JSON document"),
    (re.compile(rb"\x1f\x8b"), "a gzip archive"),
    (re.compile(rb"GIF8|\x89PNG|\xff\xd8\xff|RIFF....WEBP", re.DOTALL), "a picture"),
)


def check_video(file: BinaryIO, size: int) -> str | None:
    """Say what is wrong with a video file.

    Args:
        file: the file, seekable; only some bytes of it are read.
        size: its length in bytes.

    Returns:
        None if it is a whole MP4, MOV or WebM file as far as its structure shows, else one clause such as
        "it is an HTML page".
    """
    file.seek(0)
    start = file.read(512)
    if not start:
        return "it is empty"
    if start[4:8] == b"ftyp":
        return _check_boxes(file, size)
    if start.startswith(_EBML):
        return _check_webm(start, size)
    what = next((name for pattern, name in _LOOKS_LIKE if pattern.match(start)), "neither MP4 nor WebM")
    return f"it is {what}"


def _check_boxes(file: BinaryIO, size: int) -> str | None:
    place, seen = 0, set[bytes]()
    for _ in range(_MAX_BOXES):
        file.seek(place)
        kind, smallest, length = _read_box(file.read(16), size - place)
        if length is None:
            return f"it is cut short or damaged at byte {place} of {size}"
        if kind == b"moov" and not _is_tiled(file, place + smallest, place + length):
            return f"the index of its pictures, at byte {place}, is damaged"
        seen.add(kind)
        place += length
        if place == size:
            return None if b"mdat" in seen and seen & {b"moov", b"moof"} else "it holds no pictures or no index of them"
    return f"it has more than {_MAX_BOXES} parts"


def _is_tiled(file: BinaryIO, place: int, end: int) -> bool:
    """Whether boxes fill a stretch of the file; some writers of QuickTime files put zeros behind the last one."""
    for _ in range(_MAX_BOXES):
        file.seek(place)
        header = file.read(min(16, end - place))
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


def _check_webm(start: bytes, size: int) -> str | None:
    header = _read_vint(start, 4)
    if header is None:
        return "its WebM header is damaged"
    body, length = header
    segment = body + length
    if b"webm" not in start[body:segment] and b"matroska" not in start[body:segment]:
        return "its WebM header is damaged"
    if start[segment : segment + 4] != _SEGMENT or (content := _read_vint(start, segment + 4)) is None:
        return "its WebM header is damaged"
    place, length = content
    return f"it is cut short: {size} of {place + length} bytes" if place + length > size else None


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
