"""CPU and calls a second for creates and queries: this client against bare aiohttp used plainly.

A unit is one create followed by one query of its id, both answered and parsed. The server is another process. Rounds
come in pairs, one of each contestant, and take turns in going first. The ratio that counts is the median of the pairs'
ratios: what else the machine does strikes both rounds of a pair. Run: `python -m benchmarks.throughput [--quick]`.
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


async def measure(base: str, *, units: int, pairs: int) -> tuple[list[Round], list[Round]]:
    """Pairs of rounds: those of bare aiohttp, and those of this client."""
    plain: list[Round] = []
    ours: list[Round] = []
    async with aiohttp.ClientSession() as session, Client("any", base) as client:
        contestants = [(_bare(session, base), plain), (_ours(client), ours)]
        for unit, _ in contestants:
            await _run(unit, CONCURRENCY * 4)
        for _ in range(pairs):
            for unit, rounds in contestants:
                rounds.append(await _run(unit, units))
            contestants.reverse()
    return plain, ours


def _show(name: str, rounds: list[Round]) -> str:
    cpu_us = statistics.median(turn.cpu_us for turn in rounds)
    wall_us = statistics.median(turn.wall_us for turn in rounds)
    return f"{name:14} {cpu_us:6.0f} us CPU a unit  {2e6 / wall_us:7.0f} calls a second"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    quick = parser.parse_args().quick
    with canned_server() as base:
        plain, ours = asyncio.run(measure(base, units=400 if quick else 1000, pairs=5 if quick else 31))
    print(f"One unit is a create and a query; {CONCURRENCY} at a time, {len(ours)} pairs of rounds. {describe()}")
    print(_show("bare aiohttp", plain))
    print(_show("sora_async", ours))
    ratios = [mine.cpu_us / bare.cpu_us for mine, bare in zip(ours, plain, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"CPU of sora_async over bare aiohttp, median of pairs: {middle:.2f} (half of them {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
