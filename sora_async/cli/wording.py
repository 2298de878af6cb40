"""How things are said: texts of relays made harmless, tasks and numbers made readable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from sora_async import Character, Downloaded, Event, Retrying, StatusChanged, Submitted, VideoTask

_TEXT_LIMIT = 600


def clean(text: str, limit: int = _TEXT_LIMIT) -> str:
    """One line of printable text: what relays say could hold escape sequences that drive a terminal.

    Args:
        text: any text.
        limit: the most characters to keep.
    """
    shown = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


@attrs.frozen(kw_only=True)
class Result:
    """What a command ends with."""

    facts: dict[str, Any]
    """For `--json`."""
    text: str
    """For people and scripts, on stdout."""
    note: str | None = None
    """For people only."""


def describe_task(task: VideoTask) -> Result:
    """All that is known of a task."""
    facts = {
        "id": task.id,
        "status": task.status,
        "state": task.state.value,
        "progress": task.progress,
        "video_url": task.video_url,
        "thumbnail_url": task.thumbnail_url,
        "gif_url": task.gif_url,
        "enhanced_prompt": task.enhanced_prompt,
        "error_message": task.error_message,
        "created_at": task.created_at and task.created_at.isoformat(),
        "updated_at": task.updated_at and task.updated_at.isoformat(),
    }
    return Result(facts=facts, text=table({**facts, "progress": show_share(task.progress)}))


def describe_created(task: VideoTask, note: str | None = None) -> Result:
    """A task that was just created: its id is what a script wants."""
    return Result(facts={"id": task.id, "status": task.status, "state": task.state.value}, text=task.id, note=note)


def describe_character(who: Character) -> Result:
    """All that is known of a character."""
    facts = {
        "id": who.id,
        "username": who.username,
        "permalink": who.permalink,
        "profile_picture_url": who.profile_picture_url,
    }
    return Result(facts=facts, text=table(facts), note=f"Name it in prompts as @{clean(who.username, 80)}")


def describe_file(task_id: str, path: Path, elapsed_s: float, hint: str = "") -> Result:
    """A file that was just fetched."""
    size = path.stat().st_size
    facts = {"id": task_id, "path": str(path), "bytes": size}
    return Result(facts=facts, text=str(path), note=f"Saved {show_size(size)} after {elapsed_s:.0f} s{hint}")


def show_share(share: float | None) -> str:
    """A share of 0.0 to 1.0 in percent, "" if it is unknown."""
    return "" if share is None else f"{share:.0%}"


def show_size(count: int) -> str:
    """A number of bytes as people read it."""
    if count < 1_000_000:
        return f"{count / 1000:.0f} kB"
    return f"{count / 1_000_000:.1f} MB"


def show_span(seconds: float) -> str:
    """A span of time as people read it."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def event_facts(event: Event) -> dict[str, Any] | None:
    """An event for `--json`, None if it is of no interest there."""
    match event:
        case Submitted(task=task):
            return {"event": "submitted", "id": task.id, "abandoned": event.abandoned}
        case StatusChanged(task=task):
            state = task.state.value
            return {"event": "status", "id": task.id, "status": task.status, "state": state, "progress": task.progress}
        case Retrying(operation=operation, task_id=task_id, error=error, delay_s=delay_s):
            return {
                "event": "retrying",
                "operation": operation,
                "id": task_id,
                "error": error,
                "delay_s": round(delay_s, 3),
            }
        case Downloaded(task_id=task_id, received=received, total=total):
            return {"event": "downloaded", "id": task_id, "received": received, "total": total}
        case _:
            return None


def event_line(event: Event) -> str:
    """An event for people, "" if it is of no interest to them."""
    match event:
        case Submitted(task=task):
            return f"Submitted {clean(task.id)}"
        case StatusChanged(task=task):
            return f"{clean(task.status, 30)} {show_share(task.progress)}".rstrip()
        case Retrying(operation=operation, error=error, delay_s=delay_s):
            return f"{operation} failed, again in {delay_s:.1f} s: {clean(error)}"
        case Downloaded(received=received, total=total):
            return f"downloading, {show_size(received)} of {show_size(total) if total else 'an unknown size'}"
        case _:
            return ""


def show_count(count: int, noun: str, nouns: str | None = None) -> str:
    """A number of things; their plural has an `s` if none is given."""
    return f"{count} {noun if count == 1 else nouns or f'{noun}s'}"


def table(facts: dict[str, Any]) -> str:
    """A line for each fact that there is, its name first."""
    shown = {name: clean(str(fact), 4096) for name, fact in facts.items() if fact not in {None, ""}}
    width = max(map(len, shown))
    return "\n".join(f"{name:<{width}}  {fact}" for name, fact in shown.items())
