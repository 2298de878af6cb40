"""What a card says of an entry, and where it finds the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gallery_entries import STARTED, make_entry

from sora_async.batch.gallery.card import WORDS, Card, Desk, make_card
from sora_async.batch.gallery.wording import as_bytes, as_seconds, as_span, as_text, clean
from sora_async.batch.ledger import Entry, Stage


def card_of(entry: Entry, root: Path = Path("/nowhere")) -> Card:
    return make_card(1, entry, Desk(root=root, settle=("sora-async", "ledger", "resolve")))


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("boat.mp4", "./boat.mp4"),
        ("a b#1?50%.mp4", "./a%20b%231%3F50%25.mp4"),
        ("\"'<>&.mp4", "./%22%27%3C%3E%26.mp4"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("日本/boot.mp4", "./%E6%97%A5%E6%9C%AC/boot.mp4"),
        ("latin \udcff.mp4", "./latin%20%FF.mp4"),
    ],
)
def test_card_link_is_relative_and_percent_encoded(path: str, link: str, tmp_path: Path) -> None:
    """A name is a name, whatever characters it has; so is an absolute path into the folder."""
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).touch()
    assert card_of(make_entry(path=path), tmp_path).link == link
    assert card_of(make_entry(path=str(tmp_path / path)), tmp_path).link == link


@pytest.mark.parametrize(
    ("path", "note"),
    [
        ("gone.mp4", "The file is missing: gone.mp4"),
        ("../outside.mp4", "The file is not in this folder: "),
        ("/outside.mp4", "The file is not in this folder: /outside.mp4"),
        (".", "The file is missing: ."),
        ("nul\0.mp4", "The file is missing: "),
        ("lone\ud800.mp4", "The file is missing: "),
        ("long" * 100, "The file is missing: "),
        (None, "No file was wanted."),
    ],
)
def test_card_without_a_file_in_the_folder_says_why(path: str | None, note: str, tmp_path: Path) -> None:
    """Nothing outside of the folder is linked, whether it is there or not."""
    (tmp_path / "outside.mp4").touch()
    (tmp_path / "batch").mkdir()
    card = card_of(make_entry(path=path), tmp_path / "batch")
    assert card.link is None
    assert card.note.startswith(note)


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.DONE])
def test_card_of_what_is_not_done_has_a_note_and_no_link(stage: Stage, tmp_path: Path) -> None:
    """Every stage has its word and its text, and a file that was there once is not shown."""
    (tmp_path / "boat.mp4").touch()
    card = card_of(make_entry(stage=stage, path="boat.mp4"), tmp_path)
    assert card.link is None
    assert card.note
    assert card.word == WORDS[stage]


def test_card_offers_to_settle_what_failed_or_is_uncertain() -> None:
    """Only those need the user, and each choice has its option."""
    options = {stage: [line.split()[4] for _, line in card_of(make_entry(stage=stage)).commands] for stage in Stage}
    assert options.pop(Stage.UNCERTAIN) == ["--id", "--lost", "--retry"]
    assert options.pop(Stage.FAILED) == ["--retry", "--lost"]
    assert not any(options.values())


@pytest.mark.parametrize(
    ("request_", "is_tall"),
    [
        ({"orientation": "portrait", "aspect_ratio": "16:9"}, True),
        ({"orientation": "landscape", "size": "720x1280"}, False),
        ({"orientation": None, "aspect_ratio": "9:16"}, True),
        ({"orientation": None, "aspect_ratio": "auto", "size": "720x1280"}, True),
        ({"orientation": None, "size": "1280x720"}, False),
        ({"orientation": ["portrait"], "size": {}}, False),
    ],
)
def test_card_shape_follows_the_request(request_: dict[str, Any], is_tall: bool) -> None:
    """Model families say it in fields of their own."""
    assert card_of(make_entry(request=request_)).is_tall is is_tall


def test_card_times_are_the_spans_that_people_ask_for() -> None:
    """Until it was created, in the queue, and until it was rendered."""
    card = card_of(make_entry())
    assert (card.times.creating, card.times.queueing, card.times.rendering) == (2, 8, 90)
    assert card.pace == "queued 8.0\xa0s, rendered in 1\xa0min\xa030\xa0s"
    assert card.bar == (8, 92)
    unseen = card_of(make_entry(facts={}))
    assert (unseen.times.queueing, unseen.times.rendering, unseen.bar) == (None, 98, None)


def test_card_times_of_a_clock_that_was_set_back_are_left_out() -> None:
    """No span is negative."""
    card = card_of(make_entry(submitted_at=STARTED - 5, facts={"started_at": STARTED - 9}, ended_at=STARTED - 20))
    assert (card.times.creating, card.times.queueing, card.times.rendering) == (None, None, None)
    assert card.pace == ""


def test_card_rows_tell_all_that_is_known() -> None:
    """What has no place of its own on the card is in its details."""
    entry = make_entry(
        request={"images": ["sha256:1", "sha256:2"], "aspect_ratio": "16:9", "watermark": False, "seed": {"a": [1]}},
        path="boat.mp4",
        size=12_345_678,
        sha256="ab" * 32,
        attempt=2,
        raw=b"<html>\xff",
        facts={"status": "completed", "started_at": STARTED + 10},
    )
    rows = dict(card_of(entry).rows)
    assert rows.items() >= {"Key": "first", "Task": "video_first", "Status": "completed", "Images": "2"}.items()
    assert rows.items() >= {"Aspect ratio": "16:9", "Watermark": "false", "Seed": '{"a": [1]}'}.items()
    assert rows.items() >= {"File": "boat.mp4", "Size": "12.3 MB", "SHA-256": "ab" * 32, "Creates sent": "2"}.items()
    assert rows.items() >= {"Answer": "<html>\ufffd", "Planned": "2026-09-21 14:13:20Z"}.items()
    assert rows.items() >= {"To create": "2.0\xa0s", "In queue": "8.0\xa0s"}.items()


def test_card_of_a_bare_entry_is_shown_too() -> None:
    """A ledger of a later version, or of somebody else, may know less or hold other kinds of values."""
    entry = Entry(key="bare", stage=Stage.DONE, request={"images": "one"}, facts={"started_at": "soon", "status": 3})
    card = card_of(entry)
    assert (card.prompt, card.model, card.orientation, card.line, card.pace) == ("(no prompt)", "", "", "", "")
    assert dict(card.rows) == {"Key": "bare", "Images": "one"}


def test_wording_of_spans_and_sizes() -> None:
    """Short, in the unit that fits."""
    spans = [as_span(seconds).replace("\xa0", " ") for seconds in (0.04, 9.94, 59.4, 59.6, 3599, 3600, 1_000_000)]
    assert spans == ["0.0 s", "9.9 s", "59 s", "1 min 00 s", "59 min 59 s", "1 h 00 min", "277 h 46 min"]
    sizes = [as_bytes(count) for count in (0, 999, 1000, 99_960, 999_600, 5e12)]
    assert sizes == ["0 B", "999 B", "1.0 kB", "100 kB", "1.0 MB", "5.0 TB"]


@pytest.mark.parametrize("value", [None, "1", True, 0, -1, float("nan"), float("inf"), 1e300, [1]])
def test_wording_knows_no_such_moment(value: Any) -> None:
    """What no clock shows is not known."""
    assert as_seconds(value) is None


def test_wording_of_foreign_values() -> None:
    """Values are cut, and what no page can hold is replaced."""
    assert as_text("a" * 400) == "a" * 299 + "…"
    assert as_text({"é": [1, None]}) == '{"é": [1, null]}'
    assert clean("a\0b\ud800c\x85\td\ne") == "a\ufffdb\ufffdc\ufffd\td\ne"
    assert clean(3) == 3
