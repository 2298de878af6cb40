"""What is repeated, how often, and after what times; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import run_virtual

from sora_async import (
    APIError,
    AuthenticationError,
    DecodeError,
    OverloadedError,
    QuotaError,
    RateLimitError,
    Retry,
    ServerError,
    SoraError,
    SubmissionUncertainError,
    TransportError,
)
from sora_async.retry import may_repeat_query, may_repeat_submission, repeating, retry_after

LIMITED = RateLimitError(429, "", "slow down", None, 7.0)
FAILED = ServerError(500, "", "oh")


def sent(error: TransportError, *, retryable: bool = True) -> TransportError:
    """The same error, of a request that may have left."""
    error.sent = True
    error.retryable = retryable
    return error


class Calls:
    """A call that ends by a script, the last line of it for ever; notes when it was made and what was heard."""

    def __init__(self, *ends: SoraError | str, policy: Retry | None = None) -> None:
        self.ends = ends
        self.times: list[float] = []
        self.heard: list[tuple[str, SoraError, float]] = []
        self.run = repeating(self._end, policy or Retry(), may_repeat_query, self._hear)

    async def _end(self, argument: str) -> str:
        end = self.ends[min(len(self.times), len(self.ends) - 1)]
        self.times.append(asyncio.get_running_loop().time())
        if isinstance(end, SoraError):
            raise end
        return end + argument

    def _hear(self, argument: str, error: SoraError, delay_s: float) -> None:
        self.heard.append((argument, error, delay_s))


def end_of(calls: Calls) -> str | SoraError:
    """How the repeated call ended."""

    async def main() -> str | SoraError:
        try:
            return await calls.run("!")
        except SoraError as error:
            return error

    return run_virtual(main())


def test_call_that_succeeds_is_made_once() -> None:
    """Its answer is handed on, and nothing is heard."""
    calls = Calls("done")
    assert end_of(calls) == "done!"
    assert (calls.times, calls.heard) == ([0.0], [])


def test_call_that_recovers_answers() -> None:
    """Each failure before it is heard once, with its argument and its wait."""
    calls = Calls(FAILED, LIMITED, "done")
    assert end_of(calls) == "done!"
    assert [(argument, error) for argument, error, _ in calls.heard] == [("!", FAILED), ("!", LIMITED)]
    waits = [later - sooner for sooner, later in zip(calls.times, calls.times[1:], strict=False)]
    assert waits == pytest.approx([delay_s for _, _, delay_s in calls.heard])


@pytest.mark.parametrize("tries", [1, 2, 5])
def test_call_that_always_fails_is_made_as_often_as_the_policy_says(tries: int) -> None:
    """In the end the last failure itself is raised."""
    failures = [ServerError(500, "", str(number)) for number in range(9)]
    calls = Calls(*failures, policy=Retry(tries=tries))
    assert end_of(calls) is failures[tries - 1]
    assert len(calls.times) == tries
    assert len(calls.heard) == tries - 1


def test_failure_that_must_not_be_repeated_ends_it() -> None:
    """Also after some that may be."""
    final = AuthenticationError(401, "", "no")
    assert end_of(calls := Calls(final)) is final
    assert len(calls.times) == 1
    assert end_of(calls := Calls(FAILED, final)) is final
    assert len(calls.times) == 2


def test_foreign_exception_is_not_repeated() -> None:
    """A mistake of ours or the user's is no failure of a call."""
    made = []

    async def broken(argument: str) -> None:
        made.append(argument)
        raise ZeroDivisionError

    async def main() -> None:
        await repeating(broken, Retry(), may_repeat_query, lambda *_: None)("a")

    with pytest.raises(ZeroDivisionError):
        run_virtual(main())
    assert made == ["a"]


def test_calls_at_once_are_counted_apart() -> None:
    """One wrapped call serves all; the tries of one never shorten another's."""
    calls = Calls(FAILED, policy=Retry(tries=3))

    async def main() -> list[str | BaseException]:
        return await asyncio.gather(calls.run("a"), calls.run("b"), return_exceptions=True)

    assert run_virtual(main()) == [FAILED, FAILED]
    assert sorted(argument for argument, _, _ in calls.heard) == ["a", "a", "b", "b"]


def test_schedule_grows_up_to_the_limit() -> None:
    """One time fewer than tries."""
    assert Retry(tries=6, first=1, factor=3, limit=20).schedule() == (1, 3, 9, 20, 20)
    assert Retry(tries=1).schedule() == ()


policies = st.builds(Retry, tries=st.just(6), first=st.floats(0, 50), factor=st.floats(1, 10), limit=st.floats(0, 100))
errors = st.none() | st.builds(RateLimitError, st.just(429), st.just(""), st.just(""), st.none(), st.floats(0, 300))


@given(policies, st.lists(errors, min_size=5, max_size=5))
def test_delay_is_never_under_the_schedule_nor_under_retry_after(
    policy: Retry, failures: list[RateLimitError | None]
) -> None:
    """Jitter is only ever added, and what the relay asks for is a floor."""
    delays = policy.delays()
    next(delays)
    for planned, failure in zip(policy.schedule(), failures, strict=True):
        floor = max(planned, retry_after(failure))
        assert floor <= delays.send(failure) * (1 + 1e-9)


@given(policies)
def test_delay_is_a_quarter_over_the_schedule_at_the_most(policy: Retry) -> None:
    """What is planned is about what is waited."""
    delays = policy.delays()
    next(delays)
    for planned in policy.schedule():
        assert delays.send(None) <= planned * 1.25 * (1 + 1e-9)


def test_delays_are_spread_over_that_quarter() -> None:
    """Clients that failed together do not come back together."""
    delays = Retry(factor=1).delays()
    next(delays)
    drawn = [delays.send(None) for _ in range(1000)]
    assert 1.0 <= min(drawn) < 1.01
    assert 1.24 < max(drawn) <= 1.25


@pytest.mark.parametrize(
    "make",
    [
        lambda: Retry(tries=0),
        lambda: Retry(first=-1),
        lambda: Retry(factor=0.5),
        lambda: Retry(limit=-1),
        lambda: Retry(first=float("nan")),
    ],
)
def test_impossible_policy_is_refused(make: Callable[[], Retry]) -> None:
    """At the moment it is made, not when the first call fails."""
    with pytest.raises(ValueError, match="must be"):
        make()


@pytest.mark.parametrize(
    ("error", "may"),
    [
        (LIMITED, True),
        (OverloadedError(503, "", "full"), True),
        (FAILED, False),
        (APIError(418, "", "teapot"), False),
        (QuotaError(402, "", "empty"), False),
        (TransportError("refused"), True),
        (sent(TransportError("reset")), False),
        (sent(TransportError("bad certificate"), retryable=False), False),
        (DecodeError("not JSON"), False),
        (SubmissionUncertainError({}, "cut"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_submission_is_repeated_only_if_proven_not_taken(error: SoraError, may: bool) -> None:
    """A 500 or a lost answer may have been a paid create."""
    assert may_repeat_submission(error) is may


def test_unsent_submission_that_cannot_succeed_is_not_repeated() -> None:
    """A bad certificate stays bad."""
    error = TransportError("bad certificate")
    error.retryable = False
    assert not may_repeat_submission(error)


@pytest.mark.parametrize(
    ("error", "seconds"), [(LIMITED, 7.0), (FAILED, 0.0), (TransportError("reset"), 0.0), (None, 0.0)]
)
def test_retry_after_is_what_the_relay_asked_for(error: SoraError | None, seconds: float) -> None:
    """Nothing, where it did not ask."""
    assert retry_after(error) == seconds
