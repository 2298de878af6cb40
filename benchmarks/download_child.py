"""A client that downloads in a process of its own, so that its memory is its own too.

`python -m benchmarks.download_child NAME BASE` reads a link and the path of a target from each line of its standard
input, fetches the file there, and tells what that took in one line of JSON. NAME is sora_async, aiohttp or curl, and
BASE the address of the relay.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import attrs

from benchmarks.machine import read_memory
from sora_async import Client, State, VideoTask

CHUNK = 2**20
"""Bare aiohttp needs twice the CPU with chunks of 64 KiB."""
Fetch = Callable[[str, Path], Awaitable[object]]


@attrs.frozen
class Fetched:
    """What one download took."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    """The most memory of the process so far; 0 for curl, whose number would hold that of its parent."""


@asynccontextmanager
async def _ours(base: str) -> AsyncIterator[Fetch]:
    async with Client("any", base) as client:

        async def fetch(url: str, target: Path) -> None:
            await client.download(VideoTask(id="any", status="done", state=State.SUCCEEDED, video_url=url), target)

        yield fetch


@asynccontextmanager
async def _bare(_: str) -> AsyncIterator[Fetch]:
    async with aiohttp.ClientSession() as session:

        async def fetch(url: str, target: Path) -> None:
            async with session.get(url) as response:
                response.raise_for_status()
                with target.open("wb") as file:
                    async for chunk in response.content.iter_chunked(CHUNK):
                        file.write(chunk)

        yield fetch


async def _serve(name: str, base: str) -> None:
    async with (_ours if name == "sora_async" else _bare)(base) as fetch:
        for line in sys.stdin:
            url, target = json.loads(line)
            began, cpu = time.perf_counter(), time.process_time()
            await fetch(url, Path(target))
            wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
            _tell(Fetched(wall_s, cpu_s, read_memory("VmHWM")))


def _serve_curl() -> None:
    """A process for each, whose start is in its CPU but not in its time."""
    for line in sys.stdin:
        url, target = json.loads(line)
        command = ["curl", "--silent", "--fail", "--output", target, "--write-out", "%{time_total}", url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            wall_s = float(process.stdout.read())
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        _tell(Fetched(wall_s, used.ru_utime + used.ru_stime, 0.0))


def _tell(fetched: Fetched) -> None:
    print(json.dumps(attrs.asdict(fetched)), flush=True)


def main() -> None:
    """Download until there are no more lines."""
    _, name, base = sys.argv
    if name == "curl":
        _serve_curl()
    else:
        asyncio.run(_serve(name, base))


if __name__ == "__main__":
    main()
