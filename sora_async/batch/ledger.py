"""The account of a batch: what was planned, sent, bought, fetched and lost. Every ledger fulfils this Protocol.

```text
planned ──> intended ──> submitted ──> ready ──> done
   ^           │  │          │           │
   └───────────┘  v          └───> failed <┘
        proven  uncertain
      not taken    └──> settled by the user: submitted (its id is known), resolved (it is lost), planned (send it again)
```

Intended is durable before the create may leave, submitted before the caller sees the id. Whoever opens a ledger cannot
know how the creates ended that it finds intended: all of them become uncertain, and none is sent again by itself.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import attrs

from sora_async.errors import LedgerError


class Stage(enum.Enum):
    """How far one input of a batch has come."""

    PLANNED = "planned"
    """Known, and nothing of it can have been bought."""
    INTENDED = "intended"
    """Its create is about to leave, or has left."""
    SUBMITTED = "submitted"
    """Accepted: its id is known."""
    READY = "ready"
    """The task succeeded, and its file is not here yet."""
    DONE = "done"
    """All is well: the file is here, or none was wanted."""
    FAILED = "failed"
    """The task ended without a video."""
    UNCERTAIN = "uncertain"
    """Its create left, and what became of it is not known: it may have been bought."""
    RESOLVED = "resolved"
    """The user has given it up."""


MOVES: Mapping[Stage, frozenset[Stage]] = {
    Stage.PLANNED: frozenset({Stage.INTENDED}),
    Stage.INTENDED: frozenset({Stage.PLANNED, Stage.SUBMITTED, Stage.UNCERTAIN}),
    Stage.SUBMITTED: frozenset({Stage.SUBMITTED, Stage.READY, Stage.DONE, Stage.FAILED, Stage.RESOLVED}),
    Stage.READY: frozenset({Stage.DONE, Stage.FAILED, Stage.RESOLVED}),
    Stage.DONE: frozenset({Stage.READY}),  # its file was taken away, and is fetched again
    Stage.FAILED: frozenset({Stage.PLANNED, Stage.RESOLVED}),
    Stage.UNCERTAIN: frozenset({Stage.SUBMITTED, Stage.PLANNED, Stage.RESOLVED}),
    Stage.RESOLVED: frozenset({Stage.PLANNED}),
}
"""Which stages may follow which."""

LEFT_BEHIND = "the process that was sending it ended before the answer came"
"""The reason of an entry that was found intended."""
CANCELLED = "it was cancelled before it was sent"
"""The reason of an entry whose sender was cancelled while it was being intended."""


@attrs.frozen(kw_only=True)
class Entry:
    """One input of a batch, as the ledger has it."""

    key: str
    """Its name, distinct within the ledger."""
    stage: Stage
    """How far it has come."""
    request: Mapping[str, Any]
    """The body of its create; a `data:` URI in it is replaced by its digest."""
    attempt: int = 0
    """How many times it was intended."""
    task_id: str | None = None
    """The id, once accepted."""
    reason: str | None = None
    """Why it is not further: the refusal, the failure, the doubt."""
    raw: bytes = b""
    """What came of an answer that left doubt, for the relay's support."""
    path: str | None = None
    """The file, relative to the folder of the ledger if it is in it."""
    size: int | None = None
    """Bytes of the file."""
    sha256: str | None = None
    """Digest of the file, in hex."""
    facts: Mapping[str, Any] = attrs.field(factory=dict)
    """More that was noted, such as the status word and when the task was first seen running; never a key or a link."""
    planned_at: float = 0.0
    """When it was entered, in seconds since 1970, UTC."""
    submitted_at: float | None = None
    """When its id was noted."""
    ended_at: float | None = None
    """When it was noted as done, failed, uncertain or resolved; None before that."""


@attrs.frozen(kw_only=True)
class Change:
    """One step of one entry. What is None or empty stays as it is, but the reason, which goes with its stage.

    A new attempt is another task: planned again, an entry has no id.
    """

    key: str
    """Which entry."""
    stage: Stage
    """Where it comes to."""
    task_id: str | None = None
    """The id, for submitted."""
    reason: str | None = None
    """Why."""
    raw: bytes = b""
    """What came of the answer."""
    path: str | None = None
    """The file, for done."""
    size: int | None = None
    """Its bytes."""
    sha256: str | None = None
    """Its digest."""
    facts: Mapping[str, Any] = attrs.field(factory=dict)
    """What is to be noted besides; added to what was noted before."""


class TakenOverError(LedgerError):
    """Another process goes on with an entry, which had taken this one for dead; nothing was noted."""


class Ledger(Protocol):
    """Keeps the account. All methods are coroutines of one event loop, and many may be under way at once."""

    async def open(self, account: str) -> None:
        """Begin to write; entries that are intended become uncertain.

        Args:
            account: the fingerprint of the key and the relay's address. A ledger belongs to one account, for the ids in
                it are unknown to all others.

        Raises:
            LedgerError: another process writes this ledger, it belongs to another account, was written by a newer
                version, or cannot be read or written.
        """
        ...

    async def enter(self, key: str, request: Mapping[str, Any], *, intend: bool) -> Entry | None:
        """Answer the entry of this key, new as planned if there is none.

        Args:
            key: its name.
            request: the body of its create, as for Entry.
            intend: whether a planned one is intended by the same, durable step: the answer then is intended, and the
                caller, and nobody else, must send it now.

        Returns:
            The entry after that; None if another process, or to intend another call, is at work on it.

        Raises:
            LedgerError: it cannot be written, or the key stands for another request.
        """
        ...

    async def record(self, change: Change) -> None:
        """Note a step; it is durable when this returns.

        Raises:
            TakenOverError: another process is at work on it: what comes of it is that one's affair.
            LedgerError: it cannot be written, there is no such entry, or the step is not one of MOVES.
        """
        ...

    def entries(self, *stages: Stage) -> AsyncIterator[Entry]:
        """Yield the entries in these stages (none: in all) in the order in which they were entered, a page at a time.

        Raises:
            LedgerError: it cannot be read.
        """
        ...

    async def remember(self, name: str, text: str) -> None:
        """Keep a text under a name, in place of the one before. It is a hint for later runs, no part of the account.

        Raises:
            LedgerError: it cannot be written.
        """
        ...

    async def recall(self, name: str) -> str | None:
        """Answer the text under a name, None if there is none.

        Raises:
            LedgerError: it cannot be read.
        """
        ...

    async def close(self) -> None:
        """Finish what is being written and let go of the ledger; another process may open it then."""
        ...


def check_move(key: str, before: Stage, after: Stage) -> None:
    """Raise LedgerError if an entry must not go from one stage to the other."""
    if after not in MOVES[before]:
        raise LedgerError(f"{key!r} is {before.value} in the ledger and cannot become {after.value}")
