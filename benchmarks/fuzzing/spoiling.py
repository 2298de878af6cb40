"""Good answers made bad: JSON values changed in their structure, and bytes changed on their way."""

from __future__ import annotations

import gzip
import json
from random import Random
from typing import Any

from benchmarks.fuzzing import grammar

_FRAGMENTS = (
    b'"id":"second",',
    b'"task_id":"second",',
    b'"status":"completed",',
    b'"error":{"message":"no"},',
    b'"data":{"id":"second"},',
    b'"id":NaN,',
    b'"x":-Infinity,',
    b'"x":1e999,',
    b'"x":' + b"9" * 5000 + b",",
    b'"x":"\\ud800",',
    b"[" * 150,
    b"{",
    b"}",
    b'"',
    b"\\",
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"<br>",
)
_PAGES = (
    b"<!doctype html><html><head><title>Console</title></head><body>",
    b"<html><title>&lt;script&gt;</title>",
    b"<TITLE " + b"x" * 300 + b">",
    b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
)


def change(dice: Random, value: Any) -> Any:
    """Change one place of a JSON value: another value, key, nesting, one field more or less."""
    places = _places(value)
    if not places:
        return grammar.anything(dice)
    place = dice.choice(places)
    if isinstance(place, list):
        return _change_list(dice, value, place)
    key = dice.choice(list(place))
    kind = dice.randrange(7)
    if kind == 0:
        place[key] = grammar.anything(dice)
    elif kind == 1:
        del place[key]
    elif kind == 2:
        place[dice.choice(grammar.KEYS)] = place.pop(key)
    elif kind == 3:
        place[key] = dice.choice(([place[key]], {key: place[key]}, {"data": place[key]}, json.dumps(place[key])))
    elif kind == 4:
        new = dice.choice(grammar.KEYS)
        place[new] = grammar.field(dice, new)
    elif kind == 5:
        place[key] = str(place[key])[:50]
    else:
        return {dice.choice(("data", "result", "detail", "error")): value}
    return value


def _change_list(dice: Random, value: Any, place: list[Any]) -> Any:
    place[dice.randrange(len(place))] = grammar.anything(dice)
    return value


def _places(value: Any) -> list[Any]:
    """All objects and lists with something in them."""
    found, queue = [], [value]
    while queue:
        part = queue.pop()
        if isinstance(part, dict | list) and part:
            found.append(part)
            queue.extend(part.values() if isinstance(part, dict) else part)
    return found


def write(dice: Random, value: Any) -> bytes:
    """Bytes of a JSON value in one of the usual styles."""
    style = dice.randrange(4)
    if style == 0:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    if style == 1:
        return json.dumps(value, indent=1).encode()
    return json.dumps(value).encode()


def _cut(dice: Random, data: bytes) -> bytes:
    return data[: dice.randrange(len(data) + 1)]


def _flip(dice: Random, data: bytes) -> bytes:
    place = dice.randrange(len(data) + 1)
    return data[:place] + bytes([dice.randrange(256)]) + data[place + 1 :]


def _put_in(dice: Random, data: bytes) -> bytes:
    place = dice.randrange(len(data) + 1)
    return data[:place] + dice.choice(_FRAGMENTS) + data[place:]


def _put_into_object(dice: Random, data: bytes) -> bytes:
    brace = data.find(b"{", dice.randrange(len(data) + 1)) + 1
    return data[:brace] + dice.choice(_FRAGMENTS) + data[brace:]


def _take_out(dice: Random, data: bytes) -> bytes:
    place = dice.randrange(len(data) + 1)
    return data[:place] + data[place + dice.randrange(1, 20) :]


def _repeat(dice: Random, data: bytes) -> bytes:
    place = dice.randrange(len(data) + 1)
    return data[: place + dice.randrange(1, 20)] + data[place:]


def _wrap(dice: Random, data: bytes) -> bytes:
    page = dice.choice(_PAGES) + data
    return dice.choice((page, b"\xef\xbb\xbf" + data, data + b"\n\n", data + data, b" " + data))


def _recode(dice: Random, data: bytes) -> bytes:
    wide = data.decode("utf-8", "replace").encode("utf-16")
    return dice.choice((gzip.compress(data, 1, mtime=0), wide, data[::-1], dice.randbytes(dice.randrange(40))))


_WAYS = (_cut, _cut, _cut, _flip, _put_into_object, _put_into_object, _put_in, _take_out, _repeat, _wrap, _recode)


def spoil(dice: Random, data: bytes) -> bytes:
    """Change bytes: cut, flip, put in, take out, repeat, wrap, or write otherwise."""
    return dice.choice(_WAYS)(dice, data)


def value(dice: Random) -> Any:
    """A JSON value: a real answer, changed in no to five places."""
    found = grammar.answer(dice)
    for _ in range(dice.choice((0, 0, 1, 1, 2, 5))):
        found = change(dice, found)
    return found


def body(dice: Random) -> bytes:
    """The bytes of an answer, perhaps spoilt."""
    data = write(dice, value(dice))
    for _ in range(dice.choice((0, 0, 1, 1, 2))):
        data = spoil(dice, data)
    return data


def line(dice: Random, samples: tuple[str, ...]) -> str:
    """A short text near one of the samples, or any."""
    characters = list(dice.choice(samples))
    for _ in range(dice.choice((0, 1, 1, 2, 4))):
        place = dice.randrange(len(characters) + 1)
        new = dice.choice("/:@%.?#[]-+,;= \t\r\n\x00\x7f0129aAzZ\\\"'`<>|é猫①．。\u202e\ud800\U0001f600")
        characters[place : place + dice.randrange(2)] = [new] * dice.choice((1, 1, 1, 30))
    return "".join(characters)
