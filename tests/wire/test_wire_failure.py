"""Answers to errors: every shape and every row of what relays refuse, and what it proves about a create."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from sora_async.errors import (
    APIError,
    AuthenticationError,
    ContentRejectedError,
    DecodeError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaError,
    RateLimitError,
    ServerError,
)
from sora_async.wire.failure import may_repeat_create, proves_refused, read_answer


def fail(status: int, body: Any = b"") -> APIError:
    """The error that an answer is read as; its class is exactly what the test compares."""
    with pytest.raises(APIError) as caught:
        read_answer(status, body if isinstance(body, bytes) else json.dumps(body).encode())
    return caught.value


def nested(message: str = "", code: Any = "", kind: str = "new_api_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def flat(message: str = "", code: Any = "") -> dict[str, Any]:
    return {"code": code, "message": message, "data": None}


SATURATED = "当前分组上游负载已饱和，请稍后再试"
# What comes, the class, and of a create: whether it proves a refusal, and whether it may be repeated.
ROWS: list[tuple[int, Any, type[APIError], bool, bool]] = [
    # bad key
    (401, nested("Invalid token"), AuthenticationError, True, False),
    (401, nested("无效的令牌", ""), AuthenticationError, True, False),
    (401, b"", AuthenticationError, True, False),
    (400, nested("x", "invalid_api_key"), AuthenticationError, True, False),
    (500, flat("无效的令牌"), AuthenticationError, True, False),
    (200, flat("x", 401), AuthenticationError, True, False),
    (400, nested("x", None, "authentication_error"), AuthenticationError, True, False),
    # not allowed
    (403, nested("x", "access_denied"), PermissionDeniedError, True, False),
    (403, b"", PermissionDeniedError, True, False),
    (400, flat("该令牌无权访问模型 sora-2"), PermissionDeniedError, True, False),
    (200, nested("x", "access_denied"), PermissionDeniedError, True, False),
    # out of money
    (402, b"", QuotaError, True, False),
    (403, nested("x", "insufficient_user_quota"), QuotaError, True, False),
    (403, nested("x", "insufficient_quota"), QuotaError, True, False),
    (402, flat("x", "insufficient_balance"), QuotaError, True, False),
    (403, flat("x", "pre_consume_token_quota_failed"), QuotaError, True, False),
    (403, flat("用户额度不足, 剩余额度: ＄0.01"), QuotaError, True, False),
    (403, nested("预扣费额度失败"), QuotaError, True, False),
    (429, nested(SATURATED, "insufficient_user_quota"), QuotaError, True, False),
    (500, nested("x", "insufficient_user_quota"), QuotaError, True, False),
    (200, flat("x", "insufficient_user_quota"), QuotaError, True, False),
    (429, nested("x", None, "insufficient_quota"), QuotaError, True, False),
    (400, {"message": "x", "detail": {"code": "insufficient_quota"}}, QuotaError, True, False),
    # upstream saturated
    *((status, nested(SATURATED), OverloadedError, True, True) for status in (429, 500, 502, 200)),
    *((status, flat("upstream is saturated"), OverloadedError, True, True) for status in (429, 500, 502)),
    *((status, nested("The model is Overloaded"), OverloadedError, True, True) for status in (429, 500, 502)),
    *((status, flat("No available accounts"), OverloadedError, True, True) for status in (429, 500, 502)),
    (529, nested("x", None, "overloaded_error"), OverloadedError, True, True),
    # no channel for this model, or unknown model
    (503, nested("当前分组 default 下对于模型 sora-9 无可用渠道", "model_not_found"), OverloadedError, True, True),
    (404, nested("x", "model_not_found"), OverloadedError, True, True),
    (500, flat("x", "get_channel_failed"), OverloadedError, True, True),
    # too many requests
    (429, nested("x", "rate_limit_exceeded"), RateLimitError, True, True),
    (429, flat("您已达到总请求数限制"), RateLimitError, True, True),
    (429, b"", RateLimitError, True, True),
    (429, b"<html><title>Slow down</title></html>", RateLimitError, True, True),
    (200, flat("x", 429), RateLimitError, True, True),
    (500, nested("x", None, "rate_limit_error"), RateLimitError, True, True),
    (500, nested('{"message":"x"}', None, "rate_limit_error"), RateLimitError, True, True),
    # bad parameter
    (400, nested("x", "invalid_request"), InvalidRequestError, True, False),
    (422, nested("x", "invalid_request"), InvalidRequestError, True, False),
    (422, {"detail": [{"loc": ["body", "size"], "msg": "field required"}]}, InvalidRequestError, True, False),
    (500, flat("未指定模型名称，模型名称不能为空"), InvalidRequestError, True, False),
    (500, nested("x", None, "invalid_request_error"), InvalidRequestError, True, False),
    *((status, b"", InvalidRequestError, True, False) for status in (400, 405, 406, 411, 413, 414, 415, 422, 431)),
    # too large
    (413, b"", InvalidRequestError, True, False),
    (500, nested("x", "read_request_body_failed"), InvalidRequestError, True, False),
    (500, flat("message too large"), InvalidRequestError, True, False),
    # content rejected at submit
    *((status, nested("x", "prompt_blocked"), ContentRejectedError, True, False) for status in (400, 403, 451)),
    *(
        (status, nested("x", "sensitive_words_detected"), ContentRejectedError, True, False)
        for status in (400, 403, 451)
    ),
    (403, nested("x", "violation_fee.grok.csam"), ContentRejectedError, True, False),
    (400, nested("x", "content_policy_violation"), ContentRejectedError, True, False),
    *(
        (400, nested(text), ContentRejectedError, True, False)
        for text in ("our guardrails", "Unsafe", "审核未通过", "含真人")
    ),
    (451, b"", ContentRejectedError, True, False),
    # upstream refused the submit: by the innermost text, and its 401 is about the relay's own key
    (401, flat("Unauthorized", "fail_to_fetch_task"), OverloadedError, True, True),
    (500, flat("upstream: HTTP 401", "fail_to_fetch_task"), OverloadedError, True, True),
    (
        500,
        flat('{"error":{"message":"bad key","code":"invalid_api_key"}}', "fail_to_fetch_task"),
        OverloadedError,
        True,
        True,
    ),
    (
        400,
        flat('{"error":{"message":"x","code":"insufficient_quota"}}', "fail_to_fetch_task"),
        OverloadedError,
        True,
        True,
    ),
    (500, flat("Unauthorized", "fail_to_fetch_task"), OverloadedError, True, True),
    (403, flat("no", "fail_to_fetch_task"), OverloadedError, True, True),
    (404, flat("no", "fail_to_fetch_task"), OverloadedError, True, True),
    (429, flat("slow down", "fail_to_fetch_task"), OverloadedError, True, True),
    (500, flat(SATURATED, "fail_to_fetch_task"), OverloadedError, True, True),
    (500, flat('{"message":"blocked by our guardrails"}', "fail_to_fetch_task"), ContentRejectedError, True, False),
    (400, flat("bad size", "fail_to_fetch_task"), InvalidRequestError, True, False),
    (500, flat("unexpected EOF", "fail_to_fetch_task"), ServerError, False, False),
    (504, flat("timeout", "fail_to_fetch_task"), ServerError, False, False),
    # task not found
    (400, flat("x", "task_not_exist"), NotFoundError, True, False),
    (404, nested("no such task"), NotFoundError, True, False),
    (200, flat("task_not_exist", "task_not_exist"), NotFoundError, True, False),
    (400, flat("任务不存在"), NotFoundError, True, False),
    # poll failed in the relay, and whatever else proves nothing
    (502, nested("x", "server_error"), ServerError, False, False),
    (200, nested("x", "server_error"), ServerError, False, False),
    (200, flat("x", "some_new_code"), ServerError, False, False),
    (200, flat("x", 500), ServerError, False, False),
    *((status, b"", ServerError, False, False) for status in (500, 502, 503, 504, 520, 524, 408, 425)),
    *((status, b"<html><title>overloaded</title></html>", ServerError, False, False) for status in (500, 502, 503)),
    (503, nested("service unavailable"), ServerError, False, False),
    (409, nested("conflict"), APIError, False, False),
    (409, nested("x", "insufficient_user_quota"), QuotaError, True, False),
    # wrong path
    (404, nested("Invalid URL (POST /v1/v1/video/create)"), NotFoundError, True, False),
    (404, b"<html><head><title>404 Not Found</title>", NotFoundError, True, False),
    *((status, b"", APIError, True, False) for status in (300, 301, 302, 307, 308)),
    (300, flat("x", 401), APIError, True, False),
    (418, b"", APIError, True, False),
]


@pytest.mark.parametrize(("status", "body", "kind", "refused", "repeat"), ROWS)
def test_answer_class(status: int, body: Any, kind: type[APIError], refused: bool, repeat: bool) -> None:
    """Each row of what relays refuse has its class, also after a pickle, and its consequence for a create."""
    error = pickle.loads(pickle.dumps(fail(status, body)))
    assert (type(error), error.status) == (kind, status)
    assert (proves_refused(error), may_repeat_create(error)) == (refused, repeat)


HEALTHY: dict[str, Any] = {
    "published": {"id": "a", "status": "pending", "status_update_time": 1},
    "null error": {"id": "a", "status": "completed", "error": None},
    "empty error": {"id": "a", "status": "completed", "error": {"message": "", "code": ""}},
    "empty error without status": {"id": "a", "error": {"message": "", "type": "", "code": None}},
    "blank error": {"id": "a", "error": " "},
    "blank code": {"id": "a", "error": {"message": "", "code": " "}},
    "stale texts": {"id": "a", "status": "processing", "error": {"message": "x"}, "detail": {"failure_reason": "x"}},
    "failed task": {"id": "a", "status": "failed", "error": {"message": "x", "code": "content_policy_violation"}},
    "failed task without id": {"status": "failed", "error": "x"},
    "failed task with a code": {"id": "a", "status": "failed", "code": "content_policy_violation", "message": "x"},
    "wrapped failed task": {"code": "success", "data": {"task_id": "a", "status": "FAILURE", "fail_reason": "x"}},
    "task under a bad code": {"code": "fail", "message": "x", "data": {"task_id": "a", "status": "SUCCESS"}},
    "only detail": {"detail": {"status": "failed", "error_message": "x", "message": "x"}},
    "detail without status": {"id": "a", "detail": {"message": "x"}},
    "empty detail": {"id": "a", "detail": None},
    "detail that says nothing": {"detail": {"progress_pct": 0.5}},
    "nothing yet": {"code": "success", "message": "", "data": None},
    "success true": {"success": True, "data": "a"},
    "error false": {"id": "a", "error": False},
    "list": [],
    "text": "a",
    "null": None,
    **{
        f"code {code!r}": {"code": code, "message": "x", "data": {"id": "a"}}
        for code in ("success", "ok", 0, 200, "0", "200", None)
    },
    **{f"code {code!r}": {"code": code, "message": "x", "data": "a"} for code in ("", " ", "SUCCESS", [], {}, False)},
}


@pytest.mark.parametrize("body", HEALTHY.values(), ids=HEALTHY)
def test_no_error(body: object) -> None:
    """A task is no error of the call, healthy or failed, whatever stale texts it carries."""
    assert read_answer(200, json.dumps(body).encode()) == body


@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_2xx_is_read(status: int) -> None:
    """Every 2xx may carry a task."""
    assert read_answer(status, b'{"id":"a"}') == {"id": "a"}


def test_refusal_that_looks_like_a_task() -> None:
    """A refusing code beside a status word, but without any id, is a refusal and no failed task."""
    assert isinstance(fail(200, {"status": "error", "code": "insufficient_user_quota", "message": "x"}), QuotaError)


@pytest.mark.parametrize("body", [b"", b"<html><title>Welcome</title></html>", b'{"id":"a","sta', b"ok"])
def test_unreadable_success(body: bytes) -> None:
    """A 2xx that is not JSON is no refusal: the task may have been accepted."""
    with pytest.raises(DecodeError):
        read_answer(200, body)
