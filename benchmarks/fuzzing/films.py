"""Small videos, whole and damaged, and the oracle for what checks them."""

from __future__ import annotations

import io
import struct
from random import Random

from benchmarks.fuzzing.rules import hold
from benchmarks.fuzzing.spoiling import spoil
from sora_async.mp4 import check_video

_KINDS = (b"ftyp", b"moov", b"mdat", b"moof", b"free", b"uuid")
_EBML = b"\x1a\x45\xdf\xa3"


def _box(dice: Random, kind: bytes) -> bytes:
    body = dice.randbytes(dice.randrange(12))
    form = dice.randrange(12)
    if form == 0:
        return struct.pack(">I4sQ", 1, kind, len(body) + 16) + body
    if form == 1:
        return struct.pack(">I4s", dice.choice((0, 1, 7, 2**32 - 1)), kind) + body
    return struct.pack(">I4s", len(body) + 8, kind) + body


def _webm(dice: Random) -> bytes:
    body = dice.randbytes(dice.randrange(40))
    size = dice.choice((bytes([0x80 | len(body)]), b"\xff", b"\x01" + len(body).to_bytes(7, "big"), dice.randbytes(3)))
    header = b"\x42\x82" + dice.choice((b"\x84webm", b"\x88matroska", b"\x84none"))
    return _EBML + bytes([0x80 | len(header)]) + header + b"\x18\x53\x80\x67" + size + body


def film(dice: Random) -> bytes:
    """A file that may be a video."""
    if dice.random() < 0.2:
        data = _webm(dice)
    else:
        kinds = [b"ftyp", *dice.choices(_KINDS, k=dice.randrange(5))]
        data = b"".join(_box(dice, kind) for kind in kinds)
    return spoil(dice, data) if dice.random() < 0.4 else data


def check_film(data: bytes) -> None:
    """A video is whole only if its boxes, read a second way, fill the file exactly and hold pictures and an index."""
    problem = check_video(io.BytesIO(data), len(data))
    hold(problem is None or (problem.isprintable() and len(problem) < 200), f"the problem is {problem!r}")
    if data[4:8] == b"ftyp":
        hold(problem is not None or _is_tiled(data), "a damaged film passed for whole")
    else:
        hold(problem is not None or data.startswith(_EBML), "noise passed for a video")


def _is_tiled(data: bytes) -> bool:
    kinds = set()
    while data:
        if len(data) < 8:
            return False
        length, kind = struct.unpack(">I4s", data[:8])
        least = 8
        if length == 1:
            if len(data) < 16:
                return False
            length, least = struct.unpack(">Q", data[8:16])[0], 16
        length = length or len(data)
        if not least <= length <= len(data):
            return False
        kinds.add(kind)
        data = data[length:]
    return b"mdat" in kinds and bool(kinds & {b"moov", b"moof"})
