"""Words, codes, texts and values that relays write, usual and odd ones."""

from __future__ import annotations

from typing import Any

WORDS = {
    "queued": "pending queued submitted created not_start initializing",
    "running": "processing in_progress running generating image_downloading video_generating "
    "video_generation_completed video_upsampling video_upsampling_completed unknown",
    "succeeded": "completed complete success succeeded done finished",
    "failed": "failed failure error fail video_generation_failed video_upsampling_failed expired",
    "cancelled": "cancelled canceled",
}
"""The status words of each state."""
_REFUSALS = (
    "invalid_api_key access_denied insufficient_user_quota insufficient_quota insufficient_balance "
    "pre_consume_token_quota_failed model_not_found get_channel_failed rate_limit_exceeded invalid_request "
    "read_request_body_failed prompt_blocked sensitive_words_detected content_policy_violation fail_to_fetch_task "
    "violation_fee_grok task_not_exist"
)
REFUSALS = _REFUSALS.split()
"""Codes that say why something was not taken."""
TEXTS = (
    "无效的令牌",
    "无权访问模型",
    "额度不足",
    "预扣费额度失败",
    "当前分组上游负载已饱和",
    "saturated",
    "overloaded",
    "No available accounts",
    "请求数限制",
    "未指定模型名称",
    "message too large",
    "guardrails",
    "unsafe",
    "审核",
    "真人",
    "Invalid URL (POST /v1/v1/video/create)",
    "internal error",
    "success",
    "<!doctype html><title>502 Bad Gateway</title>",
    "",
    " ",
    "\u202egnp.exe\u2066",
    "\x1b[2J\x07",
    "\ud800",
    "猫" * 300,
)
"""What messages say."""

ODD_IDS: tuple[Any, ...] = (
    "a/b%2F?c#d..",
    "a b",
    "",
    " ",
    "..",
    "\n",
    "x" * 513,
    "\u202e",
    "猫",
    12,
    None,
    True,
    [],
    {"id": "in"},
)
"""What stands in the place of an id, but is none or a strange one."""
ODD_LINKS: tuple[Any, ...] = (
    "",
    None,
    "javascript:alert(1)",
    "//cdn.example/a",
    "http://127.0.0.1/a",
    "https://a b",
    ["https://cdn.example/1"],
    {"url": "https://cdn.example/2"},
    "https://",
    0,
    "ftp://x/y",
)
"""What stands in the place of a link."""
SCALARS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2**63,
    10**400,
    1e308,
    -1e-308,
    0.5,
    1e11,
    1763800000000,
    "",
    " ",
    "0",
    "null",
    "\x00",
    "\ud800",
    "a" * 600,
    "NaN",
)
"""Values at the edges of their kinds."""
