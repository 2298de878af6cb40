"""One budget for all calls, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from virtual_time import run_virtual

from sora_async import APIError, OverloadedError, QuotaError, RateLimitError, ServerError
from sora_async.throttle import Throttle


def limited(retry_after: float | None = None) -> APIError:
    return RateLimitError(429, "", "slow down", None, retry_after)


def passed_at(act: Callable[[Throttle], None], *, callers: int = 1) -> list[float]:
    """The virtual seconds at which calls pass after `act`; each pause without a time is 2 s."""

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        throttle = Throttle(pause_s=2.0)
        act(throttle)

        async def call() -> float:
            await throttle.turn()
            return loop.time()

        return await asyncio.gather(*(call() for _ in range(callers)))

    return run_virtual(main())


def test_throttle_at_rest_holds_nothing() -> None:
    """The usual case costs no time."""
    assert passed_at(lambda _: None) == [0.0]


def test_throttle_holds_all_calls_as_long_as_the_relay_asks() -> None:
    """One 429 slows every task, not one."""
    assert passed_at(lambda throttle: throttle.note(limited(7.0)), callers=3) == pytest.approx([7.0] * 3)


def test_throttle_pauses_by_itself_where_the_relay_names_no_time() -> None:
    """Relays usually send no Retry-After."""
    assert passed_at(lambda throttle: throttle.note(limited())) == pytest.approx([2.0])


def test_throttle_of_zero_seconds_holds_nothing() -> None:
    """A Retry-After of 0 is a time too, and does not become the default pause."""
    assert passed_at(lambda throttle: throttle.note(limited(0.0))) == [0.0]


def test_throttle_pauses_for_a_saturated_relay() -> None:
    """It says "too much" by another code."""
    assert passed_at(lambda throttle: throttle.note(OverloadedError(503, "", "full"))) == pytest.approx([2.0])


@pytest.mark.parametrize("error", [ServerError(500, "", "oh"), QuotaError(402, "", "empty")])
def test_throttle_ignores_errors_that_say_nothing_of_speed(error: APIError) -> None:
    """Slowing down would not help."""
    assert passed_at(lambda throttle: throttle.note(error)) == [0.0]


def test_throttle_never_shortens_a_pause() -> None:
    """The longest that was asked for counts."""

    def act(throttle: Throttle) -> None:
        throttle.note(limited(9.0))
        throttle.note(limited(1.0))

    assert passed_at(act) == pytest.approx([9.0])


def test_throttle_holds_those_who_already_wait_when_the_pause_grows() -> None:
    """They look again before they go."""

    def act(throttle: Throttle) -> None:
        throttle.note(limited(5.0))
        asyncio.get_running_loop().call_later(3.0, throttle.note, limited(10.0))

    assert passed_at(act) == pytest.approx([13.0])
