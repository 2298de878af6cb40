"""What the tests of the wire share: a machine that does not stand in Greenwich."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process keeps the time of a zone eight hours ahead of UTC."""
    if not hasattr(time, "tzset"):
        pytest.skip("the zone of a process can be set on Unix only")
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "AWST-8")
        time.tzset()
        yield
    time.tzset()
