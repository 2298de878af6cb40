"""How many polls a task takes and how late its end is seen, for each pacing, in virtual time.

A unit is one task from its create to the poll that sees its end; the lag is the time between the end and that poll.
Polls take no time here, twenty tasks run at once, and a pacing sees only what a client would see: its own polls'
answers and the task's age. Tasks count that were created after 50 had been seen to end. The optimum knows the
distribution of durations, nothing of progress and nothing of spikes to come, and polls between 1 s and `limit_s`; it
and Fixed are computed for the same tasks at Adaptive's mean lag. Where the limit alone forces nearly all the polls, a
lag under the aim costs none, and is told as off the aim all the same.
Run: `python -m benchmarks.polling [--quick] [--json FILE]`.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from statistics import fmean, quantiles
from typing import Any

import attrs

from benchmarks.machine import describe
from benchmarks.polling_optimum import Optimum, fixed_polls
from benchmarks.polling_workloads import WORKLOADS, Tell, Workload
from sora_async import State, VideoRequest, VideoTask
from sora_async.pacing import Adaptive, Delays, Fixed, Growing, InformedPacing, Pacing

TASKS, QUICK_TASKS = 3000, 600
AT_ONCE = 20
LEARNT_FROM = 50
AIM_S = 5.0
SEED = 5
REQUEST = VideoRequest("a paper boat in the rain")
RELAY_START = datetime(2031, 1, 1, tzinfo=UTC)
OTHERS: dict[str, Pacing] = {
    "Fixed(1)": Fixed(1),
    "Fixed(5)": Fixed(5),
    "Fixed(10)": Fixed(10),
    "Growing(1.5, 1.5, 5)": Growing(1.5, 1.5, 5),
}


@attrs.define
class Job:
    """One task of a simulation."""

    duration_s: float
    born_s: float
    ended_before: int
    delays: Delays
    tell: Tell | None
    polls: int = 0
    lag_s: float = math.nan


@attrs.frozen
class Score:
    """What one pacing did on one workload."""

    polls: float
    lag_s: float
    p95_s: float


class Simulation:
    """Runs the tasks of a workload, so many at once, under one pacing."""

    def __init__(self, workload: Workload, pacing: Pacing, tasks: int) -> None:
        self._workload = workload
        self._pacing = pacing
        self._durations = list(islice(workload.durations(Random(SEED)), tasks))
        self._dice = Random(SEED + 1)
        self._now_s = 0.0
        self._due: list[tuple[float, int]] = []
        self._jobs: list[Job] = []
        self._ended = 0

    def run(self) -> list[Job]:
        """All tasks at their ends."""
        for _ in range(AT_ONCE):
            self._begin()
        while self._due:
            self._now_s, number = heapq.heappop(self._due)
            self._poll(number)
        return self._jobs

    def _begin(self) -> None:
        number = len(self._jobs)
        if number == len(self._durations):
            return
        duration_s, born_s = self._durations[number], self._now_s
        if isinstance(self._pacing, InformedPacing):
            delays = self._pacing.delays_for(REQUEST, partial(self._age, born_s))
        else:
            delays = self._pacing.delays()
        next(delays)
        progress = self._workload.progress
        tell = None if progress is None else progress(duration_s, self._dice)
        job = Job(duration_s, born_s, self._ended, delays, tell)
        self._jobs.append(job)
        self._wait(number, self._answer(job, State.QUEUED))

    def _age(self, born_s: float) -> float:
        return self._now_s - born_s

    def _wait(self, number: int, task: VideoTask) -> None:
        heapq.heappush(self._due, (self._now_s + self._jobs[number].delays.send(task), number))

    def _poll(self, number: int) -> None:
        job = self._jobs[number]
        job.polls += 1
        lag_s = self._now_s - job.born_s - job.duration_s
        if lag_s < 0:
            self._wait(number, self._answer(job, State.RUNNING))
            return
        job.lag_s = lag_s
        job.delays.send(self._answer(job, State.SUCCEEDED))
        self._ended += 1
        self._begin()

    def _answer(self, job: Job, state: State) -> VideoTask:
        age_s = self._now_s - job.born_s
        created = updated = None
        if self._workload.tells_times:
            created = RELAY_START + timedelta(seconds=int(job.born_s))
            updated = RELAY_START + timedelta(seconds=int(job.born_s + min(age_s, job.duration_s)))
        return VideoTask(
            id="t",
            status=state.value,
            state=state,
            progress=1.0 if state is State.SUCCEEDED else None if job.tell is None else job.tell(age_s),
            video_url="https://video.invalid/t" if state is State.SUCCEEDED else None,
            created_at=created,
            updated_at=updated,
        )


def judge(jobs: list[Job]) -> Score:
    """The means over the tasks that count."""
    lags = [job.lag_s for job in jobs]
    return Score(fmean(job.polls for job in jobs), fmean(lags), quantiles(lags, n=20)[-1])


def measure(workload: Workload, tasks: int, optimum: Optimum) -> dict[str, Any]:
    """Try every pacing on a workload."""
    jobs = Simulation(workload, Adaptive(AIM_S, limit_s=workload.limit_s), tasks).run()
    counted = [number for number, job in enumerate(jobs) if job.ended_before >= LEARNT_FROM]
    durations = [jobs[number].duration_s for number in counted]
    scores = {f"Adaptive({AIM_S:g})": judge([jobs[number] for number in counted])}
    for name, pacing in OTHERS.items():
        all_jobs = Simulation(workload, pacing, tasks).run()
        scores[name] = judge([all_jobs[number] for number in counted])
    own = next(iter(scores.values()))
    return {
        "scores": {name: attrs.asdict(score) for name, score in scores.items()},
        "optimum_polls": optimum.polls(durations, own.lag_s),
        "fixed_polls": fixed_polls(durations, own.lag_s),
        "forced_polls": fmean(math.ceil(duration / workload.limit_s) for duration in durations),
    }


def show(name: str, row: dict[str, Any]) -> None:
    """Print a workload's table."""
    print(f"\n{name}\n  {'':22}{'polls':>8}{'mean lag':>10}{'p95 lag':>9}")
    for pacing, score in row["scores"].items():
        print(f"  {pacing:22}{score['polls']:8.2f}{score['lag_s']:8.2f} s{score['p95_s']:7.1f} s")
    own_lag_s = next(iter(row["scores"].values()))["lag_s"]
    print(f"  {'optimum, same lag':22}{row['optimum_polls']:8.2f}{own_lag_s:8.2f} s")
    print(f"  {'Fixed, same lag':22}{row['fixed_polls']:8.2f}{own_lag_s:8.2f} s")
    print(f"  {'the limit alone':22}{row['forced_polls']:8.2f}")


def _ratio(row: dict[str, Any], to: str) -> float:
    polls: float = next(iter(row["scores"].values()))["polls"] / row[to]
    return polls


def compare(rows: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What was wanted beside what was reached."""
    wanted: list[tuple[str, float, float]] = []
    for workload in WORKLOADS:
        row = rows[workload.name]
        if workload.progress is None:
            wanted.append((f"{workload.name}: polls over the optimum's", 1.15, _ratio(row, "optimum_polls")))
        if workload.lies:
            lying, silent = _ratio(row, "optimum_polls"), _ratio(rows["log-normal"], "optimum_polls")
            wanted.append((f"{workload.name}: polls over those without progress", 1.1, lying / silent))
    for name, most in (("log-normal", 0.75), ("exact progress", 0.15), ("noisy progress", 0.35)):
        wanted.append((f"{name}: polls over Fixed's", most, _ratio(rows[name], "fixed_polls")))
    for name, row in rows.items():
        lag_s = next(iter(row["scores"].values()))["lag_s"]
        wanted.append((f"{name}: mean lag off the aim, part of it", 0.2, abs(lag_s / AIM_S - 1)))
    return [{"what": what, "at_most": most, "reached": reached} for what, most, reached in wanted]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_TASKS} tasks for each workload")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was seen there too")
    options = parser.parse_args()
    tasks = QUICK_TASKS if options.quick else TASKS
    print(f"{describe()}; {tasks} tasks for each workload, seed {SEED}")
    rows, optima = {}, dict[tuple[Callable[..., Any], float], Optimum]()
    for workload in WORKLOADS:
        known = workload.durations, workload.limit_s
        if known not in optima:
            optima[known] = Optimum(workload)
        rows[workload.name] = measure(workload, tasks, optima[known])
        show(workload.name, rows[workload.name])
    results = compare(rows)
    print(f"\n{'':62}{'wanted':>8}{'reached':>9}")
    for result in results:
        mark = "" if result["reached"] <= result["at_most"] else "  missed"
        print(f"{result['what']:62}{result['at_most']:8.2f}{result['reached']:9.3f}{mark}")
    if options.json is not None:
        options.json.write_text(json.dumps({"tasks": tasks, "workloads": rows, "wanted": results}, indent=2))


if __name__ == "__main__":
    main()
