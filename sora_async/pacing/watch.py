"""One task under an adaptive pacing: what its looks showed, and what its end teaches."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING

from sora_async.pacing.kind import Outlook

if TYPE_CHECKING:
    from sora_async.models import VideoTask
    from sora_async.pacing.kind import Kind

_MOST_LOOKS = 12
_INSTANT_S = 1e-3
_SLIGHT = 1e-3
_DOUBTS = (-10.0, 2.0)
_COARSE_S = 1.0
"""Relays tell times in whole seconds."""
_BORDER = 0.05
_LATE_S = 1.0
"""A poll that came so much later than it was due, for want of a turn or as the answer took its time, shows a lag that
more polls would not shorten."""


class Watch:
    """What is known of one task.

    Args:
        kind: its kind.
        age_s: its age when it was first known.
        heeds: whether its progress is heeded.

    Attributes:
        due_s: the age at which the next poll is due.
    """

    __slots__ = ("_doubt", "_heeds", "_kind", "_looks", "_outlook", "_trim", "due_s")

    def __init__(self, kind: Kind, age_s: float, *, heeds: bool) -> None:
        self._kind = kind
        self._heeds = heeds
        self._outlook = Outlook(age_s)
        self._looks: array[float] | None = None
        self._doubt = 0.0
        self._trim = kind.trim
        self.due_s = math.inf

    def delay(self, age_s: float) -> float:
        """The seconds from an age to the next poll."""
        return self._kind.delay(self._outlook, age_s)

    def see(self, progress: float | None, age_s: float) -> None:
        """Take in a look that shows it running."""
        self._weigh(age_s)
        self._trim = self._kind.trim
        if progress is None or not 0 < progress <= 1:
            self._outlook = Outlook(age_s)
            return
        if self._looks is None:
            self._looks = array("f")  # not before, since many relays tell no progress, and many tasks wait at once
        if len(self._looks) < 2 * _MOST_LOOKS:
            self._looks.extend((age_s, progress))
        bet = self._kind.progress.bet(progress, age_s)
        belief = 1 / (1 + math.exp(-bet.belief - self._doubt))
        self._kind.hear(belief)
        self._outlook = Outlook(age_s, bet, belief if self._heeds else 0.0)

    def _weigh(self, age_s: float) -> None:
        """Doubt progress that told an end which did not come."""
        before = self._outlook
        if before.bet is not None and age_s > before.age_s:
            told = 1 - before.bet.ended(age_s - before.age_s)[0]
            blind = self._kind.alive(age_s) / self._kind.alive(before.age_s)
            doubt = self._doubt + math.log((told + _SLIGHT) / (blind + _SLIGHT))
            self._doubt = max(_DOUBTS[0], min(_DOUBTS[1], doubt))

    def end(self, task: VideoTask, age_s: float) -> None:
        """Teach its kind: it ended between the last look and this one, or when the relay says so credibly."""
        low_s, high_s = self._outlook.age_s, max(age_s, self._outlook.age_s + _INSTANT_S)
        told_s = _told_age(task, low_s, high_s)
        lag_s: float | None
        if told_s is None:
            chance, lag_s = self._kind.ended(self._outlook, high_s - low_s)
            lag_s = min(high_s - low_s, lag_s / max(chance, _INSTANT_S**3))
        else:
            lag_s = high_s - told_s
            low_s, high_s = told_s - _COARSE_S / 2, told_s + _COARSE_S / 2
        if age_s > self.due_s + _LATE_S:
            lag_s = None
        seen = self._looks or ()
        looks = zip(seen[::2], seen[1::2], strict=True)
        self._kind.learn(looks, low_s, high_s, lag_s=lag_s, trim=self._trim)


def _told_age(task: VideoTask, low_s: float, high_s: float) -> float | None:
    """The age at the end by the relay's own two times; None unless it lies well inside what was seen.

    A relay that tells the time of the answer, or of an earlier change, tells a border.
    """
    if task.created_at is None or task.updated_at is None:
        return None
    age_s = (task.updated_at - task.created_at).total_seconds()
    border_s = max(_COARSE_S, _BORDER * (high_s - low_s))
    return age_s if low_s + border_s < age_s < high_s - border_s else None
