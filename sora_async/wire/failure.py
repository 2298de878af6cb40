"""Answers to errors: what went wrong, and whether it proves that a create was not taken."""

from __future__ import annotations

import email.utils
import re
from datetime import UTC, datetime
from typing import Any

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
)
from sora_async.wire.cases import classify, may_cost
from sora_async.wire.complaint import hear, is_success_code
from sora_async.wire.reading import MAX_BODY_BYTES, parse_json
from sora_async.wire.task import find_levels, find_status, has_id
from sora_async.wire.values import read_text

MAX_RETRY_AFTER_S = 300.0
"""The longest Retry-After that is believed, in seconds."""

_SECONDS = re.compile(r"\s*([+-]?[0-9]{1,100}(?:\.[0-9]{0,100})?)\s*", re.ASCII)
_MAX_DATE_LENGTH = 64
# None of them comes from a status that proves nothing: where they stand beside one, a code, type or text said so.
_REFUSALS = (
    AuthenticationError,
    PermissionDeniedError,
    QuotaError,
    InvalidRequestError,
    ContentRejectedError,
    NotFoundError,
    RateLimitError,
    OverloadedError,
)
_UNPROVEN_STATUSES = frozenset({408, 409, 425})


def read_answer(status: int, body: bytes, retry_after: float | None = None) -> Any:
    """Answer the JSON of a healthy answer, for `parse_created`, `parse_task` or `parse_character`.

    Args:
        status: the HTTP status.
        body: the bytes of the answer, inflated.
        retry_after: what the answer's Retry-After header says, in seconds; it is kept in the error.

    Raises:
        APIError: one of its classes; errors come with HTTP 200 too. A failed task is no error here.
        DecodeError: a 2xx whose body is not JSON; after a create look into it with `salvage_id`.
    """
    is_accepted = 200 <= status < 300
    try:
        value = parse_json(body)
    except DecodeError:
        if is_accepted:
            raise
        value = body[:MAX_BODY_BYTES].decode(errors="replace")
    if not is_accepted or _is_failure(value):
        raise _make_error(status, value, retry_after)
    return value


def _is_failure(body: Any) -> bool:
    if not isinstance(body, dict):
        return False
    if not (body.get("code") or body.get("error") or body.get("detail")) and body.get("success") is not False:
        return False
    has_refusal = not is_success_code(body.get("code")) or body.get("success") is False
    if not has_refusal and read_text(body.get("status")) is not None:
        return False  # the usual answer; the rest is for wrapped and for unhealthy ones
    levels = find_levels(body)
    if find_status(levels) is not None and (not has_refusal or has_id(levels)):
        # A task, healthy or failed: a stale or final text in it is no error of this call.
        return False
    return has_refusal or _says_error(body.get("error")) or _is_detail_error(body, levels)


def _says_error(error: Any) -> bool:
    if not isinstance(error, dict):
        return error is True or (isinstance(error, str) and bool(error.strip()))
    complaint = hear(error)
    return bool(complaint.text or complaint.codes)


def _is_detail_error(body: dict[str, Any], levels: list[dict[str, Any]]) -> bool:
    detail = body.get("detail")
    if not detail or has_id(levels):
        return False
    return isinstance(detail, str | list) or (isinstance(detail, dict) and _says_error(detail))


def _make_error(status: int, value: Any, retry_after: float | None) -> APIError:
    complaint = hear(value)
    kind = classify(status, complaint)
    message = complaint.text or "the relay gives no reason"
    is_elsewhere = kind is NotFoundError and (complaint.is_page or not value or "invalid url" in message.lower())
    if is_elsewhere or 300 <= status < 400:
        message = f"{message}; check the base URL"
    code = complaint.codes[0] if complaint.codes else ""
    error = kind(status, code, message, complaint.request_id, retry_after)
    if isinstance(error, ContentRejectedError) and may_cost(complaint):
        error.billed = "unknown"
    return error


def proves_refused(error: APIError) -> bool:
    """Whether this answer to a create proves that the request was not taken.

    True for a 3xx, for a 4xx other than 408, 409 and 425, and for any status whose code, type or text is a known
    refusal, since only that makes one of the refusals' classes out of a status that proves nothing.
    """
    has_refusing_status = 300 <= error.status < 500 and error.status not in _UNPROVEN_STATUSES
    return has_refusing_status or isinstance(error, _REFUSALS)


def may_repeat_create(error: APIError) -> bool:
    """Whether a create may be sent again, slowly, after this answer: it was not taken, and that may change."""
    return isinstance(error, RateLimitError | OverloadedError)


def parse_retry_after(value: str | None, now: datetime, date: str | None = None) -> float | None:
    """Answer the seconds, 0.0 to 300.0, that a Retry-After header asks to wait; None if it says nothing usable.

    Args:
        value: the header: seconds or an HTTP date; None if it is missing.
        now: the present time, aware.
        date: the Date header of the same answer. A Retry-After that is a date counts from it where it can be read,
            so that it does not matter how wrong the clock of this machine is.
    """
    if value is None:
        return None
    found = _SECONDS.fullmatch(value)
    seconds = float(found[1]) if found else _seconds_between(_read_date(date) or now, _read_date(value))
    return None if seconds is None else min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _seconds_between(start: datetime, end: datetime | None) -> float | None:
    return None if end is None else (end - start).total_seconds()


def _read_date(value: str | None) -> datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime((value or "")[:_MAX_DATE_LENGTH])
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
