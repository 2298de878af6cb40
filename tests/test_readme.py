"""The README: every Python block in it runs, and its first commands are the promised ones."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn

from sora_async import Client
from sora_async.sandbox import Sandbox, Scenario

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
PROGRAMS = [block for block in BLOCKS if "asyncio.run" in block]
APPS = [block for block in BLOCKS if "FastAPI(" in block]
TESTS = [block for block in BLOCKS if "def test_" in block]


@pytest.fixture
def sora_scenario(sora_scenario: Scenario) -> Scenario:
    """Creates are answered finished, so no program has to wait for its default pacing."""
    return Scenario(takes_s=0.0, finished_at_create=True, clip=sora_scenario.clip)


def test_readme_has_programs_an_app_and_a_test() -> None:
    """Each block is one of the three, so each is run below."""
    assert len(PROGRAMS) >= 5
    assert len(APPS) == len(TESTS) == 1
    assert len(PROGRAMS) + len(APPS) + len(TESTS) == len(BLOCKS)


@pytest.fixture
def relay(sora_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox that programs find in their environment; they run in an empty folder."""
    monkeypatch.setenv("SORA_API_KEY", "any")
    monkeypatch.setenv("SORA_BASE_URL", sora_sandbox.url)
    monkeypatch.chdir(tmp_path)
    return sora_sandbox


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_program_runs(number: int, relay: Sandbox) -> None:
    """As it stands, with the settings of the environment."""
    exec(compile(PROGRAMS[number], f"README.md, program {number}", "exec", dont_inherit=True), {"__name__": "__main__"})
    # The program that brings a sandbox of its own buys nothing here.
    assert relay.creates or "Sandbox(" in PROGRAMS[number]


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """Load the app, serve it as uvicorn does, and give the URL of its page."""
    names: dict[str, Any] = {}
    exec(compile(APPS[0], "README.md, app", "exec", dont_inherit=True), names)
    server = uvicorn.Server(uvicorn.Config(names["app"], port=0, log_level="error"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 it is told by no event
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/batch"
    finally:
        server.should_exit = True
        await serving


async def test_app_stops_with_its_batch_and_goes_on(relay: Sandbox) -> None:
    """Stopped amid the batch and started again, it has bought each video once, and shows how far it is."""
    async with serving():
        while not relay.creates:  # noqa: ASYNC110 it is told by no event
            await asyncio.sleep(0.005)
    shown: dict[str, Any] = {}
    async with serving() as url, aiohttp.ClientSession() as browser:
        while not shown.get("over"):
            await asyncio.sleep(0.01)
            async with browser.get(url) as answer:
                shown = await answer.json()
    assert shown == {"over": True, "done": 20}
    assert len(relay.creates) == 20


def test_test_passes(sora_sandbox: Sandbox, sora_client: Client, tmp_path: Path) -> None:
    """With the fixtures that it names."""
    names: dict[str, Any] = {}
    exec(compile(TESTS[0], "README.md, test", "exec", dont_inherit=True), names)
    asyncio.run(names["test_my_app_buys_once"](sora_sandbox, sora_client, tmp_path))
    assert sora_sandbox.creates


def test_first_two_commands_are_one_line_each() -> None:
    """One makes a video on the sandbox, one runs the tests."""
    video, tests = re.findall(r"^```sh\n(.*?)\n```$", README, re.DOTALL | re.MULTILINE)[:2]
    assert "\n" not in video + tests
    assert "sora-async generate" in video
    assert "--sandbox" in video
    assert "pytest" in tests
