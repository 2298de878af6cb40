"""Writers that are killed, and disks that refuse: what was acknowledged stays, and what is in doubt is told."""

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from ledger_suite import ACCOUNT, all_of, bring

from sora_async.batch import SqliteLedger, Stage
from sora_async.errors import LedgerError

KILLING = Path(__file__).with_name("ledger_killing.py")
BEGIN = """
import asyncio, concurrent.futures.thread, os, resource, sys
from sora_async.batch import Change, SqliteLedger, Stage
from sora_async.errors import LedgerError

async def main(ledger):
"""
END = "\nasyncio.run(main(SqliteLedger(sys.argv[1])))"
HOLDING = """
    await ledger.open("4f1a2b3c@relay.example")
    await ledger.enter("cat", {"prompt": "a cat"}, intend=True)
    print(os.getpid(), flush=True)
    await asyncio.sleep(60)
"""
FILLING = """
    await ledger.open("account")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    kept = 0
    try:
        while True:
            await asyncio.gather(*(ledger.enter(f"{kept}-{n}", {"prompt": "x" * 500}, intend=True) for n in range(20)))
            kept += 1
    except LedgerError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert await ledger.enter("later", {"prompt": "x"}, intend=True)
    await ledger.close()
    print(kept)
"""
POWERLESS = """
    os.getuid() or os.setuid(65534)
    try:
        await ledger.open("4f1a2b3c@relay.example")
    except LedgerError as error:
        print(error)
    await ledger.close()
    print(*[entry.key async for entry in ledger.entries()])
"""
ON_POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other processes")


def run(code: str, path: Path) -> list[str]:
    """Run a program in another process, and answer the lines that it prints."""
    command = [sys.executable, "-c", BEGIN + code + END, str(path)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()


@ON_POSIX
@pytest.mark.parametrize(("when", "kills"), [("random", 40), ("before", 30), ("after", 30)])
def test_ledger_crash_loses_nothing_that_was_told(tmp_path, when, kills):
    """After each of many kills all that was acknowledged is there, and what was intended is uncertain."""
    command = [sys.executable, str(KILLING), str(tmp_path), when, str(kills), "1"]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    killed, steps, doubts = map(int, ran.stdout.split())
    assert killed == kills
    assert steps > kills
    assert doubts > 0


@ON_POSIX
async def test_ledger_crash_gives_the_lock_back(tmp_path):
    """A writer in another process keeps this one out, until it is killed."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    command = [sys.executable, "-c", BEGIN + HOLDING + END, str(ledger.path)]
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        holder = (await child.stdout.readline()).decode().strip()
        with pytest.raises(LedgerError, match=f"process {holder} is writing it: wait for it or stop it"):
            await ledger.open(ACCOUNT)
        assert [entry.stage for entry in await all_of(ledger)] == [Stage.INTENDED]
    finally:
        child.kill()
        await child.communicate()
    await ledger.open(ACCOUNT)
    await ledger.close()
    assert [entry.stage for entry in await all_of(ledger)] == [Stage.UNCERTAIN]


@ON_POSIX
def test_ledger_crash_of_a_full_disk_is_told_before_anything_is_sent(tmp_path):
    """What does not fit is not intended, what was told before stays, and with more room it goes on."""
    told, kept = run(FILLING, tmp_path / "ledger.db")
    assert "cannot use the ledger" in told
    assert told.endswith(("free some space", "check the disk and its free space"))
    left = asyncio.run(all_of(SqliteLedger(tmp_path / "ledger.db")))
    assert len(left) == 20 * int(kept) + 1
    assert left[-1].key == "later"


async def write_one(ledger: SqliteLedger) -> None:
    await ledger.open(ACCOUNT)
    await bring(ledger, "cat", Stage.DONE)
    await ledger.close()


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="there are no such modes here")
@pytest.mark.parametrize("is_folder", [False, True])
def test_ledger_crash_of_a_disk_that_is_read_only_is_told(is_folder):
    """Nothing can be intended where nothing can be written; reading goes on."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, lock = folder / "ledger.db", folder / "ledger.db.lock"
        asyncio.run(write_one(SqliteLedger(path)))
        path.chmod(0o444)
        lock.chmod(0o444 if is_folder else 0o666)
        folder.chmod(0o555 if is_folder else 0o777)
        told, keys = run(POWERLESS, path)
        folder.chmod(0o700)
    assert told.endswith("check the folder and its permissions" if is_folder else "check its permissions")
    assert keys == "cat"
