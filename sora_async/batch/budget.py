"""What one run of a batch may still buy, and why it stops buying."""

from __future__ import annotations

import asyncio
import errno

from sora_async.batch.ledger import TakenOverError
from sora_async.errors import (
    AuthenticationError,
    BatchStoppedError,
    DownloadError,
    LedgerError,
    PermissionDeniedError,
    QuotaError,
    SoraError,
    SubmissionUncertainError,
)

MAX_DOUBTS_IN_A_ROW = 5
"""So many creates in a row without a certain end stop the buying: something between here and the relay is broken."""

# They would be answered to every further create too.
_POINTLESS = (AuthenticationError, PermissionDeniedError, QuotaError)
# None: it was not the disk. The others: it has something against this one name.
_OF_ONE_NAME = {None, errno.EEXIST, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR}


class Budget:
    """Counts what a run buys.

    Args:
        max_tasks: creates that may be accepted, those in doubt included; None for any number.

    Attributes:
        is_used_up: whether something was left unbought for lack of it.
        stopped_by: why nothing more may be bought; None as long as it may.
    """

    def __init__(self, max_tasks: int | None) -> None:
        self.is_used_up = False
        self.stopped_by: SoraError | None = None
        self._is_closed = False
        self._left = max_tasks
        self._reserved = 0
        self._doubts = 0
        self._changed = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether another input should be looked at."""
        return self.stopped_by is None and not self.is_used_up and not self._is_closed

    async def reserve(self) -> bool:
        """Set one create aside; `settle` must follow. False if nothing more may be bought.

        While all that is left is set aside for creates that may yet be refused, this waits for their ends.
        """
        while self.stopped_by is None and not self._is_closed:
            if self._left is None or self._left > self._reserved:
                self._reserved += 1
                return True
            if not self._reserved:
                self.is_used_up = True
                return False
            self._changed.clear()
            await self._changed.wait()
        return False

    def settle(self, error: BaseException | None) -> None:
        """Take notice of how a create that was set aside ended: with an error, or accepted."""
        self._reserved -= 1
        if self._left is not None and (error is None or getattr(error, "billed", "unknown") != "no"):
            self._left -= 1
        if isinstance(error, SubmissionUncertainError):
            self._doubts += 1
        elif error is None:
            self._doubts = 0
        if self._doubts >= MAX_DOUBTS_IN_A_ROW:
            self.stop(
                BatchStoppedError(
                    f"the last {self._doubts} creates ended uncertain, so nothing more is sent; look at the relay's "
                    f"console and at the network, settle them in the ledger, and run it again: {error}"
                )
            )
        elif isinstance(error, _POINTLESS):
            self.stop(BatchStoppedError(f"nothing more is sent, since it would be refused as well: {error}"))
        elif isinstance(error, LedgerError) and not isinstance(error, TakenOverError):
            self.stop(error)
        self._changed.set()

    def notice(self, error: Exception) -> None:
        """Take notice of how an input ended: what the ledger or the disk refused would be refused to all others too."""
        if isinstance(error, LedgerError):
            self.stop(error)
        elif isinstance(error, DownloadError) and error.errno not in _OF_ONE_NAME:
            self.stop(BatchStoppedError(f"nothing more is bought, since its files would find no place: {error}"))

    def close(self) -> None:
        """Buy nothing more, for no reason that would have to be told."""
        self._is_closed = True
        self._changed.set()

    def stop(self, error: SoraError) -> None:
        """Buy nothing more; the first reason stays."""
        if self.stopped_by is None:
            self.stopped_by = error
        self._changed.set()
