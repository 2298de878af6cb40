"""Texts and events in words."""

from hypothesis import given
from hypothesis import strategies as st

from sora_async import Downloaded, Polled, Retrying, State, StatusChanged, Submitted, VideoTask
from sora_async.cli.wording import clean, event_facts, event_line, show_share, show_size

TASK = VideoTask(id="t1", status="work\x1bing", state=State.RUNNING, progress=0.5)


@given(st.text())
def test_clean_leaves_nothing_that_drives_a_terminal(text):
    """Whatever comes in, one line of printable text comes out."""
    assert clean(text).isprintable()


def test_clean_cuts_what_is_too_long():
    """The end shows that something is missing."""
    assert clean("x" * 20, 10) == "xxxxxxx..."


def test_clean_keeps_any_script():
    """Text in other languages is text."""
    assert clean("额度不足") == "额度不足"


def test_shares_and_sizes_are_readable():
    """Percent without decimals, sizes in the unit that fits."""
    assert [show_share(None), show_share(0.5), show_size(1500), show_size(4_200_000)] == ["", "50%", "2 kB", "4.2 MB"]


def test_every_event_has_its_words():
    """What is of interest is told to both people and programs."""
    events = [
        Submitted(task=TASK),
        StatusChanged(task=TASK, previous=None),
        Retrying(operation="query", task_id="t1", error="busy", delay_s=2.0),
        Downloaded(task_id="t1", received=1000, total=2000),
        Downloaded(task_id="t1", received=1000, total=None),
    ]
    assert [event_line(event) for event in events] == [
        "Submitted t1",
        "work ing 50%",
        "query failed, again in 2.0 s: busy",
        "downloading, 1 kB of 2 kB",
        "downloading, 1 kB of an unknown size",
    ]
    assert [event_facts(event)["event"] for event in events][:4] == ["submitted", "status", "retrying", "downloaded"]


def test_polls_are_of_no_interest():
    """A poll that shows nothing new has no words."""
    assert (event_line(Polled(task=TASK)), event_facts(Polled(task=TASK))) == ("", None)
