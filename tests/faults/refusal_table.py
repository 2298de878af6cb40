"""What relays refuse with, in every shape they do it in, and how a create and a query must end: written by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator

from fault_table import UNCERTAIN, End, Fault
from raw_server import http

from sora_async import (
    APIError,
    AuthenticationError,
    ContentRejectedError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaError,
    RateLimitError,
    ServerError,
)

SATURATED = "当前分组上游负载已饱和"

# The status, the code and the text; how a create ends, and a query.
SAID: list[tuple[int, str, str, End, End]] = [
    (401, "invalid_api_key", "无效的令牌", AuthenticationError, AuthenticationError),
    (403, "access_denied", "无权访问模型", PermissionDeniedError, PermissionDeniedError),
    (402, "insufficient_balance", "余额不足", QuotaError, QuotaError),
    (403, "insufficient_user_quota", "额度不足", QuotaError, QuotaError),
    (429, "pre_consume_token_quota_failed", "预扣费额度失败", QuotaError, QuotaError),
    (429, "", SATURATED, OverloadedError, OverloadedError),
    (500, "", "the upstream is saturated", OverloadedError, OverloadedError),
    (502, "", "No available accounts", OverloadedError, OverloadedError),
    (503, "model_not_found", "no available channel for model x", OverloadedError, OverloadedError),
    (500, "get_channel_failed", "无可用渠道", OverloadedError, OverloadedError),
    (429, "rate_limit_exceeded", "您已达到总请求数限制", RateLimitError, RateLimitError),
    (400, "invalid_request", "未指定模型名称", InvalidRequestError, InvalidRequestError),
    (422, "invalid_request", "duration", InvalidRequestError, InvalidRequestError),
    (413, "read_request_body_failed", "message too large", InvalidRequestError, InvalidRequestError),
    (400, "prompt_blocked", "blocked by our guardrails", ContentRejectedError, ContentRejectedError),
    (403, "sensitive_words_detected", "敏感词", ContentRejectedError, ContentRejectedError),
    (451, "violation_fee.grok", "审核未通过: violation fee", ContentRejectedError, ContentRejectedError),
    (404, "", "Invalid URL (POST /v1/v1/video/create)", NotFoundError, NotFoundError),
    (404, "task_not_exist", "任务不存在", NotFoundError, NotFoundError),
    (408, "timeout", "timed out", UNCERTAIN, ServerError),
    (409, "conflict", "another is under way", UNCERTAIN, APIError),
    (425, "too_early", "later", UNCERTAIN, ServerError),
    (500, "internal_error", "something broke", UNCERTAIN, ServerError),
    (502, "server_error", "bad gateway", UNCERTAIN, ServerError),
    (503, "unavailable", "service unavailable", UNCERTAIN, ServerError),
    (504, "timeout", "the upstream took too long", UNCERTAIN, ServerError),
    (524, "timeout", "the upstream took too long", UNCERTAIN, ServerError),
]

# Where only the code tells, so the shapes without one do not apply.
CODED: list[tuple[int, str, str, End, End]] = [
    (429, "insufficient_user_quota", SATURATED, QuotaError, QuotaError),
    (500, "fail_to_fetch_task", "upstream: 401 unauthorized", OverloadedError, OverloadedError),
    (500, "fail_to_fetch_task", "unexpected EOF", UNCERTAIN, ServerError),
    (400, "task_not_exist", "x", NotFoundError, NotFoundError),
    (200, "insufficient_user_quota", "x", QuotaError, QuotaError),
    (200, "rate_limit_exceeded", "x", RateLimitError, RateLimitError),
    (200, "some_new_code", "x", UNCERTAIN, ServerError),
]

# Without a word of the relay's, only the status tells.
BARE: dict[End, tuple[int, ...]] = {
    InvalidRequestError: (400, 405, 406, 411, 413, 414, 415, 422, 431),
    AuthenticationError: (401,),
    QuotaError: (402,),
    PermissionDeniedError: (403,),
    NotFoundError: (404,),
    RateLimitError: (429,),
    ContentRejectedError: (451,),
    APIError: (300, 305, 410, 418),
    UNCERTAIN: (408, 409, 425, 500, 501, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, 529),
}


def _coded(code: str, text: str) -> Iterator[tuple[str, object]]:
    nested = {"error": {"message": text, "type": "new_api_error", "code": code}}
    yield "nested", nested
    yield "flat", {"code": code or "error", "message": text, "data": None}
    yield "in a string", {"error": {"message": json.dumps(nested), "type": "upstream_error", "code": ""}}


def _worded(text: str) -> Iterator[tuple[str, object]]:
    yield "text", {"error": text}
    yield "detail", {"detail": text}
    yield "no success", {"success": False, "message": text}


def refusing() -> Iterator[Fault]:
    for status, code, text, post, get in SAID:
        for shape, body in (*_coded(code, text), *_worded(text)):
            yield Fault("answer", f"{status} {code or text[:12]} {shape}", http(status, json.dumps(body)), post, get)
    for status, code, text, post, get in CODED:
        for shape, body in _coded(code, text):
            yield Fault("answer", f"{status} {code} {text[:12]} {shape}", http(status, json.dumps(body)), post, get)
    for end, statuses in BARE.items():
        for status in statuses:
            get = end if end != UNCERTAIN else APIError if status == 409 else ServerError
            yield Fault("answer", f"{status} empty", http(status), end, get)
            page = http(status, "<html><title>overloaded: insufficient quota</title></html>")
            yield Fault("answer", f"{status} page", page, end, get)


REFUSING = list(refusing())
