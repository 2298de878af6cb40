"""What the driver and the server raise: what passes, what is one operation's own fault, and what is told of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from sora_async.errors import LedgerError

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 1.0
"""Between two tries to reach a server that is away; each pause is twice the one before."""

_PASSING = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.LockNotAvailableError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.TransactionRollbackError,
)

UNFIT = (
    ValueError,
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)
"""What a value raises that no column takes; ValueError is what the driver's own are."""

_ADVICE = (
    (asyncpg.InvalidAuthorizationSpecificationError, "check the user and the password"),
    (asyncpg.InvalidCatalogNameError, "make the database first"),
    (asyncpg.InsufficientPrivilegeError, "let the owner of the database grant it, as the README says"),
    (asyncpg.ReadOnlySQLTransactionError, "give the address of the primary server"),
    (asyncpg.DiskFullError, "free some space"),
    (asyncpg.TooManyConnectionsError, "let it take more connections"),
    (OSError, "check that the server runs and can be reached"),
)

_Result = TypeVar("_Result")


def is_passing(error: Exception) -> bool:
    """Whether the same may succeed a little later, on a new connection."""
    # A ValueError besides: the driver's word for what cannot be sent, and a certificate that is not trusted.
    return isinstance(error, _PASSING) and not isinstance(error, ValueError)


async def insist(attempt: Callable[[], Awaitable[_Result]], patience_s: float) -> _Result:
    """Answer the first attempt that does not fail by an error that passes; raises the last of them after this time.

    Args:
        attempt: each is made on a new connection.
        patience_s: seconds; no attempt begins later than this after the first failure.
    """
    ends_at: float | None = None
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return await attempt()
        except Exception as error:
            now = time.monotonic()
            ends_at = now + patience_s if ends_at is None else ends_at
            if not is_passing(error) or now + pause_s > ends_at:
                raise
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def explain(place: str, error: Exception) -> LedgerError:
    """Make the error that tells what is wrong with a ledger, and what to do.

    Args:
        place: where it is, without any secret.
        error: what was raised.
    """
    advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), None)
    if isinstance(error, ValueError) and not isinstance(error, (OSError, asyncpg.ClientConfigurationError)):
        # It repeats what it cannot take.
        text = "a value holds what its column, or the DSN what the driver, cannot take"
    elif isinstance(error, TimeoutError):
        text = "there was no answer in time"
    else:
        text = " ".join(str(error).split())
    return LedgerError(f"cannot use the ledger {place}: {text}{f'; {advice}' if advice else ''}")
