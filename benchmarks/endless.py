"""The memory of a batch without an end: the runner and the ledger, over a relay that is only a few lines in-process.

Tells how much memory is in use after more and more inputs, without a ledger and with one. Run:
`python -m benchmarks.endless [--items N]`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path

from benchmarks.machine import describe, describe_load, read_memory
from sora_async import State, VideoRequest, VideoTask
from sora_async.batch import BatchPolicy, Forgetful, Ledger, SqliteLedger
from sora_async.batch.runner import Runner
from sora_async.batch.worker import Verbs

LINK = "https://cdn.example/v.mp4"


class Instant:
    """A client whose tasks are finished at once."""

    def __init__(self) -> None:
        self._numbers = itertools.count()

    async def create(
        self,
        request: VideoRequest,  # noqa: ARG002 Verbs names it
        noting: Callable[[], AbstractAsyncContextManager[None]],
    ) -> VideoTask:
        async with noting():
            return VideoTask(id=f"task_{next(self._numbers):030}", status="queued", state=State.QUEUED)

    def expect(self, task_id: str, request: VideoRequest, age_s: float) -> None:
        raise AssertionError(f"nothing was bought before: {task_id} {request} {age_s}")

    def learn(self, learned: str) -> None:
        raise AssertionError(f"nothing was learnt before: {learned}")

    async def watch(self, task: VideoTask | str, timeout: float | None) -> AsyncGenerator[VideoTask, None]:  # noqa: ARG002 the Protocol names it
        await asyncio.sleep(0)
        task_id = task if isinstance(task, str) else task.id
        yield VideoTask(id=task_id, status="completed", state=State.SUCCEEDED, video_url=LINK)

    async def download(self, task: VideoTask | str, path: object) -> Path:
        raise AssertionError(f"nobody wants {path} of {task}")

    def may_have_sent(self, caller: asyncio.Task[object]) -> bool:
        return caller is asyncio.current_task()


async def _run(ledger: Ledger, items: int) -> None:
    marks = [max(1, items // 50), items // 5, items]
    instant = Instant()
    verbs = Verbs(
        create=instant.create,
        expect=instant.expect,
        learn=instant.learn,
        learned=lambda: None,
        watch=instant.watch,
        download=instant.download,
        may_have_sent=instant.may_have_sent,
    )
    runner = Runner(verbs, ledger=ledger, account="any", directory=None, policy=BatchPolicy())
    prompts = (f"a paper boat in the rain, take {number}, wide shot, slow zoom" for number in itertools.count())
    began, count = time.perf_counter(), 0
    async with aclosing(runner.run(prompts)) as outcomes:
        async for outcome in outcomes:
            assert outcome.error is None
            count += 1
            if count in marks:
                print(
                    f"  {count:>9,} items: {read_memory('VmRSS'):6.1f} MiB, {time.perf_counter() - began:6.1f} s",
                    flush=True,
                )
            if count == items:
                break


def _run_one(kind: str, items: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "endless.ledger")
        asyncio.run(_run(SqliteLedger(path) if kind == "ledger" else Forgetful(), items))
        if path.exists():
            print(f"  the ledger takes {path.stat().st_size / items:.0f} bytes an item")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=50_000, help="how many inputs, of an endless generator")
    parser.add_argument("--only", choices=["none", "ledger"], help="in this process; by default each in its own")
    options = parser.parse_args()
    if options.only:
        return _run_one(options.only, options.items)
    print(describe())
    print(describe_load())
    for kind, name in (("none", "without a ledger"), ("ledger", "with a ledger")):
        print(f"memory of an endless batch, 50 at once, {name}:", flush=True)
        command = [sys.executable, "-m", "benchmarks.endless", "--only", kind, "--items", str(options.items)]
        subprocess.run(command, check=True)
    return None


if __name__ == "__main__":
    main()
