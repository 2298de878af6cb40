"""The ledger that a batch of the command keeps."""

from pathlib import Path

from sora_async.batch import Stage
from sora_async.cli.batch_ledgers import WatchedLedger
from sora_async.cli.batch_tally import Tally


async def test_watched_ledger_tells_nothing_of_what_another_is_at_work_on(tmp_path: Path):
    """What is not this call's to send stays as the other one left it."""
    tally = Tally()
    ledger = WatchedLedger(tmp_path / "my.ledger", tally)
    await ledger.open("me")
    await ledger.enter("a", {"prompt": "a"}, intend=True)
    assert await ledger.enter("a", {"prompt": "a"}, intend=True) is None
    assert [row.stage for row in tally.rows.values()] == [Stage.INTENDED]
    await ledger.close()
