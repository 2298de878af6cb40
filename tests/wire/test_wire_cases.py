"""Each word and each text by which relays say what is wrong, where nothing else in the answer says it."""

from __future__ import annotations

import json

import pytest

from sora_async.errors import (
    APIError,
    AuthenticationError,
    ContentRejectedError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaError,
    RateLimitError,
)
from sora_async.wire.failure import read_answer

WORDS: dict[type[APIError], list[str]] = {
    QuotaError: [
        "insufficient_user_quota",
        "insufficient_quota",
        "insufficient_balance",
        "pre_consume_token_quota_failed",
    ],
    ContentRejectedError: [
        "prompt_blocked",
        "sensitive_words_detected",
        "content_policy_violation",
        "content_filter",
        "violation_fee.any",
    ],
    OverloadedError: ["model_not_found", "get_channel_failed", "overloaded_error"],
    RateLimitError: ["rate_limit_exceeded", "rate_limit_error", "too_many_requests"],
    AuthenticationError: ["invalid_api_key", "authentication_error"],
    PermissionDeniedError: ["access_denied", "permission_denied", "permission_error"],
    InvalidRequestError: ["invalid_request", "read_request_body_failed"],
    NotFoundError: ["task_not_exist", "task_not_found"],
}
TEXTS: dict[type[APIError], list[str]] = {
    QuotaError: [
        *("用户额度不足", "预扣费额度失败", "余额不足", "Insufficient balance", "insufficient user quota"),
        *("insufficient credit", "insufficient_user_quota"),
    ],
    ContentRejectedError: [
        *("our guardrails", "this is unsafe", "审核未通过", "含真人", "含敏感词", "sensitive words", "sensitive_words"),
        *("our content policy", "content_policy", "a violation fee", "violation_fee"),
    ],
    OverloadedError: [
        *("上游负载已饱和", "Saturated", "is overloaded", "no available account", "no available channel", "无可用渠道"),
    ],
    RateLimitError: ["已达到总请求数限制", "rate limit", "rate-limit", "ratelimit", "rate_limit", "Too many requests"],
    AuthenticationError: [
        *("无效的令牌", "invalid token", "invalid key", "Incorrect API key", "invalid_api_key", "incorrect token"),
    ],
    PermissionDeniedError: ["无权访问模型", "Access denied", "permission denied"],
    InvalidRequestError: [
        *("未指定模型名称", "message too large", "body too large", "payload too large", "entity too large"),
    ],
    NotFoundError: ["Invalid URL", "task not exist", "task_not_found", "任务不存在"],
}


def kind_of(status: int, body: object) -> type[APIError]:
    with pytest.raises(APIError) as caught:
        read_answer(status, json.dumps(body).encode())
    return type(caught.value)


@pytest.mark.parametrize(("kind", "word"), [(kind, word) for kind, words in WORDS.items() for word in words])
@pytest.mark.parametrize("key", ["code", "type"])
def test_word_alone_tells_the_class(kind: type[APIError], word: str, key: str) -> None:
    """In capitals too, and whatever the HTTP status."""
    assert kind_of(500, {"error": {"message": "x", key: word}}) is kind
    assert kind_of(418, {"error": {"message": "x", key: word.upper()}}) is kind


@pytest.mark.parametrize(("kind", "number"), [(kind, n) for kind, texts in TEXTS.items() for n in range(len(texts))])
def test_text_alone_tells_the_class(kind: type[APIError], number: int) -> None:
    """Wherever in the message it stands."""
    assert kind_of(500, {"error": {"message": f"oh: {TEXTS[kind][number]}, sorry"}}) is kind


@pytest.mark.parametrize("text", ["unsafely", "invalid keyboard", "a token", "message large", "available channel", "x"])
def test_text_that_only_looks_like_one_tells_nothing(text: str) -> None:
    """Then the HTTP status decides."""
    assert kind_of(418, {"error": {"message": text}}) is APIError
