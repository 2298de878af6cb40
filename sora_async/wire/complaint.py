"""What an error says: its codes, types and innermost text, through objects and JSON in strings."""

from __future__ import annotations

import html
import re
from typing import Any

import attrs

from sora_async.errors import DecodeError
from sora_async.wire.reading import hide_queries, is_page, parse_json
from sora_async.wire.values import clean_text

MAX_TEXT = 500
"""The longest text of an error that is shown, in characters."""

_MAX_LAYERS = 5  # the answer, JSON in strings three deep, and the text in the last
_MAX_WORD = 200
_SCANNED_TEXT = 20_000
_TITLE = re.compile(r"<(?:title|h1)\b[^>]{0,200}>([^<]{1,300})", re.IGNORECASE)
_REQUEST_ID = re.compile(r"[(（]?\brequest[ _-]?id\s{0,3}[:：]\s{0,3}([\w.:-]{0,200}\w)\s{0,3}[)）]?", re.IGNORECASE)
_TEXT_KEYS = ("message_zh", "message", "msg", "error", "detail", "data")


@attrs.frozen(kw_only=True)
class Complaint:
    """What an error says."""

    codes: tuple[str, ...] = ()
    """Its codes, the outermost first, those that mean success left out."""
    kinds: tuple[str, ...] = ()
    """Its types, the outermost first."""
    text: str = ""
    """Its innermost text on one line, of a page of HTML only the title."""
    is_page: bool = False
    """Whether that text is from a page of HTML."""
    request_id: str | None = None
    """The relay's id of the request."""


def is_success_code(code: Any) -> bool:
    """Whether a `code` field says that all is well."""
    return not _is_word(code) or str(code).strip().lower() in {"", "success", "ok", "0", "200"}


def _is_word(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def hear(value: Any) -> Complaint:
    """Read a parsed answer, or a text that may hold JSON up to three deep."""
    codes: list[str] = []
    kinds: list[str] = []
    request_ids: list[str] = []
    text = ""
    for _ in range(_MAX_LAYERS):
        if isinstance(value, list):
            value = _join(value)
        if isinstance(value, str):
            value = value[:_SCANNED_TEXT]
            request_ids += _REQUEST_ID.findall(value)
            text = _REQUEST_ID.sub("", value)
            value = _unfold(text)
        if not isinstance(value, dict):
            break
        parts = [part for part in (value.get("error"), value, value.get("detail")) if isinstance(part, dict)]
        codes += _words(parts, "code")
        kinds += _words(parts, "type")
        request_ids += _words(parts, "request_id")
        value = _next_layer(parts)
    shown, page = _shorten(text)
    return Complaint(
        codes=tuple(code for code in codes if not is_success_code(code)),
        kinds=tuple(kinds),
        text=shown,
        is_page=page,
        request_id=request_ids[0] if request_ids else None,
    )


def _words(parts: list[dict[str, Any]], key: str) -> list[str]:
    words = (
        " ".join(str(value)[:_SCANNED_TEXT].split()) for value in (part.get(key) for part in parts) if _is_word(value)
    )
    return [clean_text(word[:_MAX_WORD]) for word in words if word]


def _next_layer(parts: list[dict[str, Any]]) -> Any:
    for part in parts:
        for key in _TEXT_KEYS:
            found = part.get(key)
            if found and isinstance(found, str | dict | list) and all(found is not seen for seen in parts):
                return found
    return None


def _join(problems: list[Any]) -> str:
    texts = []
    for problem in problems[:10]:
        if isinstance(problem, dict):
            place = problem.get("loc")
            where = ".".join(str(step) for step in place if _is_word(step)) + ": " if isinstance(place, list) else ""
            texts.append(f"{where}{problem.get('msg') or problem.get('message') or ''}")
        elif isinstance(problem, str):
            texts.append(problem)
    return "; ".join(filter(None, texts))


def _unfold(text: str) -> Any:
    try:
        return parse_json(text[text.index("{") :].encode(errors="replace"))
    except (ValueError, DecodeError):
        return None


def _shorten(text: str) -> tuple[str, bool]:
    page = is_page(text)
    if page:
        title = _TITLE.search(text)
        text = html.unescape(title[1]) if title else ""
        text = f"a page of HTML, {text.strip()!r}" if text.strip() else "a page of HTML"
    line = clean_text(hide_queries(" ".join(text.split())))
    return (line if len(line) <= MAX_TEXT else f"{line[: MAX_TEXT - 1]}…"), page
