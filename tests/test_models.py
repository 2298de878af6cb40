"""The values that users make: what is accepted, and what a refusal tells them to do."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sora_async import State, VideoRequest, VideoTask

DIGEST = f"data:image/png;sha256,{'0f' * 32}"
"""What a ledger keeps of a data: URI."""


def test_request_defaults_are_the_documented_ones() -> None:
    """A prompt alone is enough."""
    request = VideoRequest("a cat")
    assert (request.images, request.model, request.orientation) == ((), "sora-2-all", "landscape")
    assert (request.size, request.duration, request.watermark) == ("small", 10, True)
    assert (request.private, request.character_url, request.character_timestamps) == (None, None, None)
    assert request.extra == {}


def test_request_is_frozen_hashable_and_survives_pickle() -> None:
    """A request is a value."""
    request = VideoRequest("a cat", extra={"seed": 1})
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request.prompt = "a dog"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(request)) == request
    assert hash(request) == hash(VideoRequest("a cat", extra={"seed": 1}))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": ""}, "prompt must be a text that is not empty"),
        ({"prompt": " \n"}, "prompt must be a text that is not empty"),
        ({"prompt": None}, "prompt must be a text that is not empty"),
        ({"model": ""}, "model must be a text"),
        ({"model": None}, "model must be a text"),
        ({"orientation": ""}, "orientation must be a text"),
        ({"size": 720}, "size must be a text"),
        ({"duration": 0}, "duration must be a whole number of seconds"),
        ({"duration": 10.5}, "duration must be a whole number of seconds"),
        ({"duration": "10"}, "duration must be a whole number of seconds"),
        ({"duration": True}, "duration must be a whole number of seconds"),
        ({"watermark": "false"}, "watermark must be True or False"),
        ({"private": 1}, "private must be True or False"),
        ({"character_url": ""}, "character_url must be a text"),
        ({"character_timestamps": "1"}, "start,end"),
        ({"character_timestamps": "1,5"}, "span of 1 to 3"),
        ({"character_timestamps": "1,1.5"}, "span of 1 to 3"),
        ({"character_timestamps": "3,1"}, "span of 1 to 3"),
        ({"character_timestamps": "-1,1"}, "start,end"),
        ({"character_timestamps": (1, 3)}, "start,end"),
        ({"images": "cat.png"}, r"must be a list, such as images=\['cat.png'\]"),
        ({"images": Path("cat.png")}, "must be a list"),
        ({"images": ["cat.png"]}, r"images\[0\] must be an http\(s\) URL"),
        ({"images": ["https://a.example/1.png", "ftp://a.example/2.png"]}, r"images\[1\]"),
        ({"images": [b"bytes"]}, r"images\[0\]"),
        ({"images": ["data:text/plain,hello"]}, r"images\[0\]"),
        ({"images": [Path("/no/such/file.png")]}, "is not a readable file"),
        ({"images": [Path("/")]}, "is not a readable file"),
        ({"images": ["data:image/png;base64,AAAA", DIGEST]}, r"images\[1\] holds only the digest"),
        ({"character_url": DIGEST}, "character_url holds only the digest"),
        ({"extra": {"frame": DIGEST}}, "frame holds only the digest"),
        ({"extra": {"seed": 1, "frames": [{"first": DIGEST}]}}, "frames holds only the digest"),
        ({"extra": {"model": "x"}}, "extra must not hold model"),
        ({"extra": {"x": float("nan")}}, "extra must hold JSON values"),
        ({"extra": {"x": object()}}, "extra must hold JSON values"),
    ],
)
def test_request_with_a_bad_value_says_what_to_give(fields: dict[str, Any], message: str) -> None:
    """Nothing unusable is ever sent."""
    with pytest.raises(ValueError, match=message):
        VideoRequest(**{"prompt": "a cat", **fields})


@pytest.mark.parametrize("name", ["images", "orientation", "size", "duration", "watermark", "private"])
def test_request_field_may_be_none(name: str) -> None:
    """None leaves a field out."""
    assert getattr(VideoRequest("a cat", **{name: None}), name) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("span", ["1,3", "0,1", "0.5, 3.5", " 2 , 4 ", "0.1,3.1"])
def test_request_takes_spans_of_one_to_three_seconds(span: str) -> None:
    """Decimals and spaces are fine, and so is a span that is 3 only up to rounding."""
    assert VideoRequest("a cat", character_timestamps=span).character_timestamps == span


def test_request_takes_every_kind_of_image(tmp_path: Path) -> None:
    """URLs, data URIs and files."""
    file = tmp_path / "cat.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n")
    images = ("https://a.example/1.png", "data:image/png;base64,AAAA", "HTTP://a.example", file)
    assert VideoRequest("a cat", images=list(images)).images == images


@given(st.text() | st.text("/.~ n\0\ud800", max_size=400))
@example("n" * 300)
@example("n/" * 3000)
@example("\0")
@example("\udcff")
def test_request_takes_a_path_or_says_that_it_is_no_file(name: str) -> None:
    """Whatever the name, and whatever the system has against it, it is a bad value and nothing else."""
    path = Path(name)
    if os.path.isfile(path):  # noqa: PTH113 Path.is_file raises for some of them
        assert VideoRequest("a cat", images=[path]).images == (path,)
    else:
        with pytest.raises(ValueError, match=r"images\[0\] is not a readable file: "):
            VideoRequest("a cat", images=[path])


@pytest.mark.parametrize("text", [f"see {DIGEST}", f'see "{DIGEST}"', f'"{DIGEST}', DIGEST[:-1], f"{DIGEST}0"])
def test_request_may_speak_of_a_digest(text: str) -> None:
    """Only what is one as a whole stands for something that is missing."""
    assert VideoRequest(text, extra={"note": text, "notes": [text]}).prompt == text


def test_request_keeps_its_own_copy_of_extra() -> None:
    """Changing a dict afterwards does not change what is bought."""
    extra: dict[str, Any] = {"style": {"name": "noir"}}
    request = VideoRequest("a cat", extra=extra)
    extra["style"]["name"] = "pop"
    assert request.extra == {"style": {"name": "noir"}}


def test_request_repr_is_short() -> None:
    """A picture's megabytes stay out of logs."""
    request = VideoRequest("a cat", images=["data:image/png;base64," + "A" * 10_000])
    assert len(repr(request)) < 400
    assert "images=None" in repr(VideoRequest("a cat", images=None))


@pytest.mark.parametrize("state", State)
def test_only_queued_and_running_are_not_final(state: State) -> None:
    """The three ends are final."""
    assert state.is_final == (state not in {State.QUEUED, State.RUNNING})


def test_task_repr_holds_no_signed_address() -> None:
    """An address that is signed is a secret."""
    task = VideoTask(
        id="t", status="completed", state=State.SUCCEEDED, video_url="https://x/?sig=1", raw={"url": "https://x/?sig=1"}
    )
    assert "sig=1" not in repr(task)
