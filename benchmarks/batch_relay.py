"""The sandbox in a process of its own, with faults of all kinds, for batches that are measured.

`python -m benchmarks.batch_relay PLAN`, where PLAN is one JSON object, writes its address in a line, then what it has
counted in a line for each that it reads; it ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import attrs

from benchmarks.batch_trial import CLIP
from sora_async.sandbox import Faults, Sandbox, Scenario
from sora_async.sandbox.faults import KINDS
from sora_async.sandbox.takes import Takes

ENDING_KINDS = {"no_quota", "no_quota_429"}
"""Faults that say the account is empty: a batch stops at the first of them, which is no fault of the line."""
TOO_MUCH_KINDS = {"429", "429_empty", "saturated"}
"""Faults that ask for fewer calls, though there were not too many."""


@attrs.frozen(kw_only=True)
class Plan:
    """How the relay behaves."""

    takes_s: float = 0.0
    """Median seconds of a task."""
    calls_per_s: float | None = None
    """Above it calls are answered 429; None for no limit."""
    fault_share: float = 0.0
    """Share of the creates, queries and downloads that go wrong, shared by all kinds but the ENDING_KINDS."""
    is_fair: bool = False
    """Whether the TOO_MUCH_KINDS are left out, so that only the limit asks for fewer calls."""
    failure_share: float = 0.0
    """Share of the tasks that fail."""
    seed: int = 0
    """Another one gives other faults."""

    def faults(self) -> Faults:
        """The same chance for each kind of each operation."""
        spared = ENDING_KINDS | TOO_MUCH_KINDS if self.is_fair else ENDING_KINDS
        kinds = {name: sorted(KINDS[name].keys() - spared) for name in ("create", "query", "download")}
        return Faults(**{name: dict.fromkeys(each, self.fault_share / len(each)) for name, each in kinds.items()})

    def scenario(self) -> Scenario:
        """What it does while nothing goes wrong."""
        return Scenario(
            takes_s=Takes.log_normal(self.takes_s, 0.3) if self.takes_s else 0.0,
            rate_limit=self.calls_per_s,
            failure_rate=self.failure_share,
            clip=CLIP,
        )


@attrs.frozen
class Books:
    """What the relay has counted."""

    creates: list[tuple[str, str]]
    """The prompt and the id of each create that it accepted."""
    calls: dict[str, int]
    """The requests that arrived, by operation."""


class RelayProcess:
    """The running process, seen from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._stdin: IO[str] = _given(process.stdin)
        self._stdout: IO[str] = _given(process.stdout)
        self.url = self._stdout.readline().strip()

    def look(self) -> Books:
        """Ask what it has counted."""
        self._stdin.write("look\n")
        self._stdin.flush()
        books = json.loads(self._stdout.readline())
        return Books([(prompt, task_id) for prompt, task_id in books["creates"]], books["calls"])


def _given(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


@contextmanager
def relay_process(plan: Plan) -> Iterator[RelayProcess]:
    """Serve in another process."""
    command = [sys.executable, "-m", "benchmarks.batch_relay", json.dumps(attrs.asdict(plan))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield RelayProcess(process)
        finally:
            process.communicate()


def _count(sandbox: Sandbox) -> dict[str, Any]:
    creates = [(str(created.body["prompt"]), created.id) for created in sandbox.creates]
    return {"creates": creates, "calls": dict(sandbox.calls)}


async def _serve(plan: Plan) -> None:
    async with Sandbox(plan.scenario(), faults=plan.faults(), seed=plan.seed) as sandbox:
        print(sandbox.url, flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(_count(sandbox)), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(Plan(**json.loads(sys.argv[1]))))
