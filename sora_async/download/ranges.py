"""The headers by which a download is resumed or put off; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from sora_async.wire.failure import parse_retry_after

_STRONG_ETAG = re.compile(r'"[!#-~]*"')
_CONTENT_RANGE = re.compile(r"bytes\s+(?:(\d{1,18})-\d{1,18}|\*)/(?:(\d{1,18})|\*)", re.IGNORECASE | re.ASCII)


def read_etag(headers: Mapping[str, str]) -> str | None:
    """The strong ETag, None if there is none or only a weak one, which does not stand for the same bytes."""
    etag = headers.get("ETag", "").strip()
    return etag if _STRONG_ETAG.fullmatch(etag) else None


def ask_range(size: int, etag: str | None) -> dict[str, str]:
    """The headers that ask for what is missing after `size` bytes of version `etag`; none if all is to come."""
    if not size or etag is None or not _STRONG_ETAG.fullmatch(etag):
        return {}
    return {"Range": f"bytes={size}-", "If-Range": etag}


def read_content_range(headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """The first byte of the answered range and the length of the whole file, each None if not said."""
    found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if found is None:
        return None, None
    return _number(found[1]), _number(found[2])


def _number(digits: str | None) -> int | None:
    return None if digits is None else int(digits)


def read_retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float:
    """The seconds that the server asks to wait, 0.0 to 300.0; 0.0 if it says nothing readable.

    Args:
        headers: those of the answer.
        now: the moment that a date is counted from, aware; None for the present.
    """
    return parse_retry_after(headers.get("Retry-After"), now or datetime.now(UTC)) or 0.0
