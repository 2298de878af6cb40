"""An entry as a row of a table, and what else is written of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import attrs

from sora_async.batch.ledger import Change, Entry, Stage, check_move
from sora_async.errors import LedgerError

_ENDS = {Stage.DONE, Stage.FAILED, Stage.UNCERTAIN, Stage.RESOLVED}
_NOTHING = "{}"
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


@attrs.frozen
class Request:
    """The body of a create, to be compared and written."""

    body: Mapping[str, Any]
    """As given."""
    text: str
    """One line of JSON, the same for equal bodies whatever the order of their fields."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Request:
        """Write a body down; raises TypeError or ValueError if it is no JSON."""
        return cls(body, _encode(dict(body)))


@attrs.frozen(kw_only=True)
class Event:
    """One step that an entry took."""

    at: float
    """When, in seconds since 1970, UTC."""
    stage: Stage
    """Where it came to."""
    attempt: int
    """How many times it had been intended by then."""
    task_id: str | None
    """The id that it had then."""
    reason: str | None
    """Why."""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _read_facts(text: str) -> dict[str, Any]:
    facts: dict[str, Any] = {} if text == _NOTHING else json.loads(text)
    return facts


@attrs.define
class Row:
    """The columns of an entry, in the order of the table."""

    number: int
    key: str
    request: str
    planned_at: float
    stage: str = Stage.PLANNED.value
    attempt: int = 0
    task_id: str | None = None
    reason: str | None = None
    raw: bytes = b""
    path: str | None = None
    size: int | None = None
    sha256: str | None = None
    facts: str = _NOTHING
    submitted_at: float | None = None
    ended_at: float | None = None

    def check_request(self, request: Request) -> None:
        """Raise LedgerError if the key stands for another request; it names what differs."""
        if self.request == request.text:
            return
        there, here = json.loads(self.request), request.body
        fields = ", ".join(sorted(name for name in {*there, *here} if there.get(name, ...) != here.get(name, ...)))
        raise LedgerError(
            f"{self.key!r} stands for the request {_digest(self.request)} in the ledger, not for "
            f"{_digest(request.text)}, which differs in {fields}: give it another key"
        )

    def take(self, change: Change, now: float) -> None:
        """Take a step; raises LedgerError if it is not one of MOVES, or lacks the id."""
        check_move(self.key, Stage(self.stage), change.stage)
        if change.stage is Stage.SUBMITTED and not (change.task_id or self.task_id):
            raise LedgerError(f"{self.key!r} cannot become submitted without an id")
        self.take_stage(change.stage, now)
        # What a relay wrote may hold halves of characters, which no text column takes; the step must not fail for it.
        self.reason = change.reason and change.reason.encode(errors="replace").decode()
        self.task_id = change.task_id or self.task_id
        self.raw = change.raw or self.raw
        self.path = self.path if change.path is None else change.path
        self.size = self.size if change.size is None else change.size
        self.sha256 = self.sha256 if change.sha256 is None else change.sha256
        if change.facts:
            self.facts = _encode({**_read_facts(self.facts), **change.facts})

    def take_stage(self, stage: Stage, now: float) -> None:
        """Take the part of a step that follows from its stage."""
        if stage is Stage.INTENDED:
            self.attempt += 1
        elif stage is Stage.PLANNED:
            # What is bought next is another task.
            self.task_id = self.submitted_at = None
        elif stage is Stage.SUBMITTED and self.stage != stage.value:
            self.submitted_at = now
        self.ended_at = now if stage in _ENDS else None
        self.stage = stage.value
        self.reason = None

    def show(self, request: Mapping[str, Any]) -> Entry:
        """Make it an Entry with this request, which must be its own."""
        return Entry(
            key=self.key,
            stage=Stage(self.stage),
            request=request,
            attempt=self.attempt,
            task_id=self.task_id,
            reason=self.reason,
            raw=self.raw,
            path=self.path,
            size=self.size,
            sha256=self.sha256,
            facts=_read_facts(self.facts),
            planned_at=self.planned_at,
            submitted_at=self.submitted_at,
            ended_at=self.ended_at,
        )
