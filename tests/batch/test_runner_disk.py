"""A batch whose files the disk refuses: no more is bought, and nothing that was bought is lost."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from file_server import tiny_mp4

from sora_async import BatchItem, BatchStoppedError, Client, DownloadError
from sora_async.batch import Outcome, SqliteLedger, Stage
from sora_async.batch.budget import Budget
from sora_async.sandbox import Sandbox, Scenario


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Tasks are finished at once, and their files are of a mebibyte."""
    scenario = Scenario(takes_s=0, finished_at_create=True, clip=tiny_mp4(2**20))
    async with Sandbox(scenario) as sandbox:
        yield sandbox


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process may grow above 500 kB."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def run(sandbox: Sandbox, folder: Path, inputs: Iterable[str | BatchItem], seen: dict[str, Outcome]) -> None:
    async with Client("any", sandbox.url) as client:
        async for outcome in client.generate_many(inputs, concurrency=3, ledger=folder / "ledger", directory=folder):
            seen[outcome.key] = outcome


async def test_full_disk_stops_the_buying_and_loses_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    """What is under way is brought as far as it goes, the rest is not bought; with room again all of it comes home."""
    outcomes: dict[str, Outcome] = {}
    with full_disk(), pytest.raises(BatchStoppedError, match=r"nothing more is bought, .*; free some space"):
        await run(sandbox, tmp_path, map(str, range(100)), outcomes)
    bought = [str(create.body["prompt"]) for create in sandbox.creates]
    assert 0 < len(bought) <= 6  # those whose files were refused, and those under way by then
    assert {getattr(outcome.error, "errno", None) for outcome in outcomes.values()} == {errno.EFBIG}
    assert {entry.stage async for entry in SqliteLedger(tmp_path / "ledger").entries()} <= {Stage.READY, Stage.PLANNED}
    await run(sandbox, tmp_path, bought, outcomes)
    assert [outcome.key for outcome in outcomes.values() if outcome.path is None] == []
    assert len(sandbox.creates) == len(bought)


async def test_file_that_has_no_place_stops_no_others(sandbox: Sandbox, tmp_path: Path) -> None:
    """Something stands in the way of this one alone."""
    (tmp_path / ".0.mp4.part").symlink_to("elsewhere")
    outcomes: dict[str, Outcome] = {}
    await run(sandbox, tmp_path, [BatchItem("a boat", key=key, output=f"{key}.mp4") for key in "012345"], outcomes)
    assert {key: type(outcome.error) for key, outcome in outcomes.items() if outcome.error} == {"0": DownloadError}
    assert len(sandbox.creates) == 6


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_budget_is_closed_by_a_disk_that_refuses_all_files(number: int) -> None:
    """A full disk, a folder that is read-only, a disk that is broken."""
    budget, error = Budget(None), DownloadError("cannot write cat.mp4")
    error.errno = number
    budget.notice(error)
    assert isinstance(budget.stopped_by, BatchStoppedError)


@pytest.mark.parametrize("error", [DownloadError("its server answered HTTP 500", 500), ValueError("cat.mp4 exists")])
def test_budget_is_not_closed_by_the_end_of_one_input(error: Exception) -> None:
    """It says nothing about the others."""
    budget = Budget(None)
    budget.notice(error)
    assert budget.is_open
