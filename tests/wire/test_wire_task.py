"""Bodies to tasks: every shape in which relays answer a create or a query."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_async.errors import DecodeError
from sora_async.models import State, VideoTask
from sora_async.wire.task import find_healthy_id, parse_character, parse_created, parse_task

WORDS = {
    State.QUEUED: ["pending", "queued", "submitted", "created", "not_start", "initializing"],
    State.RUNNING: [
        "processing",
        "in_progress",
        "running",
        "generating",
        "image_downloading",
        "video_generating",
        "video_generation_completed",
        "video_upsampling",
        "video_upsampling_completed",
        "unknown",
    ],
    State.SUCCEEDED: ["completed", "complete", "success", "succeeded", "done", "finished"],
    State.FAILED: [
        "failed",
        "failure",
        "error",
        "fail",
        "video_generation_failed",
        "video_upsampling_failed",
        "expired",
    ],
    State.CANCELLED: ["cancelled", "canceled"],
}


def read(body: Any) -> VideoTask:
    return parse_task(body, "T")


@pytest.mark.parametrize(("state", "word"), [(state, word) for state, words in WORDS.items() for word in words])
def test_parse_task_status_word(state: State, word: str) -> None:
    """Each known word means its state, in any case and with blanks around it, and is shown as it came."""
    for form in (word, word.upper(), f" {word.title()}\n"):
        task = read({"id": "x", "status": form})
        assert (task.state, task.status) == (state, form)


@pytest.mark.parametrize("word", ["throttled", "完成", "completed!", "2"])
def test_parse_task_unknown_word(word: str) -> None:
    """An unknown word means still running."""
    task = read({"id": "x", "status": word})
    assert (task.state, task.status) == (State.RUNNING, word)


@pytest.mark.parametrize("status", [None, "", " ", 3, True, ["completed"], {"a": 1}])
def test_parse_task_no_word(status: object) -> None:
    """Without a word nothing says that the task has begun."""
    task = read({"id": "x", "status": status})
    assert (task.state, task.status) == (State.QUEUED, "")


STATUSES = {
    "flat": {"status": "W"},
    "data": {"code": "success", "message": "", "data": {"status": "W"}},
    "data.data": {"code": 0, "data": {"task_id": "x", "data": {"status": "W"}}},
    "result": {"result": {"status": "W"}},
    "detail": {"detail": {"status": "W"}},
    "detail beside an id": {"id": "x", "status": None, "detail": {"status": "W"}},
    "data.detail": {"data": {"detail": {"status": "W"}}},
    "outer before data": {"status": "W", "data": {"status": "inner"}},
    "outer before detail": {"status": "W", "detail": {"status": "inner"}},
    "outer before result": {"result": {"status": "inner"}, "status": "W"},
    "data before data.data": {"data": {"status": "W", "data": {"status": "inner"}}},
    "data before data.detail": {"data": {"detail": {"status": "inner"}, "status": "W"}},
}


@pytest.mark.parametrize("body", STATUSES.values(), ids=STATUSES)
def test_parse_task_status_place(body: object) -> None:
    """The outermost status decides, wherever the first one stands."""
    assert read(body).status == "W"


def test_parse_task_outer_failure() -> None:
    """An outer FAILURE with an inner IN_PROGRESS is a failure."""
    assert (
        read({"code": "success", "data": {"status": "FAILURE", "data": {"status": "IN_PROGRESS"}}}).state
        is State.FAILED
    )


def test_parse_task_keeps_the_callers_id() -> None:
    """A query that answers with another id changes nothing: the one from create is kept, and the body with it."""
    body = {"id": "another", "task_id": "third", "status": "processing"}
    task = parse_task(body, "grok:one")
    assert task.id == "grok:one"
    assert task.raw is body


NO_TASKS: dict[str, tuple[Any, str]] = {
    "null": (None, "the answer is not a JSON object"),
    "list": ([{"status": "completed"}], "the answer is not a JSON object"),
    "text": ("completed", "the answer is not a JSON object"),
    "empty object": ({}, "the answer is no task"),
    "other object": ({"code": "success", "message": "ok", "data": {"x": 1}}, "the answer is no task"),
    "nothing yet": ({"code": "success", "message": "", "data": None}, "the relay has nothing for this task yet"),
    "empty data": ({"code": 0, "data": {}}, "the relay has nothing for this task yet"),
}


@pytest.mark.parametrize(("body", "said"), NO_TASKS.values(), ids=NO_TASKS)
def test_parse_task_no_task(body: object, said: str) -> None:
    """A body that tells nothing of a task is an error that says so."""
    with pytest.raises(DecodeError, match=f"^{said}"):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        {"id": "x"},
        {"task_id": "x"},
        {"data": {"id": "x"}},
        {"data": "x"},
        {"detail": {"id": "x"}},
        {"detail": {"task_id": "x"}},
        {"video_url": "https://cdn.example/a.mp4"},
        {"status": "weird"},
    ],
    ids=str,
)
def test_parse_task_little_is_enough(body: object) -> None:
    """A status, an id or a video makes a task."""
    assert read(body).id == "T"


CREATED = {
    "published": ({"id": "T", "status": "pending", "status_update_time": 1760000000123}, State.QUEUED),
    "only task_id": ({"task_id": "T"}, State.QUEUED),
    "id and task_id": ({"task_id": "x", "id": "T", "status": "queued"}, State.QUEUED),
    "data.id": ({"code": "success", "data": {"id": "T", "status": "submitted"}}, State.QUEUED),
    "data.task_id": ({"code": 200, "data": {"task_id": "T", "status": "IN_PROGRESS"}}, State.RUNNING),
    "data as text": ({"code": "0", "message": "ok", "data": "T"}, State.QUEUED),
    "result": ({"result": {"id": "T", "status": "processing"}}, State.RUNNING),
    "finished": ({"id": "T", "status": "completed", "video_url": "https://c.example/a"}, State.SUCCEEDED),
    "failed": ({"id": "T", "status": "failed", "error": {"message": "no"}}, State.FAILED),
}


@pytest.mark.parametrize(("body", "state"), CREATED.values(), ids=CREATED)
def test_parse_created_shape(body: dict[str, Any], state: State) -> None:
    """The id to poll with is read from every shape, with whatever else the answer tells already."""
    task = parse_created(body)
    assert (task.id, task.state, task.raw) == ("T", state, body)


@pytest.mark.parametrize(
    "body",
    [None, [], "T", {}, {"status": "pending"}, {"code": 0, "data": None}, {"id": 5}, {"request_id": "r"}],
    ids=str,
)
def test_parse_created_without_id(body: object) -> None:
    """A create's answer without an id cannot be polled."""
    with pytest.raises(DecodeError, match=r"^the relay answered the create without a task id"):
        parse_created(body)


HEALTHY_IDS = {
    "queued": ({"id": "T", "status": "queued"}, "T"),
    "wrapped": ({"code": "success", "data": {"task_id": "T", "status": " IN_PROGRESS"}}, "T"),
    "succeeded": ({"id": "T", "status": "completed"}, "T"),
    "failed": ({"id": "T", "status": "failed"}, None),
    "cancelled": ({"id": "T", "status": "cancelled"}, None),
    "in an unknown word": ({"id": "T", "status": "weird"}, None),
    "without a word": ({"id": "T"}, None),
    "without an id": ({"status": "queued"}, None),
}


@pytest.mark.parametrize(("state", "word"), [(state, word) for state, words in WORDS.items() for word in words])
def test_find_healthy_id_status_word(state: State, word: str) -> None:
    """Every known word that is no failure shows that a task was taken."""
    is_bad = state in {State.FAILED, State.CANCELLED}
    assert find_healthy_id({"id": "T", "status": word.upper()}) == (None if is_bad else "T")


@pytest.mark.parametrize(("body", "found"), HEALTHY_IDS.values(), ids=HEALTHY_IDS)
def test_find_healthy_id_state(body: object, found: str | None) -> None:
    """Only a known word that is no failure shows that a task was taken."""
    assert find_healthy_id(body) == found


FAILURES = {
    "error.message": {"error": {"message": "W", "code": "c"}},
    "error.message_zh": {"error": {"message_zh": "W", "message": "x"}},
    "error.message, empty zh": {"error": {"message_zh": "", "message": "W"}},
    "error": {"error": "W", "fail_reason": "x"},
    "fail_reason": {"fail_reason": "W", "failure_reason": "x", "error": None},
    "failure_reason": {"failure_reason": "W", "detail": {"failure_reason": "x"}},
    "detail.failure_reason": {"detail": {"failure_reason": "W", "pending_info": {"failure_reason": "x"}}},
    "detail.pending_info": {"detail": {"pending_info": {"failure_reason": "W"}, "video_generation_error": "x"}},
    "detail.video_generation_error": {"detail": {"video_generation_error": "W", "error_message": "x"}},
    "detail.error_message": {"detail": {"error_message": "W"}, "message": "x"},
    "message": {"message": "W", "data": {"fail_reason": "x"}},
    "data.error": {"message": "", "data": {"error": {"message": "W"}}},
    "data.fail_reason": {"code": "success", "message": "success", "data": {"fail_reason": "W", "failure_reason": "x"}},
    "data.detail": {"data": {"detail": {"failure_reason": "W"}, "message": "x"}},
    "data.message": {"data": {"message": "W"}},
    "data.data": {"data": {"data": {"error": "W"}}},
    "code alone": {"error": {"code": "W", "message": ""}},
    "JSON in a text": {"fail_reason": '{"error":{"message":"{\\"message\\":\\"W\\"}"}}'},
    "request id": {"error": {"message": "W (request id: 2025abc)"}},
    "page": {"message": "<html><title>W</title></html>"},
    "surrogate": {"error": "W\ud800"},
}


@pytest.mark.parametrize("body", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("word", ["failed", "cancelled"])
def test_parse_task_failure_text(body: dict[str, Any], word: str) -> None:
    """The first text in the published order says why a task ended, the innermost one of what is folded in it."""
    shown = read({"status": word, **body}).error_message
    assert shown in {"W", "a page of HTML, 'W'", "W\ufffd"}


@pytest.mark.parametrize(
    "body", [{}, {"error": {"message": "", "code": ""}}, {"message": "ok"}, {"fail_reason": " "}], ids=str
)
def test_parse_task_failure_without_text(body: dict[str, Any]) -> None:
    """A relay may give no reason."""
    assert read({"status": "failed", **body}).error_message is None


@pytest.mark.parametrize("word", ["success", "Succeeded", "succeed", "OK", "成功", "操作成功", " 请求成功 "])
def test_parse_task_failure_in_a_good_envelope(word: str) -> None:
    """That the relay found the task says nothing of why it failed."""
    assert read({"message": word, "data": {"status": "failed"}}).error_message is None


def test_parse_task_long_status() -> None:
    """A word is shown up to 200 characters."""
    assert len(read({"status": "x" * 201}).status) == 200


@pytest.mark.parametrize("word", ["queued", "processing", "completed", "weird"])
def test_parse_task_stale_error_text(word: str) -> None:
    """An error text alone is no failure: the status decides, and healthy tasks show no text."""
    body = {"error": {"message": "stale", "code": "x"}, "detail": {"failure_reason": "stale"}}
    task = read({"status": word, **body})
    assert (task.state is State.FAILED, task.error_message) == (False, None)


def test_parse_task_long_failure_text() -> None:
    """A text is cut at 500 characters."""
    assert len(read({"status": "failed", "error": "x" * 100_000}).error_message or "") == 500


@pytest.mark.parametrize("wrap", [lambda who: who, lambda who: {"data": who}, lambda who: {"result": who}])
def test_parse_character_shape(wrap: Any) -> None:
    """A character is read flat or wrapped."""
    who = {
        "id": "c1",
        "username": "cat",
        "permalink": "https://s.example/cat",
        "profile_picture_url": "https://s.example/p",
    }
    body = wrap(who)
    found = parse_character(body)
    assert found.raw is body
    assert (found.id, found.username) == ("c1", "cat")
    assert (found.permalink, found.profile_picture_url) == ("https://s.example/cat", "https://s.example/p")


@pytest.mark.parametrize("body", [None, {}, {"id": "c1"}, {"username": "cat"}, {"id": "", "username": "cat"}], ids=str)
def test_parse_character_incomplete(body: object) -> None:
    """A character without an id or a name is none."""
    with pytest.raises(DecodeError, match=r"^the answer is no character"):
        parse_character(body)


NAMES = [
    *("id", "task_id", "status", "data", "result", "detail", "error", "message", "code", "username", "permalink"),
    *("video_url", "url", "output", "video", "videos", "urls", "metadata", "content", "thumbnail_url", "gif_url"),
    *("progress", "progress_pct", "percentage", "pending_info", "status_update_time", "created_at", "completed_at"),
    *("fail_reason", "failure_reason", "draft_info", "generations", "enhanced_prompt"),
]
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(
        [
            "failed",
            "success",
            "https://a.example/b",
            "50%",
            "2025-10-01T00:00:00Z",
            "0001-01-01T00:00:00+23:59",
            "\ud800",
        ]
    )
)
bodies = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)
)


@given(st.dictionaries(st.sampled_from(NAMES), bodies, max_size=8) | bodies)
def test_parse_any_body(body: object) -> None:
    """Any JSON value in any field gives a sane value or a DecodeError."""
    for parse in (parse_created, read, parse_character):
        try:
            value = parse(body)
        except DecodeError:
            continue
        if isinstance(value, VideoTask):
            assert value.progress is None or 0.0 <= value.progress <= 1.0
            assert all(
                moment is None or moment.utcoffset() is not None for moment in (value.created_at, value.updated_at)
            )
            texts = (value.id, value.status, value.video_url, value.enhanced_prompt, value.error_message)
            assert all(text is None or text.encode() is not None for text in texts)
