"""A million random inputs for everything that reads what a relay, a file server or a user wrote.

Inputs are real answers, changed at random in their structure and in their bytes; some more are hostile by their size.
For each of them something must hold: only the package's own errors come out, nothing passes for a success or for a
refusal that is none, what is shown is short and clean. Each input is made from the seed, its reader and its number,
so it can be made again. Run: `python -m benchmarks.fuzz [--quick] [--seed N] [--inputs N]`, and with
`--only READER --number N` one input alone. The exit code is 1 if a rule was broken or the memory grew too much.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.fuzzing import hostile
from benchmarks.fuzzing.exchanges import Exchanges, http_answer
from benchmarks.fuzzing.readers import READERS
from benchmarks.fuzzing.rules import hold
from benchmarks.machine import describe

INPUTS = 1_000_000
QUICK_INPUTS = 20_000
MOST_MEMORY_MIB = 64
MOST_CPU_S = 10.0
HTTP = "HTTP answer"
HTTP_SHARE = 0.02
SHOWN_FINDINGS = 10


class Findings:
    """What broke a rule: the first input of each kind is printed, all are counted."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.kinds = Counter[str]()

    def add(self, reader: str, number: int | None, shown: str, error: Exception) -> None:
        """Take notice of an input that broke a rule or the reader."""
        frames = traceback.extract_tb(error.__traceback__)
        place = [frame for frame in frames if frame.name != "hold"][-1]
        kind = f"{reader}: {type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
        self.kinds[kind] += 1
        if self.kinds[kind] == 1 and len(self.kinds) <= SHOWN_FINDINGS:
            print(f"FINDING {kind}: {str(error)[:500]}\n  input: {shown[:2000]}", flush=True)
            if number is not None:
                print(f"  again: --seed {self._seed} --only {reader!r} --number {number}", flush=True)


def _check(findings: Findings, reader: str, number: int | None, value: Any, check: Callable[[Any], object]) -> None:
    started = time.process_time()
    try:
        check(value)
        spent = time.process_time() - started
        hold(spent < MOST_CPU_S, f"it took {spent:.1f} s of CPU")
    except Exception as error:  # noqa: BLE001 whatever comes is a finding
        findings.add(reader, number, repr(value), error)


async def _check_later(
    findings: Findings, reader: str, number: int | None, value: Any, check: Callable[[Any], Awaitable[object]]
) -> None:
    try:
        await check(value)
    except Exception as error:  # noqa: BLE001 whatever comes is a finding
        findings.add(reader, number, repr(value), error)


def _dice(seed: int, reader: str, number: int) -> Random:
    return Random(f"{seed}/{reader}/{number}")


async def _check_http(findings: Findings, seed: int, numbers: range) -> None:
    async with Exchanges() as exchanges:
        for number in numbers:
            case = http_answer(_dice(seed, HTTP, number))
            await _check_later(findings, HTTP, number, case, exchanges.check)


async def _check_hostile(findings: Findings) -> None:
    for name, make in hostile.BODIES.items():
        _check(findings, name, None, make(), hostile.survive)
    async with Exchanges() as exchanges:
        for name, make in hostile.ANSWERS.items():
            await _check_later(findings, name, None, make(), lambda answer: hostile.receive(exchanges, answer))


def _peak_mib() -> float:
    """The most memory that this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss counts also what the parent held before this process was made of it
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1024)


def _report(name: str, inputs: int, started: float, start_mib: float) -> None:
    print(
        f"{name:24}{inputs:9,} inputs {time.perf_counter() - started:7.1f} s  +{_peak_mib() - start_mib:.1f} MiB",
        flush=True,
    )


def fuzz(seed: int, inputs: int, only: str | None = None, number: int | None = None) -> int:
    """Check all readers, or one of them, or one input of it; answers the exit code."""
    findings = Findings(seed)
    begun, start_mib = time.perf_counter(), _peak_mib()
    shares = sum(reader.share for reader in READERS)
    for reader in READERS:
        if only not in {None, reader.name}:
            continue
        started = time.perf_counter()
        count = round(inputs * (1 - HTTP_SHARE) * reader.share / shares)
        numbers = range(count) if number is None else range(number, number + 1)
        for each in numbers:
            _check(findings, reader.name, each, reader.make(_dice(seed, reader.name, each)), reader.check)
        _report(reader.name, len(numbers), started, start_mib)
    if only in {None, HTTP}:
        started = time.perf_counter()
        numbers = range(round(inputs * HTTP_SHARE)) if number is None else range(number, number + 1)
        asyncio.run(_check_http(findings, seed, numbers))
        _report(HTTP, len(numbers), started, start_mib)
    if only is None:
        started = time.perf_counter()
        asyncio.run(_check_hostile(findings))
        _report("hostile sizes", len(hostile.BODIES) + len(hostile.ANSWERS), started, start_mib)
    return _conclude(findings, time.perf_counter() - begun, _peak_mib() - start_mib)


def _conclude(findings: Findings, seconds: float, grown_mib: float) -> int:
    print(f"{seconds:.0f} s, {grown_mib:.1f} MiB above the start (at most {MOST_MEMORY_MIB}). {describe()}")
    for kind, count in findings.kinds.most_common():
        print(f"{count:8,} times {kind}")
    is_clean = not findings.kinds and grown_mib <= MOST_MEMORY_MIB
    print("No finding." if is_clean else f"{findings.kinds.total()} findings.")
    return 0 if is_clean else 1


def main() -> int:
    """Read the arguments and fuzz."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_INPUTS:,} inputs instead of {INPUTS:,}")
    parser.add_argument("--seed", type=int, default=0, help="another seed makes other inputs")
    parser.add_argument("--inputs", type=int, help="how many inputs in all")
    parser.add_argument("--only", choices=[*(reader.name for reader in READERS), HTTP], help="one reader alone")
    parser.add_argument("--number", type=int, help="one input of that reader alone")
    given = parser.parse_args()
    inputs = given.inputs or (QUICK_INPUTS if given.quick else INPUTS)
    return fuzz(given.seed, inputs, given.only, given.number)


if __name__ == "__main__":
    sys.exit(main())
