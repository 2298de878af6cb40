"""What a pacing is, and the pacings that learn nothing.

A pacing has one method, `delays()`, whose generator follows backoff's protocol for wait generators: `next()` starts it
(what that yields means nothing), then each `send(task)` answers the seconds until the next poll. It is sent the task
as last seen, the same object again after a poll that failed, or None if nothing is known of it yet.

A pacing that can use more has `delays_for` too, and is then asked by that. Its generator is driven in the same way: the
request is a fact of the whole task, so it comes at the start; and the age, which counts the time that calls and repeats
take, is read when it is needed, so neither a clock comes in here nor another shape of `send`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    from sora_async.models import VideoRequest, VideoTask

Delays = Generator[float, "VideoTask | None", None]


class Pacing(Protocol):
    """What decides when a task is polled."""

    def delays(self) -> Delays:
        """Answer a new generator for one task."""
        ...


@runtime_checkable
class InformedPacing(Pacing, Protocol):
    """A pacing that wants to know which task it paces, and how old that is."""

    def delays_for(self, request: VideoRequest | None, age_s: Callable[[], float]) -> Delays:
        """Answer a new generator for one task.

        Args:
            request: what was asked for; None if that is not known.
            age_s: answers the seconds since its create was accepted, whenever the generator is sent to.
        """
        ...

    def remaining_s(self, request: VideoRequest | None, age_s: float, progress: float | None = None) -> float:
        """Answer the seconds after which a task has ended as likely as not, if it was seen running at an age."""
        ...

    def urgency(
        self, request: VideoRequest | None, *, seen_s: float, age_s: float, progress: float | None = None
    ) -> float:
        """Answer the chance, 0.0 to 1.0, that a task last seen running at one age has ended by another."""
        ...

    def learned(self) -> Mapping[str, Any]:
        """Answer what was learnt, as JSON values."""
        ...

    def learn(self, learned: Mapping[str, Any]) -> None:
        """Take over what another one of its kind answered; ValueError if it cannot be that."""
        ...


def _check_seconds(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{attribute.name} must be a number of seconds from 0, not {value!r}")


@attrs.frozen
class Fixed:
    """The same time between all polls."""

    interval: float = attrs.field(validator=_check_seconds)
    """Seconds from the end of one poll to the next, from 0."""

    def delays(self) -> Delays:
        """Answer a generator that always yields the interval."""
        yield 0.0
        while True:
            yield self.interval


@attrs.frozen
class Growing:
    """Times that grow from poll to poll, and shrink again when progress shows that the end is near."""

    first: float = attrs.field(default=5.0, validator=_check_seconds)
    """Seconds before the first poll, and the least before any."""
    factor: float = attrs.field(default=1.5)
    """Each time is the one before it times this, from 1.0."""
    limit: float = attrs.field(default=20.0, validator=_check_seconds)
    """The longest time in seconds, not under `first`. Relays advise 10 to 60 s."""

    def __attrs_post_init__(self) -> None:
        if not (math.isfinite(self.factor) and self.factor >= 1):
            raise ValueError(f"factor must be a number from 1.0, not {self.factor!r}")
        if self.limit < self.first:
            raise ValueError(f"limit must not be under first, but {self.limit!r} < {self.first!r}")

    def delays(self) -> Delays:
        """Answer a generator of growing times for one task."""
        task = yield 0.0
        planned = self.first
        elapsed = 0.0
        remaining = _Remaining()
        while True:
            # The prediction only ever brings a poll forward: progress that stalls or lies cannot starve a task.
            delay = min(planned, max(self.first, remaining.predict(task, elapsed)))
            elapsed += delay
            planned = min(self.limit, planned * self.factor)
            task = yield delay


class _Remaining:
    """Seconds left, by the speed between the first progress seen and the latest."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None

    def predict(self, task: VideoTask | None, elapsed: float) -> float:
        if task is None or task.progress is None:
            return math.inf
        if self._first is None:
            self._first = elapsed, task.progress
        seconds, gained = elapsed - self._first[0], task.progress - self._first[1]
        return (1.0 - task.progress) * seconds / gained if gained > 0 else math.inf
