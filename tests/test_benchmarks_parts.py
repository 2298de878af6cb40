"""The parts of benchmarks that only compute."""

from __future__ import annotations

import asyncio
import json
import os
import time

import pytest

from benchmarks.batch import ideal_s
from benchmarks.canned_relay import Relay
from benchmarks.canned_server import TASK_ID, canned_server
from benchmarks.charts import memory_points, other_points
from benchmarks.import_time import read_heaviest
from benchmarks.machine import on_core
from benchmarks.polling import compare
from benchmarks.polling_workloads import WORKLOADS
from benchmarks.stalls import watching
from sora_async import Client

TOLD = """import time: self [us] | cumulative | imported package
import time:       300 |        300 |     sora_async.errors
import time:       900 |       1200 |   sora_async.client
import time:      5000 |       5000 |   sora_async_other
import time:       100 |       1300 | sora_async
"""


def _body(answer: bytes) -> dict[str, object]:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(
    ("takes_s", "slots", "expected"),
    [([2.0], 4, 2.0), ([1.0, 1.0, 1.0], 1, 3.0), ([3.0, 1.0, 1.0, 1.0], 2, 3.0), ([1.0, 1.0, 3.0], 2, 4.0)],
)
def test_ideal_time_begins_each_task_when_a_slot_is_free(takes_s: list[float], slots: int, expected: float) -> None:
    """In the order of the tasks, as a batch does, not in the best one."""
    assert ideal_s(takes_s, slots) == expected


def test_heaviest_modules_are_those_of_this_package_alone() -> None:
    """By the time of their own, without what they import."""
    assert [module.name for module in read_heaviest(TOLD.splitlines(), 2)] == ["sora_async.client", "sora_async.errors"]


def test_memory_points_come_in_order_from_what_json_made_of_them() -> None:
    """JSON has only texts for keys, and 1,000 sorts behind 10,000 as a text."""
    details = {"10000": {"wait": {"each_bytes": 2**20}}, "2000": {"wait": {"each_bytes": 2**19}}}
    assert memory_points(details, "wait") == [(2000, 1000.0), (10000, 10000.0)]


def test_chart_shows_each_other_pacing_by_lag_and_polls() -> None:
    """The lag is to the right, so it comes first."""
    others = {"Fixed(5)": {"lag_s": 2.5, "polls": 33.0}, "Growing(1.5, 1.5, 5)": {"lag_s": 2.4, "polls": 36.0}}
    assert other_points({"others": others}) == {"Fixed(5)": (2.5, 33.0), "growing, 1.5 to 5 s": (2.4, 36.0)}


def test_lying_progress_is_held_against_none_at_the_same_lag() -> None:
    """What the optimum needs for a lag is the measure of both."""
    silent = {"own": {"polls": 11.0, "lag_s": 5.0}, "optimum_polls": 10.0, "fixed_polls": 20.0}
    lying = {"own": {"polls": 24.0, "lag_s": 2.5}, "optimum_polls": 20.0, "fixed_polls": 40.0}
    workload = next(workload for workload in WORKLOADS if workload.lies)
    polls, lag = compare(workload, {"log-normal": silent, workload.name: lying})
    assert polls.ratio == pytest.approx(24 / 22)
    assert (polls.met, lag.met) == (True, False)


def test_relay_of_a_batch_ends_its_tasks_in_their_time() -> None:
    """The first takes none and is finished when it is created, the second is not."""
    relay = Relay("http://127.0.0.1:1", [0.0, 3600.0])
    first, second = (_body(relay.find(b"POST /v1/video/create HTTP/1.1")) for _ in range(2))
    assert (first["id"], first["video_url"]) == ("task-0", "http://127.0.0.1:1/file")
    assert second["status"] == "processing"
    assert _body(relay.find(b"GET /v1/video/query?id=task-0 HTTP/1.1"))["status"] == "completed"


async def test_canned_server_answers_this_client_and_counts() -> None:
    """In another process: what is measured against it is a whole create and a whole query."""
    with canned_server() as server:
        async with Client("any", server.url) as client:
            task = await client.query((await client.create("a paper boat")).id)
        assert (task.id, task.progress) == (TASK_ID, 0.42)
        assert server.effort().answers == 2


async def test_stall_of_the_loop_is_seen() -> None:
    """Whatever keeps the loop busy makes a timer late."""
    stalls: list[float] = []
    async with watching(stalls):
        time.sleep(0.03)  # noqa: ASYNC251 the stall that is to be seen
        await asyncio.sleep(0)
    assert max(stalls) > 0.01


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system keeps no process on a core")
def test_process_is_on_one_core_only_meanwhile() -> None:
    """What runs after a benchmark has all cores again."""
    cores = os.sched_getaffinity(0)
    with on_core(-1):
        assert os.sched_getaffinity(0) == {max(cores)}
    assert os.sched_getaffinity(0) == cores
