from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_async.download.ranges import ask_range, read_content_range, read_etag, read_retry_after
from sora_async.wire.failure import MAX_RETRY_AFTER_S

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("etag", "strong"),
    [('"abc"', '"abc"'), (' "a-1" ', '"a-1"'), ('W/"abc"', None), ("abc", None), ('"a"b"', None), ('"a\nb"', None)],
)
def test_etag_strong_alone_counts(etag, strong):
    """Only a strong, well-formed ETag stands for the same bytes."""
    assert read_etag({"ETag": etag}) == strong


@pytest.mark.parametrize(("size", "etag"), [(0, '"a"'), (5, None), (5, 'W/"a"'), (5, '"a"\r\nX: y')])
def test_range_without_proof_is_not_asked(size, etag):
    """Without bytes on disk or a strong ETag of them the whole file is asked for."""
    assert ask_range(size, etag) == {}


def test_range_asks_for_the_rest_of_one_version():
    """A resumed download names the first missing byte and the version it wants."""
    assert ask_range(5, '"a"') == {"Range": "bytes=5-", "If-Range": '"a"'}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("bytes 5-9/10", (5, 10)),
        ("Bytes  5-9/*", (5, None)),
        ("bytes */10", (None, 10)),
        ("bytes 5-9", (None, None)),
        ("items 5-9/10", (None, None)),
        ("bytes -5-9/10", (None, None)),
        ("", (None, None)),
    ],
)
def test_content_range_tells_start_and_total(text, read):
    """What a Content-Range does not say clearly is None."""
    assert read_content_range({"Content-Range": text}) == read


@pytest.mark.parametrize(
    ("text", "delay_s"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("nan", 0.0),
        ("inf", 0.0),
        ("99999", MAX_RETRY_AFTER_S),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 12:00:30 -0000", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", 0.0),
        ("", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(text, delay_s):
    """Both forms count, within limits; nonsense does not."""
    assert read_retry_after({"Retry-After": text}, NOW) == delay_s


@given(st.text())
def test_retry_after_of_noise_is_in_range(text):
    """No text gives an exception or a wait out of the limits."""
    assert 0.0 <= read_retry_after({"Retry-After": text}) <= MAX_RETRY_AFTER_S
