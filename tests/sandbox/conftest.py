"""A sandbox on a clock that the test moves, and a plain HTTP client to drive it."""

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import aiohttp
import attrs
import pytest
from yarl import URL

from sora_async.sandbox import Faults, Sandbox, Scenario

STARTED_S = 1_760_000_000.0


class Answer(NamedTuple):
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@attrs.define
class Visitor:
    sandbox: Sandbox
    session: aiohttp.ClientSession
    clock: Clock

    async def request(self, method: str, target: str, **options: Any) -> Answer:
        url = URL(target if target.startswith("http") else self.sandbox.url + target, encoded=True)
        async with self.session.request(method, url, allow_redirects=False, **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def create(self, **fields: Any) -> Answer:
        body = {"model": "sora-2-all", "prompt": "a cat", **fields}
        return await self.request("POST", "/v1/video/create", json=body)

    async def character(self, **fields: Any) -> Answer:
        return await self.request("POST", "/sora/v1/characters", json=fields)

    async def query(self, task_id: str | None = None) -> Answer:
        url = URL(self.sandbox.url + "/v1/video/query").with_query(id=task_id or self.sandbox.creates[-1].id)
        return await self.request("GET", str(url))

    async def link(self) -> str:
        await self.create()
        return str((await self.query()).json["video_url"])


Visit = Callable[..., Awaitable[Visitor]]


@pytest.fixture(scope="session")
def clip() -> bytes:
    """The smallest file that has the structure of an MP4."""
    boxes = [(b"ftyp", b"isom\0\0\2\0isomavc1"), (b"moov", b"\0" * 92), (b"mdat", bytes(range(256)) * 4)]
    return b"".join(struct.pack(">I4s", len(content) + 8, kind) + content for kind, content in boxes)


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Lets the event loop run until something holds."""

    async def wait(holds: Callable[[], object]) -> None:
        for _ in range(5000):
            if holds():
                return
            await asyncio.sleep(0.001)
        pytest.fail("it never came to hold")

    return wait


@pytest.fixture
async def visit(clip: bytes) -> AsyncIterator[Visit]:
    """Opens a sandbox whose tasks finish at once unless the scenario's fields say otherwise."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_sandbox(faults: Faults | None = None, record: bool = False, **fields: Any) -> Visitor:
            clock = Clock()
            scenario = Scenario(**{"takes_s": 0, "clip": clip, **fields})
            sandbox = Sandbox(scenario, faults=faults, clock=clock, started_s=STARTED_S, record=record)
            await stack.enter_async_context(sandbox)
            session = aiohttp.ClientSession(headers={"Authorization": "Bearer any"})
            # aiohttp silently repeats a GET whose connection broke, and would so hide every such fault.
            session._retry_connection = False
            return Visitor(sandbox, await stack.enter_async_context(session), clock)

        yield open_sandbox
