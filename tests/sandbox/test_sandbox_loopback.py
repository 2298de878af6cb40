"""Pictures from this machine, and from nowhere else."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from sora_async.sandbox import loopback
from sora_async.sandbox.loopback import to_data_uri


@contextlib.asynccontextmanager
async def serving(**answer: Any) -> AsyncIterator[tuple[str, list[str]]]:
    paths: list[str] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        paths.append(request.raw_path)
        return web.Response(**answer)

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}", paths
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "link",
    [
        "https://127.0.0.1/a.png",
        "http://example.invalid/a.png",
        "http://127.0.0.1.example.invalid/a.png",
        "http://user@example.invalid/",
        "data:image/png;base64,AA==",
        "http://[::1",
        "http://127.0.0.1:notaport/",
        "plain text",
        "",
    ],
)
def test_loopback_leaves_other_links_alone(link):
    """Only http links on this machine are fetched."""
    assert to_data_uri(link) == link


async def test_loopback_picture_becomes_a_data_uri():
    """A picture on this machine is handed on with its type, its path and query as they were."""
    async with serving(body=b"abc", content_type="image/png") as (host, paths):
        assert await asyncio.to_thread(to_data_uri, f"http://{host}/a%2Fb.png?x=%2B") == "data:image/png;base64,YWJj"
        assert (
            await asyncio.to_thread(to_data_uri, f"http://localhost:{host.partition(':')[2]}")
            == "data:image/png;base64,YWJj"
        )
    assert paths == ["/a%2Fb.png?x=%2B", "/"]


async def test_loopback_does_not_follow_a_redirect():
    """A server on this machine cannot lead the sandbox off it."""
    async with serving(status=302, headers={"Location": "http://example.invalid/"}) as (host, paths):
        assert await asyncio.to_thread(to_data_uri, f"http://{host}/a.png") == f"http://{host}/a.png"
    assert len(paths) == 1


async def test_loopback_picture_that_is_too_large_stays_a_link(monkeypatch):
    """More than the limit is not read."""
    monkeypatch.setattr(loopback, "PICTURE_LIMIT_BYTES", 2)
    async with serving(body=b"abc") as (host, _paths):
        assert await asyncio.to_thread(to_data_uri, f"http://{host}/a.png") == f"http://{host}/a.png"


def test_loopback_server_that_is_not_there_stays_a_link():
    """A link that nobody answers becomes a placeholder, not an error."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    for host in ("127.0.0.1", "[::1]"):
        assert to_data_uri(f"http://{host}:{port}/a.png") == f"http://{host}:{port}/a.png"
