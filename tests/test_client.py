"""The client as users meet it: its settings, its life, and the way from a line to a file, against the sandbox."""

from __future__ import annotations

import asyncio
import json
import pickle
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from file_server import tiny_mp4
from raw_server import http, raw_server

from sora_async import (
    Adaptive,
    AuthenticationError,
    Client,
    Downloaded,
    DownloadError,
    Event,
    Fixed,
    Pacing,
    Polled,
    Retry,
    Retrying,
    ServerError,
    State,
    StatusChanged,
    Submitted,
    TaskFailedError,
    VideoRequest,
    VideoTask,
    WaitTimeoutError,
)
from sora_async.sandbox import DIALECTS, Faults, Sandbox, Scenario

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16
CLIP = tiny_mp4()


@asynccontextmanager
async def together(
    *, faults: Faults | None = None, options: dict[str, Any] | None = None, **scenario: Any
) -> AsyncIterator[tuple[Client, Sandbox]]:
    """A client and the sandbox it talks to; nothing takes any time."""
    playing = Scenario(**{"takes_s": 0, "clip": CLIP, **scenario})
    settings: dict[str, Any] = {"pacing": Fixed(0), "retry": Retry(first=0), **(options or {})}
    async with Sandbox(playing, faults=faults) as sandbox, Client("any", sandbox.url, **settings) as client:
        yield client, sandbox


def test_client_without_a_key_says_where_to_put_one() -> None:
    """The message names the argument, the variable, and the way without a key."""
    with pytest.raises(ValueError, match=r"api_key.*SORA_API_KEY.*--sandbox"):
        Client()


def test_client_takes_its_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has to be written into a program."""
    monkeypatch.setenv("SORA_API_KEY", "sk-canary")
    monkeypatch.setenv("SORA_BASE_URL", "https://relay.example/v1/")
    assert Client().base_url == "https://relay.example"


def test_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in the program was meant."""
    monkeypatch.setenv("SORA_BASE_URL", "https://relay.example/v1/")
    assert Client("k", "https://other.example").base_url == "https://other.example"


def test_default_relay_is_the_published_one() -> None:
    """As in the published create operation."""
    assert Client("k").base_url == "https://api.chainhub.tech"


@pytest.mark.parametrize("base_url", ["ftp://a.example", "http://a.example", "https://user:pw@a.example", "https://"])
def test_unusable_address_is_refused_at_once(base_url: str) -> None:
    """Before anything is bought."""
    with pytest.raises(ValueError, match="base URL"):
        Client("k", base_url)


def test_client_shows_no_key() -> None:
    """Not in its text, and it cannot be pickled."""
    client = Client("sk-canary", "https://relay.example")
    assert repr(client) == "<Client of https://relay.example>"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(client)


async def test_closed_client_refuses_everything() -> None:
    """Misuse is a RuntimeError that says what to do."""
    client = Client("k", "https://relay.example")
    await client.close()
    assert repr(client).endswith(", closed>")
    calls: list[Callable[[], Any]] = [
        lambda: client.create("a cat"),
        lambda: client.query("t"),
        lambda: client.wait("t"),
        lambda: client.download("t"),
        lambda: client.create_character(timestamps="1,3", from_task="t"),
        client.__aenter__,
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="the client is closed"):
            await call()
    with pytest.raises(RuntimeError, match="the client is closed"):
        client.watch("t")


def test_client_belongs_to_one_loop() -> None:
    """In another it says so, instead of failing somewhere inside."""
    client = Client("k", "https://relay.example")
    asyncio.run(client.__aenter__())
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(client.__aenter__())


@pytest.mark.parametrize("task_id", ["", " ", "a\nb", "x" * 513])
async def test_impossible_id_is_refused_before_it_is_sent(task_id: str) -> None:
    """It would never be found."""
    async with together() as (client, sandbox):
        for verb in (client.query, client.wait, client.download):
            with pytest.raises(ValueError, match="not a task id"):
                await verb(task_id)
    assert sandbox.calls.total() == 0


async def test_request_that_is_neither_prompt_nor_request_is_refused() -> None:
    """A dict of a body, say."""
    async with together() as (client, _):
        with pytest.raises(ValueError, match="give a VideoRequest or a prompt, not dict"):
            await client.create({"prompt": "a cat"})  # type: ignore[arg-type]


async def test_three_lines_bring_a_video(tmp_path: Path) -> None:
    """The program of the README."""
    async with together() as (client, sandbox):
        task = await client.generate("a paper boat in the rain")
        path = await client.download(task, tmp_path / "boat.mp4")
    assert path == tmp_path / "boat.mp4"
    assert path.read_bytes() == CLIP
    assert (task.state, len(sandbox.creates)) == (State.SUCCEEDED, 1)


async def test_twenty_generates_at_once_buy_twenty_videos() -> None:
    """Each has an id of its own."""
    async with together() as (client, sandbox):
        tasks = await asyncio.gather(*(client.generate(f"cat {number}") for number in range(20)))
    assert len({task.id for task in tasks}) == len(sandbox.creates) == 20


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop does not exist there")
def test_client_works_on_uvloop(tmp_path: Path) -> None:
    """The proof of what was sent does not hang on the loop's kind."""
    import uvloop

    async def main() -> Path:
        async with together() as (client, _):
            return await client.download(await client.generate("a cat"), tmp_path)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(main()).read_bytes() == CLIP


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_every_dialect_ends_in_a_file(dialect: str, tmp_path: Path) -> None:
    """Seven ways to say the same."""
    async with together(dialect=dialect) as (client, sandbox):
        path = await client.download(await client.generate("a cat"), tmp_path / "cat.mp4")
    assert path.read_bytes() == CLIP
    assert len(sandbox.creates) == 1


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_every_dialect_tells_a_failure(dialect: str) -> None:
    """With its reason."""
    async with together(dialect=dialect, failure_rate=1.0, failure_text="no luck today") as (client, _):
        with pytest.raises(TaskFailedError, match="no luck today") as caught:
            await client.generate("a cat")
    assert caught.value.task_id == caught.value.task.id


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_every_dialect_lags_behind_its_creates(dialect: str) -> None:
    """A task that is not found right after its create is waited for."""
    async with together(dialect=dialect, not_found_polls=2, missing_url_polls=2) as (client, _):
        task = await client.generate("a cat")
    assert task.video_url is not None


async def test_local_image_is_sent_as_a_data_uri(tmp_path: Path) -> None:
    """Read off the loop, sniffed, and in place among the links."""
    file = tmp_path / "cat.png"
    file.write_bytes(PNG)
    async with together() as (client, sandbox):
        await client.create("a cat", images=[file, "https://a.example/b.png"])
    images = sandbox.creates[0].body["images"]
    assert isinstance(images, list)
    assert images[0].startswith("data:image/png;base64,iVBORw0KGgo")
    assert images[1] == "https://a.example/b.png"


async def test_picture_that_is_none_is_refused_before_anything_is_bought(tmp_path: Path) -> None:
    """A text file named png, say."""
    file = tmp_path / "cat.png"
    file.write_text("hello")
    async with together() as (client, sandbox):
        with pytest.raises(ValueError, match="is no picture"):
            await client.create("a cat", images=[file])
    assert sandbox.calls.total() == 0


async def test_fields_beside_a_request_change_a_copy() -> None:
    """One request, several lengths."""
    request = VideoRequest("a cat")
    async with together() as (client, sandbox):
        await client.create(request, duration=15)
        await client.create(request)
    assert [create.body["duration"] for create in sandbox.creates] == [15, 10]


SEED_EXAMPLE = {
    "images": ["https://filesystem.site/cdn/20250612/998IGmUiM2koBGZM3UnZeImbPBNIUL.png"],
    "model": "sora-2-all",
    "orientation": "portrait",
    "prompt": "make animate",
    "size": "large",
    "duration": 15,
    "watermark": False,
}


async def test_published_example_is_sent_field_by_field() -> None:
    """The provider's own example, as JSON on the wire, nothing more and nothing less."""
    fields = {name: value for name, value in SEED_EXAMPLE.items() if name != "prompt"}
    async with raw_server(http(200, '{"id":"t","status":"pending"}')) as server, Client("k", server.url) as client:
        await client.create("make animate", **fields)  # type: ignore[arg-type]
    assert json.loads(server.requests[0].partition(b"\r\n\r\n")[2]) == SEED_EXAMPLE


async def test_wait_rides_out_everything_at_once() -> None:
    """An outage, dropped connections, a limit, a page, an odd word, and a success without a link."""
    trouble = (
        ["503"] * 12 + ["close_before"] * 3 + ["429+0.01", "not_found", "not_found", "html", "unknown_word", "no_url"]
    )
    async with together(faults=Faults(query=trouble)) as (client, sandbox):
        task = await client.generate("a cat")
    assert task.state is State.SUCCEEDED
    assert len(sandbox.creates) == 1


async def test_query_is_repeated_by_the_retry_policy() -> None:
    """It costs nothing; in the end the last error is raised, with the id."""
    events: list[Event] = []
    faults = Faults(query=["503", "html", None, *["503"] * 3])
    options = {"retry": Retry(tries=3, first=0), "on_event": events.append}
    async with together(faults=faults, options=options) as (client, sandbox):
        task = await client.create("a cat")
        assert (await client.query(task.id)).id == task.id
        with pytest.raises(ServerError) as caught:
            await client.query(task.id)
    assert caught.value.task_id == task.id
    assert sandbox.calls["query"] == 6
    assert [type(event) for event in events] == [Submitted, Retrying, Retrying, Polled, Retrying, Retrying]


async def test_query_is_repeated_also_when_nobody_listens() -> None:
    """Events are an extra."""
    async with together(faults=Faults(query=["503"])) as (client, sandbox):
        task = await client.create("a cat")
        await client.query(task.id)
    assert sandbox.calls["query"] == 2


async def test_wrong_key_is_told_at_once() -> None:
    """Repeating would not help."""
    async with together(api_key="another") as (client, sandbox):
        with pytest.raises(AuthenticationError):
            await client.query("sora-2:task_1")
    assert sandbox.calls["query"] == 1


@pytest.mark.parametrize(("pacing", "is_told"), [(Adaptive(), True), (Fixed(0), False)])
async def test_create_tells_how_long_it_will_take(pacing: Pacing, is_told: bool) -> None:
    """By what the pacing knows of such tasks; nothing is made up."""
    events: list[Event] = []
    async with together(options={"on_event": events.append, "pacing": pacing}) as (client, _):
        await client.create("a cat", duration=10)
    (event,) = events
    assert isinstance(event, Submitted)
    assert (event.remaining_s is not None) is is_told


async def test_events_tell_the_whole_way(tmp_path: Path) -> None:
    """From the create to the bytes on disk."""
    events: list[Event] = []
    async with together(options={"on_event": events.append}) as (client, _):
        await client.download(await client.generate("a cat"), tmp_path / "cat.mp4")
    kinds = [type(event) for event in events]
    assert kinds[:3] == [Submitted, Polled, StatusChanged]
    last = events[-1]
    assert isinstance(last, Downloaded)
    assert (last.received, last.total) == (len(CLIP), len(CLIP))
    assert last.task_id == events[0].task.id  # type: ignore[union-attr]


async def test_watch_shows_progress_to_the_end() -> None:
    """The last item is the final state."""
    async with together() as (client, _):
        task = await client.create("a cat")
        seen = [step async for step in client.watch(task)]
    assert seen[-1].state is State.SUCCEEDED


async def test_error_after_the_create_names_the_task() -> None:
    """So the user can go on with it."""
    async with together(takes_s=60) as (client, sandbox):
        with pytest.raises(WaitTimeoutError) as caught:
            await client.generate("a cat", timeout=0)
    assert caught.value.task_id == sandbox.creates[0].id
    assert caught.value.billed == "yes"


async def test_download_by_id_makes_a_name_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is legal everywhere, whatever the id."""
    monkeypatch.chdir(tmp_path)
    async with together() as (client, _):
        task = await client.generate("a cat")
        path = await client.download(task.id)
        into_folder = await client.download(task.id, tmp_path)
    assert path.parent == into_folder.parent == tmp_path
    assert re.fullmatch(r"[a-z0-9-]+\.mp4", path.name)


async def test_download_waits_for_an_unfinished_task(tmp_path: Path) -> None:
    """A task from create is enough."""
    async with together() as (client, _):
        path = await client.download(await client.create("a cat"), tmp_path / "cat.mp4")
    assert path.read_bytes() == CLIP


async def test_download_tells_its_progress(tmp_path: Path) -> None:
    """Bytes on disk and in all."""
    seen: list[tuple[int, int | None]] = []
    async with together() as (client, _):
        task = await client.generate("a cat")
        await client.download(task, tmp_path / "cat.mp4", on_progress=lambda *step: seen.append(step))
    assert seen[-1] == (len(CLIP), len(CLIP))


async def test_refused_link_leads_to_a_new_query(tmp_path: Path) -> None:
    """An expired link is not a failure."""
    events: list[Event] = []
    faults = Faults(download=["expired", "403", "404", "cut", None])
    async with together(faults=faults, options={"on_event": events.append}) as (client, sandbox):
        task = await client.generate("a cat")
        polls = sandbox.calls["query"]
        path = await client.download(task, tmp_path / "cat.mp4")
    assert path.read_bytes() == CLIP
    assert sandbox.calls["query"] == polls + 3
    assert len(sandbox.creates) == 1
    told = [event for event in events if isinstance(event, Retrying)]
    assert [event.operation for event in told] == ["download"] * 4


async def test_link_that_stays_refused_is_an_error_with_the_id(tmp_path: Path) -> None:
    """After some fresh links it is told; nothing stands under the name."""
    async with together(faults=Faults(download={"403": 1.0})) as (client, _):
        task = await client.generate("a cat")
        with pytest.raises(DownloadError) as caught:
            await client.download(task, tmp_path / "cat.mp4")
    assert (caught.value.task_id, caught.value.status, caught.value.billed) == (task.id, 403, "yes")
    assert not (tmp_path / "cat.mp4").exists()


async def test_page_instead_of_a_video_is_an_error(tmp_path: Path) -> None:
    """Another link would not help."""
    async with together(faults=Faults(download={"html": 1.0})) as (client, sandbox):
        task = await client.generate("a cat")
        polls = sandbox.calls["query"]
        with pytest.raises(DownloadError, match="HTML"):
            await client.download(task, tmp_path / "cat.mp4")
        assert sandbox.calls["query"] == polls
    assert not (tmp_path / "cat.mp4").exists()


async def test_character_comes_back_with_its_name() -> None:
    """At once, by one POST."""
    async with together() as (client, _):
        task = await client.generate("a cat")
        character = await client.create_character(timestamps="1,3", from_task=task.id)
    assert character.id
    assert character.username


async def test_borrowed_session_serves_the_calls_but_not_the_download(tmp_path: Path) -> None:
    """The file's server sees neither its headers nor the key."""
    async with (
        aiohttp.ClientSession(headers={"X-Own": "1"}) as own,
        Sandbox(Scenario(takes_s=0, clip=CLIP), record=True) as sandbox,
    ):
        async with Client("sk-canary", sandbox.url, session=own, pacing=Fixed(0)) as client:
            await client.download(await client.generate("a cat"), tmp_path / "cat.mp4")
        assert not own.closed
    for request in sandbox.requests:
        assert request.authorized == (request.operation != "download")
        assert ("x-own" in request.headers) == (request.operation != "download")


async def test_closing_leaves_nothing_behind() -> None:
    """Waits end with an error that says how to go on; no task survives."""
    async with together(takes_s=60, options={"pacing": Fixed(60)}) as (client, _):
        task = await client.create("a cat")
        waiting = asyncio.create_task(client.wait(task))
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(RuntimeError, match="wait for its id again"):
            await waiting


def test_task_values_are_comparable() -> None:
    """Two sights of the same are equal, whatever their raw bodies."""
    first = VideoTask(id="t", status="x", state=State.RUNNING, raw={"a": 1})
    assert first == VideoTask(id="t", status="x", state=State.RUNNING, raw={"a": 2})
