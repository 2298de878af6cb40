"""How late ends are seen where fewer polls may leave than are due, by who goes first, in virtual time.

A unit is one task in a crowd of so many at once, each followed by another when its end is seen, paced by Adaptive; the
lag is the time between its end and the poll that sees it. Turns come evenly, at a part of the rate at which the same
crowd polls if nothing limits it. A policy is who goes first: who came first; whose end was likeliest when it came;
whose end is likeliest by the throttle's own queue, which asks a few anew for each turn; and likewise, with many asked.
Unseen is the longest time that a running task went without a poll, beside the bound that holds whatever the chances
are: the longest time between polls, the patience of the queue, and one round of the whole crowd. Tasks count that come
after as many as there are at once; polls take no time.
Run: `python -m benchmarks.urgency [--quick] [--json FILE]`.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable
from functools import partial
from random import Random
from statistics import fmean, quantiles

import attrs

from benchmarks.polling_workloads import WORKLOADS, Tell, Workload
from benchmarks.report import Result, Row, run_alone
from sora_async import State, VideoRequest, VideoTask
from sora_async.pacing import Adaptive, Delays
from sora_async.turn_queue import LEVELS, LOOKS, PATIENCE_S, Turn, TurnQueue, Urgency, certain

CROWDS, QUICK_CROWDS = (300, 3000), (300,)
MOST_OVER_FIRST_COME = {"log-normal": 1.15, "bimodal": 1.1, "exact progress": 0.9, "noisy progress": 0.9}
"""Wanted of the mean lag. Where nothing tells one task from another there is nothing to gain."""
BUDGETS = (0.8, 0.5, 0.25)
COUNTED = 2
"""How many crowds count, after a first one and before a last one."""
AIM_S, SEED = 5.0, 5
MANY_LOOKS = 32
LONGEST_PASSED_OVER_S = PATIENCE_S * (1 + 1 / LEVELS)
REQUEST = VideoRequest("a paper boat in the rain")


@attrs.define(eq=False)
class Job:
    """One task of a simulation."""

    duration_s: float
    born_s: float
    delays: Delays
    tell: Tell | None
    seen_s: float
    progress: float | None = None
    unseen_s: float = 0.0
    lag_s: float = math.nan


@attrs.frozen
class Policy:
    """Who goes first."""

    name: str
    tell: Callable[[Urgency], Urgency]
    """Makes of a task's chance what the queue is told."""
    looks: int = LOOKS


@attrs.frozen
class Score:
    """What one policy did with one budget."""

    polls_per_second: float
    mean_s: float
    p95_s: float
    max_s: float
    unseen_s: float


def _as_it_came(urgency: Urgency) -> Urgency:
    chance = urgency()
    return lambda: chance


def _as_it_is(urgency: Urgency) -> Urgency:
    return urgency


FIRST_COME = Policy("first come", lambda _: certain)
OURS = Policy("the throttle's queue", _as_it_is)
POLICIES = (
    FIRST_COME,
    Policy("chance when it came", _as_it_came),
    OURS,
    Policy(f"{MANY_LOOKS} asked for a turn", _as_it_is, looks=MANY_LOOKS),
)


class Crowd:
    """So many tasks at once on one budget.

    Args:
        workload: what the tasks are.
        at_once: how many.
        per_second: how many polls may leave; infinite for no limit.
        policy: who goes first.
    """

    def __init__(self, workload: Workload, at_once: int, per_second: float, policy: Policy) -> None:
        self._workload = workload
        self._at_once = at_once
        self._gap_s = 1 / per_second
        self._line, self._policy = TurnQueue(policy.looks), policy
        self._pacing = Adaptive(AIM_S, limit_s=workload.limit_s)
        self._durations = workload.durations(Random(SEED))
        self._dice = Random(SEED + 1)
        self._loop = asyncio.new_event_loop()  # never runs; the queue holds its futures
        self._now_s = self._next_s = 0.0
        self._due: list[tuple[float, int]] = []
        self._jobs: list[Job] = []
        self._waiting: dict[Turn, int] = {}
        self._counted = range(at_once, at_once * (1 + COUNTED))
        self._open = set(self._counted)
        self._polls: list[float] = []

    def run(self) -> Score:
        """Run until all tasks that count were seen to end."""
        for _ in range(self._at_once):
            self._begin()
        while self._open:
            turn_s = max(self._now_s, self._next_s) if self._line else math.inf
            self._now_s = min(turn_s, self._due[0][0] if self._due else math.inf)
            if self._now_s < turn_s:
                self._join(heapq.heappop(self._due)[1])
            elif (turn := self._line.call()) is not None:
                self._next_s = self._now_s + self._gap_s
                self._poll(self._waiting.pop(turn))
        self._loop.close()
        jobs = [self._jobs[number] for number in self._counted]
        lags = [job.lag_s for job in jobs]
        begun, ended = jobs[0].born_s, jobs[-1].born_s
        rate = sum(begun <= at < ended for at in self._polls) / (ended - begun)
        return Score(rate, fmean(lags), quantiles(lags, n=20)[-1], max(lags), max(job.unseen_s for job in jobs))

    def _begin(self) -> None:
        duration_s, born_s = next(self._durations), self._now_s
        delays = self._pacing.delays_for(REQUEST, partial(self._age, born_s))
        next(delays)
        progress = self._workload.progress
        tell = None if progress is None else progress(duration_s, self._dice)
        self._jobs.append(Job(duration_s, born_s, delays, tell, born_s))
        self._rest(len(self._jobs) - 1, State.QUEUED)

    def _age(self, born_s: float) -> float:
        return self._now_s - born_s

    def _rest(self, number: int, state: State) -> None:
        job = self._jobs[number]
        job.seen_s = self._now_s
        job.progress = None if job.tell is None else job.tell(self._age(job.born_s))
        heapq.heappush(self._due, (self._now_s + job.delays.send(_answer(state, job.progress)), number))

    def _join(self, number: int) -> None:
        turn = self._loop.create_future()
        self._waiting[turn] = number
        self._line.join(turn, self._policy.tell(partial(self._chance, self._jobs[number])), self._now_s)

    def _chance(self, job: Job) -> float:
        seen_s, age_s = job.seen_s - job.born_s, self._age(job.born_s)
        return self._pacing.urgency(REQUEST, seen_s=seen_s, age_s=age_s, progress=job.progress)

    def _poll(self, number: int) -> None:
        job = self._jobs[number]
        self._polls.append(self._now_s)
        end_s = job.born_s + job.duration_s
        job.unseen_s = max(job.unseen_s, min(self._now_s, end_s) - job.seen_s)
        if self._now_s < end_s:
            self._rest(number, State.RUNNING)
            return
        job.lag_s = self._now_s - end_s
        job.delays.send(_answer(State.SUCCEEDED, 1.0))
        self._open.discard(number)
        self._begin()


def _answer(state: State, progress: float | None) -> VideoTask:
    url = "https://video.invalid/t" if state is State.SUCCEEDED else None
    return VideoTask(id="t", status=state.value, state=state, progress=progress, video_url=url)


def try_all(workload: Workload, at_once: int) -> dict[float, dict[str, Score]]:
    """The scores of all policies, by budget and name; the budget 1.0 is the one without a limit."""
    free = Crowd(workload, at_once, math.inf, FIRST_COME).run()
    scores = {1.0: {"no limit": free}}
    for budget in BUDGETS:
        per_second = budget * free.polls_per_second
        scores[budget] = {policy.name: Crowd(workload, at_once, per_second, policy).run() for policy in POLICIES}
    return scores


def bound_s(workload: Workload, at_once: int, per_second: float) -> float:
    """The longest time that a running task may go without a poll."""
    return workload.limit_s + LONGEST_PASSED_OVER_S + at_once / per_second


def show(workload: Workload, at_once: int, scores: dict[float, dict[str, Score]]) -> str:
    """The table of one crowd."""
    lines = [
        f"{workload.name}, {at_once:,} at once",
        f"  {'budget':8}{'':22}{'mean lag':>9}{'p95':>8}{'max':>8}{'unseen':>9}{'bound':>8}",
    ]
    free = scores[1.0]["no limit"].polls_per_second
    for budget, row in scores.items():
        bound = bound_s(workload, at_once, budget * free)
        for name, score in row.items():
            seconds = f"{score.mean_s:9.2f}{score.p95_s:8.1f}{score.max_s:8.1f}{score.unseen_s:9.0f}"
            lines.append(f"  {budget:<8.0%}{name:22}{seconds}{bound:8.0f}")
    return "\n".join([*lines, ""])


def compare(workload: Workload, at_once: int, scores: dict[float, dict[str, Score]]) -> list[Row]:
    """The throttle's queue beside first come, first served, and beside the bound."""
    rows = []
    free = scores[1.0]["no limit"].polls_per_second
    for budget in BUDGETS:
        own, other = scores[budget][OURS.name], scores[budget][FIRST_COME.name]
        what = f"{workload.name}, {at_once:,} at once, {budget:.0%}"
        ratio = own.mean_s / other.mean_s
        most = MOST_OVER_FIRST_COME[workload.name]
        lag = f"{what}: mean lag"
        rows.append(Row(what=lag, value=own.mean_s, unit="s", ratio=ratio, to=FIRST_COME.name, at_most=most))
        bound = bound_s(workload, at_once, budget * free)
        rows.append(Row(what=f"{what}: longest unseen", value=own.unseen_s, unit="s", at_most=bound))
    return rows


def measure(is_quick: bool) -> Result:
    """Try every policy on every crowd."""
    workloads = [workload for workload in WORKLOADS if workload.name in MOST_OVER_FIRST_COME]
    rows, texts, details = [], [], {}
    for at_once in QUICK_CROWDS if is_quick else CROWDS:
        for workload in workloads:
            scores = try_all(workload, at_once)
            rows += compare(workload, at_once, scores)
            texts.append(show(workload, at_once, scores))
            details[f"{workload.name}, {at_once}"] = {
                f"{budget:g}": {name: attrs.asdict(score) for name, score in row.items()}
                for budget, row in scores.items()
            }
    return Result(
        name="urgency",
        unit="One unit is one task from its create to the poll that sees its end",
        rows=rows,
        notes=[f"In virtual time, seed {SEED}; turns are a part of the polls that Adaptive makes without a limit"],
        details=details,
        text="\n".join(texts),
    )


if __name__ == "__main__":
    run_alone(measure, "urgency", __doc__)
