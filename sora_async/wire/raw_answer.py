"""Bytes of an HTTP answer that is malformed somewhere, as they came, to the body as far as it can be read."""

from __future__ import annotations

import re

_HEAD = re.compile(rb"HTTP/1\.[01] (?P<status>[0-9]{3})(?![0-9])[^\r\n]*\r?\n(?P<lines>(?:[^\r\n]+\r?\n)*)\r?\n")
_CHUNKED = re.compile(rb"^transfer-encoding:[^\r\n]*\bchunked\b", re.IGNORECASE | re.MULTILINE)
_PACKED = re.compile(rb"^content-encoding:(?![ \t]*identity)", re.IGNORECASE | re.MULTILINE)
_LENGTH = re.compile(rb"^content-length:[ \t]*([0-9]{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_CHUNK_SIZE = re.compile(rb"([0-9a-f]{1,8})[^\r\n]*\r?\n", re.IGNORECASE)


def read_raw_answer(came: bytes) -> bytes | None:
    """Answer what came of the body of a 2xx answer; None for another status, half a head, or a packed body.

    Args:
        came: the first bytes that came, from the status line on; interim answers (1xx) before it are passed over.
    """
    place = 0
    while (head := _HEAD.match(came, place)) is not None and head["status"].startswith(b"1"):
        place = head.end()
    if head is None or not head["status"].startswith(b"2") or _PACKED.search(head["lines"]):
        return None
    body = came[head.end() :]
    if _CHUNKED.search(head["lines"]):
        return _join_chunks(body)
    lengths = _LENGTH.findall(head["lines"])
    return body[: int(lengths[0])] if len(lengths) == 1 else body


def _join_chunks(body: bytes) -> bytes:
    """The chunks up to the first that is malformed; what is there of the last one counts."""
    chunks, place = [], 0
    while (size := _CHUNK_SIZE.match(body, place)) is not None and (length := int(size[1], 16)):
        chunks.append(body[size.end() : size.end() + length])
        place = size.end() + length
        if body[place : place + 2] != b"\r\n":
            break
        place += 2
    return b"".join(chunks)
