"""What may be repeated, and the one adapter over backoff."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, TypeVar

import attrs
import backoff

from sora_async.errors import APIError, SoraError, TransportError
from sora_async.wire.failure import may_repeat_create

if TYPE_CHECKING:
    from backoff.types import Details

A = TypeVar("A")
T = TypeVar("T")

Waits = Generator[float, SoraError | None, None]


@attrs.frozen(kw_only=True)
class Retry:
    """How often a call that may be repeated is repeated, and after what times.

    A create is repeated only if it was proven not to have been taken; a poll of `wait` is repeated until the deadline,
    whatever `tries` says.
    """

    tries: int = attrs.field(default=5, validator=attrs.validators.ge(1))
    """Calls in all, the first one included; 1 never repeats."""
    first: float = attrs.field(default=1.0, validator=attrs.validators.ge(0))
    """Seconds before the first repetition; a 429 or a saturated relay holds all calls of the client for as long."""
    factor: float = attrs.field(default=2.0, validator=attrs.validators.ge(1))
    """Each time is the one before it times this."""
    limit: float = attrs.field(default=30.0, validator=attrs.validators.ge(0))
    """The longest time in seconds; a longer Retry-After is still honoured."""

    def schedule(self) -> tuple[float, ...]:
        """The seconds before each repetition, without jitter."""
        return tuple(min(self.limit, self.first * self.factor**number) for number in range(self.tries - 1))

    def delays(self) -> Waits:
        """Answer a generator that is sent each error and yields the seconds until the repetition."""
        error = yield 0.0
        planned = min(self.first, self.limit)
        while True:
            # Jitter is only ever added: a Retry-After is never cut short.
            jittered = planned * (1 + random.random() / 4)  # noqa: S311 no secret hangs on it
            error = yield max(jittered, retry_after(error))
            planned = min(self.limit, planned * self.factor)


def retry_after(error: SoraError | None) -> float:
    """The seconds that the relay asked to wait in this error, 0.0 if it did not."""
    return (error.retry_after or 0.0) if isinstance(error, APIError) else 0.0


def may_repeat_submission(error: SoraError) -> bool:
    """Whether a create that ended so is proven not to have been taken and may help when sent again."""
    if isinstance(error, APIError):
        return may_repeat_create(error)
    return isinstance(error, TransportError) and error.retryable and not error.sent


def may_repeat_query(error: SoraError) -> bool:
    """Whether a query, which costs nothing, may help when sent again."""
    return error.retryable


def repeating(
    call: Callable[[A], Awaitable[T]],
    policy: Retry,
    may_repeat: Callable[[SoraError], bool],
    on_retry: Callable[[A, SoraError, float], None],
) -> Callable[[A], Awaitable[T]]:
    """Wrap `call` so that it is repeated by `policy` while `may_repeat` says so. Wrap once and call often.

    Args:
        call: takes one argument.
        policy: how often, and after what times.
        may_repeat: whether the error that a call ended with allows another.
        on_retry: hears the argument, the error and the seconds before each repetition.
    """

    def heard(details: Details) -> None:
        on_retry(details["args"][0], details["exception"], details["wait"])  # type: ignore[typeddict-item]  # on_exception adds it

    @backoff.on_exception(
        policy.delays,
        SoraError,
        max_tries=policy.tries,
        giveup=lambda error: not may_repeat(error),  # type: ignore[arg-type]  # only SoraErrors come here
        jitter=None,
        logger=None,
        on_backoff=heard,
    )
    async def repeat(argument: A, failures: list[SoraError]) -> T:
        if failures:
            raise failures.pop()
        return await call(argument)

    async def first(argument: A) -> T:
        # Most calls never fail, and around each of them backoff would add 6 % to what bare aiohttp costs. So it comes
        # in when the first try has failed, and is shown that failure as its own first.
        try:
            return await call(argument)
        except SoraError as error:
            failures = [error]
        return await repeat(argument, failures)

    return first
