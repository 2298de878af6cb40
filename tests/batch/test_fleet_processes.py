"""A fleet of processes that Dask's own commands start, some of which are killed or stopped amid a batch."""

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest
from fleet_play import PROMPTS, bring, local_cluster_of
from ledger_suite import all_of

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'sora_async[dask]'")
if sys.platform == "win32":
    pytest.skip("signals as these are not sent on Windows", allow_module_level=True)

from benchmarks.batch_trial import CLIP
from benchmarks.fleet_child import environment_of
from benchmarks.fleet_cluster import Cluster, Processes, kill
from sora_async import SubmissionUncertainError
from sora_async.batch import Stage
from sora_async.sandbox import Sandbox, Scenario

COUNT = 30
LEASE_S = "1.0"


class Play:
    """A relay, a cluster, and the process that reads the batch."""

    def __init__(self, store, sandbox, processes, folder):
        self.store = store
        self.sandbox = sandbox
        self.cluster = Cluster(processes)
        self._processes = processes
        self._videos = folder / "videos"

    def start(self, at_once=COUNT):
        arguments = (self.cluster.address, self.store.name, str(self._videos), str(COUNT), "--lease", LEASE_S)
        arguments += ("--concurrency", str(at_once))
        return self._processes.start("client", "-m", "benchmarks.fleet_child", *arguments, output=subprocess.PIPE)

    async def bought(self, count):
        while len(self.sandbox.creates) < count:  # noqa: ASYNC110 it is told by no event
            await asyncio.sleep(0.01)

    async def until_lapsed(self):
        """Until the server has not heard of some worker for the length of its lease."""
        while not await self.store.execute("SELECT 1 FROM {schema}.owners WHERE expires_at < clock_timestamp()"):  # noqa: ASYNC110 it is told by no event
            await asyncio.sleep(0.05)

    async def judge(self, client):
        """What the relay, the ledger and the last run say is the same; answers what stayed in doubt."""
        told = [json.loads(line) for line in (await asyncio.to_thread(client.communicate))[0].splitlines()]
        assert told.pop()["stopped"] == ""
        prompts = [str(created.body["prompt"]) for created in self.sandbox.creates]
        assert len(set(prompts)) == len(prompts), "something was bought twice"
        entries = await all_of(self.store())
        assert {entry.stage for entry in entries} <= {Stage.DONE, Stage.UNCERTAIN}
        doubtful = {entry.key for entry in entries if entry.stage is Stage.UNCERTAIN}
        assert {line["key"] for line in told if line["error"]} == doubtful
        assert len({line["key"] for line in told}) == len(told) == COUNT == len(entries)
        assert len(prompts) >= COUNT - len(doubtful)
        assert len(list(self._videos.glob("*.mp4"))) == COUNT - len(doubtful)


@pytest.fixture
async def play(store, tmp_path):
    async with Sandbox(Scenario(takes_s=0.5, clip=CLIP)) as sandbox:
        environment = environment_of(sandbox.url, store.dsn)
        with Processes(tmp_path, environment) as processes:
            play = Play(store, sandbox, processes, tmp_path)
            play.cluster.keep_workers(2)  # they wait for their scheduler
            await asyncio.to_thread(play.cluster.start_scheduler)
            yield play


async def test_local_cluster_outlives_a_worker_that_is_killed(store, tmp_path, monkeypatch):
    """Dask gives what it had begun to the other one, and nothing is bought twice or told twice."""
    async with Sandbox(Scenario(takes_s=0.3, clip=CLIP)) as sandbox:
        monkeypatch.setenv("SORA_API_KEY", "any")
        monkeypatch.setenv("SORA_BASE_URL", sandbox.url)
        async with local_cluster_of(2) as dask:
            pids = await dask.run(os.getpid)
            bringing = asyncio.create_task(bring(dask, PROMPTS, store(lease_s=1.0), directory=tmp_path))
            while len(sandbox.creates) < 3:  # noqa: ASYNC110 it is told by no event
                await asyncio.sleep(0.01)
            os.kill(next(iter(pids.values())), signal.SIGKILL)
            outcomes = await bringing
        assert sorted(outcome.request.prompt for outcome in outcomes) == sorted(PROMPTS)
        prompts = [str(created.body["prompt"]) for created in sandbox.creates]
        assert len(set(prompts)) == len(prompts)
        assert {type(outcome.error) for outcome in outcomes} <= {type(None), SubmissionUncertainError}


async def test_fleet_outlives_a_worker_that_is_killed_and_one_that_is_stopped(play):
    """The other worker brings what the killed one had begun; the stopped one buys nothing that others took over."""
    client = play.start()
    await play.bought(5)
    killed, stopped = play.cluster.workers
    os.killpg(stopped.pid, signal.SIGSTOP)
    kill(killed)
    play.cluster.start_worker()
    await play.until_lapsed()
    os.killpg(stopped.pid, signal.SIGCONT)
    await play.judge(client)


async def test_fleet_whose_reader_and_scheduler_die_goes_on_when_run_again(play):
    """The workers bring home what they sent, and the same command buys the rest."""
    client = play.start(at_once=4)
    await play.bought(5)
    kill(client)
    client.stdout.close()
    client = play.start(at_once=4)
    await asyncio.to_thread(client.stdout.readline)
    kill(play.cluster.scheduler)
    await asyncio.to_thread(play.cluster.start_scheduler)
    told = [json.loads(line) for line in (await asyncio.to_thread(client.communicate))[0].splitlines()]
    assert told[-1]["stopped"] == "BatchStoppedError"
    play.cluster.keep_workers(2)
    await play.judge(play.start())
