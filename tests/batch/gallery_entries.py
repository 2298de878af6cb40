"""Entries for a page, and a ledger that only lists them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

from sora_async.batch.ledger import Entry, Stage

STARTED = 1_790_000_000.0
HOSTILE = [
    "</script><script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</style></title></noscript><svg onload=alert(1)>",
    "{{7*7}} {% raw %} {# no #}",
    "<!-- <script> <![CDATA[ &lt;b&gt; &amp;amp;",
    "left \u202egnorw\u202c \u2067 right \u2028\u2029",
    "nul \x00 bell \x07 lone \ud800 \udfff end",
    "a wall " * 1430,
]


class ListedLedger:
    """Knows its entries beforehand; like any other in what a page asks of it."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = list(entries)

    async def entries(self, *stages: Stage) -> AsyncIterator[Entry]:
        for entry in self._entries:
            yield entry


def make_entry(key: str = "first", stage: Stage = Stage.DONE, prompt: Any = "a paper boat", **fields: Any) -> Entry:
    """An entry that was submitted, started and ended if its stage says so; `request` is added to the usual body."""
    request = {"model": "sora-2-all", "orientation": "landscape", "size": "small", "duration": 10, "prompt": prompt}
    was_taken = stage in {Stage.SUBMITTED, Stage.READY, Stage.DONE, Stage.FAILED}
    usual: dict[str, Any] = {
        "task_id": f"video_{key}" if was_taken else None,
        "planned_at": STARTED,
        "submitted_at": STARTED + 2 if was_taken else None,
        "facts": {"started_at": STARTED + 10} if was_taken else {},
        "ended_at": STARTED + 100 if stage in {Stage.DONE, Stage.FAILED} else None,
    }
    return Entry(key=key, stage=stage, request={**request, **fields.pop("request", {})}, **{**usual, **fields})
