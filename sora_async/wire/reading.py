"""Bytes to JSON, safely: whatever a relay sends, a value or a DecodeError comes out."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator
from sys import intern
from typing import Any, TypeGuard

from sora_async.errors import DecodeError

MAX_BODY_BYTES = 4 * 1024 * 1024
"""The largest answer that is read, in bytes."""
RAW_BYTES = 2048
"""How much of an answer that cannot be read is kept in an error, in bytes."""
WRAPPERS = ("data", "result")
"""The keys under which relays put a task into an envelope."""

_MAX_CONTAINERS = 50_000
_MAX_VALUES = 200_000
_MAX_DEPTH = 100
_MAX_TOKENS = 100_000
_MAX_ID_LENGTH = 512
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ID_KEYS = ("id", "task_id")
# In JSON a slash may have a backslash before it, and a question mark may be written as its number.
_QUERY = re.compile(rb"(https?:(?:\\?/){2}[^\s\"'<>?#]{1,2000}?)(?:[?#]|\\u003f)[^\s\"'<>]+", re.IGNORECASE)
_PAGE = re.compile(r"<(?:!doctype|html|head|body|title)\b", re.IGNORECASE)
# A string's closing quote is optional, so that a cut string is one token and never a place to start again: the
# walk stays linear. The possessive quantifiers keep it so within the string.
_TOKEN = re.compile(r'"(?P<text>[^"\\]*+(?:\\.[^"\\]*+)*+)(?P<end>"?)(?P<colon>\s*+:)?|[{}\[\],]', re.DOTALL)


def is_task_id(value: object) -> TypeGuard[str]:
    """Whether the value can be a task's id: 1 to 512 printable characters, no space at either end."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= _MAX_ID_LENGTH
        and value.isprintable()
        and value[0] != " "
        and value[-1] != " "
    )


def keep_raw(body: bytes) -> bytes:
    """The first bytes of an answer as errors hold them: they may be shown, so the queries of links are left out."""
    return _QUERY.sub(rb"\1?***", body[:RAW_BYTES])


def hide_queries(text: str) -> str:
    """A text with the queries of its links, which may sign them, left out."""
    return _QUERY.sub(rb"\1?***", text.encode(errors="surrogatepass")).decode(errors="surrogatepass")


def is_page(text: str) -> bool:
    """Whether the text is or holds a page of HTML."""
    return _PAGE.search(text) is not None


def parse_json(body: bytes) -> Any:
    """Read the JSON of an answer in bounded time and memory.

    NaN and infinities, which are no JSON, read as None. Of a key said twice the last value counts, but an `id` or
    `task_id` said twice with different values reads as None: it cannot be known which one is right.

    Raises:
        DecodeError: empty, over 4 MiB, not UTF-8, not JSON, too deep, too many parts, or a number too long.
    """
    try:
        return _parse(body)
    except ValueError as error:
        reason = str(error)
    # Out here, as else the decoder's own error, which holds all of the text, would stay attached as its context.
    raise DecodeError(reason, keep_raw(body))


def _parse(body: bytes) -> Any:
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(f"the answer is larger than {MAX_BODY_BYTES} bytes")
    containers = body.count(b"{") + body.count(b"[")
    # Parsed, each of them takes up to a hundred bytes more than here.
    if containers > _MAX_CONTAINERS or body.count(b",") > _MAX_VALUES:
        raise ValueError("the answer has too many parts")
    try:
        # The codec utf-8-sig does the same in ten times the time.
        text = body.removeprefix(_BYTE_ORDER_MARK).decode().strip()
    except UnicodeDecodeError:
        raise ValueError("the answer is not UTF-8 text") from None
    if not text:
        raise ValueError("the answer is empty")
    try:
        value, end = _decoder.raw_decode(text)
    except RecursionError:
        raise ValueError("the answer is nested too deep") from None
    except json.JSONDecodeError:
        if text[0] == "<" and is_page(text):
            raise ValueError("the answer is a page of HTML, not JSON: check the base URL") from None
        raise ValueError("the answer is not JSON") from None
    except ValueError:
        raise ValueError("the answer holds a number that is too long") from None
    if end < len(text):
        raise ValueError("the answer is not JSON: something follows it")
    if containers > _MAX_DEPTH and _is_deep(value):
        raise ValueError("the answer is nested too deep")
    return value


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Interned, the keys of a hundred thousand answers are the same few strings: a waiting task takes 0.6 KB less.
    built = {intern(key): value for key, value in pairs}
    if len(built) < len(pairs):
        for key in _ID_KEYS:
            if any(value != built[key] for name, value in pairs if name == key):
                built[key] = None
    return built


def _read_float(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


_decoder = json.JSONDecoder(
    object_pairs_hook=_build_object, parse_float=_read_float, parse_constant=lambda _: None, strict=False
)


def _is_deep(value: Any) -> bool:
    # Only values that pickle and JSON can write again may come out, at whatever depth of the stack they are called.
    level = [value]
    for _ in range(_MAX_DEPTH):
        parts = (part.values() if isinstance(part, dict) else part for part in level if isinstance(part, dict | list))
        level = list(itertools.chain.from_iterable(parts))
        if not level:
            return False
    return True


def find_id(body: Any) -> str | None:
    """Find the id to poll with in the answer of a create: the outermost one, `id` before `task_id`.

    A string in the place of a wrapped task is its id. `detail` and `data.data` hold other ids, so they do not count.
    """
    if not isinstance(body, dict):
        return None
    for level in (body, *map(body.get, WRAPPERS)):
        if isinstance(level, dict):
            for key in _ID_KEYS:
                value = level.get(key)
                if is_task_id(value):
                    return value
        elif is_task_id(level) and " " not in level:
            return level
    return None


def salvage_id(body: bytes) -> str | None:
    """Find the id in a create's answer that was cut or is broken JSON, by the rules of `find_id`.

    None if the id's closing quote did not arrive, if two values of it differ, or if the rest looks like an error.
    """
    # Bytes that are no UTF-8 become surrogates, with which no text passes for an id.
    text = body[:MAX_BODY_BYTES].removeprefix(_BYTE_ORDER_MARK).decode(errors="surrogateescape").lstrip()
    if not text.startswith("{"):
        return None
    root: dict[str, Any] = {}
    is_error = False
    for path, key, value in _walk(text):
        wrapper = path[1] if len(path) > 1 else None
        if (key if wrapper is None else wrapper) == "error":
            # No value: the text ends here, and what the error says did not arrive.
            is_error = is_error or value is None or bool(value.strip())
        elif wrapper is None:
            _note(root, key, value)
        elif len(path) == 2 and wrapper in WRAPPERS:
            if not isinstance(level := root.setdefault(wrapper, {}), dict):
                root[wrapper] = None
            else:
                _note(level, key, value)
    has_status = any(isinstance(level, dict) and level.get("status") for level in (root, *root.values()))
    return None if is_error and not has_status else find_id(root)


def _note(level: dict[str, Any], key: str, value: str | None) -> None:
    if level.setdefault(key, value) != value:
        level[key] = None


def _walk(text: str) -> Iterator[tuple[list[str], str, str | None]]:
    """Yield each whole string value with its key and the keys above it ("" in a list), at last the end with None."""
    path: list[str] = []
    key = ""
    for token in itertools.islice(_TOKEN.finditer(text), _MAX_TOKENS):
        if token["text"] is None:
            if token[0] in ("{", "["):
                path.append(key)
            elif path and token[0] != ",":
                path.pop()
            key = ""
        elif not token["end"]:
            break
        elif token["colon"]:
            key = _unescape(token["text"])
        else:
            yield path, key, _unescape(token["text"])
    yield path, "", None


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return "\0"  # no id, and yet a text: an error that says it is one
