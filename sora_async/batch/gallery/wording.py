"""Numbers, moments and foreign texts as the page shows them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

# What HTML cannot hold, or UTF-8 cannot write, such as NUL and lone surrogates from JSON.
_UNSHOWABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

_YEAR_3000 = 32_503_680_000
_STAY = "\N{NO-BREAK SPACE}"


def clean(value: Any) -> Any:
    """Replace the characters that no page can hold; what is no plain text, or is markup already, stays as it is."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return _UNSHOWABLE.sub("\ufffd", value)


def as_text(value: Any, limit: int = 300) -> str:
    """Show a JSON value: a text as it is, anything else as JSON, cut to `limit` characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def as_seconds(value: Any) -> float | None:
    """Read a moment or a span that may be anything; None if it is not a number that a clock can show."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 < value < _YEAR_3000 else None


def as_span(seconds: float) -> str:
    """Show a span of time."""
    if seconds < 10:
        return f"{seconds:.1f}{_STAY}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{_STAY}s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s".replace(" ", _STAY)
    return f"{whole // 3600:,} h {whole % 3600 // 60:02} min".replace(" ", _STAY)


def as_moment(seconds: float, form: str = "%Y-%m-%d %H:%M:%SZ") -> str:
    """Show a moment in UTC; the usual form is one that `<time>` understands too."""
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


def as_bytes(count: float) -> str:
    """Show a size."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 999.5:
            return f"{count:.1f} {unit}" if count < 99.95 else f"{count:.0f} {unit}"
    return f"{count / 1000:,.1f} TB"
