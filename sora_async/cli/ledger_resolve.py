"""What the user knows better than the ledger: it was bought, it is lost, it is to be sent again."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from sora_async.batch import Change, Entry, Stage
from sora_async.cli.ledger_place import Place
from sora_async.cli.ledger_show import find_entry
from sora_async.cli.wording import Result, clean

if TYPE_CHECKING:
    from sora_async.cli.ledger_place import AnyLedger


class Way(enum.Enum):
    """How an entry may be settled."""

    ID = "--id"
    LOST = "--lost"
    RETRY = "--retry"


_WAYS: dict[Stage, tuple[Way, ...]] = {
    Stage.UNCERTAIN: (Way.ID, Way.LOST, Way.RETRY),
    Stage.SUBMITTED: (Way.ID, Way.LOST),
    Stage.READY: (Way.LOST,),
    Stage.FAILED: (Way.LOST, Way.RETRY),
    Stage.RESOLVED: (Way.RETRY,),
}
_ENDS = {
    Way.ID: (Stage.SUBMITTED, "bought by its user's word", "run the batch again to fetch it"),
    Way.LOST: (Stage.RESOLVED, "given up by its user", "it counts no more"),
    Way.RETRY: (Stage.PLANNED, "to be sent again by its user's word", "the next run of the batch buys it"),
}
_MAX_ID_LENGTH = 512


async def resolve_entry(place: Place, key: str, way: Way, task_id: str | None) -> Result:
    """Settle one entry.

    Args:
        place: the ledger.
        key: which.
        way: how.
        task_id: its id, for Way.ID.

    Raises:
        LedgerError: the ledger cannot be used, or a batch is writing it.
        ValueError: there is no such entry, or it cannot be settled so.
    """
    ledger = place.ledger()
    await find_entry(place, ledger, key)
    await ledger.open(await ledger.account())
    try:
        entry = await find_entry(place, ledger, key)
        _check_way(entry, way)
        if task_id is not None:
            await _check_id(ledger, entry, task_id)
        stage, reason, hint = _ENDS[way]
        await ledger.record(Change(key=key, stage=stage, task_id=task_id, reason=reason))
    finally:
        await ledger.close()
    facts = {"key": key, "stage": stage.value, "task_id": task_id if way is Way.ID else None}
    return Result(facts=facts, text=f"{clean(key)} is {stage.value} now", note=hint)


def _check_way(entry: Entry, way: Way) -> None:
    ways = _WAYS.get(entry.stage, ())
    if way not in ways:
        can = ", ".join(way.value for way in ways)
        advice = f"it can be settled with {can}" if ways else "there is nothing to settle"
        raise ValueError(
            f"{entry.key!r} is {entry.stage.value} in the ledger, which {way.value} does not fit: {advice}"
        )


async def _check_id(ledger: AnyLedger, entry: Entry, task_id: str) -> None:
    if not (0 < len(task_id) <= _MAX_ID_LENGTH and task_id.isprintable() and task_id == task_id.strip()):
        raise ValueError(f"--id: {clean(task_id, 80)!r} is not a task id")
    for other in await ledger.entries_of_task(task_id):
        if other.key != entry.key:
            raise ValueError(f"--id: {task_id!r} is the task of {other.key!r} already")
