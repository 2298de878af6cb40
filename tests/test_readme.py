"""The README: every Python block in it runs, and its first commands are the promised ones."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from sora_async import Client
from sora_async.sandbox import Sandbox, Scenario

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
PROGRAMS = [block for block in BLOCKS if "asyncio.run" in block]
TESTS = [block for block in BLOCKS if "def test_" in block]


@pytest.fixture
def sora_scenario(sora_scenario: Scenario) -> Scenario:
    """Creates are answered finished, so no program has to wait for its default pacing."""
    return Scenario(takes_s=0.0, finished_at_create=True, clip=sora_scenario.clip)


def test_readme_has_programs_and_a_test() -> None:
    """Each block is one of the two, so each is run below."""
    assert len(PROGRAMS) >= 5
    assert len(TESTS) == 1
    assert len(PROGRAMS) + len(TESTS) == len(BLOCKS)


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_program_runs(number: int, sora_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands, with the settings of the environment."""
    monkeypatch.setenv("SORA_API_KEY", "any")
    monkeypatch.setenv("SORA_BASE_URL", sora_sandbox.url)
    monkeypatch.chdir(tmp_path)
    exec(compile(PROGRAMS[number], f"README.md, program {number}", "exec"), {"__name__": "__main__"})
    # The program that brings a sandbox of its own buys nothing here.
    assert sora_sandbox.creates or "Sandbox(" in PROGRAMS[number]


def test_test_passes(sora_sandbox: Sandbox, sora_client: Client, tmp_path: Path) -> None:
    """With the fixtures that it names."""
    names: dict[str, Any] = {}
    exec(compile(TESTS[0], "README.md, test", "exec"), names)
    asyncio.run(names["test_my_app_buys_once"](sora_sandbox, sora_client, tmp_path))
    assert sora_sandbox.creates


def test_first_two_commands_are_one_line_each() -> None:
    """One makes a video on the sandbox, one runs the tests."""
    video, tests = re.findall(r"^```sh\n(.*?)\n```$", README, re.DOTALL | re.MULTILINE)[:2]
    assert "\n" not in video + tests
    assert "sora-async generate" in video
    assert "--sandbox" in video
    assert "pytest" in tests
