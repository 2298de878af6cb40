"""The right of one open ledger to its entries: a row of the server's that expires unless it is renewed.

The clock that counts is the server's. Once a lease has expired others may take its entries, one by one, each of which
then names its new owner. Each transaction that writes first renews the lease, also an expired one: a process that comes
back goes on with what nobody took, under a new term. This also numbers the transactions, so that after a lost answer
the row tells whether the last was committed.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any, Self

from sora_async.batch.ledger import LEFT_BEHIND, Stage
from sora_async.batch.postgres_book import COLUMNS, OwnedRow
from sora_async.errors import LedgerError

RESTART_GRACE_S = 10.0
"""So long after its start a server takes none for dead but who said so: those that it had left may come back first."""
KEPT_DAYS = 30
"""So long after its expiry a lease may be renewed."""

_BEGIN = """INSERT INTO owners (name, turn, expires_at)
VALUES ($1, 0, clock_timestamp() + make_interval(secs => $2)) RETURNING number"""
# All lock entries in the order of their keys, so that no two processes wait for each other.
_RENEW = f"""WITH before AS (
    SELECT number, expires_at <= clock_timestamp() AS is_expired FROM owners WHERE number = $1 AND turn = $2 - 1
    FOR UPDATE
), renewed AS (
    UPDATE owners SET turn = $2, expires_at = clock_timestamp() + make_interval(secs => $3)
    FROM before WHERE owners.number = before.number
    RETURNING extract(epoch FROM clock_timestamp())::double precision AS now, is_expired
), found AS (
    SELECT {", ".join(COLUMNS)} FROM entries WHERE key = ANY($4::text[]) ORDER BY key FOR UPDATE
)
SELECT renewed.now, renewed.is_expired, found.* FROM renewed LEFT JOIN found ON true"""  # noqa: S608 only names of columns
# Locked, so that a transaction that the server still holds has ended before its turn is read.
_TURN = "SELECT turn FROM owners WHERE number = $1 FOR UPDATE"
_END = "UPDATE owners SET expires_at = '-infinity' WHERE number = $1"
_IS_DEAD = """(expires_at = '-infinity' OR greatest(expires_at, pg_postmaster_start_time() + make_interval(secs => $1))
    <= clock_timestamp())"""
_ALIVE = f"SELECT number FROM owners WHERE NOT {_IS_DEAD} AND number = ANY($2::bigint[])"  # noqa: S608 a condition
_IS_OLD = f"expires_at < clock_timestamp() - interval '{KEPT_DAYS} days'"
# An owner whose row is locked is just writing, or is being buried by somebody else.
_BURY = f"""WITH dead AS (
    SELECT number, {_IS_OLD} AS is_old FROM owners
    WHERE {_IS_DEAD} AND ({_IS_OLD} OR EXISTS (SELECT FROM entries WHERE owner = owners.number)) FOR UPDATE SKIP LOCKED
), forgotten AS (
    DELETE FROM owners WHERE number IN (SELECT number FROM dead WHERE is_old)
), left_behind AS (
    SELECT number, stage FROM entries WHERE owner IN (SELECT number FROM dead) ORDER BY key FOR UPDATE
), freed AS (
    UPDATE entries SET owner = NULL,
        stage = CASE entries.stage WHEN '{Stage.INTENDED.value}' THEN '{Stage.UNCERTAIN.value}' ELSE entries.stage END,
        reason = CASE entries.stage WHEN '{Stage.INTENDED.value}' THEN $2 ELSE reason END,
        ended_at = CASE entries.stage
            WHEN '{Stage.INTENDED.value}' THEN extract(epoch FROM clock_timestamp()) ELSE ended_at END
    FROM left_behind WHERE entries.number = left_behind.number
    RETURNING entries.number, attempt, left_behind.stage AS before
)
INSERT INTO events (at, entry, stage, attempt, reason)
SELECT extract(epoch FROM clock_timestamp()), number, '{Stage.UNCERTAIN.value}', attempt, $2
FROM freed WHERE before = '{Stage.INTENDED.value}'"""  # noqa: S608 only names of stages


def boot_time() -> float:
    """Answer seconds by a clock that goes on while the machine, or this process, is suspended."""
    clock = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    return time.monotonic() if clock is None else time.clock_gettime(clock)


async def find_alive(connection: Any, owners: set[int]) -> set[int]:
    """Answer which of these owners have not expired."""
    return {number for (number,) in await connection.fetch(_ALIVE, RESTART_GRACE_S, owners)} if owners else set()


async def bury_dead(connection: Any) -> None:
    """Free what expired owners held; what they intended becomes uncertain."""
    await connection.execute(_BURY, RESTART_GRACE_S, LEFT_BEHIND)


class Lease:
    """One owner's.

    Args:
        number: of its row.
        length_s: how long it holds after each renewal, in seconds.
        asked_at: the boot_time at which it was asked for.

    Attributes:
        number: as given.
        length_s: as given.
        term: how often it had expired before it was renewed; what was its own in one term may be another's in the next.
    """

    def __init__(self, number: int, length_s: float, asked_at: float) -> None:
        self.number = number
        self.length_s = length_s
        self.term = 0
        self._turn = 0
        self._asked_at = self._renewed_at = asked_at

    @classmethod
    async def begin(cls, connection: Any, name: str, length_s: float) -> Self:
        """Make a row for a new owner."""
        asked_at = boot_time()
        return cls(await connection.fetchval(_BEGIN, name, length_s), length_s, asked_at)

    @property
    def heartbeat_s(self) -> float:
        """How long after a renewal the next one is due, in seconds."""
        return self.length_s / 3

    async def renew(self, connection: Any, keys: Collection[str]) -> tuple[float, list[OwnedRow]]:
        """Begin a turn within a transaction, and lock the entries of these keys that are there.

        Returns:
            The server's time in seconds since 1970, and the entries.

        Raises:
            LedgerError: it is no more.
        """
        self._asked_at = boot_time()
        found = await connection.fetch(_RENEW, self.number, self._turn + 1, self.length_s, keys)
        if not found:
            raise self._lost()
        self.term += found[0]["is_expired"]
        return found[0]["now"], [OwnedRow(*columns) for _, _, *columns in found if columns[0] is not None]

    def confirm(self) -> None:
        """Note that the turn was committed."""
        self._turn += 1
        self._renewed_at = self._asked_at

    async def was_committed(self, connection: Any) -> bool:
        """Whether the last turn was committed, for whose answer nobody can wait any more.

        Raises:
            LedgerError: that cannot be known, for the row is gone.
        """
        turn: int | None = await connection.fetchval(_TURN, self.number)
        if turn is None:
            raise self._lost()
        return turn > self._turn

    def is_firm(self, term: int) -> bool:
        """Whether it surely has not expired since a term, and will not for a while: what a create needs to leave."""
        return term == self.term and boot_time() - self._renewed_at < self.length_s - self.heartbeat_s

    async def end(self, connection: Any) -> None:
        """Give it up."""
        await connection.execute(_END, self.number)

    def _lost(self) -> LedgerError:
        return LedgerError(
            f"its server knows nothing of this process any more, which is so after {KEPT_DAYS} days of silence, or if "
            "its tables were changed by hand: nothing more is bought or noted; run the batch again"
        )
