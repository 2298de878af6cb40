"""All readers of what strangers and users wrote: how to make an input for each, and what must hold for it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import attrs

from benchmarks.fuzzing import answers, films, grammar, requests, spoiling, values
from benchmarks.fuzzing.spoiling import line
from sora_async.models import RequestFields

_BASES = (
    "https://api.chainhub.tech",
    "api.chainhub.tech/v1/",
    "http://127.0.0.1:8000/v1/video/create?x=1",
    "https://user:secret-word@relay.example/v1",
    "http://[::1]:80",
    "HTTPS://Relay.Example:443//a//b/v1#x",
    "http://2130706433/",
)
_LINKS = (
    "https://cdn.example/a%2Fb.mp4?sig=%2B%3D&x=1#f",
    "http://127.0.0.1/a",
    "https://user@cdn.example:8443/",
    "https://[::ffff:127.0.0.1]/a",
    "https://cdn.example\\@evil.example/a?b",
    "//cdn.example/a",
)
_ADDRESSES = ("127.0.0.1", "8.8.8.8", "::1", "2606:4700::1111", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "fe80::1%eth0")
_WAITS = ("7", "0.5", "-3", "1e9", "9" * 60, "Fri, 31 Dec 1999 23:59:59 GMT", "Thu, 01 Jan 2026 00:01:00 +2500", "")
_TAGS = ('"version-1"', 'W/"a"', '""', '"a b"', "")
_RANGES = ("bytes 7-99/100", "bytes */100", "bytes 007-8/*", "bytes 0-0/" + "9" * 30, "")
_SPANS = ("1,3", "0.1, 3.1", "1,2", "3,1", "9" * 400 + "," + "9" * 400, "1,nan", "")
_IDS = ("sora-2:task_01KABC", "a/b%2F?c#d..", "CON", " ", "x" * 513, "猫", "\ud800")
_IMAGES = ("https://a.example/cat.png", "data:image/png;base64,AAAA", "cat.png", "", "http://", "data:text/html,x")
_HEADS = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF89a",
    b"BM",
    b"RIFF\0\0\0\0WEBP",
    b"\0\0\0\x18ftypavif",
    b"<svg>",
    b"",
)
_STATUSES = (200, 200, 200, 200, 201, 204, 302, 307, 400, 401, 403, 404, 408, 409, 425, 429, 451, 500, 502, 503, 524)
_FIELDS = ("prompt", *RequestFields.__annotations__)


@attrs.frozen
class Reader:
    """One reader, or some that belong together."""

    name: str
    make: Callable[[Random], Any]
    """Makes an input out of nothing but chance."""
    check: Callable[[Any], None]
    """Raises if a rule does not hold for the input."""
    share: int = 4
    """Its part of all inputs, in relation to the others."""


def _judged(dice: Random) -> tuple[int, bytes]:
    return dice.choice(_STATUSES), spoiling.body(dice)


def _cut(dice: Random) -> tuple[str, bytes, bool]:
    task_id = grammar.task_id(dice)
    healthy = {"status": dice.choice(("pending", "processing", "NOT_START", "completed", "brewing"))}
    extra = {
        key: grammar.field(dice, key) for key in dice.sample(("progress", "video_url", "created_at", "message"), 2)
    }
    inner = {**dice.choice((healthy, {})), dice.choice(("id", "task_id")): task_id, **extra, "error": None}
    whole = dice.choice(
        (inner, {"code": "success", "message": "", "data": inner}, {"result": inner}, {"data": task_id})
    )
    data = spoiling.write(dice, whole)
    end = data.index(f'"{task_id}"'.encode()) + len(task_id) + 2
    place = dice.choice((dice.randrange(len(data) + 1), end, end - 1))
    return task_id, data[:place], place >= end


def _odd(dice: Random, name: str) -> Any:
    """A value for a request's field: right, nearly right, or of any kind."""
    kind = dice.randrange(10)
    if kind == 0:
        return grammar.anything(dice)
    if name == "images":
        return dice.choice((list, tuple))(line(dice, _IMAGES) for _ in range(dice.randrange(3)))
    if name == "extra":
        return {key: grammar.anything(dice, 2) for key in dice.sample((*grammar.KEYS, "seed", "style", "prompt"), 2)}
    if name == "duration":
        return dice.choice((10, 15, 1, 0, -1, 1.5, "10", True, 10**30))
    if name in {"watermark", "private"}:
        return dice.choice((True, False, "true", "false", "yes", 1, None))
    return line(dice, _SPANS if name == "character_timestamps" else ("a cat", "sora-2", "portrait", "", " "))


def _fields(dice: Random) -> dict[str, Any]:
    return {"prompt": "a cat"} | {name: _odd(dice, name) for name in dice.sample(_FIELDS, dice.randrange(4))}


def _body(dice: Random) -> dict[str, Any]:
    body = {name: value for name, value in _fields(dice).items() if name != "extra"}
    body |= {key: grammar.anything(dice, 2) for key in dice.sample(grammar.KEYS, dice.randrange(3))}
    return body


def _pacing(dice: Random) -> tuple[float, float, float, list[float | None]]:
    told = [dice.choice((None, 0.0, 1.0, 5e-324, dice.random(), dice.random())) for _ in range(dice.randrange(12))]
    first, span = dice.choice((0.0, 5.0, 1e-9, dice.random())), dice.choice((0.0, 15.0, 1e300, dice.random()))
    return first, dice.choice((1.0, 1.5, 1e300, 1 + dice.random())), span, told


def _address(dice: Random) -> str:
    kind = dice.randrange(5)
    if kind == 0:
        return line(dice, _ADDRESSES)
    number = dice.choice(
        (dice.getrandbits(32), dice.choice((10, 100, 127, 169, 172, 192, 198, 203)) << 24 | dice.getrandbits(24))
    )
    if kind <= 2:
        return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
    high, low = f"{number >> 16:x}", f"{number & 0xFFFF:x}"
    any_part = f"{dice.getrandbits(16):x}"
    forms = (
        "::ffff:{0}:{1}",
        "64:ff9b::{0}:{1}",
        "2002:{0}:{1}::{2}",
        "2001:0:{0}:{1}::{2}",
        "{2}:{0}:{1}::1",
        "fe80::{0}%{2}",
    )
    return str(dice.choice(forms)).format(high, low, any_part)


def _picture(dice: Random) -> bytes:
    data = dice.choice(_HEADS) + dice.randbytes(dice.randrange(20))
    return spoiling.spoil(dice, data) if dice.random() < 0.5 else data


READERS = (
    Reader("JSON of an answer", spoiling.body, answers.check_json, 12),
    Reader("id of a create", spoiling.value, answers.check_found_id),
    Reader("id of a broken answer", spoiling.body, answers.check_salvaged_id, 8),
    Reader("task", spoiling.value, answers.check_task, 12),
    Reader("character", spoiling.value, answers.check_character),
    Reader("error", spoiling.value, answers.check_complaint, 8),
    Reader("answer", _judged, answers.check_answer, 8),
    Reader("judge", _judged, answers.check_judged, 16),
    Reader("cut answer", _cut, answers.check_cut, 8),
    Reader("single values", grammar.anything, values.check_values, 4),
    Reader("Retry-After", lambda dice: (line(dice, _WAITS), line(dice, _WAITS)), values.check_retry_after, 3),
    Reader("ranges", lambda dice: (line(dice, _TAGS), line(dice, _RANGES)), values.check_ranges, 3),
    Reader("link of a file", lambda dice: (line(dice, _LINKS), dice.random() < 0.5), values.check_link),
    Reader("name of a file", lambda dice: line(dice, _IDS), values.check_name, 2),
    Reader("address", _address, values.check_address),
    Reader("pacing", _pacing, values.check_pacing, 2),
    Reader("video file", films.film, films.check_film),
    Reader("request", _fields, requests.check_fields),
    Reader("request's body", _body, requests.check_body),
    Reader("base URL", lambda dice: line(dice, _BASES), requests.check_base),
    Reader("id of a query", lambda dice: line(dice, _IDS), requests.check_query, 2),
    Reader(
        "character's span",
        lambda dice: (line(dice, _SPANS), line(dice, _LINKS), line(dice, _IDS)),
        requests.check_span,
        2,
    ),
    Reader("picture", _picture, requests.check_image, 2),
)
"""Every reader but the session, whose check is a coroutine."""
