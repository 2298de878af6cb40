"""A process that is stopped just after it has intended something. Run: `python postgres_child.py DSN NAME LEASE_S`.

It stops itself when the intent is committed, with a lease of that length until it writes again. Once it is continued it
prints what it was told, each on a line: by `enter`, and by `record` after that.
"""

import asyncio
import os
import signal
import sys

from ledger_suite import ACCOUNT, CAT

from sora_async.batch import Change, PostgresLedger, Stage
from sora_async.batch.postgres_writer import Writer
from sora_async.errors import LedgerError


class Stopping(Writer):
    """Stops its process when the first operations are committed."""

    async def _commit(self, connection, group):
        is_first = bool(group) and not hasattr(Stopping, "length_s")
        if is_first:
            Stopping.length_s, self.lease.length_s = self.lease.length_s, float(sys.argv[3])
        elif group:
            self.lease.length_s = Stopping.length_s
        is_done = await super()._commit(connection, group)
        if is_first:
            os.kill(os.getpid(), signal.SIGSTOP)
        return is_done


async def main(dsn: str, name: str) -> None:
    ledger = PostgresLedger(dsn, name=name)
    await ledger.open(ACCOUNT)
    ledger._writer.__class__ = Stopping
    for step in (
        ledger.enter("cat", CAT, intend=True),
        ledger.record(Change(key="cat", stage=Stage.SUBMITTED, task_id="task-1")),
    ):
        try:
            told = repr(await step)
        except LedgerError as error:
            told = repr(error)
        sys.stdout.write(f"{told}\n")
    await ledger.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
