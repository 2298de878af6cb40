"""The command, run in this process against a sandbox whose tasks are finished at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import attrs
import pytest

from sora_async.cli import main
from sora_async.sandbox import Sandbox, Scenario


class Ran(NamedTuple):
    """What a run of the command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def sora_scenario(sora_scenario: Scenario) -> Scenario:
    """No polls, so no sleeps."""
    return attrs.evolve(sora_scenario, finished_at_create=True)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Any) -> Callable[..., Ran]:
    """Run the command with arguments, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["sora-async", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else 0, *capfd.readouterr())

    return run


@pytest.fixture
def relay(sora_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox that the command finds in its environment."""
    monkeypatch.setenv("SORA_API_KEY", "sandbox")
    monkeypatch.setenv("SORA_BASE_URL", sora_sandbox.url)
    return sora_sandbox
