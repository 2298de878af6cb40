"""Retry-After in every spelling: the seconds that the error tells, and when the create is sent again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from fault_run import KEY, TRIES
from fault_table import HEALTHY, TASK_ID
from raw_server import http, raw_server

from sora_async import Client, OverloadedError, RateLimitError, Retry, VideoTask

NOW = datetime.now(UTC)
DATE = format_datetime(NOW, usegmt=True)
LIMIT_S = 300.0
"""The longest time that is believed."""

# The header, and between which seconds its pause lies; None for a header that says nothing.
HEADERS: dict[str, tuple[str, float | None, float | None]] = {
    "seconds": ("7", 7, 7),
    "fraction": ("0.5", 0.5, 0.5),
    "zero": ("0", 0, 0),
    "spaces": ("  12  ", 12, 12),
    "negative": ("-5", 0, 0),
    "absurd": ("99999999999999999999", LIMIT_S, LIMIT_S),
    "date ahead": (format_datetime(NOW + timedelta(seconds=250), usegmt=True), 250, 250),
    "date far ahead": ("Fri, 31 Dec 9999 23:59:59 GMT", LIMIT_S, LIMIT_S),
    "date past": ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
    "date that is none": ("Wed, 99 Oct 2015 07:28:00 GMT", None, None),
    "garbage": ("soon", None, None),
    "infinite": ("inf", None, None),
    "not a number": ("nan", None, None),
    "empty": ("", None, None),
}
REFUSALS = {
    "429": (429, "", RateLimitError),
    "503": (503, '{"error":{"code":"model_not_found","message":"no channel"}}', OverloadedError),
}


@pytest.mark.parametrize(("status", "body", "kind"), REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("name", HEADERS)
async def test_pause_is_told_in_seconds_of_reason(
    name: str, status: int, body: str, kind: type[RateLimitError]
) -> None:
    """From 0 to 300, or none; the create came once."""
    header, least, most = HEADERS[name]
    answer = http(status, body, headers=[f"Retry-After: {header}", f"Date: {DATE}"])
    async with raw_server(answer, HEALTHY) as judge, Client(KEY, judge.url, retry=Retry(tries=1)) as client:
        with pytest.raises(kind) as caught:
            await client.create("a cat")
    assert judge.creates == 1
    pause = caught.value.retry_after
    if least is None or most is None:
        assert pause is None
    else:
        assert pause is not None
        assert least <= pause <= most


@pytest.mark.parametrize("name", [name for name, (_, least, _) in HEADERS.items() if not least])
async def test_create_is_sent_again_where_no_pause_is_asked(name: str) -> None:
    """At once, and it is accepted once."""
    answer = http(429, headers=[f"Retry-After: {HEADERS[name][0]}"])
    retry = Retry(tries=TRIES, first=0)
    async with raw_server(answer, HEALTHY) as judge, Client(KEY, judge.url, retry=retry) as client:
        task = await client.create("a cat")
    assert isinstance(task, VideoTask)
    assert task.id == TASK_ID
    assert [exchange.action for exchange in judge.exchanges] == [answer, HEALTHY]
