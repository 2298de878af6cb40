"""Ledgers of released formats open for ever: `golden/` holds one of each, packed, and none is ever written anew."""

import gzip
from pathlib import Path

import attrs
import pytest
from ledger_suite import ACCOUNT, all_of

from sora_async.batch import Entry, SqliteLedger, Stage
from sora_async.batch.ledger import LEFT_BEHIND
from sora_async.batch.sqlite_schema import MIGRATIONS

GOLDEN = Path(__file__).with_name("golden")
REQUEST = {"model": "sora-2", "prompt": '猫 with a "hat"', "images": ["data:image/png;sha256,00ff"], "duration": 10}
SEEN = {"status": "completed", "started_at": 1764115200.5}
PLANNED_AT = 1764115000.0
DONE = {"path": "cats/a cat.mp4", "size": 12345, "sha256": "ab" * 32, "facts": SEEN}
TASK = {"attempt": 1, "task_id": "sora-2:task_1", "submitted_at": PLANNED_AT + 2}
ENTRIES = [
    Entry(key="planned", stage=Stage.PLANNED, request=REQUEST, planned_at=PLANNED_AT),
    Entry(
        key="intended",
        stage=Stage.UNCERTAIN,
        request=REQUEST,
        attempt=1,
        reason=LEFT_BEHIND,
        planned_at=PLANNED_AT,
    ),
    Entry(key="submitted", stage=Stage.SUBMITTED, request=REQUEST, planned_at=PLANNED_AT, **TASK),
    Entry(key="ready", stage=Stage.READY, request=REQUEST, planned_at=PLANNED_AT, facts=SEEN, **TASK),
    Entry(
        key="done", stage=Stage.DONE, request=REQUEST, planned_at=PLANNED_AT, ended_at=PLANNED_AT + 9, **TASK, **DONE
    ),
    Entry(
        key="failed",
        stage=Stage.FAILED,
        request=REQUEST,
        planned_at=PLANNED_AT,
        reason="moderation: 不合规",
        ended_at=PLANNED_AT + 9,
        **TASK,
    ),
    Entry(
        key="uncertain",
        stage=Stage.UNCERTAIN,
        request=REQUEST,
        attempt=1,
        planned_at=PLANNED_AT,
        reason="502",
        raw=b'\x00{"id',
        ended_at=PLANNED_AT + 9,
    ),
    Entry(
        key="resolved",
        stage=Stage.RESOLVED,
        request=REQUEST,
        attempt=1,
        planned_at=PLANNED_AT,
        reason="given up",
        ended_at=PLANNED_AT + 9,
    ),
]


def test_ledger_golden_has_every_format():
    """Whoever adds a format adds a ledger of it."""
    assert {path.name for path in GOLDEN.iterdir()} == {f"ledger-{n}.db.gz" for n in range(1, len(MIGRATIONS) + 1)}


@pytest.mark.parametrize("golden", sorted(GOLDEN.iterdir()), ids=lambda golden: golden.name)
async def test_ledger_golden_opens_with_all_that_is_in_it(tmp_path, golden):
    """Each entry is as it was, and what was under way is uncertain; the first format had no hints."""
    path = tmp_path / "ledger.db"
    path.write_bytes(gzip.decompress(golden.read_bytes()))
    ledger = SqliteLedger(path)
    await ledger.open(ACCOUNT)
    entries = await all_of(ledger)
    assert await ledger.enter("planned", REQUEST, intend=True)
    hint = None if golden.name == "ledger-1.db.gz" else '{"kinds": [], "version": 1}'
    assert await ledger.recall("durations") == hint
    await ledger.close()
    doubted = entries[1]
    assert doubted.ended_at > PLANNED_AT
    entries[1] = attrs.evolve(doubted, ended_at=None)
    assert entries == ENTRIES
    assert [event.stage.value for event in await ledger.events("intended")] == ["planned", "intended", "uncertain"]
