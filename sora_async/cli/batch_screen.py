"""What people see on stderr while a batch runs: a live picture of it, or plain lines."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from sora_async.cli.batch_tally import End, Row, Tally
from sora_async.cli.screen import LINE_INTERVAL_S, Lines, Pause, is_live
from sora_async.cli.wording import clean, show_share, show_span

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.live import Live
    from rich.table import Table

REFRESH_S = 0.25
MOST_ROWS = 12
_OTHER_LINES = 8
_NAME_LENGTH = 60


class BatchLines(Lines):
    """A line for each input that ended, and one now and then that says how it stands: for what is no terminal."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally
        self._pause = Pause(LINE_INTERVAL_S)
        self._pause.over()  # nothing is worth a line yet

    def ended(self, end: End, row: Row | None, name: str) -> None:
        """Show that an input has ended, unless it had before this run."""
        if row is None or not row.is_known:
            when = "" if row is None else f" after {show_span(self._tally.age_s(row))}"
            place = f"{self._tally.finished} of {self._tally.total}"
            self.note(f"{place} {end.value}{when}: {clean(name, _NAME_LENGTH)}")

    def tick(self) -> None:
        """Show how it stands, if it is time."""
        if self._pause.over():
            self.note("; ".join([head_line(self._tally), *detail_lines(self._tally)]))


class BatchLive(BatchLines):
    """A picture that is drawn anew all the time, below what stays: for terminals."""

    def __init__(self, tally: Tally) -> None:
        super().__init__(tally)
        self._live: Live | None = None

    def working(self, what: str) -> None:
        """Begin to draw."""
        super().working(what)
        self._live = _open_live(self)
        self._live.start()

    def ended(self, end: End, row: Row | None, name: str) -> None:
        """The picture shows it."""

    def tick(self) -> None:
        """Draw it anew."""
        if self._live is not None:
            self._live.refresh()

    def note(self, text: str) -> None:
        """Show a line above the picture."""
        if self._live is None:
            super().note(text)
        else:
            # Without soft wrapping a command that is to be copied would be broken into lines.
            self._live.console.print(text, soft_wrap=True)

    def result(self, text: str) -> None:
        """Write a line to stdout; if that is this terminal, above the picture."""
        if self._live is not None and sys.stdout.isatty():
            self.note(text)
        else:
            super().result(text)

    def close(self) -> None:
        """Take the picture away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def picture(self) -> Group:
        """How it stands now."""
        from rich.console import Group  # noqa: PLC0415 slow to import, and of use on terminals only
        from rich.progress_bar import ProgressBar  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        tally = self._tally
        height = self._live.console.height if self._live is not None else 24
        whole = Table.grid(expand=True)  # for a bar alone does not end its line
        whole.add_row(ProgressBar(total=max(1, tally.total), completed=tally.finished))
        parts: list[RenderableType] = [
            whole,
            Text(head_line(tally), style="bold"),
            *(Text(line) for line in detail_lines(tally)),
            _draw_rows(tally, max(1, min(MOST_ROWS, height - _OTHER_LINES))),
            Text(),  # a ^C that is echoed behind a full line would move all of it
        ]
        return Group(*parts)


def open_batch_screen(tally: Tally, *, is_json: bool) -> BatchLines:
    """Choose between the picture and plain lines.

    Args:
        tally: what to show.
        is_json: whether stdout gets objects; on the same terminal they would be lost among the lines.
    """
    return BatchLive(tally) if is_live(stdout_is_taken=is_json) else BatchLines(tally)


async def keep_ticking(screen: BatchLines) -> None:
    """Keep a screen up to date until this is cancelled."""
    while True:
        await asyncio.sleep(REFRESH_S)
        screen.tick()


def head_line(tally: Tally) -> str:
    """How far it is and how fast it goes."""
    parts = [f"{tally.finished} of {tally.total}", show_span(tally.elapsed_s)]
    if tally.rate is not None:
        parts.append(f"{tally.rate * 60:.1f} a minute")
    if tally.left_s:
        parts.append(f"about {show_span(tally.left_s)} left")
    return ", ".join(parts)


def detail_lines(tally: Tally) -> list[str]:
    """How many are where, what it costs, and what goes wrong."""
    ends = [f"{tally.ends[end]} {end.value}" for end in End if tally.ends[end]]
    phases = [f"{count} {phase}" for phase, count in tally.phases().items()]
    lines = [", ".join([*ends, *phases]), f"{tally.bought} bought in this run", tally.trouble]
    return [line for line in lines if line]


def _draw_rows(tally: Tally, most: int) -> Table:
    from rich.progress_bar import ProgressBar  # noqa: PLC0415 slow to import, and of use on terminals only
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = [row for row in tally.rows.values() if row.task_id is not None and row.phase]
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True)
    table.add_column(width=20)
    table.add_column(width=4, justify="right")
    table.add_column(no_wrap=True, justify="right")
    for row in shown[:most]:
        bar = ProgressBar(total=1.0, completed=row.share) if row.share is not None else ""
        left_s = tally.remaining_s(row)
        left = "" if left_s is None else f"about {show_span(left_s)}"
        table.add_row(Text(clean(row.name)), Text(_word(row)), bar, Text(show_share(row.share)), Text(left))
    if len(shown) > most:
        table.add_row(Text(f"and {len(shown) - most} more", style="dim"))
    return table


def _word(row: Row) -> str:
    return clean(row.status, 20) if row.phase in {"queued", "rendering"} and row.status else row.phase


def _open_live(screen: BatchLive) -> Live:
    from rich.console import Console  # noqa: PLC0415 slow to import, and of use on terminals only
    from rich.live import Live  # noqa: PLC0415

    return Live(
        get_renderable=screen.picture,
        console=Console(stderr=True, markup=False, emoji=False, highlight=False),
        auto_refresh=False,
        transient=True,
        # What is written to stdout is the result, and must stay there.
        redirect_stdout=False,
        redirect_stderr=False,
    )
