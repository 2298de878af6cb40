"""The ledger of a batch that keeps none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from sora_async.batch.ledger import Change, Entry, Stage


class Forgetful:
    """A Ledger that lets everything be bought and remembers nothing, so that memory is bounded by what is in flight."""

    async def open(self, account: str) -> None:
        """Nothing has been bought before."""

    async def enter(self, key: str, request: Mapping[str, Any], *, intend: bool) -> Entry | None:
        """Every input is a new one."""
        return Entry(key=key, stage=Stage.INTENDED if intend else Stage.PLANNED, request=request)

    async def record(self, change: Change) -> None:
        """Note nothing."""

    async def entries(self, *_: Stage) -> AsyncIterator[Entry]:
        """There are none."""
        nothing: tuple[Entry, ...] = ()
        for entry in nothing:
            yield entry  # pragma: no cover - it is what makes this a generator

    async def remember(self, name: str, text: str) -> None:
        """Keep no hint either."""

    async def recall(self, name: str) -> str | None:  # noqa: ARG002 the Protocol names it
        """There is none."""
        return None

    async def close(self) -> None:
        """There is nothing to finish."""
