"""Several processes at one PostgreSQL ledger: who works on what, and who goes on when one dies."""

import asyncio

import asyncpg
import attrs
import pytest
from ledger_suite import ACCOUNT, CAT, all_of, bring
from postgres_store import Store, until

from sora_async.batch import Change, Stage, TakenOverError, postgres_lease
from sora_async.batch.ledger import LEFT_BEHIND
from sora_async.batch.postgres_lease import Lease
from sora_async.errors import LedgerError

AT_WORK = [Stage.PLANNED, Stage.INTENDED, Stage.SUBMITTED, Stage.READY]


@pytest.fixture
async def ours(store):
    async with store.opened() as ledger:
        yield ledger


@pytest.fixture
async def theirs(store, ours):
    """Another process's, for all that the server knows."""
    async with store.opened() as ledger:
        yield ledger


@pytest.mark.parametrize("stage", AT_WORK)
async def test_shared_entry_of_a_living_process_is_left_to_it(ours, theirs, stage):
    """Nobody else is told of it, sends it or notes anything of it."""
    await bring(ours, "cat", stage)
    before = await ours.entry("cat")
    assert await theirs.enter("cat", CAT, intend=False) is None
    assert await theirs.enter("cat", CAT, intend=True) is None
    with pytest.raises(LedgerError, match="another process is at work on 'cat'"):
        await theirs.record(Change(key="cat", stage=Stage.RESOLVED))
    assert await ours.entry("cat") == before


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage not in AT_WORK])
async def test_shared_entry_that_has_ended_is_nobodys(ours, theirs, store, stage):
    """It is answered to all, and whoever goes on with it first has it."""
    await bring(ours, "cat", stage)
    entry = await theirs.enter("cat", CAT, intend=True)
    assert entry == await ours.enter("cat", CAT, intend=True)
    assert (await store.execute("SELECT owner FROM {schema}.entries"))[0]["owner"] is None
    onwards = Stage.READY if stage is Stage.DONE else Stage.PLANNED
    await theirs.record(Change(key="cat", stage=onwards))
    assert await ours.enter("cat", CAT, intend=True) is None


@pytest.mark.parametrize(
    ("stage", "onwards"),
    [(Stage.PLANNED, Stage.INTENDED), (Stage.SUBMITTED, Stage.DONE), (Stage.READY, Stage.DONE)],
)
async def test_shared_entry_of_a_closed_ledger_is_taken_over(store, theirs, stage, onwards):
    """What a process leaves is gone on with by the next one, as it is."""
    async with store.opened() as ours:
        await bring(ours, "cat", stage)
        before = await ours.entry("cat")
    assert await theirs.enter("cat", CAT, intend=False) == before
    async with store.opened() as others:
        assert await others.enter("cat", CAT, intend=False) is None
    await theirs.record(Change(key="cat", stage=onwards))


@pytest.mark.parametrize("is_known", [False, True])
async def test_shared_ledger_intends_for_one_process_only(ours, theirs, store, is_known):
    """Of processes that bring the same inputs at once, in any order, one sends each."""
    keys = [str(number) for number in range(300)]
    if is_known:
        async with store.opened() as before:
            await asyncio.gather(*(before.enter(key, CAT, intend=False) for key in keys))
    entered = await asyncio.gather(
        *(ours.enter(key, CAT, intend=True) for key in keys),
        *(theirs.enter(key, CAT, intend=True) for key in reversed(keys)),
    )
    intended = [entry.key for entry in entered if entry is not None]
    assert sorted(intended) == sorted(keys)
    assert {entry.attempt for entry in await all_of(ours)} == {1}


async def test_dead_process_intent_is_doubted_by_who_comes_next(ours, theirs, store):
    """It may have been sent: whoever asks for it is told so, and the step is noted."""
    await bring(ours, "cat", Stage.INTENDED)
    await store.kill(ours)
    with pytest.raises(LedgerError, match="is uncertain in the ledger and cannot become done"):
        await theirs.record(Change(key="cat", stage=Stage.DONE))
    entry = await theirs.enter("cat", CAT, intend=True)
    assert (entry.stage, entry.reason, entry.attempt) == (Stage.UNCERTAIN, LEFT_BEHIND, 1)
    assert [event.stage for event in await theirs.events("cat")] == [Stage.PLANNED, Stage.INTENDED, Stage.UNCERTAIN]


async def test_dead_process_entries_are_found_by_a_living_one(ours, theirs, store):
    """Also one that was open before: an intent is in doubt, the rest is gone on with."""
    for stage in AT_WORK:
        await bring(ours, stage.value, stage)
    before = {entry.key: entry for entry in await all_of(ours)}
    await theirs.enter("theirs", CAT, intend=False)
    await store.kill(ours)
    found = {stage.value: await theirs.enter(stage.value, CAT, intend=False) for stage in AT_WORK}
    doubted = found.pop("intended")
    assert found == {key: entry for key, entry in before.items() if key != "intended"}
    assert (doubted.stage, doubted.reason) == (Stage.UNCERTAIN, LEFT_BEHIND)
    assert (await theirs.events("intended"))[-1].stage is Stage.UNCERTAIN
    assert doubted == await theirs.entry("intended")
    await theirs.record(Change(key="submitted", stage=Stage.DONE))


async def test_dead_process_is_buried_by_living_ones(ours, theirs, store, monkeypatch):
    """Nobody need ask for its entries: they are freed, and what it intended is told to be in doubt."""
    for stage in AT_WORK:
        await bring(ours, stage.value, stage)
    await store.kill(ours)
    monkeypatch.setattr(Lease, "heartbeat_s", 0.01)
    await theirs.enter("theirs", CAT, intend=False)
    await until(lambda: all_of(theirs, Stage.UNCERTAIN))
    doubted = await theirs.entry("intended")
    assert (doubted.stage, doubted.reason) == (Stage.UNCERTAIN, LEFT_BEHIND)
    assert doubted.ended_at >= doubted.planned_at
    last = (await theirs.events("intended"))[-1]
    assert (last.stage, last.reason, last.attempt, last.task_id) == (Stage.UNCERTAIN, LEFT_BEHIND, 1, None)
    assert [event.stage for event in await theirs.events("planned")] == [Stage.PLANNED]
    owned = await store.execute("SELECT key FROM {schema}.entries WHERE owner IS NOT NULL")
    assert [row["key"] for row in owned] == ["theirs"]


async def test_dead_process_that_is_just_writing_is_not_buried(ours, theirs, store):
    """Its row is locked by its own transaction, which may be renewing it."""
    await bring(ours, "cat", Stage.INTENDED)
    await store.kill(ours)
    writing = await asyncpg.connect(store.dsn)
    async with writing.transaction():
        await writing.execute(f"SELECT FROM {store.schema}.owners FOR UPDATE")
        async with store.opened():
            assert (await theirs.entry("cat")).stage is Stage.INTENDED
    await writing.close()
    async with store.opened():
        assert (await theirs.entry("cat")).stage is Stage.UNCERTAIN


@pytest.mark.parametrize("is_buried", [False, True])
@pytest.mark.parametrize("stage", AT_WORK)
async def test_process_that_comes_back_goes_on_with_what_nobody_took(ours, store, stage, is_buried):
    """A server that was away, or a machine that slept, costs nothing but time."""
    await bring(ours, "cat", stage)
    await store.kill(ours)
    if is_buried:
        async with store.opened():
            pass
    onwards = {Stage.PLANNED: Stage.INTENDED, Stage.INTENDED: Stage.SUBMITTED}.get(stage, Stage.DONE)
    if onwards is Stage.INTENDED:
        await ours.enter("cat", CAT, intend=True)
    else:
        await ours.record(Change(key="cat", stage=onwards, task_id="task-1"))
    assert (await ours.entry("cat")).stage is onwards
    async with store.opened() as others:
        assert (await others.enter("cat", CAT, intend=False) is None) is (onwards is not Stage.DONE)


async def _doubted(theirs):
    assert (await theirs.enter("cat", CAT, intend=False)).stage is Stage.UNCERTAIN


async def _given_up(theirs):
    await _doubted(theirs)
    await theirs.record(Change(key="cat", stage=Stage.RESOLVED))


async def _planned_again(theirs):
    await _doubted(theirs)
    await theirs.record(Change(key="cat", stage=Stage.PLANNED))


@pytest.mark.parametrize("settle", [_doubted, _given_up, _planned_again])
async def test_id_that_comes_home_late_settles_what_others_made_of_it(ours, theirs, store, settle):
    """The process that sent it was taken for dead, and has the id after all: nobody buys it again."""
    await ours.enter("cat", CAT, intend=True)
    await store.kill(ours)
    await settle(theirs)
    await ours.record(Change(key="cat", stage=Stage.SUBMITTED, task_id="task-1"))
    entry = await ours.entry("cat")
    assert (entry.stage, entry.task_id, entry.attempt, entry.ended_at) == (Stage.SUBMITTED, "task-1", 1, None)
    assert await theirs.enter("cat", CAT, intend=True) is None


async def test_end_of_a_create_that_was_doubted_is_noted(ours, theirs, store):
    """What proves that it was not taken, and what is known of the doubt, comes from who sent it."""
    for key in ("cat", "dog"):
        await ours.enter(key, CAT, intend=True)
    await store.kill(ours)
    for key in ("cat", "dog"):
        await theirs.enter(key, CAT, intend=False)
    await ours.record(Change(key="cat", stage=Stage.PLANNED, reason="refused"))
    await ours.record(Change(key="dog", stage=Stage.UNCERTAIN, reason="cut off", raw=b"{"))
    cat, dog = await all_of(ours)
    assert (cat.stage, cat.reason) == (Stage.PLANNED, "refused")
    assert (dog.stage, dog.reason, dog.raw) == (Stage.UNCERTAIN, "cut off", b"{")


async def test_id_of_an_attempt_that_another_followed_is_refused(ours, theirs, store):
    """Settled by the user, and being sent by another process: the account of that one is not touched."""
    await ours.enter("cat", CAT, intend=True)
    await store.kill(ours)
    await _planned_again(theirs)
    sent = await theirs.enter("cat", CAT, intend=True)
    with pytest.raises(LedgerError, match="'cat' was settled by somebody else, and is sent anew since then"):
        await ours.record(Change(key="cat", stage=Stage.SUBMITTED, task_id="task-1"))
    assert await ours.entry("cat") == sent


async def test_what_another_process_took_is_left_to_it(ours, theirs, store):
    """Taken for dead, a process that comes back does not meddle."""
    await bring(ours, "cat", Stage.SUBMITTED)
    await store.kill(ours)
    taken = await theirs.enter("cat", CAT, intend=False)
    for _ in range(2):
        with pytest.raises(TakenOverError, match="another process is at work on 'cat'"):
            await ours.record(Change(key="cat", stage=Stage.DONE))
    assert await ours.enter("cat", CAT, intend=False) is None
    assert await ours.entry("cat") == taken
    await theirs.record(Change(key="cat", stage=Stage.DONE))


async def test_server_that_has_just_started_takes_nobody_for_dead(ours, theirs, store, monkeypatch):
    """Those that it left must come back first; who said goodbye is dead at once."""
    monkeypatch.setattr(postgres_lease, "RESTART_GRACE_S", 1e9)
    await bring(ours, "cat", Stage.SUBMITTED)
    await store.kill(ours)
    assert await theirs.enter("cat", CAT, intend=False) is None
    async with store.opened() as others:
        assert await others.enter("cat", CAT, intend=False) is None
        await ours.close()
        assert (await others.enter("cat", CAT, intend=False)).stage is Stage.SUBMITTED


async def test_owner_of_long_ago_is_forgotten(ours, store):
    """Should it come back after all, it writes nothing, and a new opening begins anew."""
    await bring(ours, "cat", Stage.SUBMITTED)
    await store.execute("UPDATE {schema}.owners SET expires_at = clock_timestamp() - interval '31 days'")
    async with store.opened():
        pass
    before = await ours.entry("cat")
    for _ in range(2):
        with pytest.raises(LedgerError, match=r"cannot use the ledger .* knows nothing of this process any more"):
            await ours.record(Change(key="cat", stage=Stage.DONE))
        with pytest.raises(LedgerError, match="knows nothing of this process"):
            await ours.enter("dog", CAT, intend=True)
    assert await all_of(ours) == [before]
    await ours.close()
    await ours.open(ACCOUNT)
    assert await ours.enter("cat", CAT, intend=False) == before


async def test_lease_is_renewed_while_nothing_is_written(ours, store, monkeypatch):
    """A process that only waits for its tasks stays alive."""
    monkeypatch.setattr(Lease, "heartbeat_s", 0.01)
    await ours.enter("cat", CAT, intend=False)
    ((first,),) = await store.execute("SELECT expires_at FROM {schema}.owners")
    await until(lambda: store.execute("SELECT FROM {schema}.owners WHERE expires_at > $1", first))


async def test_ledgers_of_one_database_are_apart(ours, store):
    """Each name has its own account, its own entries and its own owners."""
    await bring(ours, "cat", Stage.DONE)
    elsewhere = Store(store.dsn, f"{store.name}_b")
    other = elsewhere()
    await other.open("somebody@relay.example")
    assert (await other.enter("cat", {"prompt": "another"}, intend=True)).stage is Stage.INTENDED
    assert await other.account() == "somebody@relay.example"
    await other.close()
    assert (await ours.entry("cat")).request == CAT
    await elsewhere.drop()


async def test_task_is_found_by_its_id(ours):
    """What a relay's list or its support names is looked up here."""
    for key in ("cat", "dog"):
        await bring(ours, key, Stage.SUBMITTED)
    await ours.record(Change(key="dog", stage=Stage.SUBMITTED, task_id="task-2"))
    assert await ours.entries_of_task("task-2") == [await ours.entry("dog")]
    assert await ours.entries_of_task("task-3") == []


async def test_hints_are_shared(ours, theirs):
    """The last text is kept, whoever learnt it."""
    await asyncio.gather(ours.remember("first", "a"), ours.remember("second", "b"), theirs.remember("second", "c"))
    await theirs.remember("first", "d")
    assert await ours.recall("first") == "d"
    assert await theirs.recall("second") in {"b", "c"}


async def test_entry_keeps_each_step_with_its_time(ours):
    """What is noted of a step is what the entry was then."""
    await bring(ours, "cat", Stage.FAILED)
    await ours.record(Change(key="cat", stage=Stage.PLANNED, reason="once more"))
    events = await ours.events("cat")
    assert [attrs.astuple(event)[1:] for event in events] == [
        (Stage.PLANNED, 0, None, None),
        (Stage.INTENDED, 1, None, None),
        (Stage.SUBMITTED, 1, "task-1", None),
        (Stage.FAILED, 1, "task-1", None),
        (Stage.PLANNED, 1, None, "once more"),
    ]
    assert sorted(event.at for event in events) == [event.at for event in events]
    assert await ours.entry("dog") is None
    assert await ours.events("dog") == []
