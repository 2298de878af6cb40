"""What people see: lines or a bar on stderr."""

import errno
import io
import sys
from collections.abc import Callable

import pytest

from sora_async import Downloaded, Polled, Retrying, State, StatusChanged, Submitted, VideoTask
from sora_async.cli import screen
from sora_async.cli.reporting import Output
from sora_async.cli.screen import Bar, Lines, open_screen, write_line
from sora_async.cli.wording import Result

TASK = VideoTask(id="t1", status="[bold]odd", state=State.RUNNING, progress=0.5)
CHANGED = StatusChanged(task=TASK, previous=None)


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Make stderr a terminal; pytest sets its own between the fixtures and the test, so the test says when."""

    def change() -> Terminal:
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", "xterm")
        return stream

    return change


def test_screen_is_lines_where_there_is_no_terminal(capsys):
    """A log file gets no bar."""
    assert type(open_screen(stdout_is_taken=False)) is Lines


def test_screen_is_a_bar_on_a_terminal(on_terminal):
    """People get the bar, also while a program reads stdout."""
    on_terminal()
    assert type(open_screen(stdout_is_taken=True)) is Bar


def test_screen_is_lines_on_a_dumb_terminal(on_terminal, monkeypatch):
    """What cannot move its cursor gets no bar."""
    on_terminal()
    monkeypatch.setenv("TERM", "dumb")
    assert type(open_screen(stdout_is_taken=False)) is Lines


def test_screen_is_lines_where_stdout_is_the_same_terminal(on_terminal, monkeypatch):
    """Objects on stdout would tear the bar."""
    on_terminal()
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert type(open_screen(stdout_is_taken=True)) is Lines


def test_lines_show_each_change_once(capsys):
    """A line that says nothing new is left out."""
    lines = Lines()
    for event in (CHANGED, CHANGED, Submitted(task=TASK), CHANGED):
        lines.heard(event)
    assert capsys.readouterr().err == "[bold]odd 50%\nSubmitted t1\n[bold]odd 50%\n"


def test_lines_show_few_of_many_chunks(capsys):
    """A download is no flood of lines."""
    lines = Lines()
    for received in range(0, 100_000, 1000):
        lines.heard(Downloaded(task_id="t1", received=received, total=100_000))
    assert capsys.readouterr().err == "downloading, 0 kB of 100 kB\n"


def test_bar_shows_status_and_share_without_reading_markup(on_terminal):
    """The relay's word is shown letter by letter, and how long it will take if that is known."""
    terminal = on_terminal()
    bar = Bar()
    bar.working("creating")
    bar.heard(Polled(task=TASK, remaining_s=90.0))
    bar.heard(CHANGED)
    bar.close()
    assert "[bold]odd, about 1 min 30 s left" in terminal.getvalue()
    assert "50%" in terminal.getvalue()


def test_bar_counts_down_from_the_create_on(on_terminal, monkeypatch):
    """Also between two polls; once it is over, nothing is told until the next one."""
    clock = Clock()
    monkeypatch.setattr(screen.time, "monotonic", clock)
    terminal = on_terminal()
    bar = Bar()
    bar.heard(Submitted(task=TASK, remaining_s=90.0))
    for now in (31.0, 89.0, 90.0):
        clock.now = now
        terminal.seek(0)
        terminal.truncate()
        bar._progress.refresh()
        shown = terminal.getvalue()
        assert "[bold]odd" in shown
        assert {31.0: "about 59 s left", 89.0: "about 1 s left", 90.0: ""}[now] in shown
    assert "left" not in shown
    bar.close()


class Clock:
    """Stands still."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_bar_tells_no_time_that_is_not_known(on_terminal):
    """Nothing is made up for a task that was created elsewhere."""
    terminal = on_terminal()
    bar = Bar()
    bar.heard(Polled(task=TASK))
    bar.close()
    assert "[bold]odd" in terminal.getvalue()
    assert "left" not in terminal.getvalue()


def test_bar_waits_once_the_id_is_there(on_terminal):
    """The id stays above the bar, and a relay that says no word yet is waited for."""
    terminal = on_terminal()
    bar = Bar()
    bar.working("creating")
    bar.heard(Submitted(task=VideoTask(id="t1", status="", state=State.QUEUED)))
    bar.close()
    assert "Submitted t1\n" in terminal.getvalue()
    assert "waiting" in terminal.getvalue()


def test_bar_shows_a_download(on_terminal):
    """The share is known if the size is."""
    terminal = on_terminal()
    bar = Bar()
    bar.heard(Downloaded(task_id="t1", received=1000, total=4000))
    bar.heard(Downloaded(task_id="t1", received=2_000_000, total=None))
    bar.close()
    assert "downloading 2.0 MB" in terminal.getvalue()


def test_bar_keeps_lines_above_and_their_length(on_terminal):
    """A long command stays in one piece, to be copied."""
    terminal = on_terminal()
    bar = Bar()
    bar.working("creating")
    bar.heard(Retrying(operation="query", task_id="t1", error="[red]" + "x" * 300, delay_s=1.0))
    bar.close()
    assert "[red]" + "x" * 300 in terminal.getvalue()


def test_bar_leaves_the_cursor_visible(on_terminal):
    """Whatever happened, the terminal is as it was."""
    terminal = on_terminal()
    bar = Bar()
    bar.working("creating")
    bar.close()
    bar.close()
    bar.note("later")
    assert terminal.getvalue().rindex("\x1b[?25h") > terminal.getvalue().rindex("\x1b[?25l")
    assert terminal.getvalue().endswith("later\n")


def test_output_with_json_writes_few_of_many_chunks(capsys):
    """A program hears of the last chunk in any case."""
    output = Output(is_json=True)
    for received in range(0, 101_000, 1000):
        output.heard(Downloaded(task_id="t1", received=received, total=100_000))
    assert [line[-33:] for line in capsys.readouterr().out.splitlines()] == [
        '"t1", "received": 0, "total": 100000}'[-33:],
        '"t1", "received": 100000, "total": 100000}'[-33:],
    ]


def test_output_shows_people_the_result_alone(capsys):
    """Facts are for programs, and an empty text is no line."""
    Output(is_json=False).done(Result(facts={"a": 1}, text=""))
    assert capsys.readouterr() == ("", "")


class Broken(io.StringIO):
    """A stream that fails when it is flushed."""

    def __init__(self, error: OSError, descriptor: int) -> None:
        super().__init__()
        self.error, self.descriptor = error, descriptor

    def flush(self) -> None:
        raise self.error

    def fileno(self) -> int:
        return self.descriptor


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO])
def test_write_line_that_nobody_can_read_is_quiet(tmp_path, number):
    """Be it a reader that has left or a terminal that was closed: what was paid for is still fetched."""
    with (tmp_path / "out").open("w") as file:
        write_line(Broken(OSError(number, "gone"), file.fileno()), "lost")
        file.write("lost, too")
    assert (tmp_path / "out").read_text() == ""


def test_write_line_that_the_disk_refuses_is_an_error():
    """Whoever reads the results must not take a part for all of them."""
    with pytest.raises(OSError, match="full"):
        write_line(Broken(OSError(errno.ENOSPC, "full"), -1), "lost")
