"""CPU and calls a second for creates and queries: this client against bare aiohttp used plainly.

A unit is one create followed by one query of its id, both answered and parsed. The server is another process. Rounds
of the two alternate, and the median round of each counts. Run: `python -m benchmarks.throughput [--quick]`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable

import aiohttp
import attrs

from benchmarks.canned_server import canned_server
from benchmarks.machine import describe
from sora_async import Client, VideoRequest

CONCURRENCY = 50
Unit = Callable[[], Awaitable[object]]


@attrs.frozen
class Round:
    """What one round cost for each unit."""

    cpu_us: float
    wall_us: float


async def _run(unit: Unit, units: int) -> Round:
    left = units

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await unit()

    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    return Round(cpu_us=(time.process_time() - cpu) / units * 1e6, wall_us=(time.perf_counter() - wall) / units * 1e6)


def _bare(session: aiohttp.ClientSession, base: str) -> Unit:
    headers = {"Authorization": "Bearer any"}
    body = {
        "prompt": "a paper boat in the rain",
        "images": [],
        "model": "sora-2-all",
        "orientation": "landscape",
        "size": "small",
        "duration": 10,
        "watermark": True,
    }

    async def unit() -> None:
        async with session.post(f"{base}/v1/video/create", json=body, headers=headers) as response:
            response.raise_for_status()
            task_id = (await response.json())["id"]
        async with session.get(f"{base}/v1/video/query", params={"id": task_id}, headers=headers) as response:
            response.raise_for_status()
            await response.json()

    return unit


def _ours(client: Client) -> Unit:
    request = VideoRequest("a paper boat in the rain")

    async def unit() -> None:
        task = await client.create(request)
        await client.query(task.id)

    return unit


async def measure(base: str, *, units: int, rounds: int) -> dict[str, Round]:
    """Alternate rounds of both; answers the median of each."""
    async with aiohttp.ClientSession() as session, Client("any", base) as client:
        contestants = {"bare aiohttp": _bare(session, base), "sora_async": _ours(client)}
        for unit in contestants.values():
            await _run(unit, CONCURRENCY * 2)
        seen: dict[str, list[Round]] = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, unit in contestants.items():
                seen[name].append(await _run(unit, units))
    return {
        name: Round(
            cpu_us=statistics.median(turn.cpu_us for turn in turns),
            wall_us=statistics.median(turn.wall_us for turn in turns),
        )
        for name, turns in seen.items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    quick = parser.parse_args().quick
    with canned_server() as base:
        medians = asyncio.run(measure(base, units=400 if quick else 2000, rounds=3 if quick else 11))
    print(f"One unit is a create and a query; {CONCURRENCY} at a time. {describe()}")
    plain = medians["bare aiohttp"]
    for name, turn in medians.items():
        print(
            f"{name:14} {turn.cpu_us:8.0f} us CPU a unit  {2e6 / turn.wall_us:8.0f} calls a second"
            f"  {turn.cpu_us / plain.cpu_us:5.2f} x the CPU of bare aiohttp"
        )


if __name__ == "__main__":
    main()
