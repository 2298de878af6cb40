"""What an import takes: this package and its client, beside aiohttp and its peers.

A unit is one fresh interpreter that imports one thing and ends, timed from outside. They take turns, and the time of a
bare interpreter of the same turn is taken off. Byte code is compiled before. Run:
`python -m benchmarks.import_time [--quick] [--json FILE]`; `--heaviest` shows this package's own modules that take
longest, and nothing else.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable

import attrs

from benchmarks.peers import PEERS, bare_httpx
from benchmarks.report import Result, Row, run_alone

OURS = "import sora_async"
CLIENT = "from sora_async import Client"
AIOHTTP = "import aiohttp"
MODULES = {"fal-client": "fal_client", "comfy-sdk": "comfy_sdk"}
_LINE = re.compile(r"import time: +(\d+) \| +(\d+) \| *(\S+)")


@attrs.frozen
class Module:
    """One line of what `-X importtime` tells."""

    own_us: int
    """Without what it imports itself."""
    whole_us: int
    name: str


def read_heaviest(told: Iterable[str], count: int) -> list[Module]:
    """The modules of this package that take longest by themselves."""
    found = (_LINE.match(line) for line in told)
    modules = (Module(int(line[1]), int(line[2]), line[3]) for line in found if line)
    own = [module for module in modules if module.name.partition(".")[0] == "sora_async"]
    return sorted(own, key=lambda module: -module.own_us)[:count]


def _statements(*, is_quick: bool) -> list[str]:
    others = [peer.name for peer in (bare_httpx.PEER, *PEERS) if peer.is_installed]
    names = [MODULES.get(name, name) for name in others if name not in {"sora_async", "aiohttp"}]
    return ["pass", OURS, CLIENT, AIOHTTP, *(f"import {name}" for name in names[: 2 if is_quick else None])]


def _time_one(statement: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, stderr=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


def measure(is_quick: bool) -> Result:
    """Let all that are installed take turns."""
    statements, turns = _statements(is_quick=is_quick), 3 if is_quick else 15
    times: dict[str, list[float]] = {statement: [] for statement in statements}
    for turn in range(turns + 1):
        for statement in statements:
            taken_ms = _time_one(statement)
            if turn:  # the first one warms up
                times[statement].append(taken_ms)
    more = {
        statement: [taken - bare for taken, bare in zip(each, times["pass"], strict=True)]
        for statement, each in times.items()
    }
    rows = [Row(what="a bare interpreter", value=statistics.median(times["pass"]), unit="ms")]
    for statement in statements[1:]:
        ratio = statistics.median(mine / its for mine, its in zip(more[statement], more[AIOHTTP], strict=True))
        rows.append(
            Row(
                what=f"{statement}: more than that",
                value=statistics.median(more[statement]),
                unit="ms",
                ratio=None if statement == AIOHTTP else ratio,
                to="aiohttp",
                at_most=0.46 if statement == OURS else None,
            )
        )
    return Result(
        name="import_time",
        unit=f"One unit is a fresh interpreter that imports one thing; {turns} of each in turns",
        rows=rows,
        details=times,
    )


def show_heaviest(count: int = 15) -> None:
    """Print the modules of this package that take longest."""
    command = [sys.executable, "-X", "importtime", "-c", CLIENT]
    told = subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True).stderr
    print(f"`{CLIENT}`: microseconds of a module alone, and with what it imports")
    for module in read_heaviest(told.splitlines(), count):
        print(f"{module.own_us:8} {module.whole_us:8}  {module.name}")


if __name__ == "__main__":
    if "--heaviest" in sys.argv[1:]:
        show_heaviest()
    else:
        run_alone(measure, "import_time", __doc__)
