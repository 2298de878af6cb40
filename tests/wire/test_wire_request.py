"""What is sent: the published fields, unchanged, and nothing that was left unset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_async.models import VideoRequest
from sora_async.wire.request import body_to_request, build_character, build_create, build_query, request_to_body

PUBLISHED = {
    "images": ["https://filesystem.site/cdn/20250612/998IGmUiM2koBGZM3UnZeImbPBNIUL.png"],
    "model": "sora-2-all",
    "orientation": "portrait",
    "prompt": "make animate",
    "size": "large",
    "duration": 15,
    "watermark": False,
}


def test_build_create_published_example() -> None:
    """The published example is sent field by field as it stands."""
    request = VideoRequest(
        "make animate",
        images=["https://filesystem.site/cdn/20250612/998IGmUiM2koBGZM3UnZeImbPBNIUL.png"],
        model="sora-2-all",
        orientation="portrait",
        size="large",
        duration=15,
        watermark=False,
    )
    call = build_create(request)
    assert (call.operation, call.method, call.path, call.params) == ("create", "POST", "/v1/video/create", {})
    assert json.loads(call.body or b"") == PUBLISHED


def test_build_create_defaults() -> None:
    """A prompt alone sends every required field, and watermark as a JSON bool."""
    assert json.loads(build_create(VideoRequest("a cat")).body or b"") == {
        "prompt": "a cat",
        "images": [],
        "model": "sora-2-all",
        "orientation": "landscape",
        "size": "small",
        "duration": 10,
        "watermark": True,
    }


def test_build_create_unset_fields() -> None:
    """None leaves a field out."""
    request = VideoRequest("p", images=None, orientation=None, size=None, duration=None, watermark=None)
    assert json.loads(build_create(request).body or b"") == {"prompt": "p", "model": "sora-2-all"}


@pytest.mark.parametrize("name", ["watermark", "private"])
def test_build_create_false(name: str) -> None:
    """False is a choice and is sent."""
    assert request_to_body(VideoRequest("p", **{name: False}))[name] is False


def test_build_create_extra_fields() -> None:
    """Fields of other model families stand beside the others, unchanged."""
    extra = {"aspect_ratio": "16:9", "enhance_prompt": True, "seconds": "8", "seed": 7, "style": None}
    body = request_to_body(VideoRequest("p", model="veo3.1", extra=extra))
    assert body == request_to_body(VideoRequest("p", model="veo3.1")) | extra


def test_build_create_character() -> None:
    """A character's video and its span are sent by their published names."""
    request = VideoRequest("p", character_url="https://x.example/a.mp4", character_timestamps="1,3")
    body = request_to_body(request)
    assert (body["character_url"], body["character_timestamps"]) == ("https://x.example/a.mp4", "1,3")


def test_build_create_path_image(tmp_path: Path) -> None:
    """A local file must have become a data URI before."""
    picture = tmp_path / "a.png"
    picture.write_bytes(b"x")
    with pytest.raises(ValueError, match=r"^an image that is a Path must be read into a data: URI"):
        build_create(VideoRequest("p", images=[picture]))


def test_build_create_any_text() -> None:
    """Texts that are no valid Unicode are sent as JSON escapes instead of failing."""
    body = build_create(VideoRequest("猫 \ud800")).body or b""
    assert json.loads(body)["prompt"] == "猫 \ud800"


def test_build_query_nasty_id() -> None:
    """The id travels as a parameter, as it is; encoding it is the session's job."""
    call = build_query("grok:a/b%?#..")
    assert (call.operation, call.method, call.path) == ("query", "GET", "/v1/video/query")
    assert (call.params, call.body) == ({"id": "grok:a/b%?#.."}, None)


@pytest.mark.parametrize("task_id", ["", " a", "a\n", "x" * 600])
def test_build_query_no_id(task_id: str) -> None:
    """What is no id is refused before anything is sent."""
    with pytest.raises(ValueError, match="not a task id"):
        build_query(task_id)


@pytest.mark.parametrize(
    "source", [{"url": "https://x.example/a.mp4"}, {"url": "HTTPS://X.EXAMPLE/A"}, {"from_task": "sora-2:task_1"}]
)
def test_build_character_source(source: dict[str, str]) -> None:
    """The call holds the span and its one source, and never a model."""
    call = build_character(timestamps="1,3", **source)
    assert (call.operation, call.method, call.path) == ("character", "POST", "/sora/v1/characters")
    assert json.loads(call.body or b"") == {"timestamps": "1,3", **source}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"timestamps": "1,3"}, "^a character comes from exactly one"),
        ({"timestamps": "1,3", "url": "https://x.example", "from_task": "a"}, "^a character comes from exactly one"),
        ({"timestamps": "1,9", "from_task": "a"}, "span of 1 to 3"),
        ({"timestamps": "1,3", "from_task": " "}, "not a task id"),
        ({"timestamps": "1,3", "url": "a.mp4"}, "^url must be the http"),
    ],
)
def test_build_character_misuse(arguments: dict[str, str], said: str) -> None:
    """A wrong argument is named before anything is sent."""
    with pytest.raises(ValueError, match=said):
        build_character(**arguments)


words = st.text(min_size=1, max_size=8).filter(str.strip)
values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists)
extras = st.dictionaries(st.text(max_size=8).map("x_{}".format), values, max_size=3)
requests = st.builds(
    VideoRequest,
    words,
    images=st.none() | st.lists(st.sampled_from(["https://x.example/a.png", "data:image/png;base64,AA=="])),
    model=words,
    orientation=st.none() | words,
    size=st.none() | words,
    duration=st.none() | st.integers(1, 100),
    watermark=st.none() | st.booleans(),
    private=st.none() | st.booleans(),
    character_url=st.none() | words,
    character_timestamps=st.sampled_from([None, "1,3", "0.5, 2"]),
    extra=extras,
)


@given(requests)
def test_body_to_request_round_trip(request: VideoRequest) -> None:
    """A request survives the way to JSON and back."""
    assert body_to_request(json.loads(build_create(request).body or b"")) == request


def test_body_to_request_missing_fields() -> None:
    """A field that was not sent is None, also where the model has another default."""
    request = body_to_request({"prompt": "p", "model": "m"})
    assert (request.images, request.orientation, request.size, request.duration) == (None, None, None, None)
    assert (request.watermark, request.private, request.extra) == (None, None, {})


@pytest.mark.parametrize(("word", "flag"), [("true", True), ("false", False), (True, True), (False, False)])
def test_body_to_request_watermark(word: object, flag: bool) -> None:
    """The published schema types watermark as text, so both forms are read."""
    assert body_to_request({**PUBLISHED, "watermark": word}).watermark is flag


BAD_FIELDS: dict[str, list[Any]] = {
    "prompt": [None, "", " ", 5, ["p"]],
    "model": [None, "", 5],
    "images": ["https://x.example/a.png", {"https://x.example/a.png": 1}, 5, [5], [None], ["a.png"]],
    "orientation": ["", 5, False],
    "size": [720, ""],
    "duration": ["10", 0, -1, 10.0, True],
    "watermark": ["yes", "True", 0, 1, []],
    "private": ["true", 1],
    "character_url": ["", 5],
    "character_timestamps": ["1", 5, "1,9"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, bad in BAD_FIELDS.items() for value in bad])
def test_body_to_request_bad_field(name: str, value: object) -> None:
    """No value is converted to fit: a wrong one is an error that names the field."""
    with pytest.raises(ValueError, match=name.removeprefix("character_")):
        body_to_request({**PUBLISHED, name: value})


def test_body_to_request_every_bad_field() -> None:
    """All bad fields are named at once."""
    with pytest.raises(ValueError, match=r"^prompt .*; images .*; size .*; duration .*; private "):
        body_to_request({"model": "m", "images": 5, "size": 7, "duration": "10", "private": "no"})


def test_body_to_request_field_called_extra() -> None:
    """A field that is called extra would hide the extra fields, so it is refused."""
    with pytest.raises(ValueError, match="extra"):
        body_to_request({**PUBLISHED, "extra": {"a": 1}})
