"""How a batch went: how many were submitted, started and finished by when."""

from __future__ import annotations

import itertools
import math
from array import array
from bisect import bisect_right
from collections.abc import Iterator

import attrs

from sora_async.batch.gallery.card import Times
from sora_async.batch.gallery.wording import as_moment
from sora_async.batch.ledger import Stage

WIDTH = 480
HEIGHT = 100
"""The drawing's own units; a line has at most WIDTH steps, so a page of any batch stays small."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STEPS = [
    *(1, 2, 5, 10, 15, 30),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * _HOUR for hours in (1, 2, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 7, 28, 91, 364)),
]
_MOST_TICKS = 6
_READABLE = (2, 4, 6, 8, 10, 12, 16, 20, 30, 40, 50, 60, 80, 100)


@attrs.frozen(kw_only=True)
class Axis:
    """Round, evenly spaced moments from before the first one to after the last one."""

    start: int
    step: int
    count: int

    @property
    def ticks(self) -> list[int]:
        """The moments, in seconds since 1970."""
        return [self.start + self.step * number for number in range(self.count + 1)]

    @property
    def labels(self) -> list[str]:
        """The moments as short as they stay distinct, in UTC."""
        ticks = self.ticks
        if self.step >= _DAY:
            form = "%d %b %Y" if ticks[-1] - ticks[0] > 300 * _DAY else "%d %b"
        else:
            form = "%H:%M" if self.step >= _MINUTE else "%H:%M:%S"
            if ticks[0] // _DAY != (ticks[-1] - 1) // _DAY:
                form = f"%d %b {form}"
        return [as_moment(tick, form) for tick in ticks]


def make_axis(first: float, last: float) -> Axis:
    """Choose the smallest step that needs at most six intervals."""
    longer = (_STEPS[-1] * 2**power for power in itertools.count(1))
    axes = (_axis_of(step, first, last) for step in itertools.chain(_STEPS, longer))
    return next(axis for axis in axes if axis.count <= _MOST_TICKS)


def _axis_of(step: int, first: float, last: float) -> Axis:
    start = math.floor(first / step) * step
    return Axis(start=start, step=step, count=max(1, math.ceil((last - start) / step)))


@attrs.frozen(kw_only=True)
class Line:
    """One kind of moments, counted over time."""

    name: str
    word: str
    times: array[float]

    def by(self, moment: float) -> int:
        """How many there were by then."""
        return bisect_right(self.times, moment)


@attrs.define
class Timeline:
    """Collects the moments of a batch; eight bytes each."""

    submitted: array[float] = attrs.field(factory=lambda: array("d"))
    started: array[float] = attrs.field(factory=lambda: array("d"))
    finished: array[float] = attrs.field(factory=lambda: array("d"))
    failed: array[float] = attrs.field(factory=lambda: array("d"))

    def add(self, stage: Stage, times: Times) -> None:
        """Count an entry."""
        if times.submitted is not None:
            self.submitted.append(times.submitted)
        if times.started is not None:
            self.started.append(times.started)
        if times.ended is not None and stage is Stage.DONE:
            self.finished.append(times.ended)
        if times.ended is not None and stage is Stage.FAILED:
            self.failed.append(times.ended)

    def draw(self) -> Drawing | None:
        """Make the picture; None if nothing has happened yet."""
        kinds = [
            ("submitted", "Submitted", self.submitted),
            ("started", "Started", self.started),
            ("finished", "Finished", self.finished),
            ("failed", "Failed", self.failed),
        ]
        lines = [Line(name=name, word=word, times=array("d", sorted(times))) for name, word, times in kinds if times]
        if not lines:
            return None
        axis = make_axis(min(line.times[0] for line in lines), max(line.times[-1] for line in lines))
        return Drawing(lines=lines, axis=axis, top=_round_up(max(len(line.times) for line in lines)))


def _round_up(count: int) -> int:
    """The next number that can be halved and is easy to read."""
    unit: int = 10 ** max(0, len(str(count)) - 2)
    return next(unit * number for number in _READABLE if unit * number >= count)


@attrs.frozen(kw_only=True)
class Drawing:
    """The picture of a timeline, and the same as a table."""

    lines: list[Line]
    axis: Axis
    top: int

    @property
    def heading(self) -> str:
        """From when to when."""
        first, last = (as_moment(tick, "%d %B %Y") for tick in (self.axis.ticks[0], self.axis.ticks[-1] - 1))
        return first if first == last else f"{first} to {last}"

    def path(self, line: Line, *, closed: bool = False) -> str:
        """The steps of a line in the drawing's units, from the bottom left; closed to an area if wanted."""
        start, width = self.axis.start, self.axis.step * self.axis.count
        marks, before = [f"M0 {HEIGHT}"], 0
        for x in range(WIDTH + 1):
            count = line.by(start + width * x / WIDTH)
            if count != before:
                marks.append(f"H{x}V{HEIGHT - HEIGHT * count / self.top:.4g}")
                before = count
        # The line goes on to where the batch ended, or the area could not be read.
        marks.append(f"H{WIDTH}")
        return "".join(marks) + (f"V{HEIGHT}Z" if closed else "")

    @property
    def grid(self) -> Iterator[float]:
        """Where the moments of the axis stand, in the drawing's units."""
        return (WIDTH * number / self.axis.count for number in range(1, self.axis.count))

    @property
    def table(self) -> Iterator[tuple[str, list[int]]]:
        """For each moment of the axis, how many there were by then of each kind."""
        for tick in self.axis.ticks:
            yield as_moment(tick), [line.by(tick) for line in self.lines]
