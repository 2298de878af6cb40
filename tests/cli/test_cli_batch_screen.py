"""What people see of a batch that runs: counts, rows, a live picture or plain lines."""

from __future__ import annotations

import asyncio
import io
import sys
from typing import Any

import pytest

from sora_async import (
    Downloaded,
    Outcome,
    Polled,
    Retrying,
    State,
    StatusChanged,
    SubmissionUncertainError,
    Submitted,
    VideoRequest,
    VideoTask,
)
from sora_async.batch import Change, Entry, Stage
from sora_async.cli import batch_screen
from sora_async.cli.batch_screen import BatchLines, BatchLive, detail_lines, head_line, open_batch_screen
from sora_async.cli.batch_tally import End, Tally

REQUEST = VideoRequest("[red]a boat")


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class Play:
    """A tally on a clock of its own, and what a batch tells it."""

    def __init__(self, total: int = 10, max_tasks: int | None = None) -> None:
        self.now = 100.0
        self.tally = Tally(max_tasks, clock=lambda: self.now)
        self.tally.total = total

    def enter(self, key: str, stage: Stage = Stage.PLANNED, task_id: str | None = None) -> None:
        entry = Entry(key=key, stage=stage, request={"prompt": f"[red]{key} boat"}, task_id=task_id)
        self.tally.entered(entry)

    def buy(self, key: str) -> None:
        self.enter(key)
        self.enter(key, Stage.INTENDED)
        self.tally.changed(Change(key=key, stage=Stage.SUBMITTED, task_id=f"task {key}"))

    def accept(self, key: str, remaining_s: float | None) -> None:
        """The client tells of the create before the ledger does."""
        self.enter(key)
        task = VideoTask(id=f"task {key}", status="queued", state=State.QUEUED)
        self.tally.heard(Submitted(task=task, remaining_s=remaining_s))
        self.tally.changed(Change(key=key, stage=Stage.SUBMITTED, task_id=task.id))

    def see(
        self,
        key: str,
        state: State = State.RUNNING,
        progress: float | None = None,
        remaining_s: float | None = None,
    ) -> None:
        task = VideoTask(id=f"task {key}", status="[bold]odd", state=state, progress=progress)
        self.tally.heard(StatusChanged(task=task, previous=None))
        self.tally.heard(Polled(task=task, remaining_s=remaining_s))

    def end(self, key: str, error: Exception | None = None) -> End:
        return self.tally.ended(Outcome(key=key, request=REQUEST, error=error))[0]


def test_tally_counts_down_from_the_create_on():
    """Until the first poll the estimate of the create counts."""
    play = Play(2)
    play.accept("a", 60.0)
    play.accept("b", None)
    play.now += 20
    assert [play.tally.remaining_s(row) for row in play.tally.rows.values()] == [40.0, None]
    assert play.tally.left_s == 40.0
    play.see("a", remaining_s=15.0)
    assert play.tally.left_s == 15.0
    play.now += 15
    assert play.tally.left_s is None
    assert play.tally._ends == {}


def test_tally_counts_what_is_under_way_elsewhere():
    """By the counts that other machines tell, the latest of which hold; what has ended is no phase."""
    play = Play()
    play.tally.told_elsewhere({Stage.PLANNED: 5})
    play.tally.told_elsewhere({Stage.INTENDED: 2, Stage.SUBMITTED: 3, Stage.READY: 1, Stage.DONE: 4})
    assert play.tally.phases() == {"sending": 2, "rendering": 3, "downloading": 1}
    assert detail_lines(play.tally)[0] == "2 sending, 3 rendering, 1 downloading"


def test_tally_counts_what_is_under_way_by_phase():
    """From the wait for a slot to the download."""
    play = Play()
    play.enter("a")
    play.enter("b", Stage.INTENDED)
    for key in "cde":
        play.buy(key)
    play.see("d")
    play.tally.changed(Change(key="e", stage=Stage.READY))
    phases = {"waiting": 1, "sending": 1, "queued": 1, "rendering": 1, "downloading": 1}
    assert (play.tally.phases(), play.tally.bought) == (phases, 3)


def test_tally_forgets_what_has_ended():
    """Its memory is bounded by what is under way; late events are of no interest."""
    play = Play()
    play.buy("a")
    play.tally.changed(Change(key="a", stage=Stage.DONE))
    assert play.tally.phases() == {}
    assert play.end("a") is End.DONE
    play.see("a")
    play.tally.heard(Downloaded(task_id="task a", received=1, total=2))
    play.tally.heard(Downloaded(task_id=None, received=1, total=2))
    play.tally.changed(Change(key="a", stage=Stage.READY))
    assert (play.tally.rows, play.tally.unbought) == ({}, 9)


def test_tally_judges_by_the_ledger_what_may_have_cost_a_fee():
    """A refusal that the ledger keeps as uncertain is uncertain."""
    play = Play()
    play.enter("a", Stage.INTENDED)
    play.tally.changed(Change(key="a", stage=Stage.UNCERTAIN))
    assert play.end("a", ValueError("rejected")) is End.UNCERTAIN


def test_tally_knows_no_pace_before_something_has_ended():
    """What was finished before this run says nothing about it."""
    play = Play()
    play.enter("a", Stage.DONE)
    play.end("a")
    play.now += 60
    assert (play.tally.rate, play.tally.left_s, head_line(play.tally)) == (None, None, "1 of 10, 1 min 00 s")


def test_tally_foretells_the_end():
    """By the pace so far, and by what may be bought at most."""
    play, capped = Play(), Play(max_tasks=3)
    for one in (play, capped):
        one.buy("a")
        one.buy("b")
        one.now += 30
        one.end("a")
    assert head_line(play.tally) == "1 of 10, 30 s, 2.0 a minute, about 4 min 30 s left"
    assert capped.tally.left_s == 60


def test_tally_foretells_the_end_by_the_slowest_of_the_last():
    """When all are under way, the rate says nothing of them; a task that ended or is late tells no more."""
    play = Play(total=3)
    for key in "abc":
        play.buy(key)
    play.now += 30
    play.end("a")
    play.see("b", remaining_s=50.0)
    play.see("c", remaining_s=90.0)
    play.now += 20
    assert [play.tally.remaining_s(row) for row in play.tally.rows.values()] == [30.0, 70.0]
    assert play.tally.left_s == 70.0
    play.see("c", State.SUCCEEDED)
    assert play.tally.left_s == 30.0
    play.now += 100
    assert play.tally.left_s == 2 / play.tally.rate


def test_tally_counts_what_a_stop_leaves_in_doubt():
    """What was being sent is uncertain, what was bought goes on, and the rest was not bought."""
    play = Play()
    for key, stage in [("a", Stage.PLANNED), ("b", Stage.INTENDED), ("c", Stage.UNCERTAIN), ("d", Stage.SUBMITTED)]:
        play.enter(key, stage)
    play.tally.close()
    assert (play.tally.ends, list(play.tally.rows), play.tally.unbought) == ({End.UNCERTAIN: 2}, ["d"], 7)


def test_detail_tells_the_last_trouble_until_all_is_well():
    """Who waits is told why."""
    play = Play()
    play.buy("a")
    play.tally.heard(Retrying(operation="query", task_id="x", error="HTTP \x1b500", delay_s=2.0))
    assert detail_lines(play.tally) == ["1 queued", "1 bought in this run", "query failed, again in 2.0 s: HTTP 500"]
    play.end("a", SubmissionUncertainError(REQUEST, "cut"))
    assert detail_lines(play.tally)[0] == "1 uncertain"
    play.buy("b")
    assert len(detail_lines(play.tally)) == 2


def test_lines_say_each_end_once(capsys):
    """A file gets a line for what ended in this run, and none for what had ended before."""
    play = Play()
    lines = BatchLines(play.tally)
    play.buy("a")
    play.now += 61
    lines.ended(*play.tally.ended(Outcome(key="a", request=REQUEST)), "a\nboat")
    play.enter("b", Stage.DONE)
    lines.ended(*play.tally.ended(Outcome(key="b", request=REQUEST)), "a boat")
    lines.ended(*play.tally.ended(Outcome(key="b", request=REQUEST, error=ValueError("twice"))), "a boat")
    lines.tick()
    assert capsys.readouterr().err == "1 of 10 done after 1 min 01 s: a boat\n3 of 10 refused: a boat\n"


def test_lines_say_how_it_stands_now_and_then(capsys, monkeypatch):
    """A file gets one such line in a while."""
    monkeypatch.setattr(batch_screen, "LINE_INTERVAL_S", 0.0)
    play = Play()
    play.buy("a")
    BatchLines(play.tally).tick()
    assert capsys.readouterr().err == "0 of 10, 0 s; 1 queued; 1 bought in this run\n"


async def test_screen_is_kept_up_to_date(monkeypatch):
    """Until it is over."""
    ticked = asyncio.Event()

    class Screen(BatchLines):
        def tick(self) -> None:
            ticked.set()

    monkeypatch.setattr(batch_screen, "REFRESH_S", 0.0)
    ticking = asyncio.create_task(batch_screen.keep_ticking(Screen(Tally())))
    await asyncio.wait_for(ticked.wait(), 20)
    ticking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ticking


class TestLive:
    """The picture on a terminal."""

    @pytest.fixture
    def on_terminal(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Make both streams terminals; pytest sets its own between the fixtures and the test."""

        def change(*, stdout: bool = False) -> Terminal:
            monkeypatch.setattr(sys, "stderr", Terminal())
            if stdout:
                monkeypatch.setattr(sys, "stdout", Terminal())
            monkeypatch.setenv("TERM", "xterm")
            monkeypatch.setenv("COLUMNS", "80")
            monkeypatch.setenv("LINES", "12")
            return sys.stderr

        return change

    def test_picture_is_for_terminals(self, on_terminal):
        """A program that reads objects from the same terminal is spared."""
        tally = Tally()
        assert type(open_batch_screen(tally, is_json=False)) is BatchLines
        on_terminal(stdout=True)
        assert type(open_batch_screen(tally, is_json=False)) is BatchLive
        assert type(open_batch_screen(tally, is_json=True)) is BatchLines

    def test_picture_shows_some_rows_and_counts_the_rest(self, on_terminal):
        """Prompts and words are shown letter by letter, and a small terminal has room for a few."""
        terminal = on_terminal()
        play = Play()
        screen = BatchLive(play.tally)
        for key in "abcdef":
            play.buy(key)
        play.enter("g")
        play.see("a", progress=0.5, remaining_s=90.0)
        play.tally.changed(Change(key="b", stage=Stage.READY))
        play.tally.heard(Downloaded(task_id="task b", received=1, total=4))
        play.tally.heard(Downloaded(task_id="task c", received=1, total=None))
        screen.working("looking")
        screen.tick()
        shown = terminal.getvalue().rpartition("0 of 10")[2]
        screen.close()
        assert "1 waiting, 4 queued, 1 rendering, 1 downloading" in shown
        assert "[red]a boat" in shown
        assert "[bold]odd" in shown
        assert "50%" in shown
        assert "about 1 min 30 s" in shown
        assert "25%" in shown
        assert "[red]e boat" not in shown
        assert "and 2 more" in shown

    def test_picture_keeps_lines_and_results_above(self, on_terminal):
        """Long ones in one piece; results of a terminal are part of it."""
        terminal = on_terminal(stdout=True)
        screen = BatchLive(Tally())
        screen.working("looking")
        screen.note("[red]" + "x" * 300)
        screen.result("out/a.mp4")
        screen.ended(End.DONE, None, "a boat")
        screen.close()
        assert "[red]" + "x" * 300 in terminal.getvalue()
        assert "out/a.mp4" in terminal.getvalue()
        assert "a boat" not in terminal.getvalue()
        assert sys.stdout.getvalue() == ""

    def test_results_for_a_pipe_go_into_it(self, on_terminal, capsys):
        """What a program reads is not drawn."""
        on_terminal()
        screen = BatchLive(Tally())
        screen.working("looking")
        screen.result("out/a.mp4")
        screen.close()
        assert capsys.readouterr().out == "out/a.mp4\n"

    def test_picture_leaves_the_terminal_as_it_was(self, on_terminal):
        """Before and after it there are plain lines, and the cursor is there."""
        terminal = on_terminal(stdout=True)
        screen = BatchLive(Tally())
        screen.tick()
        screen.note("before")
        assert "\x1b" not in terminal.getvalue()
        screen.working("looking")
        screen.close()
        screen.close()
        screen.result("after")
        assert terminal.getvalue().rindex("\x1b[?25h") > terminal.getvalue().rindex("\x1b[?25l")
        assert sys.stdout.getvalue() == "after\n"

    def test_accepted_create_is_no_event_of_the_picture(self, on_terminal):
        """The ledger tells it, with its key."""
        play = Play()
        play.tally.heard(Submitted(task=VideoTask(id="x", status="", state=State.QUEUED)))
        assert (play.tally.bought, play.tally.rows) == (0, {})
