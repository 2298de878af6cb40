"""Manifests in JSONL: each line is one JSON object."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any, NoReturn

from sora_async.batch.records import Place, Record, Report

MAX_DEPTH = 100
"""How deep lists and objects may be nested, so that they can be written again at any depth of the stack."""

_TOKEN = re.compile(r'(?P<text>"[^"\\]*+(?:\\.[^"\\]*+)*+")(?P<colon>\s*:)?|[{}\[\]]|[^\s,:{}\[\]"]+')


class _UnfitError(ValueError):
    """Well-formed JSON, and yet no value.

    Args:
        message: what to do about it.
        token: what to look for in the line.
    """

    def __init__(self, message: str, token: str) -> None:
        super().__init__(message)
        self.token = token


class _TwiceError(_UnfitError):
    """An object gives two values for the name that is its token."""


def read_jsonl(lines: Iterator[tuple[int, str]], report: Report) -> Iterator[Record]:
    """Yield the object of each line; blank lines and those that begin with `#` count for nothing."""
    for number, line in lines:
        text = line.rstrip()
        if not text or text.lstrip().startswith("#"):
            continue
        try:
            fields = _parse(text)
        except json.JSONDecodeError as error:
            hint = 'write one whole object in each line, such as {"prompt": "a cat"}'
            report(Place(number, error.colno), f"no JSON ({error.msg}): {hint}")
        except _UnfitError as error:
            report(Place(number, _find_token(text, error)), str(error))
        except ValueError as error:
            report(Place(number), str(error))
        else:
            yield Record(number, fields, partial(_find_field, number, text))


def _parse(text: str) -> dict[str, Any]:
    try:
        fields = _decoder.decode(text)
    except RecursionError:
        raise ValueError(f"lists and objects are nested deeper than {MAX_DEPTH}") from None
    if text.count("{") + text.count("[") > MAX_DEPTH and max(depth for depth, _ in _walk(text)) > MAX_DEPTH:
        raise ValueError(f"lists and objects are nested deeper than {MAX_DEPTH}")
    if not isinstance(fields, dict):
        raise ValueError('this is no object: write one in each line, such as {"prompt": "a cat"}')  # noqa: TRY004
    if "\\u" in text:
        _check_characters(fields)
    return fields


def _check_characters(fields: dict[str, Any]) -> None:
    try:
        json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError(r"a \u escape is half of a character: give both halves, or the character itself") from None


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise _TwiceError(f"{twice!r:.60} is given twice: leave one of them out", twice)
    return built


def _read_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _UnfitError(f"{text:.60} is too large a number", text)
    return number


def _read_int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise _UnfitError(f"{text:.20}... is too long a number", text) from None


def _refuse_constant(text: str) -> NoReturn:
    raise _UnfitError(f"{text} is no JSON: give a number, or null to leave the field out", text)


_decoder = json.JSONDecoder(
    object_pairs_hook=_build_object, parse_float=_read_float, parse_int=_read_int, parse_constant=_refuse_constant
)


def _walk(text: str) -> Iterator[tuple[int, re.Match[str]]]:
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += (token[0] in "{[") - (token[0] in "}]")
        yield depth, token


def _find_names(text: str, name: str) -> Iterator[tuple[int, int]]:
    """Yield the depth and the column of each place where the name is given a value."""
    written = json.dumps(name, ensure_ascii=False)
    return ((depth, token.start() + 1) for depth, token in _walk(text) if token["colon"] and token["text"] == written)


def _find_token(text: str, error: _UnfitError) -> int | None:
    if not isinstance(error, _TwiceError):
        return next((token.start() + 1 for _, token in _walk(text) if token[0] == error.token), None)
    columns = [column for _, column in _find_names(text, error.token)]
    # With a third one elsewhere in the line it is not known which two stand in one object.
    return columns[1] if len(columns) == 2 else None


def _find_field(line: int, text: str, name: str) -> Place | None:
    return next((Place(line, column) for depth, column in _find_names(text, name) if depth == 1), None)
