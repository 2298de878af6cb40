"""A process that was stopped for longer than its lease neither sends nor writes."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ledger_suite import CAT, bring
from postgres_store import until

from sora_async.batch import Stage, postgres_lease
from sora_async.batch.ledger import LEFT_BEHIND
from sora_async.batch.postgres import STALE
from sora_async.errors import LedgerError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are stopped by SIGSTOP")
CHILD = Path(__file__).with_name("postgres_child.py")
LEASE_S = "0.03"


@pytest.fixture
async def stopped(store):
    """A process that has intended `cat`, and was stopped before it was told."""
    command = [sys.executable, CHILD, store.dsn, store.name, LEASE_S]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:  # noqa: ASYNC220 it is fed nothing
        _, status = await asyncio.to_thread(os.waitpid, child.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        yield child
        child.kill()


async def continue_(child):
    child.send_signal(signal.SIGCONT)
    said, _ = await asyncio.to_thread(child.communicate)
    return said.splitlines()


async def test_stopped_process_sends_nothing_that_was_taken_over(store, stopped):
    """Continued, it is not told to send, and cannot note anything; what was doubted meanwhile stays so."""
    async with store.opened() as ledger:
        await until(lambda: ledger.enter("cat", CAT, intend=True))
        entry = await ledger.entry("cat")
        assert (entry.stage, entry.reason) == (Stage.UNCERTAIN, LEFT_BEHIND)
        entering, recording = await continue_(stopped)
        assert entering.startswith('LedgerError("cannot use the ledger')
        assert "was stopped before it could send 'cat'" in entering
        assert "has not heard of this process" in recording
        assert await ledger.entry("cat") == entry
        assert [event.stage for event in await ledger.events("cat")] == [Stage.INTENDED, Stage.UNCERTAIN]


async def test_stopped_process_sends_nothing_that_nobody_took_over(store, stopped):
    """Its lease is over, whether or not anybody has noticed."""
    await until(lambda: store.execute("SELECT FROM {schema}.owners WHERE expires_at <= clock_timestamp()"))
    entering, recording = await continue_(stopped)
    assert "was stopped before it could send 'cat'" in entering
    assert "has not heard of this process" in recording
    assert (await store().entry("cat")).stage is Stage.INTENDED
    async with store.opened() as ledger:
        assert (await ledger.entry("cat")).stage is Stage.UNCERTAIN


async def test_process_that_was_stopped_for_a_while_takes_its_intent_back(store, monkeypatch):
    """If the lease is still its own, though not for long enough to send, there is no doubt."""
    async with store.opened() as ledger:
        await bring(ledger, "cat", Stage.PLANNED)
        real, calls = postgres_lease.boot_time, []

        def stopped_after_the_renewal():
            calls.append(real())
            return calls[-1] if len(calls) == 1 else calls[-1] + 20.1

        monkeypatch.setattr(postgres_lease, "boot_time", stopped_after_the_renewal)
        with pytest.raises(LedgerError, match="was stopped before it could send 'cat'"):
            await ledger.enter("cat", CAT, intend=True)
        again = await ledger.enter("cat", CAT, intend=False)
        assert (again.stage, again.reason) == (Stage.PLANNED, STALE)


def test_boot_time_goes_on_with_whatever_clock_there_is(monkeypatch):
    """The best that the system has, and on all systems one that never goes back."""
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):
        first = postgres_lease.boot_time()
        assert postgres_lease.boot_time() >= first > 0
        monkeypatch.delattr(postgres_lease.time, name, raising=False)
    first = postgres_lease.boot_time()
    assert postgres_lease.boot_time() >= first > 0
