"""What people see on stderr while a run goes on."""

from __future__ import annotations

import errno
import os
import sys
import time
from typing import TYPE_CHECKING, TextIO

from sora_async import Downloaded, Event, Polled, StatusChanged, Submitted
from sora_async.cli.wording import clean, event_line, show_share, show_size, show_span

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_INTERVAL_S = 10.0


class Lines:
    """A line for each change, without control characters: for what is no terminal."""

    def __init__(self) -> None:
        self._pause = Pause(LINE_INTERVAL_S)
        self._last = ""

    def working(self, what: str) -> None:
        """Show that something began that may take long, where it can be taken back later."""

    def heard(self, event: Event) -> None:
        """Show an event of the client."""
        is_chunk = isinstance(event, Downloaded) and not self._pause.over()
        line = "" if is_chunk else event_line(event)
        if line and line != self._last:
            self._last = line
            self.note(line)

    def note(self, text: str) -> None:
        """Show a line that stays."""
        write_line(sys.stderr, text)

    def result(self, text: str) -> None:
        """Write a line to stdout."""
        write_line(sys.stdout, text)

    def close(self) -> None:
        """Leave the terminal as it was."""


class Bar(Lines):
    """A live bar below the lines that stay: for terminals."""

    def __init__(self) -> None:
        super().__init__()
        self._progress: Progress | None = None

    def working(self, what: str) -> None:
        """Start the bar."""
        self._show(what, None, None)

    def heard(self, event: Event) -> None:
        """Show changes on the bar, and what is worth keeping above it."""
        if isinstance(event, Downloaded):
            share = event.received / event.total if event.total else None
            self._show(f"downloading {show_size(event.received)}", share, None)
            return
        if isinstance(event, Submitted | Polled):
            status = clean(event.task.status, 30) or "waiting"
            self._show(status, event.task.progress, event.remaining_s)
        if not isinstance(event, StatusChanged):
            super().heard(event)

    def note(self, text: str) -> None:
        """Show a line above the bar."""
        if self._progress is None:
            super().note(text)
        else:
            # Without soft wrapping a command that is to be copied would be broken into lines.
            self._progress.console.print(text, soft_wrap=True)

    def close(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _show(self, what: str, share: float | None, left_s: float | None) -> None:
        if self._progress is None:
            self._progress = _make_bar()
            self._progress.add_task(what, total=None, share="", ends_at=None)
            self._progress.start()
        task = self._progress.tasks[0]
        # A bar without a total pulses.
        task.total = None if share is None else 1.0
        ends_at = None if left_s is None else time.monotonic() + left_s
        self._progress.update(
            task.id, description=what, completed=share or 0.0, share=show_share(share), ends_at=ends_at
        )


def show_status(status: str, ends_at: float | None) -> str:
    """Put how long it will take behind a status, as long as that can be told.

    Args:
        status: what is going on.
        ends_at: when it will have ended as likely as not, on the monotonic clock.
    """
    left_s = 0.0 if ends_at is None else ends_at - time.monotonic()
    return f"{status}, about {show_span(left_s)} left" if left_s > 0 else status


def _make_bar() -> Progress:
    from rich.console import Console  # noqa: PLC0415 slow to import, and of use on terminals only
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.text import Text  # noqa: PLC0415

    class Status(ProgressColumn):
        """Counts down, also between two polls."""

        def render(self, task: Task) -> Text:
            return Text(show_status(task.description, task.fields["ends_at"]))

    return Progress(
        SpinnerColumn(),
        Status(),
        BarColumn(),
        TextColumn("{task.fields[share]}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True, markup=False, emoji=False, highlight=False),
        transient=True,
        # What is written to stdout is the result, and must stay there.
        redirect_stdout=False,
        redirect_stderr=False,
    )


def open_screen(*, stdout_is_taken: bool) -> Lines:
    """Choose between the bar and plain lines; the argument is that of `is_live`."""
    return Bar() if is_live(stdout_is_taken=stdout_is_taken) else Lines()


def is_live(*, stdout_is_taken: bool) -> bool:
    """Whether stderr can be drawn on.

    Args:
        stdout_is_taken: whether stdout is written to all the time; on the same terminal the drawing would be torn.
    """
    is_torn = stdout_is_taken and sys.stdout.isatty()
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not is_torn


def write_line(stream: TextIO, text: str) -> None:
    """Write a line and flush; quietly to nowhere once nobody can read it, as what was paid for is still fetched."""
    try:
        stream.write(f"{text}\n")
        stream.flush()
    except OSError as error:
        # EIO is that of a terminal that was closed.
        if not isinstance(error, BrokenPipeError) and error.errno != errno.EIO:
            raise
        silence(stream.fileno())


def silence(descriptor: int) -> None:
    """Let an output of this process lead to nowhere, Python's own flush at exit too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


class Pause:
    """Says when enough time has passed since it last said so."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._next = 0.0

    def over(self) -> bool:
        """Whether it is time again."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._interval_s
        return True
