"""Oracles for what reads a relay's answers; each takes one input and raises if a rule is broken."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from typing import Any

from benchmarks.fuzzing import reading
from benchmarks.fuzzing.reading import healthy_id, outermost_states, possible_ids, says_refused
from benchmarks.fuzzing.rules import check_error, check_text, check_value, hold
from sora_async import APIError, DecodeError, State, SubmissionUncertainError, TransportError, VideoRequest, VideoTask
from sora_async.session import Reply
from sora_async.submission import Submission, _salvage_created, judge
from sora_async.wire.complaint import MAX_TEXT, hear
from sora_async.wire.failure import read_answer
from sora_async.wire.reading import MAX_BODY_BYTES, find_id, parse_json, salvage_id
from sora_async.wire.request import build_create, build_query
from sora_async.wire.task import parse_character, parse_created, parse_task

_MOST_CONTAINERS = 50_000
_MOST_DEPTH = 100
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_REQUEST = VideoRequest("a cat")
_SUBMISSION = Submission(build_create(_REQUEST), _REQUEST, parse_created, _salvage_created)


def check_json(body: bytes) -> None:
    """A value comes out of exactly the bytes that hold one within the limits, and it is the one that they hold."""
    plain = reading.read(body)
    is_small = len(body) <= MAX_BODY_BYTES and body.count(b"{") + body.count(b"[") <= _MOST_CONTAINERS
    try:
        value = parse_json(body)
    except DecodeError as error:
        check_error(error)
        hold(error.raw == body[:2048] or b"http" in error.raw.lower(), "the raw bytes of the error are others")
        hold(plain is None or plain.depth > _MOST_DEPTH or not is_small, "JSON within the limits was not read")
        return
    hold(plain is not None and is_small, "something was read that is no JSON, or too big")
    assert plain is not None
    hold(value == plain.value, f"{value!r:.200} was read as {plain.value!r:.200}")
    hold(plain.depth <= _MOST_DEPTH, f"a value {plain.depth} deep came out")
    again = json.dumps(value, allow_nan=False)
    hold(parse_json(again.encode()) == value, "written and read again it is another")
    pickle.dumps(value)


def check_found_id(value: Any) -> None:
    """An id that is found stands in the answer, can be asked for, and a plain one in its place is never missed."""
    found = find_id(value)
    if found is not None:
        hold(found in possible_ids(value), f"{found!r} is not in the answer")
        hold(build_query(found).params == {"id": found}, "the id cannot be asked for")
    if isinstance(value, dict) and isinstance(first := value.get("id"), str) and reading.is_plain_id(first):
        hold(found == first, f"{found!r} was found instead of {first!r}")


def check_salvaged_id(body: bytes) -> None:
    """An id that is salvaged arrived whole, and where the answer can be read it is the one that is read."""
    found = salvage_id(body)
    if found is None:
        return
    hold(reading.holds_text(body, found), f"{found!r} did not arrive")
    hold(build_query(found).params == {"id": found}, "the id cannot be asked for")
    plain = reading.read(body)
    if plain is not None and not plain.repeats:
        hold(found == find_id(plain.value), f"{found!r} was salvaged, {find_id(plain.value)!r} is read")


def check_task(value: Any) -> None:
    """A task is what its outermost status says, and all its fields are sane; else it is a DecodeError."""
    _check_task_of(value, "asked")
    _check_task_of(value, None)


def _check_task_of(value: Any, asked: str | None) -> None:
    try:
        task = parse_created(value) if asked is None else parse_task(value, asked)
    except DecodeError as error:
        check_error(error)
        hold(asked is not None or find_id(value) is None, "an id was not read")
        return
    hold(task.id == (asked or find_id(value)), f"the task has the id {task.id!r}")
    states = outermost_states(value)
    hold(task.state.value in (states or {"queued"}), f"the task is {task.state}, its outer status says {states}")
    hold(task.progress is None or 0.0 <= task.progress <= 1.0, f"progress is {task.progress!r}")
    for moment in (task.created_at, task.updated_at):
        is_sane = moment is None or (moment.tzinfo is UTC and 2000 <= moment.year < 2100)
        hold(is_sane, f"a time is {moment!r}")
    for link in (task.video_url, task.thumbnail_url, task.gif_url):
        hold(link is None or _is_link_of(link, value), f"{link!r} is no link of the answer")
    check_text(task.status, lines=True)
    check_text(task.enhanced_prompt or "", lines=True)
    check_text(task.error_message or "", longest=MAX_TEXT)
    has_failed = task.state in {State.FAILED, State.CANCELLED}
    hold(has_failed or task.error_message is None, "a task that did not fail has a failure's text")
    check_value(task)


def _is_link_of(link: str, value: Any) -> bool:
    has_form = link.lower().startswith(("http://", "https://")) and not any(mark.isspace() for mark in link)
    queue = [value]
    while queue:
        part = queue.pop()
        if isinstance(part, str) and link in part:
            return has_form
        queue.extend(part.values() if isinstance(part, dict) else part if isinstance(part, list) else ())
    return False


def check_character(value: Any) -> None:
    """A character has an id and a name, both texts of the answer; else it is a DecodeError."""
    try:
        found = parse_character(value)
    except DecodeError as error:
        check_error(error)
        return
    hold(found.id.strip() and found.username.strip(), "a character without an id or a name")
    for text in (found.id, found.username):
        check_text(text, lines=True)
    check_value(found)


def check_complaint(value: Any) -> None:
    """Whatever an error says, short clean lines come out."""
    heard = hear(value)
    check_text(heard.text, longest=MAX_TEXT)
    hold(len(heard.codes) + len(heard.kinds) <= 50, "too many codes")
    for word in (*heard.codes, *heard.kinds, heard.request_id or ""):
        check_text(word, longest=250)
    hold(hear(value) == heard, "heard again it is another")


def check_answer(case: tuple[int, bytes]) -> None:
    """A 2xx is its JSON or one of our errors, any other status is an APIError; all of them can be shown."""
    status, body = case
    try:
        value = read_answer(status, body, 7.0)
    except APIError as error:
        check_error(error)
        hold((error.status, error.retry_after) == (status, 7.0), "facts of the answer are lost")
        hold(error.message, "an error without a message")
        return
    except DecodeError as error:
        check_error(error)
        hold(200 <= status < 300, "an error status was not read as an error")
        return
    hold(200 <= status < 300, f"HTTP {status} passed for a healthy answer")
    hold(value == parse_json(body), "another value was read")


def check_judged(case: tuple[int, bytes]) -> None:
    """The class of a create's end is proven by the answer; in doubt it is uncertain."""
    status, body = case
    plain = reading.read(body)
    is_readable = plain is not None and not plain.repeats and plain.depth <= _MOST_DEPTH
    value = plain.value if plain is not None and is_readable else None
    healthy = healthy_id(value)
    try:
        task = judge(Reply(status=status, body=body), _SUBMISSION, _NOW)
    except APIError as error:
        check_error(error)
        hold(healthy is None, f"the task {healthy!r} was refused as {error!r:.200}")
        is_refusing = 300 <= status < 500 and status not in {408, 409, 425}
        text = body[:MAX_BODY_BYTES].decode("utf-8", "replace")
        hold(is_refusing or says_refused([value, text]), f"nothing proves that it was refused: {error!r:.200}")
        return
    except SubmissionUncertainError as error:
        check_error(error)
        hold(error.request == _REQUEST, "the request is lost")
        hold(error.raw == body[:2048] or b"http" in error.raw.lower(), "the raw bytes of the error are others")
        hold(healthy is None or not 200 <= status < 300, f"the task {healthy!r} is lost: {error.reason}")
        return
    hold(200 <= status < 300, f"HTTP {status} passed for an accepted create")
    hold(reading.holds_text(body, task.id), f"the id {task.id!r} is not in the answer")
    hold(healthy is None or task.id == healthy, f"the id is {task.id!r}, not {healthy!r}")
    is_success = task.state is State.SUCCEEDED
    hold(not is_success or "succeeded" in outermost_states(parse_json(body)), "a success that nobody told")


def check_cut(case: tuple[str, bytes, bool]) -> None:
    """A healthy answer that is cut gives its id from the closing quote on, and before it is uncertain."""
    task_id, body, has_id = case
    try:
        task: VideoTask | None = judge(Reply(status=200, body=body, cut=TransportError("cut off")), _SUBMISSION, _NOW)
    except SubmissionUncertainError as error:
        check_error(error)
        task = None
    hold((task and task.id) == (task_id if has_id else None), f"{task!r} was read, its id arrived: {has_id}")
