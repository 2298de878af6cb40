"""The PostgreSQL ledger does what every ledger must."""

import asyncio
import contextlib
import random
import uuid

import pytest
from ledger_suite import CAT, LedgerSuite, all_of, bring
from postgres_store import Store

from sora_async.batch import Change, Stage
from sora_async.errors import LedgerError


class TestLedgerInPostgres(LedgerSuite):
    """In a schema of its own for each test."""

    examples = 20  # each makes its tables anew

    @pytest.fixture(autouse=True)
    def _database(self, postgres):
        self.dsn = postgres

    @contextlib.contextmanager
    def new_store(self):
        store = Store(self.dsn, uuid.uuid4().hex)
        yield store
        asyncio.run(store.drop())

    async def test_ledger_fact_that_is_no_json_fails_alone(self, ledger):
        """The entry stays as it was, and those that are written with it are written."""
        await bring(ledger, "cat", Stage.INTENDED)
        ends = await asyncio.gather(
            ledger.record(Change(key="cat", stage=Stage.UNCERTAIN, facts={"seen": object()})),
            ledger.enter("dog", CAT, intend=True),
            return_exceptions=True,
        )
        assert isinstance(ends[0], LedgerError)
        assert [entry.stage for entry in await all_of(ledger)] == [Stage.INTENDED, Stage.INTENDED]

    async def test_ledger_text_that_no_column_takes_fails_alone(self, ledger):
        """A reason is noted without it; a key or an id with it is refused, and so is a key that no index takes."""
        long = random.Random(0).randbytes(5000).hex()
        await bring(ledger, "cat", Stage.INTENDED)
        await ledger.record(Change(key="cat", stage=Stage.UNCERTAIN, reason="no\0 answer"))
        ends = await asyncio.gather(
            *(ledger.enter(key, CAT, intend=True) for key in ("a", "b\0", "c", long, "e")),
            ledger.record(Change(key="cat", stage=Stage.SUBMITTED, task_id="task\0")),
            return_exceptions=True,
        )
        assert [isinstance(end, LedgerError) for end in ends] == [False, True, False, True, False, True]
        assert [(entry.key, entry.reason) for entry in await all_of(ledger)] == [
            ("cat", "no? answer"),
            ("a", None),
            ("c", None),
            ("e", None),
        ]

    async def test_ledger_look_that_is_cancelled_changes_nothing_else(self, ledger):
        """It intended nothing, so nothing is taken back."""
        looking = asyncio.create_task(ledger.enter("cat", CAT, intend=False))
        await asyncio.sleep(0)
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking
        assert (await ledger.enter("cat", CAT, intend=True)).stage is Stage.INTENDED
        assert [event.stage for event in await ledger.events("cat")] == [Stage.PLANNED, Stage.INTENDED]
