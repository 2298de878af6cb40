"""One budget for all calls of a client: its parts, and whole crowds in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from virtual_time import run_virtual

from sora_async import (
    APIError,
    InvalidRequestError,
    OverloadedError,
    QuotaError,
    RateLimitError,
    ServerError,
    SubmissionUncertainError,
    TransportError,
    VideoRequest,
)
from sora_async.rate import (
    CUT,
    FIRST_WINDOW,
    LEAST_CALLS_IN_A_PAUSE,
    LEAST_OUTCOMES,
    LEAST_USUAL,
    RARE,
    RECOVERY_S,
    Rate,
)
from sora_async.throttle import Throttle

DOWN = ServerError(503, "", "down")


def limited(retry_after: float | None = None) -> APIError:
    return RateLimitError(429, "", "slow down", None, retry_after)


def ends(throttle: Throttle, *errors: BaseException | None) -> None:
    """Calls that left now and end so at once."""
    now = asyncio.get_running_loop().time()
    for error in errors:
        throttle._under_way["query"] += 1
        throttle.done("query", now, error)


def passed_at(act: Callable[[Throttle], None], *, callers: int = 1, pause_s: float = 2.0) -> list[float]:
    """The virtual seconds at which calls leave after `act`."""

    async def main() -> list[float]:
        throttle = Throttle(pause_s=pause_s)
        act(throttle)
        return await asyncio.gather(*(throttle.turn("query") for _ in range(callers)))

    return run_virtual(main())


def test_throttle_at_rest_holds_nothing() -> None:
    """The usual case costs no time."""
    assert passed_at(lambda _: None, callers=FIRST_WINDOW) == [0.0] * FIRST_WINDOW


def test_throttle_holds_all_calls_as_long_as_the_relay_asks() -> None:
    """One 429 slows every task, and they leave one by one afterwards."""
    first, second, third = passed_at(lambda throttle: ends(throttle, limited(7.0)), callers=3)
    assert first == pytest.approx(7.0)
    assert 7.0 < second < third


@pytest.mark.parametrize("error", [limited(), OverloadedError(503, "", "full")])
def test_throttle_pauses_by_itself_where_the_relay_names_no_time(error: APIError) -> None:
    """Relays usually send no Retry-After."""
    assert passed_at(lambda throttle: ends(throttle, error)) == pytest.approx([2.0])


def test_throttle_of_zero_seconds_holds_nothing() -> None:
    """A Retry-After of 0 is a time too, and does not become the default pause."""
    assert passed_at(lambda throttle: ends(throttle, limited(0.0))) == [0.0]


def test_throttle_without_a_pause_only_honours_the_relay() -> None:
    """Who asks for no waiting gets none but what the relay asks for."""
    assert passed_at(lambda throttle: ends(throttle, limited()), callers=3, pause_s=0.0) == [0.0] * 3
    assert passed_at(lambda throttle: ends(throttle, limited(3.0)), callers=3, pause_s=0.0) == [3.0] * 3


@pytest.mark.parametrize("error", [QuotaError(402, "", "empty"), InvalidRequestError(400, "", "bad"), None])
def test_throttle_ignores_ends_that_say_nothing_of_speed(error: APIError | None) -> None:
    """Slowing down would not help."""
    assert passed_at(lambda throttle: ends(throttle, *[error] * 20)) == [0.0]


def test_cancelled_call_says_nothing_of_the_host() -> None:
    """It frees its place, and neither opens nor closes anything."""
    cancels = [asyncio.CancelledError()] * 20
    assert passed_at(lambda throttle: ends(throttle, *[DOWN] * LEAST_OUTCOMES, *cancels)) == [2.0]


def test_rate_is_unlimited_until_it_was_too_much() -> None:
    """A relay without limits is never slowed down to."""
    assert Rate(1.0).per_second(0.0) == float("inf")


def test_throttle_never_shortens_a_pause() -> None:
    """The longest that was asked for counts."""
    assert passed_at(lambda throttle: ends(throttle, limited(9.0), limited(1.0))) == pytest.approx([9.0])


def test_throttle_holds_those_who_already_wait_when_the_pause_grows() -> None:
    """They look again before they go."""

    def act(throttle: Throttle) -> None:
        ends(throttle, limited(5.0))
        asyncio.get_running_loop().call_later(3.0, ends, throttle, limited(10.0))

    assert passed_at(act) == pytest.approx([13.0])


def test_create_goes_before_queries() -> None:
    """A new task is worth more than a look at an old one."""

    async def main() -> list[str]:
        throttle = Throttle(pause_s=2.0)
        ends(throttle, limited())
        order: list[str] = []

        async def call(kind: str) -> None:
            await throttle.turn(kind)
            order.append(kind)

        await asyncio.gather(call("query"), call("query"), call("create"))
        return order

    assert run_virtual(main()) == ["create", "query", "query"]


def test_slow_creates_do_not_hold_up_queries() -> None:
    """Creates may take minutes each; each kind has a window of its own."""

    async def main() -> None:
        throttle = Throttle(pause_s=2.0)
        for _ in range(FIRST_WINDOW):
            await throttle.turn("create")
        waiting = asyncio.create_task(throttle.turn("create"))
        assert await throttle.turn("query") == 0.0
        await asyncio.sleep(1.0)
        assert not waiting.done()
        throttle.done("create", 0.0, None)
        assert await waiting == 1.0

    run_virtual(main())


def test_cancelled_caller_gives_its_turn_back() -> None:
    """Whether it was still waiting, or was let go in the same moment."""

    async def main() -> dict[str, int]:
        throttle = Throttle(pause_s=2.0)
        ends(throttle, limited())
        waiting = [asyncio.create_task(throttle.turn("query")) for _ in range(2)]
        await asyncio.sleep(1.0)
        waiting[0].cancel()
        throttle._serve()
        asyncio.get_running_loop().call_at(2.0, waiting[1].cancel)
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*waiting, return_exceptions=True)
        assert await throttle.turn("query") >= 2.0
        return throttle._under_way

    assert run_virtual(main()) == {"create": 0, "query": 1}


@pytest.mark.parametrize("error", [DOWN, TransportError("gone"), SubmissionUncertainError(VideoRequest("x"), "gone")])
def test_failing_host_is_tried_by_one_call_at_a_time(error: Exception) -> None:
    """After growing times; the first answer lets everybody go, one by one."""

    async def main() -> list[float]:
        throttle = Throttle(pause_s=2.0)
        ends(throttle, *[error] * LEAST_OUTCOMES)
        asked: list[float] = []

        async def call() -> None:
            while True:
                left_at = await throttle.turn("query")
                asked.append(left_at)
                await asyncio.sleep(0.0)
                throttle.done("query", left_at, error if left_at < 60 else None)
                if left_at >= 60:
                    return

        await asyncio.gather(*(call() for _ in range(5)))
        return asked

    asked = run_virtual(main())
    assert asked[:5] == pytest.approx([2, 6, 14, 30, 60])
    assert asked[5:] == pytest.approx([60.0 + number / LEAST_USUAL for number in range(4)], abs=0.06)


def test_stalled_try_of_a_failing_host_holds_nobody_for_ever() -> None:
    """A try is limited in time: the next one follows although it has not ended."""

    def act(throttle: Throttle) -> None:
        ends(throttle, *[DOWN] * LEAST_OUTCOMES)

    assert passed_at(act, callers=3) == pytest.approx([2.0, 4.0, 6.0])


def test_host_that_fails_now_and_then_is_not_held() -> None:
    """Only a lasting outage is one."""
    assert passed_at(lambda throttle: ends(throttle, *[DOWN, None, None] * 10)) == [0.0]


def test_rate_is_cut_once_for_calls_that_left_before() -> None:
    """A whole window may be refused at once, for one and the same reason."""
    rate = Rate(1.0)
    for _ in range(50):
        rate.answered(0.5)
    for _ in range(20):
        rate.too_much(0.5, 1.0, None)
    assert rate.per_second(2.0) == pytest.approx(50 * CUT)
    assert rate.next_at == 2.0


def test_rate_comes_back_to_its_peak_and_looks_further_up() -> None:
    """Fast at first, flat around the peak, faster after it, and bounded."""
    rate = Rate(1.0)
    for _ in range(50):
        rate.answered(0.5)
    rate.too_much(0.5, 1.0, None)
    curve = [rate.per_second(2.0 + RECOVERY_S * part / 4) for part in range(9)]
    assert curve == sorted(curve)
    assert curve[4] == pytest.approx(50)
    assert curve[1] - curve[0] > curve[4] - curve[3]
    assert rate.per_second(1e9) == 100
    rate.answered(1e9)
    assert rate.per_second(1e9) == 100
    assert rate.per_second(2e9) == 200


def test_rate_that_is_too_much_below_its_peak_lowers_the_peak() -> None:
    """Others take their share; above it, the peak was higher than thought."""
    rate = Rate(1.0)
    for _ in range(50):
        rate.answered(0.5)
    rate.too_much(0.5, 1.0, None)
    rate.too_much(2.0, 2.0, None)
    assert rate.per_second(3.0) < 50 * CUT * CUT
    before = rate.per_second(1e3)
    rate.too_much(1e3, 1e3, None)
    assert rate.per_second(1e3 + 1) == pytest.approx(before * CUT)


def test_rare_refusals_leave_the_peak_alone() -> None:
    """Some relays refuse at random, which would otherwise slow the client down for ever."""
    rate = Rate(1.0)
    for _ in range(50):
        rate.answered(0.5)
    rate.too_much(0.5, 1.0, None)
    now = 2.0
    for _ in range(20):
        for _ in range(RARE):
            rate.answered(now)
        now += 1.0
        rate.too_much(now, now, None)
    assert rate.per_second(now + 1) == pytest.approx(50 * CUT)


def test_first_estimate_is_of_the_last_two_seconds() -> None:
    """What was answered long ago says nothing, and bad luck at the start does not strangle the client."""
    rate = Rate(1.0)
    for second in (0, 1):
        for _ in range(30 - 20 * second):
            rate.answered(float(second))
    rate.too_much(1.5, 1.5, None)
    assert rate.per_second(2.5) == pytest.approx(30 * CUT)
    rate = Rate(1.0)
    rate.answered(0.0)
    rate.answered(9.0)
    rate.too_much(9.0, 9.0, None)
    assert rate.per_second(10.0) == pytest.approx(LEAST_CALLS_IN_A_PAUSE * CUT)


class Relay:
    """Answers after a while, and takes `limit` calls a second: in fixed windows, or by a bucket that refills."""

    def __init__(self, limit: int, *, is_bucket: bool, latency_s: float) -> None:
        self.limit, self.is_bucket, self.latency_s = limit, is_bucket, latency_s
        self.arrivals: list[float] = []
        self._windows: Counter[int] = Counter()
        self._tokens, self._filled_at = float(limit), 0.0
        self._random = random.Random(7)

    async def call(self) -> APIError | None:
        await asyncio.sleep(self.latency_s * self._random.uniform(0.25, 0.75))
        now = asyncio.get_running_loop().time()
        self.arrivals.append(now)
        taken = self._take_from_bucket(now) if self.is_bucket else self._take_from_window(now)
        await asyncio.sleep(self.latency_s / 2)
        return None if taken else limited()

    def _take_from_window(self, now: float) -> bool:
        self._windows[int(now)] += 1
        return self._windows[int(now)] <= self.limit

    def _take_from_bucket(self, now: float) -> bool:
        self._tokens = min(self.limit, self._tokens + (now - self._filled_at) * self.limit)
        self._filled_at = now
        self._tokens -= (taken := self._tokens >= 1)
        return taken


async def crowd(throttle: Throttle, call: Callable[[], Awaitable[BaseException | None]], tasks: int) -> float:
    """Tasks that each need one accepted call; the second at which the last one has it."""

    async def one() -> None:
        while True:
            left_at = await throttle.turn("query")
            end = await call()
            throttle.done("query", left_at, end)
            if end is None:
                return

    await asyncio.gather(*(one() for _ in range(tasks)))
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("latency_s", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("is_bucket", [False, True])
def test_two_thousand_tasks_share_fifty_calls_a_second(is_bucket: bool, latency_s: float) -> None:
    """At most 1.1 calls for each, and at most 1.2 times as long as the relay's limit makes it."""
    relay = Relay(50, is_bucket=is_bucket, latency_s=latency_s)
    ended_at = run_virtual(crowd(Throttle(pause_s=1.0), relay.call, 2000))
    assert len(relay.arrivals) <= 1.1 * 2000
    assert ended_at <= 1.2 * 2000 / 50


def test_outage_of_ten_minutes_costs_few_calls() -> None:
    """Two thousand tasks wait for the few that try, and all of them end well."""

    async def main() -> int:
        calls = 0
        loop = asyncio.get_running_loop()

        async def call() -> BaseException | None:
            nonlocal calls
            calls += 1
            await asyncio.sleep(0.05)
            return DOWN if loop.time() < 600 else None

        ended_at = await crowd(Throttle(pause_s=1.0), call, 2000)
        assert ended_at < 700
        return calls

    assert run_virtual(main()) < 2000 + 100


def test_calls_leave_evenly_after_a_pause() -> None:
    """The peak of any tenth of a second is at most 1.6 times the mean of the second around it."""
    relay = Relay(10_000, is_bucket=True, latency_s=0.05)

    async def main() -> None:
        throttle = Throttle(pause_s=1.0)
        for _ in range(200):
            ends(throttle, None)
        ends(throttle, limited(30.0))
        await crowd(throttle, relay.call, 2000)

    run_virtual(main())
    assert relay.arrivals[0] > 30
    assert relay.arrivals[-1] > 36
    tenths = Counter(int(arrival * 10) for arrival in relay.arrivals)
    for second in range(31, int(relay.arrivals[-1]) - 1):
        around = [tenths[second * 10 + tenth] for tenth in range(10)]
        assert max(around) <= 1.6 * sum(around) / 10
