"""One run of `sora-async batch`: all is checked, then bought, then told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from sora_async import LedgerError, Outcome
from sora_async.batch import Ledger, Manifest, write_gallery
from sora_async.cli.batch_ledgers import PreviewLedger, make_watched
from sora_async.cli.batch_order import Order, check_directory, check_manifest
from sora_async.cli.batch_screen import keep_ticking, open_batch_screen
from sora_async.cli.batch_summary import Summary, describe_outcome
from sora_async.cli.batch_tally import Tally
from sora_async.cli.failures import USAGE, Failure, explain
from sora_async.cli.reporting import Output
from sora_async.cli.running import check_relay, one_end, open_client
from sora_async.cli.signals import Signals
from sora_async.cli.wording import show_count


class BatchRun:
    """Carries out an order.

    Args:
        order: what to do.
        is_json: whether stdout is for programs.
    """

    def __init__(self, order: Order, *, is_json: bool) -> None:
        self._order = order
        self._tally = Tally(order.policy.max_tasks)
        self._screen = open_batch_screen(self._tally, is_json=is_json)
        self._output = Output(is_json=is_json, screen=self._screen)
        self._signals = Signals(self._note_signal)
        self._failure: Failure | None = None
        self._page: Path | None = None

    def run(self) -> int:
        """Do all of it; answers the exit code.

        Raises:
            typer.Exit: nothing could be begun; why is said.
        """
        with one_end(self._order.job, self._output, self._signals), Manifest(self._order.manifest) as manifest:
            if self._order.dask is None:  # else the workers have the key
                check_relay(self._order.job)
            check_directory(self._order.directory)
            if not check_manifest(manifest, self._output):
                return USAGE
            if isinstance(self._order.directory, Path):
                self._order.directory.mkdir(parents=True, exist_ok=True)
            self._tally.total = manifest.count
            return self._buy(manifest)

    def _buy(self, manifest: Manifest) -> int:
        is_cut = False
        self._screen.working("looking into the ledger")
        try:
            asyncio.run(self._signals.guard(self._work(manifest)))
        except (asyncio.CancelledError, KeyboardInterrupt) as error:
            is_cut = isinstance(error, KeyboardInterrupt)
        self._output.close()
        self._tally.close()
        summary = Summary(
            tally=self._tally,
            directory=self._order.directory,
            ledger=self._order.ledger,
            is_fleet=self._order.dask is not None,
            page=self._page,
            failure=self._failure,
            signal_number=self._signals.number,
            is_cut=is_cut,
        )
        if self._failure is not None:
            self._output.failed(self._failure)
        for line in summary.lines():
            self._output.note(line)
        self._output.fact(summary.facts(), "")
        return summary.exit_code

    async def _work(self, manifest: Manifest) -> None:
        ticking = asyncio.create_task(keep_ticking(self._screen))
        try:
            await self._follow(manifest)
        except Exception as error:
            if not (self._tally.finished or self._tally.rows):
                raise
            self._failure = explain(error, self._order.job)
        finally:
            ticking.cancel()
        if self._order.wants_page:
            await self._write_page()

    async def _follow(self, manifest: Manifest) -> None:
        order = self._order
        if order.dask is not None:
            await self._follow_fleet(order.dask, manifest)
            return
        async with open_client(order.job, self._tally.heard) as client:
            outcomes = client.generate_many(
                manifest.items(),
                concurrency=order.policy.concurrency,
                ledger=self._make_ledger(),
                directory=order.directory,
                policy=order.policy,
            )
            await self._tell(outcomes)

    async def _follow_fleet(self, address: str, manifest: Manifest) -> None:
        order = self._order
        try:
            from sora_async.batch import generate_many_on  # noqa: PLC0415 it needs an extra
        except ModuleNotFoundError:
            raise ImportError("--dask needs Dask: pip install 'sora_async[dask]'") from None
        outcomes = generate_many_on(
            address,
            manifest.items(),
            concurrency=order.policy.concurrency,
            ledger=order.ledger.ledger(),
            directory=order.directory,
            policy=order.policy,
            on_entry=self._tally.brought,
            on_stages=self._tally.told_elsewhere,
        )
        await self._tell(outcomes)

    async def _tell(self, outcomes: AsyncGenerator[Outcome, None]) -> None:
        async with aclosing(outcomes):
            async for outcome in outcomes:
                end, row = self._tally.ended(outcome)
                self._output.fact(*describe_outcome(outcome, end, row))
                self._screen.ended(end, row, outcome.request.prompt)

    def _make_ledger(self) -> Ledger:
        if not self._order.job.is_sandbox:
            return make_watched(self._order.ledger, self._tally)
        return PreviewLedger(Path(self._order.ledger.text), Path(self._order.directory), self._tally)

    async def _write_page(self) -> None:
        order, directory = self._order, Path(self._order.directory)
        try:
            page = await write_gallery(order.ledger.ledger(), directory, ledger_file=str(order.ledger))
        except (ImportError, LedgerError, OSError) as error:
            self._output.note(f"no page was written: {error}")
        else:
            self._page = directory / page.name

    def _note_signal(self) -> None:
        count = self._tally.phases().get("sending", 0)
        waits = f"waiting for {show_count(count, 'create')} under way" if count else "the rest is put down"
        self._output.note(f"Stopping: nothing more is bought, {waits}; Ctrl-C again stops at once")
