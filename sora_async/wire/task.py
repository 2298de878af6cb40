"""Bodies to tasks: every relay's way to say what a task is, and where its video."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sora_async.errors import DecodeError
from sora_async.models import Character, State, VideoTask
from sora_async.wire.complaint import hear
from sora_async.wire.reading import find_id
from sora_async.wire.values import read_link, read_progress, read_text, read_time

_WORDS = {
    State.QUEUED: "pending queued submitted created not_start initializing",
    State.RUNNING: "processing in_progress running generating image_downloading video_generating "
    "video_generation_completed video_upsampling video_upsampling_completed unknown",
    State.SUCCEEDED: "completed complete success succeeded done finished",
    State.FAILED: "failed failure error fail video_generation_failed video_upsampling_failed expired",
    State.CANCELLED: "cancelled canceled",
}
_STATES = {word: state for state, words in _WORDS.items() for word in words.split()}

_LINK_KEYS = ("video_url", "url", "result_url", "output_url", "download_url")
_DETAIL_LINK_KEYS = ("upsample_video_url", "video_url", "url")
_DRAFT_LINK_KEYS = ("downloadable_url", "url")
_LAST_LINK_KEYS = (("video", "url"), ("videos", None), ("urls", None), ("metadata", "url"), ("content", "video_url"))
# Only progress_pct is a fraction: a 1 in the others is one percent.
_PROGRESS_KEYS = (("progress", 100.0), ("percentage", 100.0), ("progress_pct", 1.0))
_CREATED_KEYS = ("created_at", "submit_time")
_UPDATED_KEYS = ("status_update_time", "updated_at", "completed_at", "finish_time")
_MAX_STATUS = 200
_ENVELOPE_TEXTS = frozenset({"success", "succeeded", "succeed", "ok", "成功", "操作成功", "请求成功"})

Object = dict[str, Any]


def parse_created(body: Any) -> VideoTask:
    """Read the answer of a create; it may show a finished task already.

    Raises:
        DecodeError: there is no id in it, so the task cannot be polled.
    """
    task_id = find_id(body)
    if task_id is None:
        raise DecodeError("the relay answered the create without a task id")
    return _read_task(body, task_id)


def parse_task(body: Any, task_id: str) -> VideoTask:
    """Read the answer of a query.

    Args:
        body: the answer, with no error in it.
        task_id: the id from create; answers may show another one.

    Raises:
        DecodeError: the body is no task.
    """
    if not isinstance(body, dict):
        raise DecodeError("the answer is not a JSON object")
    task = _read_task(body, task_id)
    if not task.status and task.video_url is None and not has_id(find_levels(body)):
        if "data" in body and not body["data"]:
            raise DecodeError("the relay has nothing for this task yet")
        raise DecodeError("the answer is no task: it has neither a status nor an id nor a video")
    return task


def find_levels(body: Any) -> list[Object]:
    """List the objects that may hold a task's fields, the outermost first: the body, what it wraps, their details."""
    return _with_details(_unwrap(body))


def _unwrap(body: Any) -> list[Object]:
    if not isinstance(body, dict):
        return []
    levels: list[Object] = [body]
    for wrapped in (body.get("result"), body.get("data")):
        if isinstance(wrapped, dict):
            levels.append(wrapped)
            if isinstance(wrapped.get("data"), dict):
                levels.append(wrapped["data"])
    return levels


def _with_details(wrapped: list[Object]) -> list[Object]:
    return wrapped + [detail for level in wrapped if isinstance(detail := level.get("detail"), dict)]


def find_status(levels: Iterable[Object]) -> str | None:
    """Answer the outermost status word as the relay wrote it."""
    for level in levels:
        if (status := read_text(level.get("status"))) is not None:
            return status
    return None


def find_healthy_id(body: Any) -> str | None:
    """Answer the id of a task that the answer shows as waiting, running or succeeded in a known word."""
    state = _STATES.get((find_status(find_levels(body)) or "").strip().lower(), State.FAILED)
    return None if state is State.FAILED or state is State.CANCELLED else find_id(body)


def has_id(levels: list[Object]) -> bool:
    """Whether any level, or a string in place of one, tells an id."""
    return any(level.get("id") or level.get("task_id") for level in levels) or find_id(levels[0]) is not None


def _read_task(body: Any, task_id: str) -> VideoTask:
    wrapped = _unwrap(body)
    levels = _with_details(wrapped)
    status = find_status(levels)
    state = State.QUEUED if status is None else _STATES.get(status.strip().lower(), State.RUNNING)
    link = _find_link(wrapped)
    if link is None and state is State.SUCCEEDED:
        # Old gateways keep the link of a success where the reason of a failure goes.
        link = _find_value(levels, "fail_reason", read_link)
    has_failed = state is State.FAILED or state is State.CANCELLED
    return VideoTask(
        id=task_id,
        status=(status or "")[:_MAX_STATUS],
        state=state,
        progress=_find_progress(levels),
        video_url=link,
        thumbnail_url=_find_value(levels, "thumbnail_url", read_link),
        gif_url=_find_value(levels, "gif_url", read_link),
        enhanced_prompt=_find_value(levels, "enhanced_prompt", read_text),
        error_message=_find_failure(levels) if has_failed else None,
        created_at=_find_time(levels, _CREATED_KEYS),
        updated_at=_find_time(levels, _UPDATED_KEYS),
        raw=body,
    )


def _find_value(levels: list[Object], key: str, read: Any) -> str | None:
    for level in levels:
        if key in level and (value := read(level[key])) is not None:
            return str(value)
    return None


def _find_time(levels: list[Object], keys: tuple[str, ...]) -> datetime | None:
    for level in levels:
        for key in keys:
            if key in level and (moment := read_time(level[key])) is not None:
                return moment
    return None


def _find_progress(levels: list[Object]) -> float | None:
    for level in levels:
        for key, whole in _PROGRESS_KEYS:
            if key in level and (progress := read_progress(level[key], whole=whole)) is not None:
                return progress
        pending = level.get("pending_info")
        if isinstance(pending, dict):
            progress = read_progress(pending.get("progress_pct"), whole=1.0)
            if progress is not None:
                return progress
    return None


def _find_link(levels: list[Object]) -> str | None:
    for level in levels:
        if (link := _find_link_in(level)) is not None:
            return link
    for level in levels:
        for key, inner in _LAST_LINK_KEYS:
            if (place := level.get(key)) is None:
                continue
            if inner:
                place = place.get(inner) if isinstance(place, dict) else None
            if (link := read_link(place)) is not None:
                return link
    return None


def _find_link_in(level: Object) -> str | None:
    places = [*map(level.get, _LINK_KEYS)]
    detail = level.get("detail")
    if isinstance(detail, dict):
        places += map(detail.get, _DETAIL_LINK_KEYS)
        draft = detail.get("draft_info")
        if isinstance(draft, dict):
            places += map(draft.get, _DRAFT_LINK_KEYS)
        places.append(detail.get("generations"))
    places.append(level.get("output"))
    return next(filter(None, map(read_link, filter(None, places))), None)


def _find_failure(levels: list[Object]) -> str | None:
    for level in levels:
        for text in _list_failures(level):
            if shown := hear(text).text:
                return shown
    return None


def _list_failures(level: Object) -> list[Any]:
    """List the places of a failure's text on one level, in the order in which they count."""
    error = level.get("error")
    texts = [error.get("message_zh"), error.get("message")] if isinstance(error, dict) else [error]
    texts += [level.get("fail_reason"), level.get("failure_reason")]
    detail = level.get("detail")
    if isinstance(detail, dict):
        pending = detail.get("pending_info")
        texts.append(detail.get("failure_reason"))
        texts.append(pending.get("failure_reason") if isinstance(pending, dict) else None)
        texts += [detail.get("video_generation_error"), detail.get("error_message")]
    message = level.get("message")
    if not (isinstance(message, str) and message.strip().lower() in _ENVELOPE_TEXTS):
        texts.append(message)
    if isinstance(error, dict):
        texts.append(error.get("code"))
    return [text for text in texts if isinstance(text, str)]


def parse_character(body: Any) -> Character:
    """Read the answer of a character call, flat or wrapped.

    Raises:
        DecodeError: it lacks the id or the username.
    """
    for level in find_levels(body):
        character_id, username = read_text(level.get("id")), read_text(level.get("username"))
        if character_id and username:
            return Character(
                id=character_id,
                username=username,
                permalink=read_link(level.get("permalink")),
                profile_picture_url=read_link(level.get("profile_picture_url")),
                raw=body,
            )
    raise DecodeError("the answer is no character: it lacks the id or the username")
