"""Single values of a task: links, progress, times and texts, in every place and form."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_async.models import State
from sora_async.wire.task import parse_task
from sora_async.wire.values import read_progress, read_time

LINK = "https://cdn.example/a%2Fb%20c.mp4?sig=x%2By%3D&e=1#t"
DETAIL_PLACES: list[Any] = [
    lambda link: {"upsample_video_url": link},
    lambda link: {"video_url": link},
    lambda link: {"url": link},
    lambda link: {"draft_info": {"downloadable_url": link}},
    lambda link: {"draft_info": {"url": link}},
    lambda link: {"generations": [{"url": link}]},
]
LEVEL_PLACES: list[Any] = [
    lambda link: {"video_url": link},
    lambda link: {"url": link},
    lambda link: {"result_url": link},
    lambda link: {"output_url": link},
    lambda link: {"download_url": link},
    *(lambda link, place=place: {"detail": place(link)} for place in DETAIL_PLACES),
    lambda link: {"output": link},
]
PLACES: list[Any] = [
    *LEVEL_PLACES,
    *(lambda link, place=place: {"result": place(link)} for place in LEVEL_PLACES),
    *(lambda link, place=place: {"data": place(link)} for place in LEVEL_PLACES),
    *(lambda link, place=place: {"data": {"data": place(link)}} for place in LEVEL_PLACES),
    lambda link: {"video": {"url": link}},
    lambda link: {"videos": [link]},
    lambda link: {"urls": [link]},
    lambda link: {"metadata": {"url": link}},
    lambda link: {"content": {"video_url": link}},
    lambda link: {"data": {"fail_reason": link}},
]


def _merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    merged = {**second, **first}
    for key in first.keys() & second.keys():
        merged[key] = _merge(first[key], second[key]) if isinstance(first[key], dict) else first[key]
    return merged


def _link(body: dict[str, Any]) -> str | None:
    return parse_task({"status": "completed", **body}, "T").video_url


@pytest.mark.parametrize("place", PLACES, ids=lambda place: str(place("L")))
def test_video_url_place(place: Any) -> None:
    """A link is found in every known place, and not encoded anew."""
    assert _link(place(LINK)) == LINK


@pytest.mark.parametrize(("first", "second"), [*itertools.pairwise(PLACES)], ids=lambda place: str(place("L")))
def test_video_url_order(first: Any, second: Any) -> None:
    """Of two neighbours in the published order the first one counts."""
    assert _link(_merge(first(LINK), second("https://other.example"))) == LINK


@pytest.mark.parametrize(
    "empty", [None, "", "  ", "``", "pending", "ftp://a.example/b", "/a.mp4", "https://", 5, [], {}]
)
def test_video_url_empty_place(empty: object) -> None:
    """A place without an http(s) link is passed over."""
    assert _link({"video_url": empty, "url": empty, "output": empty, "videos": [empty], "video": {"url": LINK}}) == LINK


@pytest.mark.parametrize(
    "form", [f" {LINK}\n", f"`{LINK}`", f" ` {LINK} ` ", LINK.replace("https", "HTTPS", 1), f"{LINK}X"]
)
def test_video_url_wrapping(form: str) -> None:
    """Spaces and backticks around a link are cut off, and nothing else."""
    assert _link({"video_url": form}) == form.strip(" `\n")


@pytest.mark.parametrize("output", [[LINK], {"url": LINK}, {"video_url": LINK}, [{"url": LINK}], [None, LINK]], ids=str)
def test_video_url_output_form(output: object) -> None:
    """`output` is a text, a list, or an object."""
    assert _link({"output": output}) == LINK


@pytest.mark.parametrize(
    "body",
    [
        {"content": [{"url": LINK}]},
        {"metadata": LINK},
        {"output": {"url": [LINK]}},
        {"video_url": "https://a.example/\ud800"},
    ],
)
def test_video_url_elsewhere(body: dict[str, Any]) -> None:
    """A link in a place that nobody uses for the video, or one that cannot be sent, does not count."""
    assert _link(body) is None


@pytest.mark.parametrize("status", ["failed", "processing", "weird"])
def test_video_url_before_success(status: str) -> None:
    """A link is kept whatever the state, but `fail_reason` holds one only after a success."""
    assert parse_task({"status": status, "url": LINK}, "T").video_url == LINK
    assert parse_task({"status": status, "data": {"fail_reason": LINK}}, "T").video_url is None


def test_success_without_video_url() -> None:
    """A success may have no link; that is for the waiter to judge."""
    task = parse_task({"id": "x", "status": "completed"}, "T")
    assert (task.state, task.video_url) == (State.SUCCEEDED, None)


@pytest.mark.parametrize("name", ["thumbnail_url", "gif_url", "enhanced_prompt"])
@pytest.mark.parametrize("wrap", [lambda it: it, lambda it: {"detail": it}, lambda it: {"data": it}])
def test_offered_fields(name: str, wrap: Any) -> None:
    """What else is offered is found beside the status, or only in `detail` or `data`."""
    assert getattr(parse_task({"status": "done", name: "", **wrap({name: LINK})}, "T"), name) == LINK


def test_enhanced_prompt_is_cleaned() -> None:
    """A text keeps its lines but nothing that cannot be encoded or would play tricks on a terminal."""
    task = parse_task({"status": "done", "enhanced_prompt": "猫\r\n\ud800\x1b[31m\u202e"}, "T")
    assert task.enhanced_prompt == "猫\r\n\ufffd\ufffd[31m\ufffd"


PROGRESS = [
    (0, 0.0),
    (1, 0.01),
    (37, 0.37),
    (100, 1.0),
    (45.5, 0.455),
    ("0", 0.0),
    ("50%", 0.5),
    (" 50 % ", 0.5),
    ("12.5", 0.125),
    (130, 1.0),
    (1000, 1.0),
    (-5, 0.0),
    ("-5", 0.0),
]
NO_PROGRESS = [
    None,
    True,
    False,
    float("nan"),
    float("inf"),
    1001,
    1e300,
    10**400,
    "9" * 400,
    "",
    "half",
    "nan",
    "1_0",
    "１",
    [50],
    {},
]


@pytest.mark.parametrize(("value", "progress"), [*PROGRESS, *((value, None) for value in NO_PROGRESS)])
def test_progress_form(value: object, progress: float | None) -> None:
    """`progress` counts in percent, and what makes no sense is None."""
    assert read_progress(value) == progress


PROGRESS_PLACES = {
    "progress": {"progress": 40},
    "percentage": {"percentage": "40%"},
    "percentage without a sign": {"percentage": 40},
    "data.progress": {"data": {"progress": "40%"}},
    "detail.progress_pct": {"detail": {"progress_pct": 0.4}},
    "detail.pending_info": {"detail": {"pending_info": {"progress_pct": 0.4}}},
    "data.detail.progress_pct": {"data": {"detail": {"progress_pct": "0.4"}}},
    "progress_pct with a percent sign": {"detail": {"progress_pct": "40%"}},
    "outer before inner": {"progress": 40, "detail": {"progress_pct": 0.9}, "data": {"progress": 90}},
    "first that makes sense": {
        "progress": "n/a",
        "percentage": None,
        "detail": {"pending_info": 5, "progress_pct": 0.4},
    },
}


@pytest.mark.parametrize("body", PROGRESS_PLACES.values(), ids=PROGRESS_PLACES)
def test_progress_place(body: dict[str, Any]) -> None:
    """Only `progress_pct` without a percent sign is a fraction; the outermost value that makes sense counts."""
    assert parse_task({"status": "running", **body}, "T").progress == 0.4


def test_progress_decides_nothing() -> None:
    """100 % occurs on failures."""
    task = parse_task({"status": "failed", "progress": "100%"}, "T")
    assert (task.state, task.progress) == (State.FAILED, 1.0)


MOMENT = datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)
TIMES = [
    (1760000000, MOMENT),
    (1760000000000, MOMENT),
    (1760000000.25, MOMENT + timedelta(seconds=0.25)),
    (1760000000123, MOMENT + timedelta(milliseconds=123)),
    ("1760000000", MOMENT),
    ("2025-10-09T08:53:20Z", MOMENT),
    ("2025-10-09T16:53:20+08:00", MOMENT),
    ("2025-10-09T08:53:20.123456789Z", MOMENT + timedelta(microseconds=123456)),
    ("2025-10-09T16:53:20.123456789+08:00", MOMENT + timedelta(microseconds=123456)),
    ("2025-10-09 08:53:20", MOMENT),
    ("2000-01-01T00:00:00Z", datetime(2000, 1, 1, tzinfo=UTC)),
]
NO_TIMES = [
    *(None, 0, "0", 0.0, "", True, -5, 1, 1e300, float("nan"), float("inf"), 10**400, 1760000000000000),
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2025-13-45T99:99:99Z"),
    *("2100-01-01T00:00:00Z", "1760000000%"),
    *("soon", "50%", "2025-10-09", [1760000000], {"seconds": 1760000000}),
]


@pytest.mark.parametrize(("value", "moment"), [*TIMES, *((value, None) for value in NO_TIMES)])
def test_time_form(value: object, moment: datetime | None) -> None:
    """Seconds, milliseconds and ISO 8601 give an aware UTC time; 0, null and the absurd give None."""
    assert read_time(value) == moment
    assert moment is None or str(read_time(value)).endswith("+00:00")


@pytest.mark.usefixtures("far_from_utc")
@pytest.mark.parametrize(("value", "moment"), TIMES)
def test_time_where_the_machine_is_far_from_utc(value: object, moment: datetime) -> None:
    """The zone of the machine changes no time."""
    assert read_time(value) == moment
    assert str(read_time(value)).endswith("+00:00")


@pytest.mark.parametrize("wrap", [lambda it: it, lambda it: {"data": it}, lambda it: {"detail": it}])
def test_time_place(wrap: Any) -> None:
    """The times stand beside the status, in `data` or in `detail`."""
    task = parse_task({"status": "done", **wrap({"created_at": 1760000000, "status_update_time": 1760000000123})}, "T")
    assert (task.created_at, task.updated_at) == (MOMENT, MOMENT + timedelta(milliseconds=123))


@pytest.mark.parametrize(
    ("key", "name"),
    [
        *(("created_at", "created_at"), ("submit_time", "created_at"), ("status_update_time", "updated_at")),
        *(("updated_at", "updated_at"), ("completed_at", "updated_at"), ("finish_time", "updated_at")),
    ],
)
def test_time_field(key: str, name: str) -> None:
    """Each name that relays give to a time is known."""
    assert getattr(parse_task({"status": "done", key: 1760000000}, "T"), name) == MOMENT


def test_time_of_completion() -> None:
    """Where no status time is told, the completion is the last change."""
    task = parse_task({"status": "done", "status_update_time": 0, "completed_at": "2025-10-09T08:53:20Z"}, "T")
    assert task.updated_at == MOMENT


@given(
    st.integers() | st.floats() | st.text() | st.datetimes().map(str) | st.datetimes(timezones=st.just(UTC)).map(str)
)
def test_time_any_value(value: object) -> None:
    """No value raises, and whatever is read is an aware time of our century."""
    moment = read_time(value)
    assert moment is None or (moment.tzinfo is UTC and 2000 <= moment.year < 2100)
