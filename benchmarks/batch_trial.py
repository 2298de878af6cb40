"""One batch that is run again and again in processes that die, and looked at after each run.

The sandbox counts what it accepted, by the prompt. After each run that count, the ledger, the folder and the outcomes
are held against each other; whatever does not agree is an AssertionError.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

import attrs

from benchmarks.batch_child import LEDGER, VIDEOS, Order
from sora_async import LedgerError
from sora_async.batch import Entry, SqliteLedger, Stage
from sora_async.sandbox import Faults, Sandbox, Scenario

CHILD = Path(__file__).with_name("batch_child.py")
PROMPTS = 3
DOUBTFUL = (Stage.INTENDED, Stage.UNCERTAIN)


def make_clip(size: int) -> bytes:
    """A video that is whole as far as its boxes tell, of about this many bytes."""

    def box(kind: bytes, body: bytes) -> bytes:
        return (len(body) + 8).to_bytes(4, "big") + kind + body

    index = box(b"moov", box(b"mvhd", bytes(range(1, 101))))
    return box(b"ftyp", b"isom\0\0\2\0isomiso2") + index + box(b"mdat", b"v" * size)


CLIP = make_clip(100_000)


@attrs.define
class Ending:
    """How one run ended."""

    status: int = 0
    """0, or the number of the signal that killed it, negative."""
    outcomes: dict[str, str] = attrs.field(factory=dict)
    """The class of the error of each prompt that it told; empty for none."""
    stopped: str = ""
    """Why it stopped buying; empty if it did not."""


class Zygote:
    """Runs orders in processes of their own, one at a time, forked from one that has everything imported.

    Attributes:
        pid: the process that runs now, 0 before it is known.
    """

    def __init__(self) -> None:
        self.pid = 0
        self._process = subprocess.Popen(
            [sys.executable, str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, order: Order) -> Ending:
        """Carry out an order; it blocks."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.pid = 0
        self._process.stdin.write(json.dumps(attrs.asdict(order)) + "\n")
        self._process.stdin.flush()
        ending = Ending()
        for line in self._process.stdout:
            match json.loads(line):
                case {"pid": pid}:
                    self.pid = pid
                case {"prompt": prompt, "error": error}:
                    assert prompt not in ending.outcomes, f"{prompt} has two outcomes in one run"
                    ending.outcomes[prompt] = error
                case {"stopped": reason}:
                    ending.stopped = reason
                case {"ended": status}:
                    ending.status = status
                    assert status in (0, -signal.SIGKILL), f"the run ended with {status}"
                    return ending
        raise AssertionError("the processes cannot be started any more")


@attrs.define
class Tally:
    """What was seen in some trials; every other thing that can be seen is an AssertionError."""

    trials: int = 0
    runs: int = 0
    kills: int = 0
    accepted: int = 0
    doubtful: int = 0
    """Entries that stayed uncertain, each of them reported."""
    doubtful_accepted: int = 0
    """Those of them that the relay had accepted."""


class Trial:
    """One batch that is run again and again, and looked at after each run.

    Args:
        zygote: runs it.
        sandbox: the relay, which serves.
        tally: takes what is seen.
        order: how it is run, in an empty folder.
    """

    def __init__(self, zygote: Zygote, sandbox: Sandbox, tally: Tally, order: Order) -> None:
        self._zygote = zygote
        self._sandbox = sandbox
        self._tally = tally
        self._order = order
        self._folder = Path(order.folder)
        self._doubted: set[str] = set()

    async def run(self, **how: Any) -> bool:
        """Run it once, dying as an Order says; answers whether it came to its end."""
        ending = await asyncio.to_thread(self._zygote.run, attrs.evolve(self._order, **how))
        return await self._look(ending)

    async def run_and_kill(self, has_come: Callable[[], bool], delay_s: float = 0.0) -> bool:
        """Run it, and kill it so many seconds after something has come; answers whether it came to its end before."""
        running = asyncio.create_task(asyncio.to_thread(self._zygote.run, self._order))
        while not (running.done() or (self._zygote.pid and has_come())):  # noqa: ASYNC110 it is told by no event
            await asyncio.sleep(0.001)
        await asyncio.sleep(delay_s)
        os.kill(self._zygote.pid, signal.SIGKILL)
        return await self._look(await running)

    async def finish(self) -> None:
        """Run it to its end, without a kill."""
        assert await self.run()
        entries = await self._entries()
        doubtful = {prompt for prompt, entry in entries.items() if entry.stage is Stage.UNCERTAIN}
        accepted = {str(created.body["prompt"]) for created in self._sandbox.creates}
        self._tally.trials += 1
        self._tally.accepted += len(accepted)
        self._tally.doubtful += len(doubtful)
        self._tally.doubtful_accepted += len(doubtful & accepted)

    async def _entries(self) -> dict[str, Entry]:
        ledger = SqliteLedger(self._folder / LEDGER)
        try:
            return {str(entry.request["prompt"]): entry async for entry in ledger.entries()}
        except LedgerError:  # killed before its tables were there
            return {}

    async def _look(self, ending: Ending) -> bool:
        """Hold the relay's count, the ledger, the folder and the outcomes against each other."""
        bought = [(str(created.body["prompt"]), created.id) for created in self._sandbox.creates]
        twice = {prompt: times for prompt, times in Counter(prompt for prompt, _ in bought).items() if times > 1}
        assert not twice, f"accepted more than once: {twice}"
        entries = await self._entries()
        for prompt, task_id in bought:
            entry = entries.get(prompt)
            assert entry is not None, f"{prompt} was bought, and the ledger does not know it"
            assert entry.task_id == task_id or entry.stage in DOUBTFUL, f"{task_id} was bought and is lost: {entry}"
        videos = self._folder / VIDEOS
        for path in videos.iterdir() if videos.is_dir() else ():
            assert path.name.startswith(".") or path.read_bytes() == CLIP, f"{path} is not whole"
        self._tally.runs += 1
        self._tally.kills += ending.status != 0
        if not ending.status:
            self._look_at_end(ending, entries)
        self._doubted = {prompt for prompt, entry in entries.items() if entry.stage in DOUBTFUL}
        return not ending.status

    def _look_at_end(self, ending: Ending, entries: dict[str, Entry]) -> None:
        """Every input has its outcome; what was in doubt before is told as such, all else has its file."""
        assert not ending.stopped, ending.stopped
        assert sorted(ending.outcomes) == sorted(f"boat {number}" for number in range(self._order.prompts))
        for prompt, error in ending.outcomes.items():
            entry = entries[prompt]
            if prompt in self._doubted:
                assert (error, entry.stage) == ("SubmissionUncertainError", Stage.UNCERTAIN), (error, entry)
            else:
                assert (error, entry.stage) == ("", Stage.DONE), (error, entry)
                assert (self._folder / VIDEOS / str(entry.path)).read_bytes() == CLIP


@contextlib.asynccontextmanager
async def trying(
    zygote: Zygote, tally: Tally, *, stall_at: int = 0, prompts: int = PROMPTS, concurrency: int = PROMPTS
) -> AsyncIterator[tuple[Trial, Sandbox]]:
    """Give a new trial and its relay; with `stall_at` the answer of that create, counted from 1, never comes."""
    faults = Faults(create=[*[None] * (stall_at - 1), "stall_after"] if stall_at else [])
    scenario = Scenario(takes_s=0.0, clip=CLIP)
    with tempfile.TemporaryDirectory() as name:
        async with Sandbox(scenario, faults=faults) as sandbox:
            order = Order(url=sandbox.url, folder=name, prompts=prompts, concurrency=concurrency)
            yield Trial(zygote, sandbox, tally, order), sandbox
