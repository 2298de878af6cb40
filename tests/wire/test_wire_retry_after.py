"""Retry-After: seconds or a date, never trusted beyond five minutes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_async.wire.failure import parse_retry_after

NOW = datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("5", 5.0),
        (" 5 ", 5.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-5", 0.0),
        ("301", 300.0),
        ("9" * 90, 300.0),
        ("nan", None),
        ("inf", None),
        ("1_0", None),
        ("５", None),
        ("soon", None),
        ("Thu, 09 Oct 2025 08:53:50 GMT", 30.0),
        ("Thursday, 09-Oct-25 08:53:50 GMT", 30.0),
        ("Thu, 09 Oct 2025 08:53:50 -0000", 30.0),
        ("Thu, 09 Oct 2025 08:53:50", 30.0),
        ("Thu, 09 Oct 2025 16:53:50 +0800", 30.0),
        ("Thu, 09 Oct 2025 08:00:00 GMT", 0.0),
        ("Fri, 09 Oct 2026 08:00:00 GMT", 300.0),
        ("Thu, 99 Oct 2025 08:53:50 GMT", None),
        ("Thu, 09 Oct 2025 08:53:50 +9999", None),
    ],
)
def test_parse_retry_after_form(value: str | None, seconds: float | None) -> None:
    """Seconds and dates are clamped to 0 to 300; anything else says nothing."""
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.usefixtures("far_from_utc")
@pytest.mark.parametrize("zone", [" GMT", " -0000", ""])
def test_parse_retry_after_where_the_machine_is_far_from_utc(zone: str) -> None:
    """The zone of the machine changes no wait; a date without a zone is in UTC."""
    assert parse_retry_after(f"Thu, 09 Oct 2025 08:53:50{zone}", NOW) == 30.0


dates = st.from_regex(r"\A[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{1,5} [0-9:]{1,9}( GMT| [+-][0-9]{1,5})?\Z")


@given(st.text() | dates | st.floats().map(str) | st.integers().map(str))
def test_parse_retry_after_any_text(value: str) -> None:
    """No header raises, and none makes the library wait for more than five minutes."""
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or 0.0 <= seconds <= 300.0
