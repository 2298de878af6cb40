"""A batch on a fleet: what it costs, and whether anything is bought twice or lost while its parts are killed.

Without options: tasks in a second by fleets of 1, 2 and 4 workers against one process, on this machine, with the same
ledger and a relay that answers at once.

With `--kills`: a batch of 500 tasks, whose relay fails in 5 % of all calls, while workers, the scheduler, the process
that reads the batch and PostgreSQL are killed, twenty times at random moments; what was killed is started again, and
the batch is run again, until it comes to its end. The relay counts what it accepted; that count, the ledger and the
folder are then held against each other.

With `--memory`: how much the process that reads a batch, the scheduler and the workers use as it goes on.

Run: `python -m benchmarks.fleet [--kills | --memory] [--quick] [--seed N]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import attrs
from distributed import Client as Dask

from benchmarks.batch_trial import CLIP
from benchmarks.fleet_child import VARIABLE, environment_of, make_client
from benchmarks.fleet_cluster import Cluster, Processes, kill
from benchmarks.machine import describe, describe_load, read_memory
from benchmarks.postgres_server import OwnServer
from sora_async.batch import Entry, PostgresLedger, Stage, generate_many_on
from sora_async.sandbox import Faults, Sandbox, Scenario

WORKERS = 2
VICTIMS = ("worker", "worker", "worker", "client", "scheduler", "postgres")
SHARE = 0.05
AT_ONCE = 200
"""So many that waiting is not what limits it."""


def faults() -> Faults:
    """What goes wrong in 5 % of all calls, in as many ways as there are."""
    kinds = ("429", "502_html", "reset_before", "reset_after")
    queries = ("429", "502_html", "reset_before", "500")
    downloads = ("403", "500", "cut", "reset")
    return Faults(
        create={kind: SHARE / len(kinds) for kind in kinds},
        query={kind: SHARE / len(queries) for kind in queries},
        download={kind: SHARE / len(downloads) for kind in downloads},
    )


@attrs.define
class Run:
    """One run of the process that reads the batch."""

    process: subprocess.Popen[bytes]
    outcomes: list[dict[str, str]] = attrs.field(factory=list)
    stopped: str | None = None
    """Why it ended; empty if all is well, None if it was killed."""

    def follow(self) -> None:
        """Read what it tells, to its end."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = json.loads(line)
            if "stopped" in told:
                self.stopped = told["stopped"]
            else:
                self.outcomes.append(told)


class Trial:
    """One batch on a cluster that is killed and started again.

    Args:
        folder: an empty one, for all files.
        server: keeps the ledger.
        sandbox: the relay, which serves.
        processes: starts the rest.
        prompts: how many inputs.
    """

    def __init__(self, folder: Path, server: OwnServer, sandbox: Sandbox, processes: Processes, prompts: int) -> None:
        self._videos = folder / "videos"
        self._server = server
        self._sandbox = sandbox
        self._processes = processes
        self._prompts = prompts
        self._cluster = Cluster(processes)
        self.killed: Counter[str] = Counter()
        self.runs: list[Run] = []

    def start(self) -> Run:
        """Start what is not there, and a run."""
        if self._cluster.scheduler is None or self._cluster.scheduler.poll() is not None:
            self._cluster.start_scheduler()
        self._cluster.keep_workers(WORKERS)
        arguments = (self._cluster.address, "default", str(self._videos), str(self._prompts))
        run = Run(self._processes.start("client", "-m", "benchmarks.fleet_child", *arguments, output=subprocess.PIPE))
        self.runs.append(run)
        return run

    def strike(self, victim: str, run: Run, chance: random.Random) -> None:
        """Kill something, and start it again, but the client, which the next run replaces."""
        self.killed[victim] += 1
        if victim == "worker":
            kill(chance.choice(self._cluster.workers))
            self._cluster.keep_workers(WORKERS)
        elif victim == "client":
            kill(run.process)
        elif victim == "scheduler":
            assert self._cluster.scheduler is not None
            kill(self._cluster.scheduler)
            self._cluster.start_scheduler()
        else:
            self._server.kill()
            self._server.start()

    async def go(self, kills: int, chance: random.Random) -> None:
        """Run and kill until it was done so often, and then to the end.

        The kills are spread over what the relay has accepted, so that each comes amid the work.
        """
        marks = sorted(chance.uniform(0, 0.95 * self._prompts) for _ in range(kills))
        while True:
            run = await asyncio.to_thread(self.start)
            following = asyncio.create_task(asyncio.to_thread(run.follow))
            while not following.done():
                if marks and len(self._sandbox.creates) >= marks[0]:
                    marks.pop(0)
                    await asyncio.sleep(chance.uniform(0, 0.5))
                    await asyncio.to_thread(self.strike, chance.choice(VICTIMS), run, chance)
                # Workers end when their scheduler does.
                self._cluster.keep_workers(WORKERS)
                await asyncio.wait([following], timeout=0.02)
            await following
            await asyncio.to_thread(run.process.wait)
            if run.stopped == "" and not marks:
                return

    async def judge(self) -> list[Entry]:
        """Hold the relay's count, the ledger, the folder and the outcomes together; answers what is in doubt."""
        bought = Counter(str(created.body["prompt"]) for created in self._sandbox.creates)
        twice = {prompt: count for prompt, count in bought.items() if count > 1}
        assert not twice, f"bought twice: {twice}"
        entries = {str(entry.request["prompt"]): entry async for entry in PostgresLedger(self._server.dsn).entries()}
        ids = {str(created.body["prompt"]): created.id for created in self._sandbox.creates}
        assert entries.keys() == {f"boat {number}" for number in range(self._prompts)}
        for prompt, entry in entries.items():
            if entry.stage is Stage.DONE:
                assert entry.task_id == ids[prompt], f"{prompt}: {entry}"
                assert (self._videos / str(entry.path)).read_bytes() == CLIP
            else:
                assert entry.stage is Stage.UNCERTAIN, f"{prompt} is lost: {entry}"
        last = {told["prompt"]: told["error"] for told in self.runs[-1].outcomes}
        assert len(last) == len(self.runs[-1].outcomes) == self._prompts, "an outcome is missing, or told twice"
        for prompt, error in last.items():
            assert error == ("" if entries[prompt].stage is Stage.DONE else "SubmissionUncertainError"), (prompt, error)
        return [entry for entry in entries.values() if entry.stage is Stage.UNCERTAIN]


async def kill_at_random(prompts: int, kills: int, seed: int) -> None:
    """Kill, judge and print."""
    server = OwnServer()
    folder = Path(tempfile.mkdtemp())
    began = time.perf_counter()
    try:
        await asyncio.to_thread(server.make)
        await asyncio.to_thread(server.start)
        async with Sandbox(Scenario(takes_s=1.0, clip=CLIP), faults=faults(), seed=seed) as sandbox:
            environment = environment_of(sandbox.url, server.dsn)
            with Processes(folder, environment) as processes:
                trial = Trial(folder, server, sandbox, processes, prompts)
                await trial.go(kills, random.Random(seed))
                doubtful = await trial.judge()
        killed = ", ".join(f"{count} x {name}" for name, count in sorted(trial.killed.items()))
        print(f"{prompts} inputs, {trial.killed.total()} kills ({killed}), {len(trial.runs)} runs")
        accepted = {str(created.body["prompt"]) for created in sandbox.creates}
        lost = sum(str(entry.request["prompt"]) in accepted for entry in doubtful)
        print(f"the relay accepted {len(sandbox.creates)}: none twice, none is lost")
        print(f"{len(doubtful)} in doubt, of which the relay had accepted {lost}; each is settled with:")
        for entry in doubtful[:3]:
            print(f"  sora-async ledger resolve {entry.key} --id ID|--lost|--retry --ledger {VARIABLE}")
        print(f"in {time.perf_counter() - began:.0f} s")
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _alone(server: OwnServer, prompts: Sequence[str], name: str, folder: Path) -> float:
    began = time.perf_counter()
    async with make_client() as client:
        ledger = PostgresLedger(server.dsn, name=name)
        outcomes = client.generate_many(prompts, ledger=ledger, directory=folder / name, concurrency=AT_ONCE)
        assert all([outcome.error is None async for outcome in outcomes])
    return len(prompts) / (time.perf_counter() - began)


async def _together(address: str, prompts: Sequence[str], name: str, folder: Path, workers: int) -> float:
    async with Dask(address, asynchronous=True) as dask:  # type: ignore[no-untyped-call]
        await dask.wait_for_workers(workers)
        began = time.perf_counter()
        ledger = PostgresLedger(VARIABLE, name=name)
        outcomes = generate_many_on(
            dask, prompts, ledger=ledger, directory=folder / name, client=make_client, concurrency=AT_ONCE
        )
        assert all([outcome.error is None async for outcome in outcomes])
        return len(prompts) / (time.perf_counter() - began)


async def measure(prompts: int) -> None:
    """Measure and print."""
    server = OwnServer()
    folder = Path(tempfile.mkdtemp())
    texts = [f"boat {number}" for number in range(prompts)]
    try:
        await asyncio.to_thread(server.make)
        await asyncio.to_thread(server.start)
        async with Sandbox(Scenario(takes_s=0.2, clip=CLIP)) as sandbox:
            environment = environment_of(sandbox.url, server.dsn)
            os.environ.update(environment)
            alone = await _alone(server, texts, "alone", folder)
            print(f"one process: {alone:.1f} tasks a second")
            for workers in (1, 2, 4):
                with Processes(folder, environment) as processes:
                    cluster = Cluster(processes)
                    await asyncio.to_thread(cluster.start_scheduler)
                    cluster.keep_workers(workers)
                    rate = await _together(cluster.address, texts, f"of_{workers}", folder, workers)
                print(f"{workers} workers: {rate:.1f} tasks a second, {rate / alone:.2f} x one process")
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def watch_memory(prompts: int) -> None:
    """Bring one long batch, and print after each tenth of it what its processes use."""
    server = OwnServer()
    folder = Path(tempfile.mkdtemp())
    try:
        await asyncio.to_thread(server.make)
        await asyncio.to_thread(server.start)
        async with Sandbox(Scenario(takes_s=0.2, clip=CLIP)) as sandbox:
            with Processes(folder, environment_of(sandbox.url, server.dsn)) as processes:
                cluster = Cluster(processes)
                await asyncio.to_thread(cluster.start_scheduler)
                cluster.keep_workers(WORKERS)
                arguments = (cluster.address, "default", str(folder / "videos"), str(prompts))
                options = ("--concurrency", str(AT_ONCE), "--lease", "30")
                client = processes.start(
                    "client", "-m", "benchmarks.fleet_child", *arguments, *options, output=subprocess.PIPE
                )
                assert client.stdout is not None
                assert cluster.scheduler is not None
                watched = {"reader": client, "scheduler": cluster.scheduler}
                watched |= {f"worker {number}": worker for number, worker in enumerate(cluster.workers, 1)}
                print("MiB after " + "".join(f"{name:>11}" for name in watched))
                for count in range(1, prompts + 1):
                    told = json.loads(await asyncio.to_thread(client.stdout.readline))
                    assert told.get("error") == "", told
                    if count % (prompts // 10) == 0:
                        used = (read_memory("VmRSS", process.pid) for process in watched.values())
                        print(f"{count:>9} " + "".join(f"{mebibytes:11.1f}" for mebibytes in used))
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Measure, or kill."""
    parser = argparse.ArgumentParser(description=__doc__)
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--kills", action="store_true", help="kill, in place of measuring")
    way.add_argument("--memory", action="store_true", help="watch the memory, in place of the time")
    parser.add_argument("--quick", action="store_true", help="100 inputs and 5 kills; 2,000 inputs for the memory")
    parser.add_argument("--seed", type=int, default=0, help="another one gives other moments")
    options = parser.parse_args()
    print(describe())
    print(describe_load())
    prompts = 100 if options.quick else 500
    if options.kills:
        asyncio.run(kill_at_random(prompts, 5 if options.quick else 20, options.seed))
    else:
        asyncio.run(watch_memory(20 * prompts) if options.memory else measure(prompts))


if __name__ == "__main__":
    main()
