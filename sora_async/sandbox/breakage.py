"""What the faults of the API operations look like on the wire."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import attrs

from sora_async.sandbox.dialects import Dialect
from sora_async.sandbox.facts import Refusal
from sora_async.sandbox.faults import split_kind
from sora_async.sandbox.reply import Answer, Break, Reply, html_reply, json_reply

OVERSIZE_BYTES = 8 * 1024 * 1024
SATURATED = "当前分组上游负载已饱和，请稍后再试"
NO_QUOTA = "用户额度不足, 剩余额度: ＄0.000000"
REFUSALS: Mapping[str, Refusal] = MappingProxyType(
    {
        "saturated": Refusal(status=500, code="upstream_saturated", message=SATURATED),
        "no_quota": Refusal(status=403, code="insufficient_user_quota", message=NO_QUOTA),
        "no_quota_429": Refusal(status=429, code="insufficient_user_quota", message=SATURATED),
        **{
            status: Refusal(
                status=int(status), code="bad_response_status_code", message=f"bad response status code {status}"
            )
            for status in ("500", "502", "503", "504")
        },
    }
)
"""Faults that are an error body in the words of the dialect."""

TOO_MANY = Refusal(status=429, code="rate_limit_exceeded", message="您已达到请求数限制，请稍后再试")


@attrs.frozen(kw_only=True)
class Accepted:
    """A healthy answer that is about to be broken."""

    reply: Reply
    """The answer."""
    mark: str
    """The id in it, at which it may be cut."""


def refuse(dialect: Dialect, refusal: Refusal) -> Reply:
    """Word a refusal as a dialect does."""
    status, body = dialect.refused(refusal)
    seconds = refusal.retry_after_s
    headers = {} if seconds is None else {"Retry-After": f"{seconds:g}"}
    return json_reply(body, status, headers)


def break_unread(kind: str | None) -> Break | None:
    """Give the end of a connection whose request body was not read, or None for other kinds."""
    return Break(then=_ending(kind)) if kind and kind.endswith("_unread") else None


def break_before(kind: str | None, dialect: Dialect, location: str) -> Answer | None:
    """Give what is answered instead of carrying out the call, or None for other kinds."""
    base, retry_after_s = split_kind(kind or "")
    answer: Answer | None = None
    if base.endswith("_before"):
        answer = Break(then=_ending(base))
    elif base == "429":
        answer = refuse(dialect, attrs.evolve(TOO_MANY, retry_after_s=retry_after_s))
    elif base == "429_empty":
        answer = Reply(status=429)
    elif base in REFUSALS:
        answer = refuse(dialect, REFUSALS[base])
    elif base in {"502_html", "html"}:
        answer = _page(base)
    elif base == "redirect":
        answer = Reply(status=307, headers={"Location": location})
    return answer


def break_after(kind: str | None, accepted: Accepted) -> Answer:
    """Spoil the answer to a call that was carried out; other kinds leave it healthy."""
    spoil = AFTER.get(kind or "")
    return spoil(accepted) if spoil else accepted.reply


def _ending(kind: str) -> Literal["close", "reset", "stall"]:
    endings: dict[str, Literal["close", "reset", "stall"]] = {"close": "close", "reset": "reset", "stall": "stall"}
    return endings[kind.partition("_")[0]]


def _page(kind: str) -> Reply:
    return html_reply("502 Bad Gateway", 502) if kind.startswith("502") else html_reply("Welcome")


def _place(accepted: Accepted) -> tuple[int, int]:
    """Find where the value of the id starts and ends in the body, its quotes included."""
    value = json.dumps(accepted.mark).encode()
    start = accepted.reply.body.find(value)
    return max(start, 0), max(start, 0) + len(value)


def _cut_before(accepted: Accepted) -> Answer:
    return Break(sent=accepted.reply.cut(_place(accepted)[0]), then="close")


def _cut_in(accepted: Accepted) -> Answer:
    return Break(sent=accepted.reply.cut(sum(_place(accepted)) // 2), then="close")


def _cut_after(accepted: Accepted) -> Answer:
    return Break(sent=accepted.reply.cut(_place(accepted)[1]), then="close")


def _oversize(accepted: Accepted) -> Answer:
    return attrs.evolve(accepted.reply, body=b" " * OVERSIZE_BYTES + accepted.reply.body)


AFTER: Mapping[str, Callable[[Accepted], Answer]] = MappingProxyType(
    {
        "close_after": lambda _accepted: Break(then="close"),
        "reset_after": lambda _accepted: Break(then="reset"),
        "stall_after": lambda _accepted: Break(then="stall"),
        "502_html_after": lambda _accepted: _page("502_html"),
        "html_after": lambda _accepted: _page("html"),
        "empty": lambda _accepted: Reply(headers={"Content-Type": "application/json"}),
        "no_id": lambda _accepted: json_reply({"status": "pending"}),
        "cut_before_id": _cut_before,
        "cut_in_id": _cut_in,
        "cut_after_id": _cut_after,
        "oversize": _oversize,
    }
)
"""Faults that spoil a healthy answer."""
