"""How many polls a task takes and how late its end is seen, for each pacing, in virtual time.

A unit is one task from its create to the poll that sees its end; the lag is the time between the end and that poll.
Polls take no time here, twenty tasks run at once, and a pacing sees only what a client would see: its own polls'
answers and the task's age. Tasks count that were created after 50 had been seen to end. The optimum knows the
distribution of durations, nothing of progress and nothing of spikes to come, and polls between 1 s and `limit_s`; it
and Fixed are computed for the same tasks at Adaptive's mean lag. Where the limit alone forces nearly all the polls, a
lag under the aim costs none, and is told as off the aim all the same.
A quick look has a fifth of the tasks, and three of the workloads.
Run: `python -m benchmarks.polling [--quick] [--json FILE]`.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from random import Random
from statistics import fmean, quantiles
from typing import Any

import attrs

from benchmarks.polling_optimum import Optimum, fixed_polls
from benchmarks.polling_workloads import WORKLOADS, Tell, Workload
from benchmarks.report import Result, Row, run_alone
from sora_async import State, VideoRequest, VideoTask
from sora_async.pacing import Adaptive, Delays, Fixed, Growing, InformedPacing, Pacing

TASKS, QUICK_TASKS = 3000, 600
AT_ONCE = 20
LEARNT_FROM = 50
QUICK_NAMES = {"log-normal", "exact progress", "noisy progress"}
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
CURVES = ("log-normal", "noisy progress")
"""The workloads that the chart shows."""
CURVE_AIMS_S = (1.0, 2.0, 5.0, 10.0, 20.0)
MOST_OVER_FIXED = {"log-normal": 0.75, "exact progress": 0.15, "noisy progress": 0.35}


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


def measure_workload(workload: Workload, tasks: int, optimum: Optimum) -> dict[str, Any]:
    """Try every pacing on a workload."""
    jobs = Simulation(workload, Adaptive(AIM_S, limit_s=workload.limit_s), tasks).run()
    counted = [number for number, job in enumerate(jobs) if job.ended_before >= LEARNT_FROM]
    durations = [jobs[number].duration_s for number in counted]
    own = judge([jobs[number] for number in counted])
    scores = {}
    for name, pacing in OTHERS.items():
        all_jobs = Simulation(workload, pacing, tasks).run()
        scores[name] = judge([all_jobs[number] for number in counted])
    return {
        "own": attrs.asdict(own),
        "others": {name: attrs.asdict(score) for name, score in scores.items()},
        "optimum_polls": optimum.polls(durations, own.lag_s),
        "fixed_polls": fixed_polls(durations, own.lag_s),
        "forced_polls": fmean(math.ceil(duration / workload.limit_s) for duration in durations),
    }


def measure_curve(workload: Workload, tasks: int, optimum: Optimum) -> dict[str, Any]:
    """Adaptive at several aims, and the optimum at the lags that these reached: polls against lag."""
    points, best = [], []
    for aim_s in CURVE_AIMS_S:
        jobs = Simulation(workload, Adaptive(aim_s, limit_s=workload.limit_s), tasks).run()
        counted = [job for job in jobs if job.ended_before >= LEARNT_FROM]
        score = judge(counted)
        points.append((score.lag_s, score.polls))
        best.append((score.lag_s, optimum.polls([job.duration_s for job in counted], score.lag_s)))
    return {"adaptive": points, "optimum": best}


def show(name: str, row: dict[str, Any]) -> str:
    """A workload's table."""
    lines = [name, f"  {'':22}{'polls':>8}{'mean lag':>10}{'p95 lag':>9}"]
    for pacing, score in {f"Adaptive({AIM_S:g})": row["own"], **row["others"]}.items():
        lines.append(f"  {pacing:22}{score['polls']:8.2f}{score['lag_s']:8.2f} s{score['p95_s']:7.1f} s")
    lag_s = row["own"]["lag_s"]
    lines.append(f"  {'optimum, same lag':22}{row['optimum_polls']:8.2f}{lag_s:8.2f} s")
    lines.append(f"  {'Fixed, same lag':22}{row['fixed_polls']:8.2f}{lag_s:8.2f} s")
    lines.append(f"  {'the limit alone':22}{row['forced_polls']:8.2f}\n")
    return "\n".join(lines)


def compare(workload: Workload, rows: dict[str, dict[str, Any]]) -> list[Row]:
    """What was wanted of a workload beside what was reached."""
    row = rows[workload.name]
    polls, lag_s = row["own"]["polls"], row["own"]["lag_s"]

    def over(polls_of: str, other: float, at_most: float) -> Row:
        return Row(what=workload.name, value=polls, unit="polls", ratio=polls / other, to=polls_of, at_most=at_most)

    found = []
    if workload.progress is None:
        found.append(over("the optimum", row["optimum_polls"], 1.15))
    if workload.name in MOST_OVER_FIXED:
        found.append(over("Fixed", row["fixed_polls"], MOST_OVER_FIXED[workload.name]))
    if workload.lies:
        # Each at its own lag: the optimum tells what a lag is worth.
        silent = rows["log-normal"]
        without = silent["own"]["polls"] / silent["optimum_polls"] * row["optimum_polls"]
        found.append(over("without progress", without, 1.1))
    lag = f"{workload.name}: mean lag"
    return [*found, Row(what=lag, value=lag_s, unit="s", at_least=0.8 * AIM_S, at_most=1.2 * AIM_S)]


def measure(is_quick: bool) -> Result:
    """Try every pacing on every workload."""
    tasks = QUICK_TASKS if is_quick else TASKS
    workloads = [workload for workload in WORKLOADS if not is_quick or workload.name in QUICK_NAMES]
    optima = dict[tuple[Callable[..., Any], float], Optimum]()
    rows, curves = {}, {}
    for workload in workloads:
        known = workload.durations, workload.limit_s
        if known not in optima:
            optima[known] = Optimum(workload)
        rows[workload.name] = measure_workload(workload, tasks, optima[known])
        if workload.name in CURVES and not is_quick:
            curves[workload.name] = measure_curve(workload, tasks, optima[known])
    return Result(
        name="polling",
        unit="One unit is one task from its create to the poll that sees its end",
        rows=[row for workload in workloads for row in compare(workload, rows)],
        notes=[f"In virtual time, {tasks:,} tasks for each workload, seed {SEED}; polls are of Adaptive({AIM_S:g})"],
        details={"workloads": rows, "curves": curves},
        text="\n".join(show(name, row) for name, row in rows.items()),
    )


if __name__ == "__main__":
    run_alone(measure, "polling", __doc__)
