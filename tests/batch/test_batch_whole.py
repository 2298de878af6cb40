"""Whole batches, over a real client, a real ledger and the sandbox: faults of all kinds, kills, limits, full disks."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.batch_child import LEDGER, VIDEOS, Order
from benchmarks.batch_trial import CLIP, Zygote
from sora_async import (
    BatchStoppedError,
    Client,
    Fixed,
    LedgerError,
    Retry,
    SubmissionUncertainError,
    TaskFailedError,
    Timeouts,
)
from sora_async.batch import BatchPolicy, Entry, Outcome, SqliteLedger, Stage
from sora_async.sandbox import Faults, Sandbox, Scenario
from sora_async.sandbox.faults import KINDS

ON_POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other processes")
TASKS = 48
# But a file that stalls, which is waited for 30 s, and one that is garbled, which nothing tells if it was cut before.
ALL_FAULTS = Faults(
    **{
        operation: {kind: 0.3 / len(KINDS[operation]) for kind in KINDS[operation] if kind not in {"stall", "garble"}}
        for operation in ("create", "query", "download")
    }
)
IMPATIENT = Timeouts(create=0.2, query=0.2, drain=1)


@asynccontextmanager
async def together(faults: Faults | None = None, **scenario: Any) -> AsyncIterator[tuple[Client, Sandbox]]:
    """A client and the sandbox it talks to; nothing takes any time."""
    playing = Scenario(**{"takes_s": 0.0, "clip": CLIP, **scenario})
    async with Sandbox(playing, faults=faults, seed=7) as sandbox, client_of(sandbox) as client:
        yield client, sandbox


def client_of(sandbox: Sandbox) -> Client:
    return Client("any", sandbox.url, pacing=Fixed(0), retry=Retry(first=0), timeouts=IMPATIENT)


def boats(number: int = TASKS) -> list[str]:
    return [f"boat {each}" for each in range(number)]


async def run(
    client: Client, folder: Path, requests: Any, **options: Any
) -> tuple[dict[str, Outcome], Exception | None]:
    """Run a batch once: its outcomes by prompt, and why it stopped buying."""
    outcomes: dict[str, Outcome] = {}
    settings = {"concurrency": 12, "ledger": folder / LEDGER, "directory": folder / VIDEOS, **options}
    try:
        async for outcome in client.generate_many(requests, **settings):
            assert outcomes.setdefault(outcome.request.prompt, outcome) is outcome
    except (BatchStoppedError, LedgerError) as error:
        return outcomes, error
    return outcomes, None


async def run_until_done(client: Client, folder: Path) -> dict[str, Outcome]:
    """Run a batch again as long as it stops, as it does when the relay says that the account is empty."""
    for _ in range(TASKS):
        outcomes, stopped = await run(client, folder, boats())
        if stopped is None:
            return outcomes
    raise AssertionError("it stopped each time")


async def entries_of(folder: Path) -> dict[str, Entry]:
    return {str(entry.request["prompt"]): entry async for entry in SqliteLedger(folder / LEDGER).entries()}


def bought(sandbox: Sandbox) -> Counter[str]:
    return Counter(str(created.body["prompt"]) for created in sandbox.creates)


async def assert_account_is_exact(sandbox: Sandbox, folder: Path, outcomes: dict[str, Outcome]) -> None:
    """Each input has an outcome that agrees with the relay's count, the ledger and the files."""
    assert sorted(outcomes) == sorted(boats())
    ids = {str(created.body["prompt"]): created.id for created in sandbox.creates}
    assert max(bought(sandbox).values()) == 1
    entries = await entries_of(folder)
    for prompt, outcome in outcomes.items():
        entry = entries[prompt]
        if isinstance(outcome.error, SubmissionUncertainError):
            assert entry.stage is Stage.UNCERTAIN
        elif entry.stage is Stage.PLANNED:
            assert prompt not in ids
        else:
            assert entry.task_id == ids[prompt]
        if outcome.error is None:
            assert outcome.path == folder / VIDEOS / (entry.path or "")
            assert outcome.path.read_bytes() == CLIP
    whole = {outcome.path for outcome in outcomes.values() if outcome.error is None}
    assert {path for path in (folder / VIDEOS).iterdir() if not path.name.startswith(".")} == whole


async def test_batch_amid_all_faults_accounts_for_every_input(tmp_path: Path) -> None:
    """With a limit of calls a second, too; what the relay accepted is known, and nothing was accepted twice."""
    async with together(ALL_FAULTS, rate_limit=400.0, failure_rate=0.1) as (client, sandbox):
        outcomes = await run_until_done(client, tmp_path)
        await assert_account_is_exact(sandbox, tmp_path, outcomes)
    ends = Counter(type(outcome.error) for outcome in outcomes.values())
    assert min(ends[type(None)], ends[SubmissionUncertainError], ends[TaskFailedError]) > 0


async def test_batch_that_is_done_asks_and_buys_nothing_again(tmp_path: Path) -> None:
    """Its outcomes are the same, from the ledger alone."""
    async with together(Faults(create=["stall_after"]), failure_rate=0.1) as (client, sandbox):
        first, _ = await run(client, tmp_path, boats())
        asked = dict(sandbox.calls)
        second, _ = await run(client, tmp_path, boats())
        assert dict(sandbox.calls) == asked
    assert {prompt: (end.path, type(end.error)) for prompt, end in first.items()} == {
        prompt: (end.path, type(end.error)) for prompt, end in second.items()
    }


@ON_POSIX
async def test_batch_killed_amid_all_faults_is_gone_on_with(tmp_path: Path) -> None:
    """A process that is killed leaves an account with which another one ends the batch."""
    async with together(ALL_FAULTS, failure_rate=0.1) as (client, sandbox):
        with Zygote() as zygote:
            order = Order(
                url=sandbox.url, folder=str(tmp_path), prompts=TASKS, concurrency=12, point="after create", at=9
            )
            ending = await asyncio.to_thread(zygote.run, order)
        assert ending.status < 0
        await assert_account_is_exact(sandbox, tmp_path, await run_until_done(client, tmp_path))


async def test_batch_with_a_limit_buys_so_many_in_each_run(tmp_path: Path) -> None:
    """Of inputs without an end, each run takes the next ones."""
    async with together() as (client, sandbox):
        for times in (1, 2, 3):
            endless = (f"boat {number}" for number in itertools.count())
            outcomes, stopped = await run(client, tmp_path, endless, policy=BatchPolicy(max_tasks=5))
            assert stopped is None
            assert len(sandbox.creates) == 5 * times
            assert len(outcomes) == 5 * times
        assert max(bought(sandbox).values()) == 1


async def test_endless_batch_that_is_left_early_knows_all_that_it_bought(tmp_path: Path) -> None:
    """What was read ahead is bounded by what is in flight, and what was bought is in the ledger."""
    async with together() as (client, sandbox):
        numbers = itertools.count()
        outcomes = client.generate_many(
            (f"boat {number}" for number in numbers), concurrency=4, ledger=tmp_path / LEDGER
        )
        async with aclosing(outcomes):
            for _ in range(10):
                await anext(outcomes)
        assert next(numbers) <= 10 + 3 * 4
        entries = await entries_of(tmp_path)
        assert {created.id for created in sandbox.creates} == {
            entry.task_id for entry in entries.values() if entry.task_id
        }
        assert {entry.stage for entry in entries.values()} <= {Stage.PLANNED, Stage.SUBMITTED, Stage.DONE}


async def test_batch_whose_consumer_is_slow_buys_no_more(tmp_path: Path) -> None:
    """Outcomes that nobody takes hold up the buying; money is not spent ahead."""
    async with together() as (client, sandbox):
        outcomes = client.generate_many((f"boat {number}" for number in itertools.count()), concurrency=3)
        async with aclosing(outcomes):
            await anext(outcomes)
            most = 1 + 2 * 3
            async with asyncio.timeout(20):
                while len(sandbox.creates) < most:  # noqa: ASYNC110 it is told by no event
                    await asyncio.sleep(0.001)
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert len(sandbox.creates) == most


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file grows beyond so many bytes."""
    import resource  # which Windows does not have

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@ON_POSIX
async def test_batch_whose_ledger_is_full_stops_before_money_is_spent(tmp_path: Path) -> None:
    """All that was bought is in the ledger by its id or in doubt; with more room the rest is bought."""
    prompts = [f"boat {number} {'~' * 2000}" for number in range(150)]
    async with together() as (client, sandbox):
        with disk_of(150_000):
            _, stopped = await run(client, tmp_path, prompts, directory=None)
        assert isinstance(stopped, LedgerError)
        paid = len(sandbox.creates)
        assert 0 < paid < len(prompts)
        for prompt, entry in (await entries_of(tmp_path)).items():
            assert bought(sandbox)[prompt] == 0 or entry.task_id or entry.stage is Stage.INTENDED
        assert set(bought(sandbox)) <= set(await entries_of(tmp_path))
        outcomes, stopped = await run(client, tmp_path, prompts, directory=None)
        assert stopped is None
        assert sorted(outcomes) == sorted(prompts)
        assert max(bought(sandbox).values()) == 1


POWERLESS = """
import asyncio, concurrent.futures.thread, os, sys
import sora_async.batch.runner, sora_async.batch.sqlite
from sora_async import Client, LedgerError

async def main(url, folder):
    async with Client("any", url) as client:
        os.getuid() or os.setuid(65534)
        try:
            async for _ in client.generate_many(["a boat"], ledger=f"{folder}/batch.ledger", directory=folder):
                pass
        except LedgerError as error:
            print(error)

asyncio.run(main(*sys.argv[1:]))
"""


@ON_POSIX
def test_batch_in_a_folder_that_is_read_only_buys_nothing(sora_sandbox: Sandbox) -> None:
    """It says so at once."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        command = [sys.executable, "-c", POWERLESS, sora_sandbox.url, folder]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        Path(folder).chmod(0o755)
    assert ran.stdout.strip().endswith("check the folder and its permissions")
    assert sora_sandbox.calls.total() == 0
