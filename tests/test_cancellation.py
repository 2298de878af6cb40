"""Cancels, closes and Ctrl-C at every point: no accepted id is dropped, and nothing is left behind."""

from __future__ import annotations

import asyncio
import itertools
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from file_server import ETAG, Answer, serving, tiny_mp4
from raw_server import STALL, Action, RawServer, http, raw_server

from sora_async import Client, Event, Fixed, Retry, SoraError, Submitted, Timeouts, VideoRequest
from sora_async.naming import file_name
from sora_async.submission import logger

ACCEPTED = http(200, '{"id":"t-1","status":"pending"}')
RUNNING = http(200, '{"id":"t-1","status":"running"}')
LIMITED = http(429, '{"error":{"message":"slow down","code":"rate_limit_exceeded"}}')
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16


class Stepping(Coroutine[Any, Any, Any]):
    """A coroutine that does something just before one of its steps, which lie between its await points."""

    def __init__(self, inner: Coroutine[Any, Any, Any], number: int, act: Callable[[], object]) -> None:
        self.inner, self.left, self.act = inner, number, act

    def _step(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.act()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise AssertionError("only a task drives this")

    def send(self, value: Any) -> Any:
        self._step()
        return self.inner.send(value)

    def throw(self, *error: Any) -> Any:
        self._step()
        return self.inner.throw(*error)

    def close(self) -> None:
        self.inner.close()


class Judge:
    """One create that is cancelled before step `number` of the coroutines of one name."""

    def __init__(self, name: str, number: int, *, by_the_loop: bool) -> None:
        self.name, self.number, self.by_the_loop = name, number, by_the_loop
        self.came = False
        self.events: list[Event] = []
        self.creating: asyncio.Task[Any] | None = None

    def make_task(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any) -> Any:
        if getattr(work, "__qualname__", "") == self.name:
            work = Stepping(work, self.number, self.strike)
        return asyncio.Task(work, loop=loop, **options)

    def strike(self) -> None:
        """Cancel the caller, or all that runs beside it too, as a loop does that ends."""
        self.came = True
        assert self.creating is not None
        names = ("Client.create", "Submitter._exchange")
        for task in asyncio.all_tasks() if self.by_the_loop else [self.creating]:
            inner = task.get_coro()
            if getattr(getattr(inner, "inner", inner), "__qualname__", "") in names:
                task.cancel()

    async def run(self, request: VideoRequest, *actions: Action) -> RawServer:
        loop = asyncio.get_running_loop()
        settings: dict[str, Any] = {"retry": Retry(first=0), "timeouts": Timeouts(drain=5)}
        async with raw_server(*actions) as server:
            async with Client("k", server.url, on_event=self.events.append, **settings) as client:
                loop.set_task_factory(self.make_task)  # type: ignore[arg-type]
                self.creating = asyncio.create_task(client.create(request))
                with suppress(asyncio.CancelledError, SoraError):
                    await self.creating
            loop.set_task_factory(None)
        await assert_nothing_is_left()
        return server

    @property
    def ids(self) -> list[str]:
        return [event.task.id for event in self.events if isinstance(event, Submitted)]


async def assert_nothing_is_left() -> None:
    """No task but this one, once the server's have seen that their client has gone."""
    for _ in range(3):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


POINTS = ["Client.create", "Submitter._exchange"]


@pytest.mark.parametrize("by_the_loop", [False, True], ids=["by the caller", "by the loop"])
@pytest.mark.parametrize("name", POINTS)
@pytest.mark.parametrize("actions", [(ACCEPTED,), (LIMITED, LIMITED, ACCEPTED)], ids=["at once", "after two 429s"])
async def test_create_cancelled_at_every_await_point_drops_no_id(
    name: str, actions: tuple[Action, ...], by_the_loop: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each id that the server gave is told; where even the background was cut off, the log says what that may cost."""
    (tmp_path / "cat.png").write_bytes(PNG)
    request = VideoRequest("a cat", images=[tmp_path / "cat.png"])
    caplog.set_level(logging.INFO, logger.name)
    for number in itertools.count(1):
        caplog.clear()
        judge = Judge(name, number, by_the_loop=by_the_loop)
        server = await judge.run(request, *actions)
        accepted = max(0, server.creates - len(actions) + 1)
        assert accepted <= 1
        assert len(judge.ids) == accepted or (by_the_loop and "may have been accepted and billed" in caplog.text)
        if not judge.came:
            break
    assert number > len(actions) + 1
    assert judge.ids == ["t-1"]


async def until(condition: Callable[[], object]) -> None:
    """Wait for what only another task can bring about."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 it is told by no event
            await asyncio.sleep(0)


def open_sockets() -> int:
    """How many sockets this process holds."""
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            count += str(descriptor.readlink()).startswith("socket:")
    return count


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open sockets are listed on Linux only")
async def test_close_amid_everything_leaves_no_task_and_no_socket(tmp_path: Path) -> None:
    """Each caller hears of it, and what came of the file stays for the next time."""
    before = open_sockets()
    video = tiny_mp4(5000)
    hanging = Answer(video, headers={"ETag": ETAG}, cut=2000, stays=True)
    async with serving(hanging) as files, raw_server(STALL) as creates, raw_server(RUNNING) as relay:
        done = f'{{"id":"t-2","status":"completed","video_url":"{files.url}/v.mp4"}}'
        async with raw_server(http(200, done)) as finished:
            settings: dict[str, Any] = {"pacing": Fixed(0), "timeouts": Timeouts(drain=0.01)}
            clients = [Client("k", server.url, **settings) for server in (creates, relay, finished)]
            work = [
                asyncio.create_task(clients[0].create("a cat")),
                asyncio.create_task(clients[1].wait("t-1")),
                asyncio.create_task(clients[2].download("t-2", tmp_path / "cat.mp4")),
            ]
            await asyncio.gather(creates.arrived.wait(), relay.arrived.wait(), files.asked.wait())
            await until((tmp_path / ".cat.mp4.part").exists)
            for client in clients:
                await client.close()
            ends = await asyncio.gather(*work, return_exceptions=True)
    assert isinstance(ends[0], SoraError)
    assert ends[0].billed == "unknown"
    assert isinstance(ends[1], RuntimeError)
    assert isinstance(ends[2], RuntimeError)
    assert "what came is kept" in str(ends[2])
    assert not (tmp_path / "cat.mp4").exists()
    await assert_nothing_is_left()
    assert open_sockets() == before


async def test_close_amid_an_answer_ends_the_query() -> None:
    """Its body has begun and would never end."""
    begun = (http(200, '{"id":"t-1","sta', length=1000), STALL)
    async with raw_server(begun) as server:
        client = Client("k", server.url, retry=Retry(first=0))
        querying = asyncio.create_task(client.query("t-1"))
        await server.answered.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        await client.close()
        with pytest.raises(RuntimeError, match="the client was closed meanwhile"):
            await querying
    await assert_nothing_is_left()


CHILD = """
import asyncio, sys
from sora_async import Client, Fixed, Timeouts

async def main() -> None:
    verb, argument, relay = sys.argv[1:]
    settings = {"pacing": Fixed(0.01), "timeouts": Timeouts(drain=0.1)}
    async with Client("k", relay, on_event=lambda event: print(event, flush=True), **settings) as client:
        await getattr(client, verb)(argument)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent another way there")
@pytest.mark.parametrize("verb", ["create", "wait", "download"])
async def test_ctrl_c_in_a_program_leaves_no_warning(verb: str, tmp_path: Path) -> None:
    """In development mode and with warnings as errors, the KeyboardInterrupt is all that it shows."""
    hanging = Answer(tiny_mp4(5000), headers={"ETag": ETAG}, cut=2000, stays=True)
    async with serving(hanging) as files, raw_server(STALL) as creates, raw_server(RUNNING) as relay:
        done = f'{{"id":"t-1","status":"completed","video_url":"{files.url}/v.mp4"}}'
        async with raw_server(http(200, done)) as finished:
            server, arrived = {
                "create": (creates, creates.arrived),
                "wait": (relay, relay.arrived),
                "download": (finished, files.asked),
            }[verb]
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-X", "dev", "-W", "error", "-c", CHILD, verb, "t-1", server.url),
                cwd=tmp_path,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            await arrived.wait()
            child.send_signal(signal.SIGINT)
            _, errors = await child.communicate()
    assert child.returncode == -signal.SIGINT
    text = errors.decode()
    assert text.rstrip().endswith("KeyboardInterrupt")
    for trouble in ("Warning", "never retrieved", "was destroyed", "Exception ignored"):
        assert trouble not in text
    assert not (tmp_path / file_name("t-1")).exists()
