"""The dialects: where each keeps what matters."""

import re
from random import Random

import pytest

from sora_async.sandbox import DIALECTS
from sora_async.sandbox.facts import Phase, Refusal, TaskFacts

URL = "http://127.0.0.1:1/cdn/a%2Fb.mp4?x=%2B"


def facts(name, **changes):
    fields = {
        "task_id": "sora:1", "model": "m", "prompt": "p", "phase": Phase.SUCCEEDED, "progress": 0.5,
        "word": DIALECTS[name].succeeded, "video_url": URL, "failure": None, "created_s": 1_760_000_000.25,
        "updated_s": 1_760_000_001.5,
    }  # fmt: skip
    return TaskFacts(**{**fields, **changes})


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("sora", r"sora-2:task_[0-9A-HJKMNP-TV-Z]{26}"),
        ("wrapped", r"task_[A-Za-z]{32}"),
        ("detail", r"sora:[0-9a-f-]{36}"),
        ("veo", r"veo3\.1:1760000000-[A-Za-z0-9]{10}"),
        ("grok", r"grok:[0-9a-f-]{36}"),
        ("openai", r"video_[0-9a-f-]{36}"),
        ("data_string", r"[0-9a-f]{8}-[0-9a-f-]{27}"),
    ],
)
def test_dialect_ids_have_the_shape_of_the_relay_and_follow_the_seed(name, pattern):
    """Each relay has ids of its own, and one seed gives one id."""
    ids = {DIALECTS[name].new_id(Random(1), "veo3.1", 1_760_000_000.9) for _ in range(2)}
    assert len(ids) == 1
    assert re.fullmatch(pattern, ids.pop())


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("sora", ["video_url"]),
        ("wrapped", ["data", "fail_reason"]),
        ("veo", ["detail", "upsample_video_url"]),
        ("grok", ["video_url"]),
        ("openai", ["video", "url"]),
        ("data_string", ["data", "output", 0]),
    ],
)
def test_dialect_keeps_the_link_in_its_own_place(name, path):
    """The link of a finished task is where that relay keeps it, unchanged."""
    value = DIALECTS[name].queried(facts(name))
    for step in path:
        value = value[step]
    assert value == URL


def test_dialect_detail_wraps_the_link_in_backticks():
    """One relay puts spaces and backticks around its links."""
    assert DIALECTS["detail"].queried(facts("detail"))["detail"]["generations"] == [{"url": f" `{URL}` "}]


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("sora", "status_update_time", 1_760_000_001_500),
        ("veo", "status_update_time", 1_760_000_001),
        ("grok", "created_at", 1_760_000_000.25),
        ("openai", "created_at", "2025-10-09T08:53:20.250000Z"),
        ("openai", "completed_at", "2025-10-09T16:53:21.500000000+08:00"),
    ],
)
def test_dialect_times_have_their_own_units(name, field, value):
    """Times come in milliseconds, seconds, fractions and ISO 8601, with and without an offset."""
    assert DIALECTS[name].queried(facts(name))[field] == value


def test_dialect_progress_has_its_own_form():
    """Progress comes as a number, a text, a text with a percent sign, and a fraction."""
    bodies = {name: DIALECTS[name].queried(facts(name)) for name in DIALECTS}
    assert bodies["sora"]["progress"] == 50
    assert bodies["grok"]["progress"] == "50"
    assert bodies["wrapped"]["data"]["progress"] == "50%"
    assert bodies["detail"]["detail"]["progress_pct"] == 0.5
    assert bodies["veo"]["percentage"] == 50


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_dialect_without_progress_shows_no_number(name):
    """A relay that reports no progress leaves it empty everywhere."""
    body = repr(DIALECTS[name].queried(facts(name, progress=None, phase=Phase.UNFINISHED, video_url=None)))
    assert not re.search(r"'(progress\w*|percentage)': [^N]", body)


def test_dialect_wrapped_contradicts_itself_inside():
    """The inner body may still say in progress when the outer one says failure."""
    failed = facts("wrapped", phase=Phase.FAILED, word="FAILURE", failure="no", video_url=None)
    data = DIALECTS["wrapped"].queried(failed)["data"]
    assert (data["status"], data["data"]["status"], data["fail_reason"]) == ("FAILURE", "in_progress", "no")


def test_dialect_grok_answers_a_query_with_another_id():
    """The id in a query's answer is not always the one that create gave."""
    assert DIALECTS["grok"].created(facts("grok"))["id"] == "sora:1"
    assert DIALECTS["grok"].queried(facts("grok"))["id"] != "sora:1"


def test_dialect_openai_answers_a_create_with_two_ids():
    """A create may carry a second id that is not the one to poll with."""
    body = DIALECTS["openai"].created(facts("openai"))
    assert body["id"] == "sora:1"
    assert body["task_id"] != "sora:1"


def test_dialect_data_string_answers_a_create_with_a_bare_id():
    """The id may be all that is in `data`."""
    assert DIALECTS["data_string"].created(facts("data_string"))["data"] == "sora:1"


def test_dialect_stale_texts_stand_in_healthy_answers():
    """Texts of retried attempts stay in the answers of tasks that are well."""
    for name in ("detail", "veo"):
        assert "attempt 1" in repr(DIALECTS[name].queried(facts(name)))


def test_dialect_errors_come_nested_and_flat():
    """Both error shapes occur, one of them under HTTP 200 for an unknown task."""
    refusal = Refusal(status=400, code="task_not_exist", message="m")
    flat = {"code": "task_not_exist", "message": "m", "data": None}
    nested = {"error": {"message": "m", "type": "new_api_error", "param": None, "code": "task_not_exist"}}
    assert DIALECTS["sora"].refused(refusal) == (400, nested)
    assert DIALECTS["wrapped"].refused(refusal) == (400, flat)
    assert DIALECTS["data_string"].refused(refusal) == (200, flat)
