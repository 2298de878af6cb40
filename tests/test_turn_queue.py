"""Who goes first where fewer calls may leave than wait: order, fairness, cancelled callers, and the work for a turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from virtual_time import run_virtual

from sora_async import RateLimitError, ServerError
from sora_async.rate import LEAST_OUTCOMES
from sora_async.throttle import Throttle
from sora_async.turn_queue import LEVELS, LOOKS, PATIENCE_S, Turn, TurnQueue, Urgency, certain

PAUSE_S = 10.0


def always(chance: float) -> Urgency:
    return lambda: chance


def paused(pause_s: float = PAUSE_S) -> Throttle:
    """A throttle at which everybody waits for now."""
    throttle = Throttle(pause_s=pause_s)
    throttle._under_way["query"] += 1
    throttle.done("query", 0.0, RateLimitError(429, "", "slow down", None, pause_s))
    return throttle


def order_of(urgencies: dict[str, Urgency], *, kind: Callable[[str], str] = lambda _: "query") -> list[str]:
    """The names in the order in which their calls leave; all come at once."""

    async def main() -> list[str]:
        throttle, order = paused(), list[str]()

        async def call(name: str) -> None:
            await throttle.turn(kind(name), urgencies[name])
            order.append(name)

        await asyncio.gather(*map(call, urgencies))
        return order

    return run_virtual(main())


@pytest.fixture
async def turns() -> Callable[[], Turn]:
    """Makes turns for a queue of its own."""
    return asyncio.get_running_loop().create_future


def test_likeliest_news_goes_first() -> None:
    """Whatever the order of coming."""
    urgencies = {"low": always(0.1), "high": always(0.9), "middle": always(0.5)}
    assert order_of(urgencies) == ["high", "middle", "low"]


def test_equal_chances_go_in_the_order_of_coming() -> None:
    """Waits whose pacing tells no chances are served as they come."""
    names = [str(number) for number in range(20)]
    assert order_of(dict.fromkeys(names, certain)) == names


def test_query_by_hand_goes_before_chances() -> None:
    """Somebody waits for it right now."""
    assert order_of({"poll": always(0.9), "by hand": certain}) == ["by hand", "poll"]


def test_create_goes_before_the_likeliest_news() -> None:
    """A new task is worth more than any look at an old one."""
    urgencies = {"poll": certain, "new": certain, "newer": certain}
    assert order_of(urgencies, kind=lambda name: "query" if name == "poll" else "create") == ["new", "newer", "poll"]


def test_chance_that_rises_while_it_waits_counts() -> None:
    """What was told at the start is asked anew."""

    async def main() -> list[str]:
        throttle, order = paused(), list[str]()
        loop = asyncio.get_running_loop()

        async def call(name: str, urgency: Urgency) -> None:
            await throttle.turn("query", urgency)
            order.append(name)

        steady, rising = always(0.5), lambda: float(loop.time() > PAUSE_S / 2)
        await asyncio.gather(call("steady", steady), call("rising", rising))
        return order

    assert run_virtual(main()) == ["rising", "steady"]


@pytest.mark.parametrize(("told", "place"), [(-5.0, 1), (7.0, 0), (float("inf"), 0), (float("nan"), 0)])
def test_chance_out_of_range_counts_as_the_nearest(told: float, place: int) -> None:
    """What is no number counts as certain; nobody else is kept waiting by either."""
    order = order_of({"odd": always(told), "never": always(0.0), "surely": certain})
    assert order.index("odd") == place
    assert order.index("surely") < order.index("never")


async def test_nobody_is_passed_over_for_longer_than_patience(turns: Callable[[], Turn]) -> None:
    """The least chance goes before the surest news that comes PATIENCE_S later, and a level more for rounding."""
    queue, least = TurnQueue(), turns()
    queue.join(least, always(0.0), 0.0)
    served, now = 0, 0.0
    while True:
        queue.join(turns(), certain, now)
        if queue.call() is least:
            break
        served, now = served + 1, now + 1.0
    assert PATIENCE_S * (1 - 1 / LEVELS) - 1 <= now <= PATIENCE_S * (1 + 1 / LEVELS) + 1


async def test_turn_asks_few_and_all_in_their_turn(turns: Callable[[], Turn]) -> None:
    """However many wait, LOOKS of them are asked anew, those first who were not asked for longest."""
    asked: list[int] = []

    def noting(number: int) -> Urgency:
        def urgency() -> float:
            asked.append(number)
            return 0.5

        return urgency

    queue = TurnQueue()
    for number in range(100):
        queue.join(turns(), noting(number), 0.0)
    asked.clear()
    queue.call()
    assert asked == list(range(LOOKS))
    for _ in range(10):
        queue.call()
    assert asked == list(range(11 * LOOKS))


async def test_line_keeps_nothing_of_those_who_left(turns: Callable[[], Turn]) -> None:
    """Thousands who come and are cancelled leave no trace, though no turn is given."""
    queue, stays = TurnQueue(), turns()
    queue.join(stays, always(0.2), 0.0)
    for second in range(2000):
        turn = turns()
        queue.join(turn, certain, float(second))
        queue.leave(turn)
        queue.leave(turn)
    assert (len(queue), len(queue._levels)) == (1, 1)
    assert queue.call() is stays
    assert (len(queue), queue._levels, queue.call()) == (0, {}, None)


def test_cancelled_waits_are_dropped_at_once() -> None:
    """Even while no turn is given for hours."""

    async def main() -> list[int]:
        throttle = paused(3600.0)
        sizes = []
        for _ in range(3):
            waiting = [asyncio.create_task(throttle.turn("query")) for _ in range(500)]
            await asyncio.sleep(1.0)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            sizes.append(len(throttle._queues["query"]))
        return sizes

    assert run_virtual(main()) == [0, 0, 0]


def test_wait_cancelled_in_the_moment_of_its_turn_passes_it_on() -> None:
    """Its turn is not lost."""

    async def main() -> float:
        throttle = paused()
        first, second = (asyncio.create_task(throttle.turn("query")) for _ in range(2))
        await asyncio.sleep(1.0)
        asyncio.get_running_loop().call_at(PAUSE_S, throttle._serve)
        first.cancel()
        throttle.rate.next_at = 0.0
        throttle._serve()
        return await second

    assert run_virtual(main()) == 1.0


def test_wait_cancelled_just_after_its_turn_came_is_no_answer_of_the_host() -> None:
    """A failing host is not taken for healed because a caller lost interest."""

    async def main() -> float:
        throttle = Throttle(pause_s=2.0)
        for _ in range(LEAST_OUTCOMES):
            throttle._under_way["query"] += 1
            throttle.done("query", 0.0, ServerError(503, "", "down"))
        tries = asyncio.create_task(throttle.turn("query"))
        await asyncio.sleep(1.0)
        asyncio.get_running_loop().call_at(2.0, tries.cancel)
        await asyncio.wait([tries])
        return await throttle.turn("query")

    assert run_virtual(main()) == 4.0


def test_rate_of_an_outage_ends_when_the_last_wait_is_cancelled() -> None:
    """Nobody waits any more, so nothing need be spread."""

    async def main() -> float:
        throttle = Throttle(pause_s=2.0)
        throttle.rate.resume(0.0)
        throttle.rate.next_at = 100.0
        waiting = asyncio.create_task(throttle.turn("query"))
        await asyncio.sleep(1.0)
        waiting.cancel()
        await asyncio.wait([waiting])
        return throttle.rate.per_second(1.0)

    assert run_virtual(main()) == float("inf")


def test_error_of_a_chance_reaches_its_own_caller() -> None:
    """Everybody else is served; one who was cancelled meanwhile hears nothing."""

    async def main() -> list[object]:
        throttle = paused()
        loop = asyncio.get_running_loop()

        def broken() -> float:
            if loop.time() > 0:
                raise ZeroDivisionError
            return 1.0

        waiting = [asyncio.create_task(throttle.turn("query", urgency)) for urgency in (broken, broken, certain)]
        loop.call_at(PAUSE_S, waiting[0].cancel)
        return await asyncio.gather(*waiting, return_exceptions=True)

    cancelled, failed, served = run_virtual(main())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert isinstance(failed, ZeroDivisionError)
    assert served == PAUSE_S
