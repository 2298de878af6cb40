"""Rendering: real previews, honest progress, clean ends."""

import asyncio
import subprocess
import sys
import threading

import aiohttp
import pytest

from sora_async.sandbox import Sandbox, Scenario, render
from sora_async.sandbox.bucket import Bucket

BODY = {"model": "m", "prompt": "a cat", "duration": 1, "size": "160x90"}


@pytest.fixture
async def session():
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer any"}) as opened:
        yield opened


async def create(sandbox, session, **fields):
    async with session.post(sandbox.url + "/v1/video/create", json={**BODY, **fields}) as response:
        return (await response.json())["id"]


async def ended(sandbox, session, task_id):
    for _ in range(2000):
        async with session.get(sandbox.url + "/v1/video/query", params={"id": task_id}) as response:
            task = await response.json()
        if task["status"] not in {"pending", "processing"}:
            return task
        await asyncio.sleep(0.01)
    pytest.fail("the task never ended")


async def test_studio_task_ends_with_a_playable_file(session):
    """A task without a given clip ends with a real MP4 of its own."""
    pytest.importorskip("av")
    async with Sandbox(Scenario(takes_s=0)) as sandbox:
        task = await ended(sandbox, session, await create(sandbox, session, images=["http://127.0.0.1:9/x.png"]))
        async with session.get(aiohttp.client.URL(task["video_url"], encoded=True)) as response:
            content = await response.read()
            assert response.headers["ETag"]
    assert content[4:8] == b"ftyp"


async def test_studio_progress_is_that_of_the_render(session, until, monkeypatch):
    """A task is as far as its render, however short it was to take, and done when the file is."""
    go_on = threading.Event()

    def half(target, *, on_progress, **_facts):
        on_progress(0.5)
        go_on.wait(5)
        target.write_bytes(b"film")

    monkeypatch.setattr(render, "render", half)
    async with Sandbox(Scenario(takes_s=0)) as sandbox:
        task_id = await create(sandbox, session)
        task = sandbox._relay._tasks[task_id]
        await until(lambda: task.job.progress)
        assert sandbox._relay.facts(task).percent == 50
        go_on.set()
        assert (await ended(sandbox, session, task_id))["status"] == "completed"


async def test_studio_passes_on_what_the_create_asked_for(session, monkeypatch):
    """The render is told everything that the create said, with defaults for the rest."""
    told = {}

    def note(target, **facts):
        told.update(facts)
        target.write_bytes(b"film")

    monkeypatch.setattr(render, "render", note)
    async with Sandbox(Scenario(takes_s=0), seed=7) as sandbox:
        await ended(sandbox, session, await create(sandbox, session, images=["https://example.invalid/a.png"]))
    assert told.pop("on_progress")
    assert told == {
        "prompt": "a cat", "images": ["https://example.invalid/a.png"], "orientation": "landscape",
        "size": "160x90", "duration_s": 1.0, "seed": 7,
    }  # fmt: skip


async def test_studio_render_that_fails_fails_its_task(session, monkeypatch, caplog):
    """A render that breaks is a failed task that says why, and is logged."""

    def broken(_target, **_facts):
        raise OSError("disk full")

    monkeypatch.setattr(render, "render", broken)
    async with Sandbox(Scenario(takes_s=0)) as sandbox:
        task = await ended(sandbox, session, await create(sandbox, session))
    assert task["status"] == "failed"
    assert "disk full" in task["error"]["message"]
    assert "could not render 0.mp4" in caplog.text


async def test_studio_does_not_render_tasks_that_fail(session, monkeypatch):
    """A task that is to fail costs no work."""
    monkeypatch.setattr(render, "render", lambda *_args, **_facts: pytest.fail("was rendered"))
    async with Sandbox(Scenario(takes_s=0, failure_rate=1)) as sandbox:
        assert (await ended(sandbox, session, await create(sandbox, session)))["status"] == "failed"


async def test_studio_closing_aborts_renders_and_removes_files(session, until, monkeypatch):
    """Closing stops what is rendered, drops what waits, and leaves no thread and no file."""
    started, targets, threads = threading.Event(), [], threading.active_count()

    def endless(target, *, on_progress, **_facts):
        targets.append(target)
        while True:
            started.set()
            on_progress(0.1)

    monkeypatch.setattr(render, "render", endless)
    async with Sandbox(Scenario(takes_s=0)) as sandbox:
        for _ in range(5):
            await create(sandbox, session)
        await until(started.is_set)
    assert len(targets) <= 2
    assert not targets[0].parent.exists()
    assert threading.active_count() == threads


async def test_studio_without_the_extra_is_refused_at_once(monkeypatch):
    """Without the packages that render, a sandbox needs a clip."""
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(render.RenderUnavailable, match=r"sora_async\[sandbox\]"):
        await Sandbox().__aenter__()
    async with Sandbox(Scenario(clip=b"x")) as sandbox:
        assert sandbox.url


def test_sandbox_import_loads_no_rendering_package():
    """Importing the sandbox needs neither PyAV nor Pillow."""
    code = "import sys; sys.modules['av'] = sys.modules['PIL'] = None; import sora_async.sandbox"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_bucket_lets_at_least_one_call_through():
    """A rate below one call per second still has a burst of one call."""
    now = [0.0]
    bucket = Bucket(0.5, lambda: now[0])
    taken = [bucket.take(), bucket.take()]
    now[0] = 2.0
    assert [*taken, bucket.take(), bucket.take()] == [True, False, True, False]
