"""What travels between the process that reads a batch and the workers of its fleet. None of it holds a key."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

import attrs

from sora_async.batch.item import BatchItem
from sora_async.batch.ledger import Entry, Ledger
from sora_async.batch.outcome import Outcome
from sora_async.batch.policy import BatchPolicy
from sora_async.batch.sources import Requests


class FleetLedger(Ledger, Protocol):
    """What a fleet needs of a ledger: many processes may have it open at once, and it is sent to them by pickle."""

    async def entry(self, key: str) -> Entry | None:
        """Answer the entry of a key without beginning to work on it; None if there is none.

        Raises:
            LedgerError: it cannot be read.
        """
        ...


class Generator(Protocol):
    """What a worker needs of a client."""

    def generate_many(
        self,
        requests: Requests,
        *,
        concurrency: int,
        ledger: Ledger,
        directory: str | os.PathLike[str] | None,
        policy: BatchPolicy,
    ) -> AsyncGenerator[Outcome, None]:
        """As Client has it."""
        ...

    async def close(self) -> None:
        """As Client has it."""
        ...


@attrs.frozen(kw_only=True)
class Order:
    """What all workers must know of a batch."""

    batch: str
    """Its name, which no other run has."""
    ledger: FleetLedger
    """Not open; each worker opens a copy."""
    directory: str | None
    """Where the files go."""
    policy: BatchPolicy
    """The limits that hold for each task; those of numbers hold for all workers together."""
    client: Callable[[], Generator]
    """Makes a client, on the worker."""


@attrs.frozen(kw_only=True)
class Job:
    """What one task of Dask is about: one input."""

    name: str
    """The key of the task of Dask."""
    batch: str
    """The name of the batch."""
    order: bytes = attrs.field(repr=False)
    """The pickled Order."""
    key: str
    """The name of the input in the ledger."""
    item: BatchItem = attrs.field(repr=False)
    """The input, which has this key."""
    may_buy: bool
    """Whether it may be bought; if not, it is only told of."""
    creates: int
    """How many creates the worker may have under way."""
    downloads: int
    """How many files it may fetch at once."""


@attrs.frozen(kw_only=True)
class Report:
    """What became of a job."""

    outcome: Outcome | None = None
    """None if it was not brought to its end."""
    entry: Entry | None = None
    """It in the ledger, as last seen; None if it was not seen."""
    has_bought: bool = False
    """Whether it is bought, or in doubt, or was before this job looked."""
    is_new: bool = False
    """Whether this job bought it, for certain or perhaps."""
    is_unbought: bool = False
    """Whether it is not bought and was not allowed to be."""
    stopped_by: Exception | None = None
    """Why the whole batch is to stop buying; None if it is not."""
