"""What an answer says by a second, plain reading that shares nothing with the package's."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import attrs

from benchmarks.fuzzing.samples import REFUSALS, WORDS

Object = dict[str, Any]

STATES = {word: state for state, words in WORDS.items() for word in words.split()}
_HEALTHY = {"queued", "running", "succeeded"}
_PLAIN_ID = re.compile(r"[!-~]{1,512}")
_NESTED = (re.compile(r"\{.*\}", re.DOTALL), re.compile(r"\[.*\]", re.DOTALL))
# Facts of the format: what a relay says when it did not take a request.
_REFUSING = re.compile(
    "|".join(
        [
            *REFUSALS,
            "额度不足|预扣费额度失败|余额不足|insufficient[ _](?:user[ _])?(?:quota|balance|credit)",
            "guardrail|unsafe|审核|真人|敏感词|sensitive[ _]words|content[ _](?:policy|filter)|violation[ _]fee",
            "负载已饱和|saturated|overloaded|no available (?:account|channel)|无可用渠道",
            "请求数限制|rate[ _-]?limit|too[ _]many[ _]requests",
            "无效的令牌|(?:invalid|incorrect)[ _](?:api[ _]?)?(?:key|token)|authentication_error",
            "无权访问|access denied|permission[ _](?:denied|error)",
            "未指定模型名称|(?:message|body|payload|entity) too large|invalid_request",
            "invalid url|task[ _]not[ _](?:exist|found)|任务不存在",
        ]
    ),
    re.IGNORECASE,
)


@attrs.frozen
class Reading:
    """A JSON text, read with the standard library alone."""

    value: Any
    """What it says; NaN and infinities are None, an id said twice differently is None."""
    repeats: bool
    """Whether a key is said twice in one object."""
    depth: int
    """How deep it nests: 0 for a scalar, 1 for an empty object."""


def read(body: bytes) -> Reading | None:
    """Read bytes as JSON; None if they are none, whatever the reason."""
    repeats = False

    def build(pairs: list[tuple[str, Any]]) -> Object:
        nonlocal repeats
        built: Object = {}
        torn = set()
        for key, value in pairs:
            if key in built:
                repeats = True
                if key in {"id", "task_id"} and built[key] != value:
                    torn.add(key)
            built[key] = value
        return {key: None if key in torn else value for key, value in built.items()}

    def number(text: str) -> float | None:
        return float(text) if math.isfinite(float(text)) else None

    try:
        text = body.decode("utf-8-sig").strip()
        value = json.loads(
            text, object_pairs_hook=build, parse_float=number, parse_constant=lambda _: None, strict=False
        )
    except (ValueError, RecursionError):
        return None
    return Reading(value, repeats, depth(value))


def depth(value: Any) -> int:
    """How deep a value nests, found without recursion."""
    level, deep = [value], 0
    while level := [part for part in level if isinstance(part, dict | list)]:
        level = [inner for part in level for inner in (part.values() if isinstance(part, dict) else part)]
        deep += 1
    return deep


def is_plain_id(text: str) -> bool:
    """Whether a text is an id beyond doubt: 1 to 512 visible characters of ASCII."""
    return _PLAIN_ID.fullmatch(text) is not None


def _objects(value: Any, *keys: str) -> list[Object]:
    return [part for key in keys if isinstance(part := value.get(key), dict)]


def outermost_states(body: Any) -> set[str]:
    """The states that the outermost status words mean, "running" for unknown words; none if there is no word."""
    if not isinstance(body, dict):
        return set()
    wrapped = _objects(body, "result", "data")
    inner = [part for level in wrapped for part in _objects(level, "data")]
    for levels in (
        [body],
        wrapped + inner,
        [part for level in (body, *wrapped, *inner) for part in _objects(level, "detail")],
    ):
        words = [word for level in levels if isinstance(word := level.get("status"), str) and word.strip()]
        if words:
            return {STATES.get(word.strip().lower(), "running") for word in words}
    return set()


def possible_ids(body: Any) -> list[str]:
    """The texts that stand where a create's id may stand."""
    if not isinstance(body, dict):
        return []
    places = [level.get(key) for level in (body, *_objects(body, "data", "result")) for key in ("id", "task_id")]
    return [text for text in (*places, body.get("data"), body.get("result")) if isinstance(text, str)]


def healthy_id(body: Any) -> str | None:
    """The id of an answer that plainly shows a task that runs or is done; None if there is any doubt."""
    if not isinstance(body, dict):
        return None
    for level in (body, *_objects(body, "data")):
        word, found = level.get("status"), level.get("id")
        if isinstance(word, str) and STATES.get(word.strip().lower()) in _HEALTHY:
            return found if isinstance(found, str) and is_plain_id(found) else None
        if word is not None or level.get("id") is not None or level.get("task_id") is not None:
            return None
    return None


def says_refused(value: Any) -> bool:
    """Whether any code, number or text, also in JSON within texts, is a known way to say "not taken"."""
    queue, steps = [value], 0
    while queue and steps < 10_000:
        part, steps = queue.pop(), steps + 1
        if isinstance(part, dict):
            queue.extend(part.values())
        elif isinstance(part, list):
            queue.extend(part)
        elif isinstance(part, int | str):
            if _REFUSING.search(str(part)[:50_000]) or re.fullmatch("[34][0-9][0-9]", str(part).strip()):
                return True
            queue.extend(_unfold(part) if isinstance(part, str) else ())
    return False


def _unfold(text: str) -> list[Any]:
    """The JSON values within a text."""
    pieces = [found[0] for pattern in _NESTED if (found := pattern.search(text))]
    return [inner.value for piece in pieces if (inner := read(piece.encode("utf-8", "replace")))]


def holds_text(body: bytes, text: str) -> bool:
    """Whether a text stands in the bytes of a JSON document as a whole string, escaped in any way or not at all."""
    if f'"{text}"'.encode("utf-8", "replace") in body:
        return True
    for found in re.finditer(rb'"((?:[^"\\]|\\.)*)"', body, re.DOTALL):
        try:
            if json.loads(found[0], strict=False) == text:
                return True
        except ValueError:
            continue
    return False
