"""What is in a ledger, for people and for programs."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sora_async.batch import Entry, Stage
from sora_async.cli.ledger_place import Place
from sora_async.cli.reporting import Output
from sora_async.cli.wording import Result, clean, show_count, table

if TYPE_CHECKING:
    from sora_async.cli.ledger_place import AnyLedger

_WIDEST = 40
_SHOWN = 160


async def show_ledger(place: Place, stages: Sequence[Stage], output: Output) -> None:
    """List the entries in these stages; none: all."""
    ledger = place.ledger()
    counts: Counter[Stage] = Counter()
    widths = [0, 0]
    async for entry in ledger.entries():
        counts[entry.stage] += 1
        widths = [max(widths[0], len(entry.key)), max(widths[1], len(entry.task_id or ""))]
    shown = {stage.value: counts[stage] for stage in Stage if counts[stage]}
    output.fact({"event": "ledger", "entries": counts.total(), "stages": shown}, _head(counts.total(), shown))
    async for entry in ledger.entries(*stages):
        output.fact({"event": "entry", **entry_facts(entry)}, _line(entry, *widths))
    if counts[Stage.UNCERTAIN]:
        words = ["sora-async", "ledger", "resolve", "KEY", "--id", "ID|--lost|--retry", "--ledger", str(place)]
        command = shlex.join(words).replace("'ID|--lost|--retry'", "ID|--lost|--retry")
        output.note(f"settle the uncertain ones, each with: {command}")


async def show_entry(place: Place, key: str, output: Output) -> None:
    """Show all of one entry.

    Raises:
        ValueError: there is none of this key.
    """
    ledger = place.ledger()
    entry = await find_entry(place, ledger, key)
    events = [
        {
            "at": moment(event.at),
            "stage": event.stage.value,
            "attempt": event.attempt,
            "task_id": event.task_id,
            "reason": event.reason,
        }
        for event in await ledger.events(key)
    ]
    facts = entry_facts(entry)
    steps = (f"{event['at']}  {event['stage']:<9}  {clean(str(event['reason'] or ''))}".rstrip() for event in events)
    output.done(Result(facts={**facts, "events": events}, text="\n".join([table(_flat(facts)), "", *steps])))


async def find_entry(place: Place, ledger: AnyLedger, key: str) -> Entry:
    """Answer the entry of a key.

    Raises:
        ValueError: there is none.
    """
    entry = await ledger.entry(key)
    if entry is None:
        command = shlex.join(["sora-async", "ledger", "show", str(place)])
        raise ValueError(f"{clean(key)!r} is no key in this ledger; see them with: {command}")
    return entry


def entry_facts(entry: Entry) -> dict[str, Any]:
    """All of an entry, for programs."""
    facts = dict(entry.facts)
    started = facts.pop("started_at", None)
    return {
        "key": entry.key,
        "stage": entry.stage.value,
        "task_id": entry.task_id,
        "attempt": entry.attempt,
        "reason": entry.reason,
        "path": entry.path,
        "bytes": entry.size,
        "sha256": entry.sha256,
        "planned_at": moment(entry.planned_at),
        "submitted_at": moment(entry.submitted_at),
        "started_at": moment(started if isinstance(started, int | float) else None),
        "ended_at": moment(entry.ended_at),
        "facts": facts,
        "raw": entry.raw.decode(errors="replace"),
        "request": dict(entry.request),
    }


def moment(seconds: float | None) -> str | None:
    """A moment as ISO 8601 has it, in UTC to the millisecond."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _flat(facts: dict[str, Any]) -> dict[str, str]:
    """The same facts as texts, those that are empty left out."""
    rest = {name: fact for name, fact in facts.items() if name not in {"facts", "request"}}
    named = {**rest, **facts["facts"], **facts["request"]}
    return {name: str(fact) for name, fact in named.items() if fact not in (None, "", [])}


def _head(count: int, shown: dict[str, int]) -> str:
    parts = ", ".join(f"{number} {stage}" for stage, number in shown.items())
    return f"{show_count(count, 'entry', 'entries')}: {parts}" if count else "0 entries"


def _line(entry: Entry, key_width: int, id_width: int) -> str:
    what = entry.reason or entry.path or str(entry.request.get("prompt", ""))
    key, task_id = clean(entry.key), clean(entry.task_id or "-")
    columns = [f"{entry.stage.value:<9}", key.ljust(min(_WIDEST, key_width)), task_id.ljust(min(_WIDEST, id_width))]
    return "  ".join([*columns, clean(what, _SHOWN)])
