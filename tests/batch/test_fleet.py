"""A batch on a fleet: what holds for one machine holds for all of them together."""

import asyncio
import io
import logging

import pytest
from ledger_suite import all_of

distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install 'sora_async[dask]'")

from fleet_play import PROMPTS, QUICK, bring, cluster_of, make_client  # noqa: E402 they need it

from sora_async import (  # noqa: E402
    APIError,
    BatchItem,
    BatchPolicy,
    BatchStoppedError,
    LedgerError,
    SubmissionUncertainError,
)
from sora_async.batch import (  # noqa: E402
    Forgetful,
    PostgresLedger,
    SqliteLedger,
    Stage,
    fleet,
    fleet_worker,
    fleet_worker_batch,
    generate_many_on,
    worker,
)
from sora_async.batch.fleet_stages import Stages  # noqa: E402
from sora_async.sandbox import Faults, Sandbox, Scenario  # noqa: E402

CANARY = "sk-canary-0123456789"


@pytest.fixture
async def dask():
    async with cluster_of(2) as (_, dask):
        yield dask


@pytest.fixture
def relay(monkeypatch):
    """Have workers find a sandbox in their environment."""

    def tell(sandbox):
        monkeypatch.setenv("SORA_API_KEY", CANARY)
        monkeypatch.setenv("SORA_BASE_URL", sandbox.url)
        return sandbox

    return tell


async def test_fleet_buys_each_input_once(dask, store, relay, tmp_path):
    """Also the same prompt twice is two videos; run again, nothing is bought, and all is told again."""
    prompts = [*PROMPTS, PROMPTS[0]]
    async with Sandbox(QUICK) as sandbox:
        relay(sandbox)
        seen = []
        first = await bring(dask, prompts, store(), directory=tmp_path, on_entry=lambda *told: seen.append(told))
        again = await bring(dask, prompts, store(), directory=tmp_path, concurrency=3)
        assert len({outcome.key for outcome in first}) == len(first) == len(again) == len(prompts)
        assert all(outcome.path.is_file() for outcome in [*first, *again])
        assert [is_new for _, is_new in seen] == [True] * len(prompts)
        assert {entry.task_id for entry, _ in seen} == {created.id for created in sandbox.creates}
        assert len(sandbox.creates) == len(prompts)


async def test_fleet_tells_how_far_its_inputs_are(dask, store, relay, monkeypatch, caplog):
    """On all workers together, again and again; a callback that fails is logged, and ends nothing."""
    monkeypatch.setattr(fleet_worker, "TELL_S", 0.02)
    seen = []

    def hear(stages):
        seen.append(dict(stages))
        if len(seen) == 1:
            raise ZeroDivisionError

    async with Sandbox(Scenario(takes_s=0.3, clip=QUICK.clip)) as sandbox:
        relay(sandbox)
        outcomes = await bring(dask, PROMPTS, store(), on_stages=hear)
    assert {outcome.error for outcome in outcomes} == {None}
    assert max(stages.get(Stage.SUBMITTED, 0) for stages in seen) == len(PROMPTS)
    assert "on_stages failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_stages_of_a_worker_that_is_silent_count_no_more():
    """It may have been killed."""
    now, seen = [0.0], []
    stages = Stages(seen.append, clock=lambda: now[0])
    for at, worker_name, count in ((0.0, "a", 3), (1.0, "b", 4), (5.0, "b", 2)):
        now[0] = at
        stages.heard((at, {"worker": worker_name, "stages": {"submitted": count, "ready": 1}}))
    assert seen == [
        {Stage.SUBMITTED: 3, Stage.READY: 1},
        {Stage.SUBMITTED: 7, Stage.READY: 2},
        {Stage.SUBMITTED: 2, Stage.READY: 1},
    ]


async def test_fleet_whose_client_of_dask_is_closed_ends(dask, store, relay):
    """There is nobody left who could be told that its stages are of no interest any more."""
    async with Sandbox(Scenario(takes_s=0.2, clip=QUICK.clip)) as sandbox:
        relay(sandbox)
        own = await distributed.Client(dask.scheduler.address, asynchronous=True)
        outcomes = generate_many_on(own, PROMPTS * 3, ledger=store(), on_stages=lambda _: None)
        await anext(outcomes)
        await own.close()
        with pytest.raises(BatchStoppedError, match="scheduler of Dask was lost"):
            [outcome async for outcome in outcomes]
        async with make_client() as client:
            alone = [outcome async for outcome in client.generate_many(PROMPTS * 3, ledger=store())]
        assert len(sandbox.creates) == len(alone) == len(PROMPTS) * 3


async def test_fleet_by_an_address_needs_no_client_of_dask(dask, store, relay):
    """It makes one, and the default client of a worker is made from the worker's environment."""
    async with Sandbox(Scenario(takes_s=0.0, finished_at_create=True, clip=QUICK.clip)) as sandbox:
        relay(sandbox)
        outcomes = generate_many_on(dask.scheduler.address, PROMPTS[:2], ledger=store())
        assert [outcome.error async for outcome in outcomes] == [None, None]


async def test_fleet_buys_no_more_than_max_tasks(dask, store, relay):
    """What the ledger knows takes nothing of it, and neither does what was refused."""
    async with Sandbox(QUICK, faults=Faults(create=["redirect"])) as sandbox:
        relay(sandbox)
        first = await bring(dask, PROMPTS, store(), policy=BatchPolicy(max_tasks=5))
        assert len(sandbox.creates) == 5
        assert [type(outcome.error) for outcome in first if outcome.error] == [APIError]
        await bring(dask, PROMPTS, store(), policy=BatchPolicy(max_tasks=4))
        assert len(sandbox.creates) == 9


async def test_fleet_stops_after_doubts_in_a_row(dask, store, relay):
    """The doubts of one worker stop all of them."""
    async with Sandbox(QUICK, faults=Faults(create={"reset_after": 1.0})) as sandbox:
        relay(sandbox)
        outcomes = generate_many_on(
            dask, PROMPTS * 5, ledger=store(), client=make_client, policy=BatchPolicy(creates=2)
        )
        seen = set()

        async def follow():
            async for outcome in outcomes:
                seen.add(type(outcome.error))

        with pytest.raises(BatchStoppedError, match="uncertain"):
            await follow()
        assert seen == {SubmissionUncertainError}
        assert len(sandbox.creates) < 20
        entries = await all_of(store())
        assert len(sandbox.creates) <= sum(entry.stage is Stage.UNCERTAIN for entry in entries)


async def test_fleet_that_is_left_buys_no_more_and_lets_go(dask, store, relay):
    """Creates under way come home, and one process goes on at once."""
    async with Sandbox(Scenario(takes_s=0.2, clip=QUICK.clip)) as sandbox:
        relay(sandbox)
        outcomes = generate_many_on(dask, PROMPTS * 3, ledger=store(), client=make_client, concurrency=6)
        async for _ in outcomes:
            break
        await outcomes.aclose()
        bought = len(sandbox.creates)
        stages = {entry.stage for entry in await all_of(store())}
        assert Stage.INTENDED not in stages
        async with make_client() as client:
            alone = [outcome async for outcome in client.generate_many(PROMPTS * 3, ledger=store())]
        assert bought < len(sandbox.creates) == len(alone) == len(PROMPTS) * 3
        assert {outcome.error for outcome in alone} == {None}


async def test_fleet_goes_on_when_a_lease_is_lost(dask, store, relay, monkeypatch):
    """A worker that was away for too long begins anew; what it had bought is brought home."""
    monkeypatch.setattr(worker, "BUSY_S", 0.02)
    async with Sandbox(Scenario(takes_s=0.3, clip=QUICK.clip)) as sandbox:
        relay(sandbox)
        bringing = asyncio.create_task(bring(dask, PROMPTS, store()))
        while len(sandbox.creates) < len(PROMPTS):  # noqa: ASYNC110 it is told by no event
            await asyncio.sleep(0.01)
        await store.execute("UPDATE {schema}.owners SET expires_at = clock_timestamp()")
        outcomes = await bringing
        assert len(outcomes) == len(sandbox.creates) == len(PROMPTS)
        errors = {type(outcome.error) for outcome in outcomes}
        assert errors <= {type(None), SubmissionUncertainError}


async def test_fleet_goes_on_without_a_worker_that_is_closed(store, relay, monkeypatch):
    """It brings home what it sent and lets go, so that another goes on at once, and nothing is in doubt."""
    monkeypatch.setattr(worker, "BUSY_S", 0.02)
    async with Sandbox(Scenario(takes_s=0.3, clip=QUICK.clip)) as sandbox, cluster_of(1) as (cluster, dask):
        relay(sandbox)
        closing = await cluster.add_worker()
        bringing = asyncio.create_task(bring(dask, PROMPTS, store()))
        while len(sandbox.creates) < len(PROMPTS) // 2:  # noqa: ASYNC110 it is told by no event
            await asyncio.sleep(0.01)
        await closing.close()
        assert {outcome.error for outcome in await bringing} == {None}
        assert len(sandbox.creates) == len(PROMPTS)


async def test_fleet_waits_for_what_somebody_else_is_at_work_on(dask, store, relay, monkeypatch):
    """As for a worker that was killed, until its lease ends."""
    monkeypatch.setattr(worker, "BUSY_S", 0.01)
    async with Sandbox(QUICK) as sandbox:
        relay(sandbox)
        key = (await bring(dask, PROMPTS[:1], store()))[0].key
        other = store()
        await other.open(await other.account())
        request = (await all_of(other))[0].request
        await other.enter("mine", request, intend=False)
        bringing = asyncio.create_task(bring(dask, [BatchItem(PROMPTS[0], key="mine")], store()))
        done, _ = await asyncio.wait([bringing], timeout=0.05)
        assert not done
        await other.close()
        assert [outcome.key for outcome in await bringing] == ["mine"] != [key]


async def test_fleet_with_new_workers_divides_the_limits_anew(store, relay, monkeypatch):
    """Inputs that come later have other shares, and go to the new ones, too."""
    monkeypatch.setattr(fleet, "COUNT_S", 0.0)
    shares = set()
    stream = fleet_worker_batch._InputStream

    class Seen(stream):
        def __init__(self, creates, downloads):
            super().__init__(creates, downloads)
            shares.add((creates, downloads))

    monkeypatch.setattr(fleet_worker_batch, "_InputStream", Seen)
    async with Sandbox(QUICK) as sandbox, cluster_of(1) as (cluster, dask):
        relay(sandbox)

        async def inputs():
            yield PROMPTS[0]
            await cluster.add_worker()
            for prompt in PROMPTS[1:]:
                yield prompt

        assert len(await bring(dask, inputs(), store(), policy=BatchPolicy(creates=10, downloads=4))) == len(PROMPTS)
    assert shares == {(10, 4), (5, 2), (0, 0)}


async def test_fleet_whose_inputs_come_slowly_lets_go_meanwhile(dask, store, relay, monkeypatch):
    """A worker's part without work is closed, and another is made when there is some."""
    monkeypatch.setattr(fleet_worker, "IDLE_S", 0.02)
    monkeypatch.setattr(fleet_worker_batch, "QUIET_S", 0.01)
    async with Sandbox(QUICK) as sandbox:
        relay(sandbox)

        async def inputs():
            for prompt in PROMPTS[:3]:
                yield prompt
                while await store.execute("SELECT 1 FROM {schema}.owners WHERE expires_at > clock_timestamp()"):  # noqa: ASYNC110 it is told by no event
                    await asyncio.sleep(0.01)

        await PostgresLedger(store.dsn, name=store.name).migrate()
        assert len(await bring(dask, inputs(), store())) == len(sandbox.creates) == 3


async def test_fleet_that_is_told_a_key_twice_says_so(dask, store, relay):
    """The first is brought, and the second is told."""
    async with Sandbox(QUICK) as sandbox:
        relay(sandbox)
        outcomes = await bring(dask, [BatchItem("a cat", key="cat"), BatchItem("a cat", key="cat")], store())
        assert sorted(type(outcome.error).__name__ for outcome in outcomes) == ["NoneType", "ValueError"]
        assert len(sandbox.creates) == 1


async def test_fleet_stops_when_the_ledger_contradicts(dask, store, relay):
    """A key that stands for another request is no one's to buy."""
    async with Sandbox(QUICK) as sandbox:
        relay(sandbox)
        await bring(dask, [BatchItem("a cat", key="cat")], store())
        with pytest.raises(LedgerError, match="stands for the request"):
            await bring(dask, [BatchItem("a dog", key="cat")], store())
        assert len(sandbox.creates) == 1


async def test_fleet_raises_what_its_inputs_raise(dask, store, relay):
    """After the outcomes of those before."""

    def inputs():
        yield PROMPTS[0]
        raise OSError("the list is gone")

    async with Sandbox(QUICK) as sandbox:
        relay(sandbox)
        with pytest.raises(OSError, match="the list is gone"):
            await bring(dask, inputs(), store())
        assert len(await all_of(store())) <= 1


async def test_fleet_raises_what_is_wrong_with_its_caller(dask, store, relay, monkeypatch):
    """And what is wrong with its workers, if each input is lost with them."""
    async with Sandbox(QUICK) as sandbox:
        relay(sandbox)
        with pytest.raises(ZeroDivisionError):
            await bring(dask, PROMPTS, store(), on_entry=lambda *_: 1 / 0)

        async def lose(*_, **__):
            raise distributed.KilledWorker("task", "worker", 4)

        monkeypatch.setattr(fleet._Fleet, "_submit", lose)
        with pytest.raises(BatchStoppedError, match="look at their logs"):
            await bring(dask, PROMPTS, store())


async def test_fleet_without_a_key_on_its_workers_says_so(dask, store):
    """What a worker's client raises ends the batch."""
    with pytest.raises(ValueError, match="no API key"):
        await bring(dask, PROMPTS, store())


async def test_fleet_refuses_what_it_cannot_keep(dask, store):
    """At once, and with the words that help."""
    for ledger in (SqliteLedger("boats.ledger"), Forgetful(), "boats.ledger", None):
        with pytest.raises(ValueError, match="PostgresLedger"):
            generate_many_on(dask, PROMPTS, ledger=ledger)
    with pytest.raises(ValueError, match="asynchronous=True"):
        generate_many_on(object(), PROMPTS, ledger=store())
    with pytest.raises(ValueError, match="credentials") as refused:
        generate_many_on(dask, PROMPTS, ledger=store(), directory="s3://sk-canary:secret@boats")
    assert "canary" not in str(refused.value)
    with pytest.raises(ValueError, match="in doubt"):
        generate_many_on(dask, PROMPTS, ledger=store(), policy=BatchPolicy(on_uncertain="retry", max_resends=1))
    with pytest.raises(TypeError, match="password"):
        await bring(dask, PROMPTS, PostgresLedger("postgresql://me:secret@127.0.0.1/db"))


async def test_key_is_in_nothing_that_is_sent_or_logged(store, relay, monkeypatch):
    """Neither among the workers, the scheduler and the client, nor in their logs."""
    from distributed.comm import tcp

    sent, said = [], io.StringIO()
    to_frames = tcp.to_frames

    async def recorded(*args, **kwargs):
        frames = await to_frames(*args, **kwargs)
        sent.extend(bytes(frame) for frame in frames)
        return frames

    monkeypatch.setattr(tcp, "to_frames", recorded)
    handler = logging.StreamHandler(said)
    logging.getLogger("distributed").addHandler(handler)
    try:
        async with Sandbox(QUICK, faults=Faults(create=["no_quota"])) as sandbox, cluster_of(1) as (_, dask):
            relay(sandbox)
            with pytest.raises(BatchStoppedError):
                await bring(dask, PROMPTS, store())
            await bring(dask, PROMPTS, store())
    finally:
        logging.getLogger("distributed").removeHandler(handler)
    assert any(PROMPTS[0].encode() in frame for frame in sent)
    assert not any(CANARY.encode() in frame for frame in sent)
    assert CANARY not in said.getvalue()
