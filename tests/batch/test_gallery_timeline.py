"""The timeline: readable for one entry and for thousands, in round moments of UTC."""

from __future__ import annotations

import re

import pytest
from gallery_entries import STARTED, make_entry

from sora_async.batch.gallery.card import times_of
from sora_async.batch.gallery.timeline import HEIGHT, WIDTH, Drawing, Timeline, make_axis
from sora_async.batch.ledger import Entry, Stage

DAY = 86400


def draw(*entries: Entry) -> Drawing:
    timeline = Timeline()
    for entry in entries:
        timeline.add(entry.stage, times_of(entry))
    drawing = timeline.draw()
    assert drawing is not None
    return drawing


@pytest.mark.parametrize(
    ("span", "labels"),
    [
        (0, ["14:13:20", "14:13:21"]),
        (7, ["14:13:20", "14:13:22", "14:13:24", "14:13:26", "14:13:28"]),
        (100, ["14:13:00", "14:13:30", "14:14:00", "14:14:30", "14:15:00"]),
        (3600, ["14:00", "14:15", "14:30", "14:45", "15:00", "15:15"]),
        (12 * 3600, ["21 Sep 12:00", "21 Sep 15:00", "21 Sep 18:00", "21 Sep 21:00", "22 Sep 00:00", "22 Sep 03:00"]),
        (3 * DAY, ["21 Sep", "22 Sep", "23 Sep", "24 Sep", "25 Sep"]),
    ],
)
def test_axis_has_a_few_round_moments(span: float, labels: list[str]) -> None:
    """The first is before all and the last after all, evenly between."""
    axis = make_axis(STARTED, STARTED + span)
    assert axis.labels == labels
    assert axis.ticks[0] <= STARTED
    assert axis.ticks[-1] >= STARTED + span


def test_axis_of_centuries_stays_short() -> None:
    """A clock that was wrong once does not break the page."""
    axis = make_axis(1.0, 32_503_679_999.0)
    assert 1 <= axis.count <= 6
    assert all(re.fullmatch(r"\d\d \w{3} \d{4}", label) for label in axis.labels)


def test_timeline_of_nothing_is_not_drawn() -> None:
    """Entries that were never sent have no time to show."""
    timeline = Timeline()
    timeline.add(Stage.PLANNED, times_of(make_entry(stage=Stage.PLANNED)))
    assert timeline.draw() is None


def test_timeline_counts_each_kind_by_each_moment() -> None:
    """The table says what the lines say."""
    failed = make_entry(stage=Stage.FAILED, facts={}, ended_at=STARTED + 130)
    drawing = draw(make_entry(), failed, make_entry(stage=Stage.UNCERTAIN, ended_at=STARTED))
    assert [line.word for line in drawing.lines] == ["Submitted", "Started", "Finished", "Failed"]
    assert list(drawing.table) == [
        ("2026-09-21 14:13:00Z", [0, 0, 0, 0]),
        ("2026-09-21 14:13:30Z", [2, 1, 0, 0]),
        ("2026-09-21 14:14:00Z", [2, 1, 0, 0]),
        ("2026-09-21 14:14:30Z", [2, 1, 0, 0]),
        ("2026-09-21 14:15:00Z", [2, 1, 1, 0]),
        ("2026-09-21 14:15:30Z", [2, 1, 1, 1]),
    ]
    assert drawing.heading == "21 September 2026"


def test_timeline_of_one_entry_is_one_step() -> None:
    """Half the height, from when it finished to the end."""
    drawing = draw(make_entry())
    finished = drawing.lines[2]
    assert drawing.top == 2
    assert re.fullmatch(rf"M0 {HEIGHT}H\d+V50H{WIDTH}", drawing.path(finished))
    assert drawing.path(finished, closed=True).endswith(f"H{WIDTH}V{HEIGHT}Z")


def test_timeline_of_thousands_is_no_longer_than_its_width() -> None:
    """A line has at most one step for each unit, and ends where all are counted."""
    drawing = draw(*(make_entry(ended_at=STARTED + number * 1.5) for number in range(20_000)))
    path = drawing.path(drawing.lines[2])
    assert drawing.top == 20_000
    assert path.count("V") <= WIDTH + 1
    assert path.endswith(f"V0H{WIDTH}")
    assert len(list(drawing.grid)) == drawing.axis.count - 1


@pytest.mark.parametrize(("count", "top"), [(1, 2), (3, 4), (11, 12), (99, 100), (101, 120), (2001, 3000)])
def test_timeline_height_is_a_readable_number(count: int, top: int) -> None:
    """It can be halved, and no line leaves the picture."""
    assert draw(*[make_entry()] * count).top == top
