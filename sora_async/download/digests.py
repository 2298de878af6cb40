"""The checksum of a whole file that its server tells; pure."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from io import BufferedIOBase

import attrs

# The strongest first. What is told in hexadecimal by mistake has another size, so it is no wrong alarm.
_SIZES = {"sha512": 64, "sha256": 32, "md5": 16}
_MEMBER = re.compile(r"([\w-]+)=:?([A-Za-z0-9+/]+={0,2})(?![\w+/=])", re.ASCII)
# Those that stand for the whole file also in an answer with a range of it.
_OF_THE_WHOLE = ("repr-digest", "digest", "x-goog-hash")


@attrs.frozen
class Digest:
    """A checksum of a file."""

    algorithm: str = attrs.field(validator=attrs.validators.in_(_SIZES))
    """What hashlib calls it."""
    digits: str
    """Its value, hexadecimal."""

    def start(self) -> hashlib._Hash:
        """Begin one of the same algorithm, of no bytes yet."""
        return hashlib.new(self.algorithm, usedforsecurity=False)

    def read(self, file: BufferedIOBase) -> hashlib._Hash:
        """Make that of a file, from where it stands."""
        return hashlib.file_digest(file, self.start)


def read_digest(headers: Mapping[str, str], *, whole: bool) -> Digest | None:
    """The strongest checksum that an answer tells for the whole file, None if there is none that can be read.

    Args:
        headers: those of the answer; of an ETag nobody knows what it is made from.
        whole: whether the body is the whole file, so that a checksum of the body will do.
    """
    told: dict[str, bytes] = {}
    for name, text in headers.items():
        header = name.lower()
        if header == "x-goog-hash" and headers.get("x-goog-stored-content-encoding", "identity") != "identity":
            continue  # it is that of the packed file, which was unpacked on the way
        if header in _OF_THE_WHOLE:
            told |= {found[1].lower().replace("-", ""): _decode(found[2]) for found in _MEMBER.finditer(text)}
        elif header == "content-md5" and whole:
            told["md5"] = _decode(text.strip())
    for algorithm, size in _SIZES.items():
        if len(told.get(algorithm, b"")) == size:
            return Digest(algorithm, told[algorithm].hex())
    return None


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
