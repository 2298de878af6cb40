"""Answers as relays write them: JSON values by a grammar of the shapes that occur, from a given source of chance."""

from __future__ import annotations

import string
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

from benchmarks.fuzzing.samples import ODD_IDS, ODD_LINKS, REFUSALS, SCALARS, TEXTS, WORDS

Object = dict[str, Any]

_LETTERS = string.ascii_letters + string.digits
_STATUSES = [word for words in WORDS.values() for word in words.split()]


def token(dice: Random, length: int = 10) -> str:
    """Some letters and digits."""
    return "".join(dice.choice(_LETTERS) for _ in range(length))


def task_id(dice: Random) -> str:
    """An id in one of the usual forms."""
    form = dice.choice(("sora-2:task_{}", "veo3.1-fast:1760000000-{}", "grok:{}", "video_{}", "{}"))
    return str(form).format(token(dice))


def _any_id(dice: Random) -> Any:
    return task_id(dice) if dice.random() < 0.9 else deepcopy(dice.choice(ODD_IDS))


def status(dice: Random) -> Any:
    """A status word, mostly a known one, in any letter case."""
    if dice.random() < 0.1:
        return dice.choice(("halfway", "", " ", None, 7, ["completed"], {"status": "completed"}, "com\u200bpleted"))
    word = dice.choice(_STATUSES)
    return dice.choice((word, word, word.upper(), f" {word}\n", word.title()))


def link(dice: Random) -> Any:
    """An address of a file, often a signed one."""
    if dice.random() < 0.3:
        return deepcopy(dice.choice(ODD_LINKS))
    plain = f"https://cdn.example/v%2F{token(dice, 6)}.mp4?sig={token(dice, 4)}%2B%3D"
    return dice.choice((plain, plain, f" `{plain}` "))


def text(dice: Random) -> Any:
    """A message: plain, JSON in a string, with a request id, or none."""
    plain = dice.choice(TEXTS)
    kind = dice.randrange(8)
    if kind == 0:
        return None
    if kind == 1:
        return f'{{"error":{{"message":"{plain}","code":"{dice.choice(REFUSALS)}"}}}}'
    if kind == 2:
        return f"{plain} (request id: {token(dice, 6)})"
    return plain


def code(dice: Random) -> Any:
    """A code: one that means success, one that refuses, or anything."""
    return dice.choice((0, 200, "0", "success", "", None, 401, 429, "503", True, *REFUSALS))


def number(dice: Random) -> Any:
    """A progress in one of its spellings."""
    return dice.choice((dice.randrange(101), f"{dice.randrange(101)}%", dice.random(), "0", None, -5, 1e9, "x", True))


def moment(dice: Random) -> Any:
    """A time in one of its spellings."""
    seconds = 1_700_000_000 + dice.randrange(10**8)
    texts = ("2025-11-22T08:00:00Z", "2025-11-22T08:00:00.123456789+08:00", "2025-13-40T99:00", "")
    return dice.choice((seconds, seconds * 1000, seconds + 0.5, 0, None, -(10**20), *texts))


def anything(dice: Random, depth: int = 3) -> Any:
    """Any JSON value."""
    kind = dice.randrange(8)
    if kind == 0 and depth:
        return [anything(dice, depth - 1) for _ in range(dice.randrange(4))]
    if kind == 1 and depth:
        return {dice.choice(KEYS): anything(dice, depth - 1) for _ in range(dice.randrange(4))}
    if kind == 2:
        return field(dice, dice.choice(KEYS))
    return dice.choice(SCALARS)


def error(dice: Random) -> Any:
    """What stands in an `error` field."""
    whole = {
        "message": text(dice),
        "type": dice.choice(("", "invalid_request_error", "server_error")),
        "code": code(dice),
    }
    return dice.choice((whole, whole, {"message": "", "code": ""}, text(dice), None, {"message_zh": text(dice)}))


def _detail(dice: Random) -> Any:
    detail = _some(
        dice, ("status", "upsample_video_url", "url", "failure_reason", "error_message", "progress_pct", "id"), 3
    )
    if dice.random() < 0.3:
        detail["pending_info"] = {"progress_pct": dice.random(), "failure_reason": text(dice)}
    if dice.random() < 0.2:
        detail["generations"] = [{"url": link(dice)}]
    if dice.random() < 0.2:
        detail["draft_info"] = {"downloadable_url": link(dice)}
    return dice.choice((detail, detail, text(dice), [{"loc": ["body", "prompt"], "msg": text(dice)}]))


_MAKERS: dict[str, Callable[[Random], Any]] = {
    **dict.fromkeys(("id", "task_id"), _any_id),
    "status": status,
    **dict.fromkeys(("video_url", "url", "result_url", "output_url", "output", "upsample_video_url"), link),
    **dict.fromkeys(("thumbnail_url", "gif_url", "videos", "urls", "permalink", "profile_picture_url"), link),
    **dict.fromkeys(("message", "fail_reason", "failure_reason", "error_message", "enhanced_prompt", "username"), text),
    **dict.fromkeys(("progress", "percentage", "progress_pct"), number),
    **dict.fromkeys(("status_update_time", "created_at", "completed_at", "updated_at", "submit_time"), moment),
    "code": code,
    "error": error,
    "detail": _detail,
    "request_id": token,
    "success": lambda dice: dice.choice((True, False)),
}
KEYS = (*_MAKERS, "data", "result", "video", "metadata", "content", "type", "pending_info", "other")
"""The names of all fields that mean something, and one that means nothing."""


def field(dice: Random, key: str) -> Any:
    """A value for a field."""
    maker = _MAKERS.get(key)
    return maker(dice) if maker else anything(dice, 1)


def _some(dice: Random, keys: tuple[str, ...], most: int) -> Object:
    return {key: field(dice, key) for key in dice.sample(keys, dice.randrange(most + 1))}


def task(dice: Random) -> Object:
    """A task, flat."""
    found = {dice.choice(("id", "id", "task_id")): _any_id(dice), "status": status(dice)}
    found.update(_some(dice, tuple(_MAKERS), 5))
    return found


def wrapped(dice: Random, inner: Object) -> Object:
    """A task in one of the envelopes."""
    kind = dice.randrange(7)
    envelope: Object = {"code": code(dice), "message": text(dice)}
    if kind == 0:
        return {**envelope, "data": inner}
    if kind == 1:
        return {**envelope, "data": {**task(dice), "data": inner}}
    if kind == 2:
        return {"result": inner}
    if kind == 3:
        return {"detail": inner}
    if kind == 4:
        return {**envelope, "data": dice.choice((None, task_id(dice), [], text(dice)))}
    return inner


def failure(dice: Random) -> Object:
    """An answer that is an error."""
    return dict(
        dice.choice(
            (
                {"error": error(dice)},
                {"code": code(dice), "message": text(dice), "data": None},
                {"detail": _detail(dice)},
                {"success": False, "message": text(dice)},
            )
        )
    )


def character(dice: Random) -> Object:
    """The answer of a character call."""
    found = {"id": _any_id(dice), "username": text(dice), "permalink": link(dice), "profile_picture_url": link(dice)}
    return wrapped(dice, found)


def answer(dice: Random) -> Any:
    """A whole answer as some relay would write it."""
    kind = dice.random()
    if kind < 0.7:
        return wrapped(dice, task(dice))
    return failure(dice) if kind < 0.9 else character(dice)
