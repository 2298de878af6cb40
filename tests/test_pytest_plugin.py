"""The fixtures for users' own tests, used as they would use them."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

TEST_OF_A_USER = """
async def test_movie(sora_sandbox, sora_client, tmp_path):
    async with sora_client as client:
        task = await client.generate("a cat")
        path = await client.download(task, tmp_path / "cat.mp4")
    assert path.read_bytes()[4:8] == b"ftyp"
    assert [created.body["prompt"] for created in sora_sandbox.creates] == ["a cat"]
    assert sora_sandbox.requests[0].operation == "create"
    assert sora_sandbox.calls["download"] == 1
"""

TEST_WITHOUT_A_LOOP = """
import threading
import urllib.request

def test_port(sora_sandbox):
    assert "sora-sandbox" in [thread.name for thread in threading.enumerate()]
    request = urllib.request.Request(sora_sandbox.url + "/v1/video/query?id=x")
    try:
        urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        assert error.code == 401
        error.close()

def test_nothing_is_left():
    assert "sora-sandbox" not in [thread.name for thread in threading.enumerate()]
"""

TEST_WITH_SETTINGS = """
import pytest
from sora_async import SubmissionUncertainError, TaskFailedError
from sora_async.sandbox import Faults, Scenario

@pytest.fixture
def sora_scenario():
    return Scenario(takes_s=0.0, failure_rate=1.0, clip=b"")

@pytest.fixture
def sora_faults():
    return Faults(create=["close_after"])

async def test_trouble(sora_sandbox, sora_client):
    async with sora_client as client:
        with pytest.raises(SubmissionUncertainError):
            await client.create("a cat")
        with pytest.raises(TaskFailedError):
            await client.generate("a cat")
    assert len(sora_sandbox.creates) == 2
"""

TEST_OF_A_SANDBOX_THAT_CANNOT_START = """
import pytest
from sora_async.sandbox import Scenario, Sandbox

@pytest.fixture
def sora_scenario(monkeypatch):
    import importlib
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    return Scenario()

def test_never_runs(sora_sandbox):
    raise AssertionError
"""

TEST_OF_WHAT_IS_LOADED = """
import sys

def test_loaded():
    assert "sora_async.pytest_plugin" in sys.modules
    assert not {"aiohttp", "attrs", "sora_async.client", "sora_async.sandbox", "typer"} & set(sys.modules)
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_tests(tmp_path: Path) -> Run:
    """Run the tests of a user in a fresh process, where every warning is an error and no other plugin of ours is."""

    def run(source: str, *options: str) -> "subprocess.CompletedProcess[str]":
        (tmp_path / "test_user.py").write_text(source)
        settings = ("asyncio_mode=auto", "asyncio_default_fixture_loop_scope=function", "filterwarnings=error")
        words = [word for setting in settings for word in ("-o", setting)]
        words += [word for plugin in ("cov", "hypothesispytest", "xdist") for word in ("-p", f"no:{plugin}")]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words, *options, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    return run


def assert_passed(ran: "subprocess.CompletedProcess[str]", count: int) -> None:
    assert f"{count} passed" in ran.stdout, ran.stdout + ran.stderr


def test_fixtures_bring_a_video_home(run_tests):
    """A test of an app needs two fixtures and no network."""
    assert_passed(run_tests(TEST_OF_A_USER), 1)


def test_fixtures_need_no_async_plugin(run_tests):
    """The sandbox has a loop of its own, and leaves no thread behind."""
    options = ["-p", "no:asyncio", "-o", "addopts="]
    ran = run_tests(TEST_WITHOUT_A_LOOP, *options, "-W", "ignore:Unknown config option")
    assert_passed(ran, 2)


def test_fixtures_take_settings_of_the_user(run_tests):
    """Overriding two fixtures makes the relay fail as wanted."""
    assert_passed(run_tests(TEST_WITH_SETTINGS), 1)


def test_sandbox_that_cannot_start_is_an_error_of_the_test(run_tests):
    """The reason arrives where the fixture is used, instead of a test that hangs."""
    ran = run_tests(TEST_OF_A_SANDBOX_THAT_CANNOT_START)
    assert "1 error" in ran.stdout
    assert "pip install 'sora_async[sandbox]'" in ran.stdout


def test_plugin_loads_nothing_until_it_is_used(run_tests):
    """Projects that only have the package installed do not pay for it."""
    assert_passed(run_tests(TEST_OF_WHAT_IS_LOADED), 1)


async def test_client_fixture_works_in_this_process(sora_client, sora_sandbox, tmp_path):
    """The fixtures serve this project's own tests, too."""
    async with sora_client as client:
        path = await client.download(await client.generate("a cat"), tmp_path / "cat.mp4")
    assert path.stat().st_size == 156
    assert len(sora_sandbox.creates) == 1
    assert any(thread.name == "sora-sandbox" for thread in threading.enumerate())
