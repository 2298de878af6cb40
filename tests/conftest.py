"""What all tests share: no key of the developer's own reaches them."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SORA_API_KEY", "SORA_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
