"""Downloads over loopback: this client with all its checks on, beside bare aiohttp used plainly and curl.

A unit is one file, from the request to the closed file under its name. The server is another process on another core
and sends by sendfile. Files are read from and written to memory where the system has a file system there, for it is
the clients that are compared, not the disk: this client also waits until the disk has the file, and the others do not.
Clients may use all cores, for this one writes in a thread beside its event loop.
Rounds take turns, back and forth, and the ratio is the median of the turns'. Small files are fetched ten at a time,
one after the other. Run: `python -m benchmarks.download [--quick] [--json FILE]`.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs

from benchmarks.batch_trial import make_clip
from benchmarks.canned_server import ServerProcess, server_process
from benchmarks.download_child import Fetched
from benchmarks.report import Result, Row, run_alone

MB = 1_000_000
MEMORY = Path("/dev/shm")
ROOM = 3_000 * MB
NAMES = ("curl", "aiohttp", "sora_async")


@attrs.frozen
class Film:
    """A file to fetch."""

    name: str
    size_mb: int
    in_a_round: int
    turns: int
    quick_turns: int
    """0 leaves it out."""


FILMS = (
    Film("1", 1, 10, 31, 7),
    Film("50", 50, 1, 11, 5),
    Film("50?digest", 50, 1, 11, 0),
    Film("500", 500, 1, 5, 1),
)
SHOWN = {"50?digest": "50 MB, SHA-256 told"}


@attrs.define
class Contestant:
    """A client's process."""

    process: subprocess.Popen[str]
    base: str
    target: Path
    rounds: list[Fetched] = attrs.field(factory=list)

    def fetch(self, name: str, count: int) -> Fetched:
        """Download a file so many times; answers the sums."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        each = []
        for _ in range(count):
            self.target.unlink(missing_ok=True)
            print(json.dumps([f"{self.base}/{name}", str(self.target)]), file=self.process.stdin, flush=True)
            each.append(Fetched(**json.loads(self.process.stdout.readline())))
        return Fetched(sum(one.wall_s for one in each), sum(one.cpu_s for one in each), each[-1].peak_mib)


@contextmanager
def _contestant(name: str, base: str, folder: Path) -> Iterator[Contestant]:
    command = [sys.executable, "-m", "benchmarks.download_child", name, base]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Contestant(process, base, folder / f"{name}.mp4")
        finally:
            process.communicate()
            (folder / f"{name}.mp4").unlink(missing_ok=True)


def _compete(server: ServerProcess, film: Film, turns: int, folder: Path) -> dict[str, list[Fetched]]:
    with ExitStack() as held:
        each = {
            name: held.enter_context(_contestant(name, server.url, folder))
            for name in NAMES
            if name != "curl" or shutil.which(name)
        }
        for contestant in each.values():
            contestant.fetch(FILMS[0].name, 1)
        for turn in range(turns):
            for contestant in list(each.values())[:: -1 if turn % 2 else 1]:
                contestant.rounds.append(contestant.fetch(film.name, film.in_a_round))
    return {name: contestant.rounds for name, contestant in each.items()}


def _median_ratio(of: str, mine: list[Fetched], plain: list[Fetched]) -> float:
    pairs = zip(mine, plain, strict=True)
    return float(statistics.median(getattr(one, of) / getattr(other, of) for one, other in pairs))


def _rows(film: Film, each: dict[str, list[Fetched]]) -> list[Row]:
    what, size_mb, plain = SHOWN.get(film.name, f"{film.size_mb} MB"), film.size_mb * film.in_a_round, each["aiohttp"]
    rows = []
    for name, rounds in reversed(each.items()):
        ratio = None if name == "aiohttp" else 1 / _median_ratio("wall_s", rounds, plain)
        speed = size_mb / statistics.median(one.wall_s for one in rounds)
        wanted = 0.95 if name == "sora_async" else None
        rows.append(Row(what=f"{what}: {name}", value=speed, unit="MB/s", ratio=ratio, to="aiohttp", at_least=wanted))
    cpu_ms = statistics.median(one.cpu_s for one in each["sora_async"]) / film.in_a_round * 1000
    ratio = _median_ratio("cpu_s", each["sora_async"], plain)
    return [*rows, Row(what=f"{what}: sora_async, CPU of one", value=cpu_ms, unit="ms", ratio=ratio, to="aiohttp")]


def _memory_rows(seen: dict[str, dict[str, list[Fetched]]]) -> list[Row]:
    """Whether the largest file takes more memory than one a tenth of it; of curl the system does not tell it."""
    small, large = seen[FILMS[1].name], seen[FILMS[-1].name]
    rows = []
    for name in ("sora_async", "aiohttp"):
        peak_mib, least_mib = (max(one.peak_mib for one in each[name]) for each in (large, small))
        wanted = 1.1 if name == "sora_async" else None
        what = f"{FILMS[-1].size_mb} MB: {name}, peak memory"
        ratio, to = peak_mib / least_mib, f"its own at {FILMS[1].size_mb} MB"
        rows.append(Row(what=what, value=peak_mib, unit="MiB", ratio=ratio, to=to, at_most=wanted))
    return rows


def _write_film(path: Path, size: int) -> None:
    """A whole video as far as its boxes tell, without so many bytes in this process."""
    with path.open("wb") as file:
        file.write(make_clip(0)[:-8] + (size + 8).to_bytes(4, "big") + b"mdat")
        file.truncate(file.tell() + size)


def measure(is_quick: bool) -> Result:
    """Let all take turns at files of each size."""
    memory = MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM else None
    seen, rows = {}, []
    with tempfile.TemporaryDirectory(dir=memory) as name, ExitStack() as held:
        folder = Path(name)
        for size_mb in {film.size_mb for film in FILMS}:
            _write_film(folder / str(size_mb), size_mb * MB)
        server = held.enter_context(server_process("benchmarks.film_server", name))
        for film in FILMS:
            if turns := film.quick_turns if is_quick else film.turns:
                seen[film.name] = _compete(server, film, turns, folder)
                rows += _rows(film, seen[film.name])
        served_s = server.effort().cpu_s
    wall_s = sum(one.wall_s for each in seen.values() for rounds in each.values() for one in rounds)
    busy = Row(what="the server, of its core", value=served_s / wall_s * 100, unit="%", at_most=90)
    missing = [] if shutil.which("curl") else ["curl is not installed, so it is left out"]
    return Result(
        name="download",
        unit=f"One unit is a file, from the request to its name, {'in memory' if memory else 'on disk'}",
        rows=[*rows, *_memory_rows(seen), busy],
        notes=["A turn of 1 MB is ten files", *missing],
        details={
            film: {name: list(map(attrs.asdict, each)) for name, each in found.items()} for film, found in seen.items()
        },
    )


if __name__ == "__main__":
    run_alone(measure, "download", __doc__)
