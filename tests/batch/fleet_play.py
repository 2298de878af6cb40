"""A fleet for tests: a cluster whose workers have an event loop in this process, and clients that wait for nothing."""

import contextlib
import warnings

import pytest

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'sora_async[dask]'")

from benchmarks.batch_trial import CLIP
from sora_async import Client, Fixed, Retry
from sora_async.batch import generate_many_on
from sora_async.sandbox import Scenario

PROMPTS = [f"a paper boat, take {number}" for number in range(12)]
QUICK = Scenario(takes_s=0.0, clip=CLIP)


def make_client():
    """What workers make of their environment."""
    return Client(pacing=Fixed(0.02), retry=Retry(first=0.01, limit=0.02))


class Cluster:
    """A scheduler and workers in this process; their connections are real."""

    def __init__(self, stack):
        self._stack = stack

    async def start(self, workers):
        from distributed import Client as Dask
        from distributed import Scheduler

        self.scheduler = await self._stack.enter_async_context(
            Scheduler(host="127.0.0.1", port=0, protocol="tcp", dashboard=False)
        )
        for _ in range(workers):
            await self.add_worker()
        return await self._stack.enter_async_context(Dask(self.scheduler.address, asynchronous=True))

    async def add_worker(self):
        from distributed import Worker

        worker = Worker(self.scheduler.address, nthreads=1, host="127.0.0.1", dashboard=False)
        return await self._stack.enter_async_context(worker)


@contextlib.asynccontextmanager
async def cluster_of(workers):
    """A cluster and a client of Dask."""
    with warnings.catch_warnings():
        # Its own: a port of its pages that is taken, sockets that are left to the collector.
        warnings.simplefilter("ignore")
        async with contextlib.AsyncExitStack() as stack:
            cluster = Cluster(stack)
            yield cluster, await cluster.start(workers)


@contextlib.asynccontextmanager
async def local_cluster_of(workers):
    """The client of a cluster of processes of this machine, as Dask makes them."""
    from distributed import Client as Dask
    from distributed import LocalCluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        async with (
            LocalCluster(workers, threads_per_worker=1, dashboard_address="127.0.0.1:0", asynchronous=True) as cluster,
            Dask(cluster, asynchronous=True) as dask,
        ):
            yield dask


async def bring(dask, requests, ledger, **options):
    """All outcomes."""
    return [outcome async for outcome in generate_many_on(dask, requests, ledger=ledger, client=make_client, **options)]
