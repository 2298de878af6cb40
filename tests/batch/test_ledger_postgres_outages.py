"""A PostgreSQL server that goes away amid the writing: nothing is lost, doubled or guessed, and nothing hangs."""

import asyncio

import asyncpg
import pytest
from ledger_suite import ACCOUNT, CAT, all_of, bring
from postgres_proxy import Proxy
from postgres_store import Store

from sora_async.batch import Change, Stage, postgres_session
from sora_async.errors import LedgerError

SUBMITTED = Change(key="cat", stage=Stage.SUBMITTED, task_id="task-1")


@pytest.mark.parametrize("act", ["before", "after", "late"])
async def test_commit_whose_answer_is_lost_is_looked_up(store, act):
    """Whether it was made or not, the step is noted once, and its answer is the true one."""
    async with Proxy(store.dsn, trap=None) as proxy, store.opened(proxy.dsn) as ledger:
        await bring(ledger, "cat", Stage.INTENDED)
        proxy.act, proxy.trap = act, b"COMMIT"
        await ledger.record(SUBMITTED)
        assert proxy.sprung.is_set()
        entry = await ledger.entry("cat")
        assert (entry.stage, entry.task_id) == (Stage.SUBMITTED, "task-1")
        assert [event.stage for event in await ledger.events("cat")].count(Stage.SUBMITTED) == 1
        await ledger.record(Change(key="cat", stage=Stage.DONE))


@pytest.mark.parametrize("act", ["before", "after"])
async def test_intent_whose_answer_is_lost_is_told_to_one_caller(store, act):
    """It is intended once, by its first attempt."""
    async with Proxy(store.dsn, trap=None, act=act) as proxy, store.opened(proxy.dsn) as ledger:
        proxy.trap = b"COMMIT"
        entries = await asyncio.gather(*(ledger.enter("cat", CAT, intend=True) for _ in range(5)))
        (entry,) = filter(None, entries)
        assert proxy.sprung.is_set()
        assert (entry.stage, entry.attempt) == (Stage.INTENDED, 1)


async def test_commit_that_cannot_be_looked_up_is_told_as_unknown(store):
    """If the row that would tell is gone, neither success nor failure is claimed, and nothing more is bought."""
    async with Proxy(store.dsn, trap=None) as proxy, store.opened(proxy.dsn) as ledger:
        await bring(ledger, "cat", Stage.INTENDED)
        connect = ledger._writer._connect

        async def connect_too_late():
            await store.execute("DELETE FROM {schema}.owners")
            return await connect()

        ledger._writer._connect = connect_too_late
        proxy.trap = b"COMMIT"
        with pytest.raises(LedgerError, match=r"knows nothing of this process.*whether its last steps were noted"):
            await ledger.record(SUBMITTED)
        with pytest.raises(LedgerError, match="knows nothing of this process"):
            await ledger.enter("dog", CAT, intend=True)
        assert (await store().entry("cat")).task_id == "task-1"


async def test_commit_that_may_not_be_looked_up_is_told_as_unknown(store):
    """Whatever keeps it from being looked up, nothing is assumed of it, and nothing written after it."""
    async with Proxy(store.dsn, trap=None) as proxy, store.opened(proxy.dsn) as ledger:
        await bring(ledger, "cat", Stage.INTENDED)
        connect = ledger._writer._connect

        async def connect_in_vain():
            ledger._writer._connect = connect
            raise asyncpg.InvalidPasswordError("it has been changed")

        ledger._writer._connect = connect_in_vain
        proxy.trap = b"COMMIT"
        with pytest.raises(LedgerError, match=r"it has been changed; check .*whether its last steps were noted"):
            await ledger.record(SUBMITTED)
        with pytest.raises(LedgerError, match="it has been changed"):
            await ledger.enter("dog", CAT, intend=True)
        assert await ledger.entry("dog") is None


async def test_connection_that_was_dropped_is_made_again(store):
    """An administrator, or a firewall, may drop it at any time."""
    async with store.opened() as ledger:
        await bring(ledger, "cat", Stage.INTENDED)
        await store.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sora_async'"
        )
        await ledger.record(SUBMITTED)
        assert (await ledger.entry("cat")).task_id == "task-1"


async def test_server_that_does_not_answer_is_given_up(store):
    """A write ends within the lease though nothing comes back, and so does the run, though it could go on."""
    async with Proxy(store.dsn, trap=None) as proxy, store.opened(proxy.dsn, patience_s=0.01) as ledger:
        await ledger.enter("cat", CAT, intend=False)
        ledger._writer.lease.length_s = 0.04
        proxy.act, proxy.trap = "silent", b"BEGIN"
        for _ in range(2):
            with pytest.raises(LedgerError, match="connection was closed"):
                await ledger.enter("cat", CAT, intend=True)
            ledger._writer.lease.length_s = 30
        assert (await store().entry("cat")).stage is Stage.PLANNED


async def test_server_that_is_gone_ends_the_run(store):
    """Patience is bounded, what follows fails at once, and closing does not hang."""
    async with Proxy(store.dsn, trap=None) as proxy, store.opened(proxy.dsn, patience_s=0.05) as ledger:
        await bring(ledger, "cat", Stage.INTENDED)
        proxy.act, proxy.trap = "before", b"BEGIN"
        await proxy.__aexit__()
        recording = [asyncio.create_task(ledger.record(SUBMITTED)) for _ in range(2)]
        for task in recording:
            with pytest.raises(LedgerError, match=r"cannot use the ledger .*check that the server runs"):
                await task
        with pytest.raises(LedgerError, match="check that the server runs"):
            await ledger.entry("cat")
    assert (await store().entry("cat")).stage is Stage.INTENDED


async def test_ledger_closes_though_its_connection_was_dropped(store):
    """Its lease is let go by another connection, so the next process need not wait."""
    async with store.opened() as ledger:
        await bring(ledger, "cat", Stage.SUBMITTED)
        ledger._writer._drop()
    async with store.opened() as later:
        assert (await later.enter("cat", CAT, intend=False)).stage is Stage.SUBMITTED


async def test_opening_does_not_wait_for_a_server_that_is_not_there(store):
    """A wrong address is told at once."""
    async with Proxy(store.dsn) as proxy:
        ledger = store(proxy.dsn)
    with pytest.raises(LedgerError, match="check that the server runs and can be reached"):
        await ledger.open(ACCOUNT)
    await ledger.close()


async def test_opening_does_not_wait_for_a_server_that_says_nothing(store, monkeypatch):
    """It may be another program's port."""
    monkeypatch.setattr(postgres_session, "CONNECT_S", 0.02)
    async with Proxy(store.dsn, trap=b"sora_async", act="silent") as proxy:
        with pytest.raises(LedgerError, match="there was no answer in time; check that the server runs"):
            await store(proxy.dsn).open(ACCOUNT)


async def test_opening_that_fails_half_way_lets_go(store):
    """The connection that was made is closed, and it can be opened again."""
    async with Proxy(store.dsn, trap=b"INSERT INTO owners", act="before") as proxy:
        ledger = store(proxy.dsn)
        with pytest.raises(LedgerError):
            await ledger.open(ACCOUNT)
        await ledger.open(ACCOUNT)
        await ledger.close()


async def test_reading_goes_on_after_a_restart(store):
    """While the ledger is open, a page whose connection is lost is read again."""
    async with store.opened() as ledger:
        await bring(ledger, "cat", Stage.SUBMITTED)
        async with Proxy(store.dsn, trap=b"LIMIT", act="before") as proxy:
            ledger._address = store(proxy.dsn)._address
            assert [entry.key for entry in await all_of(ledger)] == ["cat"]
            assert proxy.sprung.is_set()


def test_loop_that_ends_first_leaves_no_writer(store_outside):
    """A program that forgets to close is a crash to the ledger: what waits fails, and the lease runs out."""

    async def leave():
        ledger = store_outside()
        await ledger.open(ACCOUNT)
        await bring(ledger, "cat", Stage.SUBMITTED)
        return ledger, asyncio.ensure_future(ledger.enter("dog", CAT, intend=True))

    ledger, entering = asyncio.run(leave())
    assert entering.cancelled()
    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(ledger.enter("dog", CAT, intend=True))
    (entry,) = asyncio.run(all_of(store_outside()))
    assert entry.stage is Stage.SUBMITTED


@pytest.fixture
def store_outside(postgres):
    store = Store(postgres, "outside")
    yield store
    asyncio.run(store.drop())


async def test_server_that_is_killed_loses_nothing_and_repeats_nothing(postgres_server):
    """Killed and started again amid the writes of one run, which goes on: what was answered is there, once."""
    store = Store(postgres_server.dsn, "killed")
    told = {}

    async def buy(key):
        entry = await ledger.enter(key, CAT, intend=True)
        assert (entry.stage, entry.attempt) == (Stage.INTENDED, 1)
        await ledger.record(Change(key=key, stage=Stage.SUBMITTED, task_id=f"task-{key}"))
        told[key] = f"task-{key}"

    async def work(worker):
        number = 0
        while not is_over.is_set():
            number += 1
            await buy(f"{worker}-{number}")

    is_over = asyncio.Event()
    async with store.opened() as ledger:
        working = [asyncio.create_task(work(worker)) for worker in range(50)]
        for _ in range(2):
            before = len(told)
            while len(told) < before + 200:  # noqa: ASYNC110 it is told by no event
                await asyncio.sleep(0.01)
            postgres_server.kill()
            await asyncio.to_thread(postgres_server.start)
        is_over.set()
        await asyncio.gather(*working)
        assert {entry.key: entry.task_id for entry in await all_of(ledger)} == told
        steps = await store.execute("SELECT entry, stage FROM {schema}.events")
        assert len(steps) == len(set(steps)) == 2 * len(told)
    await store.drop()
