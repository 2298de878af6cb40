"""What is known of a batch while it runs: how inputs ended, what is under way, what was bought, how fast it goes."""

from __future__ import annotations

import enum
import time
from collections import Counter
from collections.abc import Callable, Mapping

import attrs

from sora_async import (
    Downloaded,
    Event,
    Outcome,
    Polled,
    Retrying,
    State,
    StatusChanged,
    SubmissionUncertainError,
    Submitted,
    TaskFailedError,
    WaitTimeoutError,
)
from sora_async.batch import Change, Entry, Stage
from sora_async.cli.wording import event_line

SETTLED = frozenset({Stage.DONE, Stage.FAILED, Stage.UNCERTAIN, Stage.RESOLVED})


class End(enum.Enum):
    """How one input ended in this run."""

    DONE = "done"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    UNFINISHED = "unfinished"
    """Not finished at the deadline; the task goes on."""
    UNFETCHED = "unfetched"
    """Bought, and its file is not here."""
    REFUSED = "refused"
    """Nothing was bought."""
    GIVEN_UP = "given up"
    """The user has given it up in the ledger."""


@attrs.define(kw_only=True)
class Row:
    """One input under way."""

    name: str
    """Its prompt."""
    stage: Stage
    """How far it is in the ledger."""
    is_known: bool
    """Whether it had ended before this run."""
    since: float
    """When it was begun, on the tally's clock."""
    task_id: str | None = None
    """Its task."""
    is_running: bool = False
    """Whether the relay has begun with it."""
    status: str = ""
    """The relay's word."""
    share: float | None = None
    """How much of it is done, 0.0 to 1.0; None if that is not known."""
    ends_at: float | None = None
    """When the task will have ended as likely as not, on the tally's clock; None if nothing tells."""

    @property
    def phase(self) -> str:
        """What is going on with it; empty if it has ended."""
        if self.stage is Stage.SUBMITTED:
            return "rendering" if self.is_running else "queued"
        return _PHASES.get(self.stage, "")


_PHASES = {Stage.PLANNED: "waiting", Stage.INTENDED: "sending", Stage.READY: "downloading"}
PHASES = ("waiting", "sending", "queued", "rendering", "downloading")
"""What may go on with an input, in the order in which it happens."""


class Tally:
    """Counts. Its memory is bounded by what is under way.

    Args:
        max_tasks: what this run may buy; None for any number.
        clock: gives seconds that never go back.

    Attributes:
        total: how many inputs there are.
        ends: how many ended how.
        rows: what is under way, by key, the oldest first.
        bought: how many creates were accepted in this run.
        trouble: what went wrong last and is being repeated.
    """

    def __init__(self, max_tasks: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = 0
        self.ends: Counter[End] = Counter()
        self.rows: dict[str, Row] = {}
        self.bought = 0
        self.trouble = ""
        self._max_tasks = max_tasks
        self._clock = clock
        self._began = clock()
        self._elsewhere: Counter[str] = Counter()
        self._keys: dict[str, str] = {}
        # Of tasks that the ledger has not told of yet.
        self._ends: dict[str, float] = {}
        self._worked = 0

    def entered(self, entry: Entry) -> None:
        """An input was looked up in the ledger, or is about to be sent."""
        row = self.rows.get(entry.key)
        if row is None:
            self.rows[entry.key] = Row(
                name=str(entry.request.get("prompt", "")),
                stage=entry.stage,
                is_known=entry.stage in SETTLED,
                since=self._clock(),
            )
            self._note_task(entry.key, entry.task_id)
        else:
            row.stage = entry.stage

    def changed(self, change: Change) -> None:
        """The ledger takes a step."""
        row = self.rows.get(change.key)
        if row is None:
            return
        if change.stage is Stage.SUBMITTED:
            self.bought += 1
            self.trouble = ""
        row.stage, row.share, row.ends_at = change.stage, None, self._ends.pop(change.task_id or "", None)
        self._note_task(change.key, change.task_id)

    def brought(self, entry: Entry, is_new: bool) -> None:
        """Another machine has brought an input to its end; `is_new` tells whether it was bought in this run."""
        self.bought += is_new
        self.rows[entry.key] = Row(
            name=str(entry.request.get("prompt", "")),
            stage=entry.stage,
            is_known=not is_new and entry.stage in SETTLED,
            since=self._began,
        )
        self._note_task(entry.key, entry.task_id)

    def told_elsewhere(self, stages: Mapping[Stage, int]) -> None:
        """Other machines tell how many of their inputs under way are in which stage."""
        self._elsewhere = Counter()
        for stage, count in stages.items():
            # Whether the relay has begun with them, they do not tell.
            self._elsewhere["rendering" if stage is Stage.SUBMITTED else _PHASES.get(stage, "")] += count

    def _note_task(self, key: str, task_id: str | None) -> None:
        if task_id is not None:
            self.rows[key].task_id = task_id
            self._keys[task_id] = key

    def heard(self, event: Event) -> None:
        """The client tells something."""
        if isinstance(event, Retrying):
            self.trouble = event_line(event)
        elif isinstance(event, Submitted):
            if event.remaining_s is not None:
                self._ends[event.task.id] = self._clock() + event.remaining_s
        elif isinstance(event, Polled | StatusChanged):
            if (row := self._find(event.task.id)) is not None:
                row.status, row.share = event.task.status, event.task.progress
                row.is_running = event.task.state is not State.QUEUED
                if isinstance(event, Polled):
                    row.ends_at = None if event.remaining_s is None else self._clock() + event.remaining_s
        elif isinstance(event, Downloaded) and (row := self._find(event.task_id)) is not None:
            row.status = ""
            row.share = event.received / event.total if event.total else None

    def _find(self, task_id: str | None) -> Row | None:
        key = self._keys.get(task_id) if task_id is not None else None
        return None if key is None else self.rows.get(key)

    def ended(self, outcome: Outcome) -> tuple[End, Row | None]:
        """An input has come to its end: answers how, and what was known of it."""
        row = self.rows.pop(outcome.key, None)
        if row is not None and row.task_id is not None:
            self._keys.pop(row.task_id, None)
        end = _judge(outcome, row)
        self.ends[end] += 1
        if end is End.DONE:
            self.trouble = ""
        self._worked += row is None or not row.is_known
        return end, row

    def close(self) -> None:
        """The run is over: what is left in doubt has ended so, and what was not bought is under way no more."""
        for key, row in tuple(self.rows.items()):
            if row.stage in {Stage.INTENDED, Stage.UNCERTAIN}:
                self.ends[End.UNCERTAIN] += 1
            if row.stage not in {Stage.SUBMITTED, Stage.READY}:
                del self.rows[key]

    @property
    def finished(self) -> int:
        """How many inputs have ended."""
        return self.ends.total()

    @property
    def unbought(self) -> int:
        """How many inputs are neither ended nor under way."""
        return max(0, self.total - self.finished - len(self.rows))

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._began

    def age_s(self, row: Row) -> float:
        """Seconds since an input was begun."""
        return self._clock() - row.since

    @property
    def rate(self) -> float | None:
        """Inputs that ended in each second, those aside that had ended before; None before the first."""
        return self._worked / self.elapsed_s if self._worked and self.elapsed_s > 0 else None

    def remaining_s(self, row: Row) -> float | None:
        """Seconds until the task of an input has ended as likely as not; None if nothing tells, or it is time."""
        left_s = 0.0 if row.ends_at is None else row.ends_at - self._clock()
        return left_s if left_s > 0 else None

    @property
    def left_s(self) -> float | None:
        """Seconds until the end, if it goes on like this; None if that cannot be said yet."""
        if not self.unbought and (spans := [*filter(None, map(self.remaining_s, self.rows.values()))]):
            return max(spans)  # all are under way, so the slowest one tells more than the rate
        left = self.total - self.finished
        if self._max_tasks is not None:
            left = min(left, len(self.rows) + max(0, self._max_tasks - self.bought))
        return None if self.rate is None else left / self.rate

    def phases(self) -> dict[str, int]:
        """How many inputs are in each phase, without those phases in which there are none."""
        counts = Counter(row.phase for row in self.rows.values()) + self._elsewhere
        return {phase: counts[phase] for phase in PHASES if counts[phase]}


def _judge(outcome: Outcome, row: Row | None) -> End:
    error = outcome.error
    if error is None:
        return End.DONE
    if isinstance(error, SubmissionUncertainError) or (row is not None and row.stage is Stage.UNCERTAIN):
        return End.UNCERTAIN
    if isinstance(error, TaskFailedError):
        return End.FAILED
    if isinstance(error, WaitTimeoutError):
        return End.UNFINISHED
    if row is not None and row.stage is Stage.RESOLVED:
        return End.GIVEN_UP
    return End.UNFETCHED if row is not None and row.task_id is not None else End.REFUSED
