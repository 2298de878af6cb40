"""The benchmarks of speed, one after the other, as one table; a whole run also draws the README's charts.

Each runs alone too: `python -m benchmarks.throughput` and so on. A quick look takes two minutes, a whole run a quarter
of an hour, where nothing else runs. What takes longer, needs a server, or proves something other than speed runs only
on its own:

    kills batch_faults powercut endless fuzz   batches and readers that are mistreated
    creates trouble                            other clients under the same faults, with the `peers` extra
    urgency                                    which task is polled first, where not all can be
    postgres_ledger fleet                      the ledger in PostgreSQL, and the workers that share it

Run: `python -m benchmarks [--quick] [--json FILE]`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks import charts
from benchmarks.report import Result, read_results, run

NAMES = ("throughput", "waiting", "import_time", "download", "ledger", "batch", "polling")


def measure_apart(name: str, *, is_quick: bool) -> list[Result]:
    """Run one benchmark in a process of its own; answers nothing if it fails, which its standard error then tells."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "found.json")
        command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(found), *(["--quick"] * is_quick)]
        began = time.perf_counter()
        is_whole = not subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
        outcome = "" if is_whole else ", failed"
        print(f"{name}: {time.perf_counter() - began:.0f} s{outcome}", file=sys.stderr, flush=True)
        return read_results(found.read_text()) if is_whole else []


def _measure(is_quick: bool) -> Sequence[Result]:
    return [result for name in NAMES for result in measure_apart(name, is_quick=is_quick)]


def main() -> int:
    """Measure all, print the table, and draw; answers 1 if one failed."""
    results, is_quick = run(__doc__, _measure, "benchmarks")
    details = {result.name: result.details for result in results}
    if find_spec("matplotlib") is None:
        print("matplotlib is not installed, so no charts are drawn: it comes with the `bench` extra.")
    elif not is_quick and {"polling", "waiting"} <= details.keys():
        charts.draw(details)
        print(f"The charts are in {charts.FOLDER}.")
    return int(len(results) < len(NAMES))


if __name__ == "__main__":
    sys.exit(main())
