"""What a client tells its `on_event` callback, as small frozen values without keys or bodies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from sora_async.models import VideoTask


@attrs.frozen(kw_only=True)
class Submitted:
    """A create was accepted."""

    task: VideoTask
    """The new task."""
    abandoned: bool = False
    """True if nobody awaits it any more: the caller was cancelled after the request had left."""
    remaining_s: float | None = None
    """Seconds after which it has ended as likely as not; None if it has, or if the pacing cannot tell."""


@attrs.frozen(kw_only=True)
class Polled:
    """A poll was answered."""

    task: VideoTask
    """The task as just seen."""
    remaining_s: float | None = None
    """Seconds after which it has ended as likely as not; None if it has, or if its create was not seen here."""


@attrs.frozen(kw_only=True)
class StatusChanged:
    """A poll showed another status word or state than the one before."""

    task: VideoTask
    """The task as just seen."""
    previous: VideoTask | None
    """The task as seen before, None if this is the first sight of it."""


@attrs.frozen(kw_only=True)
class Retrying:
    """A call failed in a way that may be repeated, and will be."""

    operation: str
    """`create`, `query`, `character` or `download`."""
    task_id: str | None
    """The task, None for a create."""
    error: str
    """What went wrong, in one sentence."""
    delay_s: float
    """Seconds until it is repeated."""


@attrs.frozen(kw_only=True)
class Downloaded:
    """Some more of a file has come."""

    task_id: str | None
    """The task whose file it is."""
    received: int
    """Bytes that came so far, those of an earlier try included; the last few MiB may not be on disk yet."""
    total: int | None
    """Bytes of the whole file, None if its server does not say."""


Event = Submitted | Polled | StatusChanged | Retrying | Downloaded
OnEvent = Callable[[Event], None]
