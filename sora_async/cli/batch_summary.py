"""How a batch ended: for people, for programs, and as an exit code."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import attrs

from sora_async import Outcome
from sora_async.cli.batch_tally import End, Row, Tally
from sora_async.cli.failures import DEADLINE, DONE, ERROR, TASK_FAILED, UNCERTAIN, Failure
from sora_async.cli.ledger_place import Place
from sora_async.cli.wording import clean, show_count, show_span

# The first match speaks.
_CODES = (
    (End.UNCERTAIN, UNCERTAIN),
    (End.FAILED, TASK_FAILED),
    (End.UNFINISHED, DEADLINE),
    (End.UNFETCHED, ERROR),
    (End.REFUSED, ERROR),
)


def describe_outcome(outcome: Outcome, end: End, row: Row | None) -> tuple[dict[str, Any], str]:
    """Answer the object of an outcome for programs, and its line for people."""
    error = outcome.error
    facts = {
        "event": "outcome",
        "key": outcome.key,
        "state": end.value,
        "id": None if row is None else row.task_id,
        "path": None if outcome.path is None else str(outcome.path),
        "url": outcome.url,
        "error": None if error is None else type(error).__name__,
        "message": None if error is None else clean(str(error)),
        "billed": _billed(outcome, end, row),
    }
    if error is None:
        return facts, str(outcome.path or outcome.url)
    return facts, f"{outcome.key}: {end.value}: {clean(str(error))}"


def _billed(outcome: Outcome, end: End, row: Row | None) -> str:
    if end is End.DONE or (row is not None and row.task_id is not None and end is not End.FAILED):
        return "yes"
    return getattr(outcome.error, "billed", "no")


def this_command() -> str:
    """The command line of this process, to be typed again."""
    return shlex.join(["sora-async", *sys.argv[1:]])


@attrs.frozen(kw_only=True)
class Summary:
    """The account of one run."""

    tally: Tally
    """What was counted, closed."""
    directory: Path | str
    """Where the files are."""
    ledger: Place
    """Where the account is."""
    is_fleet: bool = False
    """Whether other machines brought it, of which only the ends are known here."""
    page: Path | None = None
    """The page, if it was written."""
    failure: Failure | None = None
    """What ended the run before its inputs did."""
    signal_number: int | None = None
    """The signal that ended it."""
    is_cut: bool = False
    """Whether it did not even wait for the creates under way."""

    @property
    def exit_code(self) -> int:
        """The status of the process."""
        if self.signal_number is not None:
            return 128 + self.signal_number
        ends = self.tally.ends
        return next(
            (code for end, code in _CODES if ends[end]), DONE if self.failure is None else self.failure.exit_code
        )

    @property
    def is_open(self) -> bool:
        """Whether the same command has something left to do."""
        ends = self.tally.ends
        return bool(self.tally.unbought or self.tally.rows or ends[End.UNFINISHED] or ends[End.UNFETCHED])

    def facts(self) -> dict[str, Any]:
        """For programs."""
        return {
            "event": "summary",
            "inputs": self.tally.total,
            **{end.name.lower(): self.tally.ends[end] for end in End},
            "under_way": len(self.tally.rows),
            "unbought": None if self.is_fleet else self.tally.unbought,
            "bought": self.tally.bought,
            "elapsed_s": round(self.tally.elapsed_s, 3),
            "directory": str(self.directory),
            "ledger": str(self.ledger),
            "page": None if self.page is None else str(self.page),
            "exit_code": self.exit_code,
            "resume": this_command() if self.is_open else None,
        }

    def lines(self) -> list[str]:
        """For people."""
        tally = self.tally
        counts = [f"{tally.ends[end]} {end.value}" for end in End if tally.ends[end] or end is End.DONE]
        counts += [f"{len(tally.rows)} going on at the relay"] if tally.rows else []
        counts += [f"{tally.unbought} not {'finished' if self.is_fleet else 'bought'}"] if tally.unbought else []
        # Of what a fleet has not finished, only its ledger knows whether it was bought.
        whose = " of those" if self.is_fleet and tally.unbought else ""
        pace = f"{tally.bought}{whose} bought in this run, which took {show_span(tally.elapsed_s)}"
        lines = [
            *self._interruption(),
            f"{show_count(tally.total, 'input')}: {', '.join(counts)}; {pace}",
            f"files:  {self.directory}",
            f"ledger: {self.ledger}",
            *([] if self.page is None else [f"page:   {self.page}"]),
        ]
        if tally.ends[End.UNCERTAIN]:
            show = shlex.join(["sora-async", "ledger", "show", "--state", "uncertain", str(self.ledger)])
            lines.append(f"look for the uncertain ones in the relay's console, and settle them: {show}")
        if self.is_open:
            lines.append(f"go on with: {this_command()}")
        return lines

    def _interruption(self) -> list[str]:
        if self.signal_number is None:
            return []
        if not self.is_cut:
            return ["Interrupted; no create was cut off"]
        return ["Interrupted at once: what became of the creates under way is not known, and the ledger says so"]
