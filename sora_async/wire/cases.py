"""Which class of error a complaint belongs to: by code, then type, then text, then HTTP status."""

from __future__ import annotations

import re

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
    ServerError,
)
from sora_async.wire.complaint import Complaint

_CODES: dict[type[APIError], str] = {
    QuotaError: "insufficient_user_quota insufficient_quota insufficient_balance pre_consume_token_quota_failed",
    ContentRejectedError: "prompt_blocked sensitive_words_detected content_policy_violation content_filter",
    OverloadedError: "model_not_found get_channel_failed overloaded_error",
    RateLimitError: "rate_limit_exceeded rate_limit_error too_many_requests",
    AuthenticationError: "invalid_api_key authentication_error",
    PermissionDeniedError: "access_denied permission_denied permission_error",
    InvalidRequestError: "invalid_request read_request_body_failed",
    NotFoundError: "task_not_exist task_not_found",
}
_CLASSES = {code: kind for kind, codes in _CODES.items() for code in codes.split()}

# In the order in which they count: what would cost money or time to repeat comes first.
_TEXTS = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        (QuotaError, "额度不足|预扣费额度失败|余额不足|insufficient[ _](?:user[ _])?(?:quota|balance|credit)"),
        (
            ContentRejectedError,
            r"guardrail|\bunsafe\b|审核|真人|敏感词|sensitive[ _]words|content[ _]policy|violation[ _]fee",
        ),
        (OverloadedError, "负载已饱和|saturated|overloaded|no available (?:account|channel)|无可用渠道"),
        (RateLimitError, "请求数限制|rate[ _-]?limit|too many requests"),
        (AuthenticationError, r"无效的令牌|(?:invalid|incorrect)[ _](?:api[ _]?)?(?:key|token)\b"),
        (PermissionDeniedError, "无权访问|access denied|permission denied"),
        (InvalidRequestError, "未指定模型名称|(?:message|body|payload|entity) too large"),
        (NotFoundError, "invalid url|task[ _]not[ _](?:exist|found)|任务不存在"),
    )
)

_STATUSES: dict[int, type[APIError]] = {
    **dict.fromkeys((400, 405, 406, 411, 413, 414, 415, 422, 431), InvalidRequestError),
    401: AuthenticationError,
    402: QuotaError,
    403: PermissionDeniedError,
    404: NotFoundError,
    **dict.fromkeys((408, 425), ServerError),
    429: RateLimitError,
    451: ContentRejectedError,
}
_UPSTREAM_REFUSAL = "fail_to_fetch_task"
# Said by the upstream about the relay's own key, account or channel; the user's are as good as before.
_UPSTREAMS_AFFAIRS = frozenset({AuthenticationError, PermissionDeniedError, QuotaError, RateLimitError, NotFoundError})
_UPSTREAMS_KEY = re.compile(r"\b401\b|\bunauthorized\b", re.IGNORECASE)
_PAID_REJECTION = re.compile("violation[ _]fee", re.IGNORECASE)


def classify(status: int, complaint: Complaint) -> type[APIError]:
    """Choose the class of the error that came with this HTTP status."""
    words = [word.lower() for word in (*complaint.codes, *complaint.kinds)]
    text = "" if complaint.is_page else complaint.text
    kind = _by_word(words) or _by_text(text) or _by_status(status, words)
    if _UPSTREAM_REFUSAL in words and (kind in _UPSTREAMS_AFFAIRS or _UPSTREAMS_KEY.search(text)):
        return OverloadedError
    return kind


def may_cost(complaint: Complaint) -> bool:
    """Whether the relay may take a fee for this refusal."""
    return any(map(_PAID_REJECTION.search, (*complaint.codes, complaint.text)))


def _by_word(words: list[str]) -> type[APIError] | None:
    for word in words:
        if word in _CLASSES:
            return _CLASSES[word]
        if _PAID_REJECTION.match(word):
            return ContentRejectedError
    return None


def _by_text(text: str) -> type[APIError] | None:
    return next((kind for kind, pattern in _TEXTS if pattern.search(text)), None)


def _by_status(status: int, words: list[str]) -> type[APIError]:
    if 200 <= status < 300:
        # The flat shape repeats the status that the relay meant in `code`.
        status = next((int(word) for word in words if re.fullmatch("[345][0-9][0-9]", word)), status)
    if not 300 <= status < 500:
        return InvalidRequestError if "invalid_request_error" in words else ServerError
    return _STATUSES.get(status, APIError)
