"""Where a run speaks: its result on stdout, its progress on stderr."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from sora_async import Downloaded, Event, StatusChanged
from sora_async.cli.wording import Result, clean, event_facts, event_line, show_share, show_size

if TYPE_CHECKING:
    from rich.progress import Progress

    from sora_async.cli.failures import Failure

JSON_INTERVAL_S = 0.5
LINE_INTERVAL_S = 10.0


class Reporter:
    """Hears what a run has to say. This one keeps silent; each of the others says its part."""

    def working(self, what: str) -> None:
        """Hear that something began that may take long."""

    def heard(self, event: Event) -> None:
        """Hear of an event of the client."""

    def note(self, text: str) -> None:
        """Hear something for people."""

    def fact(self, facts: dict[str, Any], text: str) -> None:
        """Hear one of several results: for programs, and for people."""

    def done(self, result: Result) -> None:
        """Hear of a good end."""

    def failed(self, failure: Failure) -> None:
        """Hear of a bad end."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Output(Reporter):
    """All reporters of a run, as one."""

    def __init__(self, *, is_json: bool) -> None:
        both_on_terminal = is_json and sys.stdout.isatty()
        is_live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not both_on_terminal
        self._all: tuple[Reporter, ...] = (JsonLines() if is_json else Texts(), Bar() if is_live else Lines())

    def working(self, what: str) -> None:
        for reporter in self._all:
            reporter.working(what)

    def heard(self, event: Event) -> None:
        for reporter in self._all:
            reporter.heard(event)

    def note(self, text: str) -> None:
        for reporter in self._all:
            reporter.note(text)

    def fact(self, facts: dict[str, Any], text: str) -> None:
        for reporter in self._all:
            reporter.fact(facts, text)

    def done(self, result: Result) -> None:
        # People first: the result is the last thing they see.
        for reporter in reversed(self._all):
            reporter.done(result)

    def failed(self, failure: Failure) -> None:
        for reporter in self._all:
            reporter.failed(failure)

    def close(self) -> None:
        for reporter in self._all:
            reporter.close()


class Texts(Reporter):
    """Results on stdout, for people and simple scripts."""

    def fact(self, facts: dict[str, Any], text: str) -> None:
        _write_out(text)

    def done(self, result: Result) -> None:
        if result.text:
            _write_out(result.text)


class JsonLines(Reporter):
    """One JSON object for each event on stdout."""

    def __init__(self) -> None:
        self._pause = _Pause(JSON_INTERVAL_S)

    def heard(self, event: Event) -> None:
        facts = event_facts(event)
        is_chunk = isinstance(event, Downloaded) and event.received != event.total
        if facts is not None and not (is_chunk and not self._pause.over()):
            self._write(facts)

    def fact(self, facts: dict[str, Any], text: str) -> None:
        self._write(facts)

    def done(self, result: Result) -> None:
        self._write({"event": "done", **result.facts})

    def failed(self, failure: Failure) -> None:
        self._write(failure.facts())

    def _write(self, facts: dict[str, Any]) -> None:
        _write_out(json.dumps(facts))


class Lines(Reporter):
    """Progress on stderr where it is no terminal: a line for each change, and no control characters."""

    def __init__(self) -> None:
        self._pause = _Pause(LINE_INTERVAL_S)
        self._last = ""

    def heard(self, event: Event) -> None:
        is_chunk = isinstance(event, Downloaded) and not self._pause.over()
        line = "" if is_chunk else event_line(event)
        if line and line != self._last:
            self._last = line
            self.note(line)

    def note(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def done(self, result: Result) -> None:
        if result.note:
            self.note(result.note)

    def failed(self, failure: Failure) -> None:
        self.note(f"error: {failure.message}")


class Bar(Lines):
    """Progress on stderr where it is a terminal: a live bar below the lines that stay."""

    def __init__(self) -> None:
        super().__init__()
        self._progress: Progress | None = None

    def working(self, what: str) -> None:
        self._show(what, None)

    def heard(self, event: Event) -> None:
        if isinstance(event, StatusChanged):
            self._show(clean(event.task.status, 30), event.task.progress)
        elif isinstance(event, Downloaded):
            self._show(
                f"downloading {show_size(event.received)}", event.received / event.total if event.total else None
            )
        else:
            super().heard(event)

    def note(self, text: str) -> None:
        if self._progress is None:
            super().note(text)
        else:
            self._progress.console.print(text, soft_wrap=True)

    def done(self, result: Result) -> None:
        self.close()
        super().done(result)

    def failed(self, failure: Failure) -> None:
        self.close()
        super().failed(failure)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _show(self, what: str, share: float | None) -> None:
        if self._progress is None:
            self._progress = _make_bar()
            self._progress.add_task("", total=None)
            self._progress.start()
        task_id = self._progress.task_ids[0]
        # rich pulses only where there is no total.
        self._progress.tasks[0].total = None if share is None else 1.0
        self._progress.update(task_id, description=what, completed=share or 0.0, share=show_share(share))


def _make_bar() -> Progress:
    from rich.console import Console  # noqa: PLC0415 slow to import, and of use on terminals only
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[share]}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True, markup=False, emoji=False, highlight=False),
        transient=True,
        # What is written to stdout is the result, and must stay there.
        redirect_stdout=False,
        redirect_stderr=False,
    )


class _Pause:
    """Says when enough time has passed since it last said so."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._next = 0.0

    def over(self) -> bool:
        now = time.monotonic()
        is_over = now >= self._next
        if is_over:
            self._next = now + self._interval_s
        return is_over


def _write_out(text: str) -> None:
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has left; what was paid for is still fetched. Later writes, and Python's own at exit, go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
