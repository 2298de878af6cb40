"""What the ledger in PostgreSQL costs: durable writes by many asyncio tasks at once, and what it leaves of the loop.

A unit is one task's two writes, each durable when it is answered: the intent before a create would leave, and the id
after. First as fast as it goes; beside it, in the same run: the same steps by plain statements, each committed by
itself, on a pool of ten connections. Then at a pace: 3,000 units a second are offered, each at its own time. The server
is a new one on the disk of the current folder, or the one that SORA_TEST_POSTGRES names; it shares the cores with the
client. Run: `python -m benchmarks.postgres_ledger [--quick] [--json FILE]`.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import attrs

from benchmarks.ledger import BODY, Cost, Writes, cost_rows, measure_writes, turn_rows, writing
from benchmarks.postgres_server import OwnServer
from benchmarks.report import Result, Row, run_alone
from sora_async.batch import PostgresLedger

OFFERED_PER_S = 3000.0
CONNECTIONS = 10
_ENTER = """WITH entered AS (
    INSERT INTO entries (number, key, request, planned_at, stage, attempt, raw, facts)
    VALUES (nextval('entry_number'), $1, $2, $3, 'intended', 1, '', '{}') RETURNING number
) INSERT INTO events (at, entry, stage, attempt) SELECT $3, number, 'intended', 1 FROM entered"""
_SUBMIT = """WITH submitted AS (
    UPDATE entries SET stage = 'submitted', task_id = $2, submitted_at = $3 WHERE key = $1 AND stage = 'intended'
    RETURNING number
) INSERT INTO events (at, entry, stage, attempt, task_id) SELECT $3, number, 'submitted', 1, $2 FROM submitted"""


@contextmanager
def _server() -> Iterator[str]:
    if named := os.environ.get("SORA_TEST_POSTGRES"):
        yield named
        return
    server = OwnServer(Path())
    try:
        server.make()
        server.start()
        yield server.dsn
    finally:
        server.stop()


@asynccontextmanager
async def _store(dsn: str) -> AsyncIterator[str]:
    """The name of a ledger that is gone afterwards."""
    name = f"benchmark_{uuid.uuid4().hex}"
    await PostgresLedger(dsn, name=name).migrate()
    yield name
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"DROP SCHEMA sora_{name} CASCADE")
    await connection.close()


@asynccontextmanager
async def _plain(dsn: str, name: str) -> AsyncIterator[Writes]:
    settings = {"search_path": f"sora_{name}"}
    async with asyncpg.create_pool(dsn, min_size=CONNECTIONS, max_size=CONNECTIONS, server_settings=settings) as pool:

        async def intend(key: str) -> None:
            await pool.execute(_ENTER, key, json.dumps({**BODY, "key": key}), time.time())

        async def submit(key: str) -> None:
            await pool.execute(_SUBMIT, key, f"task_{key}", time.time())

        yield Writes(intend, submit)


async def _turn(dsn: str, tasks: int, units: int) -> dict[str, Cost]:
    async with _store(dsn) as name, writing(PostgresLedger(dsn, name=name)) as writes:
        ours = await measure_writes(writes, tasks, units)
    async with _store(dsn) as name, _plain(dsn, name) as writes:
        plain = await measure_writes(writes, tasks, units // 10)
    return {"ours": ours, "plain": plain}


async def _pace(dsn: str, tasks: int, units: int) -> Cost:
    async with _store(dsn) as name, writing(PostgresLedger(dsn, name=name)) as writes:
        return await measure_writes(writes, tasks, units, OFFERED_PER_S)


def _turn_rows(tasks: int, turns: list[dict[str, Cost]], least_per_s: float | None) -> list[Row]:
    processor_us = statistics.median(turn["ours"].cpu_us for turn in turns)
    return [
        *turn_rows(tasks, turns, least_per_s, to=f"a commit each, {CONNECTIONS} connections"),
        Row(what=f"{tasks:,} tasks: CPU", value=processor_us, unit="us/unit"),
    ]


def measure(is_quick: bool) -> Result:
    """Measure each number of tasks some times, and then the pace."""
    units, rounds = (4_000, 1) if is_quick else (20_000, 3)
    turns: dict[int, list[dict[str, Cost]]] = {1000: [], 50: []}
    paced: list[Cost] = []
    with _server() as dsn:
        for _ in range(rounds):
            for tasks, each in turns.items():
                each.append(asyncio.run(_turn(dsn, tasks, units)))
            paced.append(asyncio.run(_pace(dsn, 1000, units)))
        version = asyncio.run(_version(dsn))
    reached = Row(
        what=f"{OFFERED_PER_S:,.0f} units/s offered",
        value=statistics.median(cost.units_per_s for cost in paced),
        unit="units/s",
    )
    details: list[Any] = [
        {who: attrs.asdict(cost) for who, cost in turn.items()} for each in turns.values() for turn in each
    ]
    return Result(
        name="postgres_ledger",
        unit="One unit is a task's two durable writes",
        rows=[
            *_turn_rows(1000, turns[1000], 3000),
            *_turn_rows(50, turns[50], None),
            reached,
            *cost_rows(reached.what, paced, bound_ms=50),
        ],
        notes=[f"PostgreSQL {version}, synchronous_commit, fsync and full_page_writes on, on the client's cores"],
        details=[*details, *({"paced": attrs.asdict(cost)} for cost in paced)],
    )


async def _version(dsn: str) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        return str(connection.get_server_version().major)
    finally:
        await connection.close()


if __name__ == "__main__":
    run_alone(measure, "postgres_ledger", __doc__)
