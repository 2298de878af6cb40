"""A process that was stopped for longer than its lease sends and writes nothing that is not its own any more."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ledger_suite import CAT, bring
from postgres_store import until

from sora_async.batch import Change, Stage, postgres_lease
from sora_async.batch.ledger import LEFT_BEHIND
from sora_async.batch.postgres import STALE

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
    """Settled and intended by another meanwhile, it is not told to send, and cannot note anything."""
    async with store.opened() as ledger:
        await until(lambda: ledger.enter("cat", CAT, intend=True))
        entry = await ledger.entry("cat")
        assert (entry.stage, entry.reason) == (Stage.UNCERTAIN, LEFT_BEHIND)
        await ledger.record(Change(key="cat", stage=Stage.PLANNED))
        entry = await ledger.enter("cat", CAT, intend=True)
        assert (entry.stage, entry.attempt) == (Stage.INTENDED, 2)
        entering, recording = await continue_(stopped)
        assert entering == "None"
        assert "another process is at work on 'cat'" in recording
        assert await ledger.entry("cat") == entry
        await ledger.record(Change(key="cat", stage=Stage.SUBMITTED, task_id="ours"))


@pytest.mark.parametrize("is_doubted", [False, True])
async def test_stopped_process_takes_back_what_it_has_not_sent(store, stopped, is_doubted):
    """It alone knows that nothing was sent, also when others doubted it: it is told to send only by a new attempt."""
    await until(lambda: store.execute("SELECT FROM {schema}.owners WHERE expires_at <= clock_timestamp()"))
    if is_doubted:
        async with store.opened() as ledger:
            assert (await ledger.entry("cat")).stage is Stage.UNCERTAIN
    entering, recording = await continue_(stopped)
    assert "attempt=2" in entering
    assert recording == "None"
    events = await store().events("cat")
    doubts = [Stage.UNCERTAIN] * is_doubted
    assert [event.stage for event in events] == [
        *(Stage.INTENDED, *doubts, Stage.PLANNED, Stage.INTENDED, Stage.SUBMITTED)
    ]
    assert events[1 + is_doubted].reason == STALE


async def test_process_that_was_stopped_for_a_while_takes_its_intent_back(store, monkeypatch):
    """If the lease is still its own, though not for long enough to send, there is no doubt."""
    async with store.opened() as ledger:
        await bring(ledger, "cat", Stage.PLANNED)
        real, calls = postgres_lease.boot_time, []

        def stopped_after_the_renewal():
            calls.append(real())
            return calls[-1] if len(calls) == 1 else calls[-1] + 20.1

        monkeypatch.setattr(postgres_lease, "boot_time", stopped_after_the_renewal)
        assert (await ledger.enter("cat", CAT, intend=True)).attempt == 2
        assert [(event.stage, event.reason) for event in (await ledger.events("cat"))[1:]] == [
            (Stage.INTENDED, None),
            (Stage.PLANNED, STALE),
            (Stage.INTENDED, None),
        ]


async def test_intent_of_an_earlier_term_is_not_sent(store):
    """A lease that expired and was renewed before its caller was told is firm again, but not for that intent."""
    async with store.opened() as ledger:
        await bring(ledger, "cat", Stage.PLANNED)
        entering = asyncio.create_task(ledger.enter("cat", CAT, intend=True))
        writer = ledger._writer
        commit = writer._commit

        async def commit_and_expire(connection, group):
            is_done = await commit(connection, group)
            writer._commit = commit
            await store.kill(ledger)
            # Renewed within the same step of the loop, as by a heartbeat that comes first.
            assert await commit(connection, [])
            return is_done

        writer._commit = commit_and_expire
        assert (await entering).attempt == 2
        assert writer.lease.term == 1


def test_boot_time_goes_on_with_whatever_clock_there_is(monkeypatch):
    """The best that the system has, and on all systems one that never goes back."""
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):
        first = postgres_lease.boot_time()
        assert postgres_lease.boot_time() >= first > 0
        monkeypatch.delattr(postgres_lease.time, name, raising=False)
    first = postgres_lease.boot_time()
    assert postgres_lease.boot_time() >= first > 0
