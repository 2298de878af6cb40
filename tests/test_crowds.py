"""Whole crowds of waits through the client's own parts, in virtual time: no herd, and nobody starves."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from virtual_time import run_virtual

from sora_async import Fixed, Growing, RateLimitError, Retry, TransportError, VideoTask
from sora_async.pacing import Pacing
from sora_async.querier import Querier
from sora_async.rate import LEAST_USUAL, Rate
from sora_async.session import Reply
from sora_async.throttle import Throttle
from sora_async.turn_queue import LEVELS, PATIENCE_S
from sora_async.waiter import Waiter
from sora_async.wire.request import Call

CROWD = 2000
OUTAGE_S = (100.0, 700.0)


class Relay:
    """Answers after a while; each task takes its time, and for a while nobody answers at all."""

    def __init__(self, takes_s: float, outage_s: tuple[float, float] = (0.0, 0.0)) -> None:
        self._random = random.Random(3)
        self.lasts = {f"t-{number}": self._random.gauss(takes_s, 20) for number in range(CROWD)}
        self.outage_s = outage_s
        self.asked_at: list[float] = []

    async def send(self, call: Call) -> Reply:
        now = asyncio.get_running_loop().time()
        self.asked_at.append(now)
        await asyncio.sleep(self._random.uniform(0.05, 0.15))
        if self.outage_s[0] <= now < self.outage_s[1]:
            raise TransportError("down")
        task_id = call.params["id"]
        status = "completed" if now > self.lasts[task_id] else "running"
        body = f'{{"id":"{task_id}","status":"{status}","video_url":"https://cdn.example/v.mp4"}}'
        return Reply(status=200, body=body.encode())

    def between(self, start_s: float, end_s: float) -> list[float]:
        return [at for at in self.asked_at if start_s <= at < end_s]


def wait_for_all(relay: Relay, pacing: Pacing) -> list[VideoTask]:
    """What the waits of the whole crowd, all begun at once, bring."""

    async def main() -> list[VideoTask]:
        querier = Querier(relay, Throttle(pause_s=1.0))  # type: ignore[arg-type]
        waiter = Waiter(querier, pacing=pacing, retry=Retry(), tell=None)
        return await asyncio.gather(*(waiter.wait(task_id, 7200.0) for task_id in relay.lasts))

    return run_virtual(main())


def peak_over_mean(calls: list[float]) -> float:
    """The busiest tenth of a second, over a tenth of a second of the mean rate."""
    tenths = Counter(int(at * 10) for at in calls)
    return max(tenths.values()) / (len(calls) / (calls[-1] - calls[0] + 0.1) / 10)


@pytest.mark.unmeasured
def test_crowd_that_begins_at_once_is_no_herd() -> None:
    """Its first polls are spread, and so all that follow are."""
    relay = Relay(takes_s=120)
    assert len(wait_for_all(relay, Fixed(10))) == CROWD
    assert peak_over_mean(relay.between(0, 60)) <= 1.6


@pytest.mark.unmeasured
@pytest.mark.parametrize("pacing", [Fixed(10), Growing()], ids=["fixed", "growing"])
def test_outage_of_ten_minutes_fails_no_task_and_makes_no_herd(pacing: Pacing) -> None:
    """A few calls try the host, and when it is back the crowd returns about as fast as it polled before."""
    relay = Relay(takes_s=800, outage_s=OUTAGE_S)
    assert len(wait_for_all(relay, pacing)) == CROWD
    assert len(relay.between(*OUTAGE_S)) <= 100
    back_at = relay.between(OUTAGE_S[1], 7200)[0]
    assert back_at < OUTAGE_S[1] + 31
    assert peak_over_mean(relay.between(back_at, back_at + 10)) <= 1.6
    usual = len(relay.between(60, 100)) / 40
    assert len(relay.between(back_at, back_at + 10)) / 10 <= 1.6 * usual


def test_few_waits_begin_at_once() -> None:
    """Nobody waits for a crowd that is not there."""
    relay = Relay(takes_s=-100)
    relay.lasts = dict.fromkeys(list(relay.lasts)[:5], -1.0)
    wait_for_all(relay, Fixed(10))
    assert relay.asked_at == [0.0] * 5


def test_rate_after_an_outage_is_as_before_until_nobody_waits() -> None:
    """What was unlimited is so again; the outage itself is not counted."""
    rate = Rate(1.0)
    for tenth in range(600):
        for _ in range(5):
            rate.answered(tenth / 10)
    rate.resume(700.0)
    assert rate.per_second(700.0) == pytest.approx(50, rel=0.05)
    rate.nobody_waits()
    assert rate.per_second(701.0) == float("inf")


def test_rate_after_an_outage_from_the_start_is_a_low_one() -> None:
    """Nothing is known of what the relay bears."""
    rate = Rate(1.0)
    rate.resume(5.0)
    assert rate.per_second(5.0) == LEAST_USUAL


def test_rate_that_the_relay_limits_is_kept_after_an_outage() -> None:
    """An outage says nothing of limits, and a limit found on the way back is one."""
    limited = Rate(1.0)
    limited.too_much(0.0, 0.0, None)
    before = limited.per_second(50.0)
    limited.resume(50.0)
    limited.nobody_waits()
    assert limited.per_second(50.0) == before
    resuming = Rate(1.0)
    resuming.resume(5.0)
    resuming.too_much(5.0, 5.0, None)
    resuming.nobody_waits()
    assert resuming.per_second(6.0) < LEAST_USUAL


async def poll_all(lasts: list[float], *, is_urgency_told: bool, per_second: int) -> tuple[list[float], list[float]]:
    """The lags of all tasks, and the longest time that each ran unseen, where the relay refuses what is too much.

    One in twenty is never told to have ended.
    """
    throttle, loop, dice = Throttle(pause_s=1.0), asyncio.get_running_loop(), random.Random(5)
    taken: Counter[int] = Counter()

    async def follow(number: int, last_s: float) -> tuple[float, float]:
        seen_at, unseen_s, expected_s = 0.0, 0.0, last_s * dice.gauss(1.0, 0.05)

        def urgency() -> float:
            if not is_urgency_told:
                return 1.0
            return 0.0 if number % 20 == 0 else 0.9 if loop.time() >= expected_s else 0.1

        while seen_at < last_s:
            await asyncio.sleep(5.0)
            left_at = await throttle.turn("query", urgency)
            taken[int(left_at)] += 1
            if taken[int(left_at)] > per_second:
                throttle.done("query", left_at, RateLimitError(429, "", "slow down"))
                continue
            throttle.done("query", left_at, None)
            unseen_s = max(unseen_s, min(left_at, last_s) - seen_at)
            seen_at = left_at
        return seen_at - last_s, unseen_s

    told = await asyncio.gather(*(follow(number, last_s) for number, last_s in enumerate(lasts)))
    return [lag_s for lag_s, _ in told], [unseen_s for _, unseen_s in told]


def test_scarce_turns_go_to_tasks_that_have_likely_ended_and_none_starves() -> None:
    """A sixth of the polls that are due may leave: ends are seen in half the time, and every task in bounded time."""
    dice, per_second = random.Random(3), 7
    lasts = [dice.gauss(200, 40) for _ in range(210)]
    first_come, _ = run_virtual(poll_all(lasts, is_urgency_told=False, per_second=per_second))
    likely_first, unseen = run_virtual(poll_all(lasts, is_urgency_told=True, per_second=per_second))
    assert sum(likely_first) <= 0.5 * sum(first_come)
    round_s = len(lasts) / (0.7 * per_second)
    assert max(unseen) <= 5.0 + PATIENCE_S * (1 + 1 / LEVELS) + round_s
