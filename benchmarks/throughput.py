"""CPU and calls a second for creates and queries: this client, bare aiohttp and httpx used plainly, and its peers.

A unit is one create followed by one query of its id, both answered and parsed. The server is another process on
another core, and its share of that core is shown. Rounds take turns, one of each contestant, back and forth, so that
bare aiohttp and this client are always neighbours. The ratio that counts is the median of the turns' ratios: what else
the machine does strikes all rounds of a turn. Run: `python -m benchmarks.throughput [--quick] [--json FILE]`.
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import time
import warnings
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack

import attrs

from benchmarks.canned_server import CREATED, QUERIED, ServerProcess, canned_server
from benchmarks.machine import on_core
from benchmarks.peers import bare, bare_httpx, fal, openai, ours
from benchmarks.peers.peer import Calls, Peer
from benchmarks.report import Result, Row, run_alone

CONCURRENCY = 50
PEERS = (openai.PEER, fal.PEER, bare_httpx.PEER, bare.PEER, ours.PEER)
WARM_UP = 100


@attrs.frozen(kw_only=True)
class Round:
    """What one round cost."""

    cpu_us: float
    """This process's, for each unit."""
    wall_us: float
    """For each unit."""
    served: float
    """The share of its core that the server needed."""


@attrs.define
class Contestant:
    """A client at work against a server of its own."""

    name: str
    calls: Calls
    server: ServerProcess
    units: int = WARM_UP
    """In one round."""
    rounds: list[Round] = attrs.field(factory=list)

    async def _work(self) -> None:
        create, query, left = self.calls.create, self.calls.query, self.units
        assert query is not None

        async def worker() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await query(await create())

        await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))

    async def run(self) -> Round:
        """Do the units of one round."""
        gc.collect()
        served, cpu, wall = self.server.effort().cpu_s, time.process_time(), time.perf_counter()
        await self._work()
        cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - wall
        return Round(
            cpu_us=cpu_s / self.units * 1e6,
            wall_us=wall_s / self.units * 1e6,
            served=(self.server.effort().cpu_s - served) / wall_s,
        )

    async def warm_up(self, round_s: float) -> None:
        """Open the connections, and see how many units make a round of so many seconds."""
        await self.run()
        self.units = max(CONCURRENCY, round(round_s * 1e6 / (await self.run()).cpu_us))

    def median(self, of: str) -> float:
        return float(statistics.median(getattr(turn, of) for turn in self.rounds))


async def compete(servers: Sequence[tuple[Peer, ServerProcess]], turns: int, round_s: float) -> list[Contestant]:
    """Let all take turns."""
    async with AsyncExitStack() as clients:
        contestants = [
            Contestant(peer.name, await clients.enter_async_context(peer.connect(server.url)), server)
            for peer, server in servers
        ]
        for contestant in contestants:
            await contestant.warm_up(round_s)
        for turn in range(turns):
            for contestant in contestants[:: -1 if turn % 2 else 1]:
                contestant.rounds.append(await contestant.run())
    return contestants


def _ratios(of: str, one: Contestant, other: Contestant) -> list[float]:
    return [getattr(mine, of) / getattr(its, of) for mine, its in zip(one.rounds, other.rounds, strict=True)]


def _rows(each: dict[str, Contestant]) -> list[Row]:
    mine, plain = each["sora_async"], each["aiohttp"]
    rows = []
    for name, one in reversed(each.items()):
        ratio = None if one is plain else statistics.median(_ratios("cpu_us", one, plain))
        wanted = 1.1 if one is mine else None
        rows.append(
            Row(what=f"{name}: CPU", value=one.median("cpu_us"), unit="us", ratio=ratio, to="aiohttp", at_most=wanted)
        )
    if "openai" in each:
        ratio = statistics.median(_ratios("cpu_us", mine, each["openai"]))
        cpu_us = mine.median("cpu_us")
        rows.append(Row(what="sora_async: CPU", value=cpu_us, unit="us", ratio=ratio, to="openai", at_most=1 / 6))
    for name, one in reversed(each.items()):
        ratio = None if one is plain else 1 / statistics.median(_ratios("wall_us", one, plain))
        calls = 2e6 / one.median("wall_us")
        rows.append(Row(what=f"{name}: speed", value=calls, unit="calls/s", ratio=ratio, to="aiohttp"))
    busiest = max(one.median("served") for one in each.values())
    return [*rows, Row(what="the busiest server, of its core", value=busiest * 100, unit="%", at_most=90)]


def measure(is_quick: bool) -> Result:
    """Let all that are installed take turns."""
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    # openai's client warns that its video API ends one day.
    warnings.simplefilter("ignore", DeprecationWarning)
    turns, round_s = (5, 0.2) if is_quick else (21, 0.5)
    with ExitStack() as held:
        plain = held.enter_context(canned_server(CREATED, QUERIED))
        servers = [
            (
                peer,
                plain
                if peer.wire is ours.WIRE
                else held.enter_context(canned_server(peer.wire.created, peer.wire.polled(peer.wire.running))),
            )
            for peer in PEERS
            if peer.is_installed
        ]
        held.enter_context(on_core(0))
        contestants = asyncio.run(compete(servers, turns, round_s))
    each = {contestant.name: contestant for contestant in contestants}
    low, _, high = statistics.quantiles(_ratios("cpu_us", each["sora_async"], each["aiohttp"]), n=4)
    missing = [f"{peer.name} is not installed, so it is left out" for peer in PEERS if not peer.is_installed]
    return Result(
        name="throughput",
        unit=f"One unit is a create and a query of its id; {CONCURRENCY} at a time, {turns} rounds of each",
        rows=_rows(each),
        notes=[f"Half of the ratios to aiohttp's CPU are {low:.2f} to {high:.2f}", *missing],
        details={name: [attrs.asdict(turn) for turn in one.rounds] for name, one in each.items()},
    )


if __name__ == "__main__":
    run_alone(measure, "throughput", __doc__)
