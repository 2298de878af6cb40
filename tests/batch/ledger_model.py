"""A ledger in a dictionary, written from the words of the Protocol alone."""

import attrs

from sora_async.batch import Change, Entry, Stage
from sora_async.batch.ledger import LEFT_BEHIND, MOVES
from sora_async.errors import LedgerError

ENDED = {Stage.DONE, Stage.FAILED, Stage.UNCERTAIN, Stage.RESOLVED}


class Model:
    """Holds entries whose times are 1.0 or None, for no two clocks agree."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

    def crash(self) -> None:
        for key, entry in self.entries.items():
            if entry.stage is Stage.INTENDED:
                self._put(attrs.evolve(entry, stage=Stage.UNCERTAIN, reason=LEFT_BEHIND), key)

    def agrees(self, step: Change | tuple[str, dict, bool], end: object) -> bool:
        """Take a step, and tell whether it ends like the one that a ledger took."""
        wanted = self._record(step) if isinstance(step, Change) else self._enter(*step)
        if wanted is LedgerError:
            return isinstance(end, LedgerError)
        return wanted == (self.shown(end) if isinstance(end, Entry) else end)

    def shown(self, entry: Entry) -> Entry:
        return attrs.evolve(
            entry,
            planned_at=1.0 if entry.planned_at else 0.0,
            submitted_at=entry.submitted_at and 1.0,
            ended_at=entry.ended_at and 1.0,
        )

    def _put(self, entry: Entry, key: str) -> None:
        self.entries[key] = attrs.evolve(entry, ended_at=1.0 if entry.stage in ENDED else None)

    def _enter(self, key: str, request: dict, intend: bool) -> Entry | type[LedgerError] | None:
        entry = self.entries.setdefault(key, Entry(key=key, stage=Stage.PLANNED, request=request, planned_at=1.0))
        if entry.request != request:
            return LedgerError
        if intend and entry.stage is Stage.INTENDED:
            return None
        if intend and entry.stage is Stage.PLANNED:
            self._put(attrs.evolve(entry, stage=Stage.INTENDED, attempt=entry.attempt + 1, reason=None), key)
        return self.entries[key]

    def _record(self, change: Change) -> type[LedgerError] | None:
        entry = self.entries.get(change.key)
        if entry is None or change.stage not in MOVES[entry.stage]:
            return LedgerError
        told = attrs.asdict(change, filter=lambda _, value: value not in (None, b"", {}))
        told |= {"stage": change.stage, "reason": change.reason, "facts": {**entry.facts, **change.facts}}
        if change.stage is Stage.SUBMITTED:
            if not (change.task_id or entry.task_id):
                return LedgerError
            told["submitted_at"] = 1.0
        if change.stage is Stage.PLANNED:
            told |= {"submitted_at": None, "task_id": change.task_id}
        if change.stage is Stage.INTENDED:
            told["attempt"] = entry.attempt + 1
        self._put(attrs.evolve(entry, **told), change.key)
        return None
