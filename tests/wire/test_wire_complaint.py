"""What errors say: the innermost text in every shape, short and clean, with its code and request id."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_async.errors import APIError, RateLimitError, SoraError
from sora_async.wire.failure import read_answer


def fail(status: int, body: Any = b"") -> APIError:
    """The error that an answer is read as."""
    with pytest.raises(APIError) as caught:
        read_answer(status, body if isinstance(body, bytes) else json.dumps(body).encode())
    return caught.value


def nested(message: str = "", code: Any = "") -> dict[str, Any]:
    return {"error": {"message": message, "type": "new_api_error", "param": None, "code": code}}


def flat(message: str = "", code: Any = "") -> dict[str, Any]:
    return {"code": code, "message": message, "data": None}


SHAPES: dict[str, Any] = {
    "nested": {"error": {"message": "W", "type": "t", "code": "c"}},
    "flat": {"code": "c", "message": "W", "data": None},
    "text": {"error": "W"},
    "detail as text": {"detail": "W"},
    "detail as list": {"detail": [{"msg": "W"}]},
    "detail as list of texts": {"detail": ["W"]},
    "detail as list of messages": {"detail": [{"message": "W"}, {"x": 1}]},
    "detail as object": {"detail": {"code": "c", "message": "W"}},
    "success false": {"success": False, "message": "W"},
    "error true": {"error": True, "message": "W"},
    "Chinese first": {"error": {"message_zh": "W", "message": "x"}},
    "error in error": {"error": {"error": {"message": "W"}}},
    "message as object": {"code": "c", "message": {"message": "W"}},
    "text in data": {"code": "c", "message": "", "data": "W"},
    "JSON one deep": {"code": "c", "message": '{"message":"W"}'},
    "JSON three deep": {"error": {"message": json.dumps({"message": json.dumps({"error": json.dumps({"msg": "W"})})})}},
    "JSON behind words": {"code": "c", "message": 'upstream said: {"error":{"message":"W"}}'},
    "request id": {"error": {"message": "W (request id: 20251009abc)"}},
    "request id around JSON": {"error": {"message": '{"message":"W"} (request id: 20251009abc)'}},
}


@pytest.mark.parametrize("status", [200, 400, 502])
@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES)
def test_error_shape(body: object, status: int) -> None:
    """Each shape is an error, whatever the HTTP status, and shows its innermost text."""
    assert fail(status, body).message == "W"


def test_error_without_facts() -> None:
    """Nothing is made up where the relay says nothing."""
    assert fail(500).args == (500, "", "the relay gives no reason", None, None)


def test_error_code_is_one_line() -> None:
    """It may be shown in a terminal and in a log."""
    assert fail(500, nested("x", " two \n words ")).code == "two words"


def test_error_facts() -> None:
    """Code, request id and Retry-After travel in the error; the id is cut out of the text."""
    body = json.dumps(nested("slow (request id: 2025-abc)", "rate_limit_exceeded")).encode()
    with pytest.raises(RateLimitError) as caught:
        read_answer(429, body, 7.0)
    assert caught.value.args == (429, "rate_limit_exceeded", "slow", "2025-abc", 7.0)


@pytest.mark.parametrize(
    ("body", "request_id"),
    [
        ({"error": {"message": "x（request id：r1）"}}, "r1"),
        ({"error": {"message": "x", "request_id": "r1"}}, "r1"),
        ({"code": "c", "message": "x. Request ID: r1.", "request_id": "r2"}, "r2"),
        ({"error": {"message": "x", "request_id": " "}, "request_id": "r2"}, "r2"),
        ({"error": {"message": '{"message":"x"}', "request_id": "r1"}}, "r1"),
        ({"error": {"message": "x"}}, None),
    ],
)
def test_error_request_id(body: object, request_id: str | None) -> None:
    """The relay's id of the request stands in the text or in a field."""
    assert fail(500, body).request_id == request_id


FOUR_DEEP = json.dumps({"error": json.dumps({"error": json.dumps({"error": '{"error":"W"}'})})})
TEXTS: dict[str, tuple[Any, str]] = {
    "JSON four deep": ({"error": FOUR_DEEP}, '{"error":"W"}'),
    "empty": (b"", "the relay gives no reason"),
    "plain": (b"upstream  connect\n error", "upstream connect error"),
    "page": (b"<!DOCTYPE html><html><title>502 &amp; Bad</title><p>secret", "a page of HTML, '502 & Bad'"),
    "page with a heading": (b"<html><body><h1 class=a>Oops</h1>secret", "a page of HTML, 'Oops'"),
    "page without a title": (b"<html><body>secret", "a page of HTML"),
    "page in JSON": ({"error": "<html><title>Bad</title>secret</html>"}, "a page of HTML, 'Bad'"),
    "JSON without a text": ({"x": 1}, "the relay gives no reason"),
    "JSON text": (b'"why"', "why"),
    "JSON number": (b"5", "the relay gives no reason"),
    "braces that are no JSON": ({"error": "use {size}"}, "use {size}"),
    "JSON that says nothing": ({"error": '{"a":1}'}, '{"a":1}'),
    "surrogate and controls": ({"error": "a\ud800\x1b[2J\u202e"}, "a\ufffd\ufffd[2J\ufffd"),
    "signed link": ({"error": "see https://a.example/b?sig=x now"}, "see https://a.example/b?*** now"),
    "surrogate in folded JSON": ({"error": '{"error":"W\ud800"}'}, "W?"),
    "bad UTF-8": (b"a\xff", "a\ufffd"),
    "as long as may be shown": ({"error": "x" * 500}, "x" * 500),
    "longer": ({"error": "x" * 501}, "x" * 499 + "…"),
    "places": ({"detail": [{"loc": ["body", "images", 0], "msg": "bad"}, {"msg": "b"}, 5]}, "body.images.0: bad; b"),
    "many problems": ({"detail": list("abcdefghijkl")}, "a; b; c; d; e; f; g; h; i; j"),
}


@pytest.mark.parametrize(("body", "text"), TEXTS.values(), ids=TEXTS)
def test_error_text(body: Any, text: str) -> None:
    """One clean line says what went wrong, of a page only the title."""
    assert fail(500, body).message == text


@pytest.mark.parametrize("body", [{"error": "x" * 9999}, b"x" * 9999, b"x" * 5_000_000], ids=["JSON", "plain", "huge"])
def test_error_text_is_bounded(body: Any) -> None:
    """A text is cut at 500 characters."""
    assert len(fail(500, body).message) == 500


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, nested("Invalid URL")), (404, b""), (404, b"<html>"), (300, b""), (399, b""), (308, nested("moved"))],
)
def test_wrong_path_says_so(status: int, body: Any) -> None:
    """What looks like a wrong path says what to check."""
    assert "check the base URL" in fail(status, body).message


def test_task_not_found_says_nothing_of_paths() -> None:
    """A task that is not there is no reason to doubt the base URL."""
    assert "base URL" not in fail(404, flat("no such task", "task_not_exist")).message


@pytest.mark.parametrize("body", [nested("x", "violation_fee.x"), flat('{"error":"violation_fee charged"}', "c")])
def test_rejection_that_may_cost(body: Any) -> None:
    """Where the relay may take a fee for a rejected prompt, it is unknown whether it was billed."""
    assert pickle.loads(pickle.dumps(fail(403, body))).billed == "unknown"


def test_rejection_that_costs_nothing() -> None:
    """Other rejections are not billed."""
    assert fail(400, nested("x", "prompt_blocked")).billed == "no"


NAMES = ["error", "message", "code", "type", "detail", "data", "status", "id", "success", "msg", "loc", "request_id"]
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(
        [
            "{}",
            '{"error":{"message":"\\ud800"}}',
            "<html><title>",
            "fail_to_fetch_task",
            "429",
            "success",
            "(request id: a)",
        ]
    )
)
bodies = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)
)


@given(st.integers(100, 599), bodies.map(json.dumps).map(str.encode) | st.binary())
def test_read_answer_any_body(status: int, body: bytes) -> None:
    """Whatever arrives, a value or one of our errors with a short clean text comes out."""
    caught: SoraError | None = None
    try:
        read_answer(status, body)
    except SoraError as error:
        caught = error
    assert str(caught).encode()
    assert not isinstance(caught, APIError) or 0 < len(caught.message) <= 530
