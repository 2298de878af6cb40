"""Single JSON values to typed ones: links, texts, progress and times. What makes no sense is None."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

_UNSHOWABLE = re.compile(r"\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LINK = re.compile(r"https?://[^\s\x00-\x1f\x7f\ud800-\udfff]+", re.IGNORECASE)
_NUMBER = re.compile(r"\s*([+-]?[0-9]{1,18}(?:\.[0-9]{0,18})?)\s*(%?)\s*")
_MOMENT = re.compile(r"\s*\d{4}-\d\d-\d\d[T ]\d\d:\d\d.{0,40}", re.ASCII)
_MAX_PROGRESS = 1000.0
_MILLISECONDS_ABOVE = 1e11
_YEARS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def clean_text(text: str) -> str:
    """Replace what cannot be encoded or would play tricks on a terminal."""
    return text if text.isprintable() else _UNSHOWABLE.sub("\ufffd", text)


def read_text(value: Any) -> str | None:
    """Answer a text that is not blank."""
    return clean_text(value) if isinstance(value, str) and not value.isspace() and value else None


def read_link(value: Any) -> str | None:
    """Answer the first http(s) address in a text, in an object's `url` or `video_url`, or in a list of those."""
    if not value:
        return None
    if isinstance(value, str):
        link = value.strip(" `\t\r\n")
        # Never encoded anew: that would break the signature of a signed address.
        return link if _LINK.fullmatch(link) else None
    if isinstance(value, dict):
        return _read_plain_link(value.get("url")) or _read_plain_link(value.get("video_url"))
    if isinstance(value, list):
        return next(filter(None, (read_link(part) for part in value if not isinstance(part, list))), None)
    return None


def _read_plain_link(value: Any) -> str | None:
    return read_link(value) if isinstance(value, str) else None


def _read_number(value: Any) -> tuple[float, bool] | None:
    """Answer a finite number, and whether a percent sign stands after it."""
    if isinstance(value, str):
        found = _NUMBER.fullmatch(value)
        return (float(found[1]), bool(found[2])) if found else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return (number, False) if math.isfinite(number) else None


def read_progress(value: Any, *, whole: float = 100.0) -> float | None:
    """Answer 0.0 to 1.0.

    Args:
        value: a number, or a number as text, perhaps with a percent sign.
        whole: the number that means finished; a percent sign overrides it.
    """
    found = _read_number(value)
    if found is None or abs(found[0]) > _MAX_PROGRESS:
        return None
    return min(max(found[0] / (100.0 if found[1] else whole), 0.0), 1.0)


def read_time(value: Any) -> datetime | None:
    """Answer an aware UTC time from seconds, milliseconds (above 1e11) or ISO 8601, within the years 2000 to 2100."""
    if not value:
        return None
    try:
        moment = _read_moment(value)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment is not None and _YEARS[0] <= moment < _YEARS[1] else None


def _read_moment(value: Any) -> datetime | None:
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        moment = datetime.fromisoformat(value.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    found = _read_number(value)
    if found is None or found[1]:
        return None
    seconds = found[0] / 1000.0 if found[0] > _MILLISECONDS_ABOVE else found[0]
    return datetime.fromtimestamp(seconds, UTC)
