"""What all tests share: no key, no proxy and no ignored signal of the machine's own reaches them."""

from __future__ import annotations

import signal
from collections.abc import Generator

import pytest
from coverage import Coverage
from hypothesis import settings

# The same examples in every run; `--hypothesis-profile=explore` looks further.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile("same")

# In the background of a script, or by nohup, these are ignored, which the processes that tests interrupt would inherit.
for name, usual in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    if (number := getattr(signal, name, None)) and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Stop coverage, which makes a simulation three times as long, while a test that is `unmeasured` runs."""
    measuring = []
    # A worker of pytest-xdist has two, one within the other.
    while item.get_closest_marker("unmeasured") and (coverage := Coverage.current()):
        coverage.stop()
        measuring.append(coverage)
    try:
        return (yield)
    finally:
        for coverage in reversed(measuring):
            coverage.start()


@pytest.fixture(autouse=True)
def _no_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SORA_API_KEY", "SORA_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
