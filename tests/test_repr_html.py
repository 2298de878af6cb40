"""Tasks and outcomes in a notebook: the video plays, and no text becomes markup."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from sora_async import Outcome, State, TaskFailedError, VideoRequest, VideoTask

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"


def make_task(**fields: Any) -> VideoTask:
    return VideoTask(**{"id": "video_1", "status": "completed", "state": State.SUCCEEDED, **fields})


def make_outcome(**fields: Any) -> Outcome:
    return Outcome(**{"key": "first", "request": VideoRequest("a cat"), **fields})


class _Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.video: dict[str, str | None] = {}
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "video":
            self.video = dict(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def read(value: Any) -> _Reader:
    return _Reader(value._repr_html_())


def test_task_plays_its_video_under_its_still() -> None:
    """A finished task shows the video with controls."""
    shown = read(make_task(video_url="https://cdn.example/v.mp4?a=1&b=2", thumbnail_url="https://cdn.example/v.webp"))
    assert shown.video["src"] == "https://cdn.example/v.mp4?a=1&b=2"
    assert shown.video["poster"] == "https://cdn.example/v.webp"
    assert "controls" in shown.video


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,<script>", "//cdn.example/v.mp4", "", None])
def test_task_link_that_is_no_web_address_is_not_used(link: str | None) -> None:
    """Only http and https links of a relay reach the page."""
    assert "video" not in read(make_task(video_url=link)).tags
    shown = read(make_task(video_url="https://cdn.example/v.mp4", thumbnail_url=link))
    assert "poster" not in shown.video


def test_task_under_way_shows_how_far_it_is() -> None:
    """Progress is shown until the end, and only then."""
    assert read(make_task(status="processing", state=State.RUNNING, progress=0.4)).text == "video_1: processing 40%"
    assert read(make_task(status="failed", state=State.FAILED, progress=1.0, error_message="refused")).text == (
        "video_1: failed, refused"
    )


def test_task_texts_never_become_markup() -> None:
    """What a relay says is text, wherever it stands."""
    link = f"https://cdn.example/{HOSTILE}"
    shown = read(make_task(id=HOSTILE, status=HOSTILE, error_message=HOSTILE, video_url=link, thumbnail_url=link))
    assert shown.tags == ["figure", "video", "figcaption"]
    assert shown.video["src"] == shown.video["poster"] == link
    assert shown.text == f"{HOSTILE}: {HOSTILE}, {HOSTILE}"


def test_task_with_lone_surrogates_can_be_saved() -> None:
    """A notebook is UTF-8, which cannot hold them."""
    make_task(id="\ud800", status="\udfff")._repr_html_().encode()


def test_outcome_embeds_a_small_file(tmp_path: Path) -> None:
    """A small file is in the notebook, whatever folder that is shown from."""
    path = tmp_path / 'a "boat" #1.mp4'
    path.write_bytes(b"pictures")
    shown = read(make_outcome(path=path))
    assert shown.video["src"] == "data:video/mp4;base64," + base64.b64encode(b"pictures").decode()
    assert shown.text == f"first: {path}"


def test_outcome_links_a_large_file_below_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file stays where it is, and its name is percent-encoded."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "out" / "50% #1?.mp4"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.truncate(10 * 1024 * 1024 + 1)
    assert read(make_outcome(path=path)).video["src"] == "out/50%25%20%231%3F.mp4"
    monkeypatch.chdir(path.parent)
    assert read(make_outcome(path=Path("50% #1?.mp4"))).video["src"] == "50%25%20%231%3F.mp4"


def test_outcome_file_out_of_reach_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is gone, or large and elsewhere, is shown as its path."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with (tmp_path / "large.mp4").open("wb") as file:
        file.truncate(10 * 1024 * 1024 + 1)
    for path in (tmp_path / "large.mp4", tmp_path / "gone.mp4"):
        shown = read(make_outcome(path=path))
        assert shown.tags == ["figure", "figcaption"]
        assert shown.text == f"first: {path}"


def test_outcome_without_a_file_shows_its_task() -> None:
    """Without a folder the video plays from the relay; without a task there is a word."""
    task = make_task(video_url="https://cdn.example/v.mp4")
    assert make_outcome(task=task)._repr_html_() == task._repr_html_()
    assert read(make_outcome()).text == "first: done"


def test_outcome_with_an_error_says_why() -> None:
    """A failure is text: which one, and what it says."""
    task = make_task(status="failed", state=State.FAILED, error_message=HOSTILE, video_url="https://cdn.example/v.mp4")
    shown = read(make_outcome(key=HOSTILE, task=task, error=TaskFailedError(task)))
    assert shown.tags == ["figure", "figcaption"]
    assert shown.text.startswith(f"{HOSTILE}: TaskFailedError: ")
    assert HOSTILE in shown.text[len(HOSTILE) + 2 :]
