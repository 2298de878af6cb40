"""The server: what it counts, refuses, and leaves behind."""

import ast
import asyncio
import contextlib
import gc
import pathlib
import socket
import threading

import aiohttp
import pytest

import sora_async.sandbox
from sora_async.sandbox import Faults, Sandbox, Scenario

QUICK = Scenario(clip=b"x")
FOLDER = pathlib.Path(sora_async.sandbox.__file__).parent


def test_server_imports_nothing_of_the_client():
    """The sandbox judges the client, so it shares no code with it."""
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            ours = [name for name in names if name.split(".")[0] == "sora_async"]
            assert all(name.startswith("sora_async.sandbox") for name in ours), path


def test_server_exports_are_sorted_and_exist():
    """Everything in `__all__` is there."""
    names = sora_async.sandbox.__all__
    assert all(hasattr(sora_async.sandbox, name) for name in names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "example.com", "::"])
def test_server_on_another_host_is_refused(host):
    """A sandbox serves this machine only."""
    with pytest.raises(ValueError, match="loopback"):
        Sandbox(QUICK, host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_server_url_names_host_and_port(host):
    """The URL is what a client needs as its base."""
    async with Sandbox(QUICK, host=host) as sandbox:
        assert sandbox.url.startswith(f"http://{host}:".replace("::1", "[::1]"))
        assert int(sandbox.url.rpartition(":")[2]) > 0


async def test_server_opens_only_once():
    """A closed sandbox keeps what it saw and does not start again."""
    sandbox = Sandbox(QUICK)
    assert sandbox.url == ""
    async with sandbox:
        pass
    with pytest.raises(RuntimeError, match="only once"):
        await sandbox.__aenter__()


async def test_server_on_a_taken_port_fails_and_leaves_nothing():
    """A port that is taken is an OSError, also when files would be rendered."""
    threads = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match=r"[Aa]ddress"):
        await Sandbox(port=taken.getsockname()[1]).__aenter__()
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/video/create"), ("POST", "/v1/video/query"), ("GET", "/"), ("GET", "/v1/v1/video/query")],
)
async def test_server_wrong_path_is_404_and_not_counted(visit, method, path):
    """A wrong path is told as relays do."""
    visitor = await visit()
    answer = await visitor.request(method, path)
    assert (answer.status, answer.json["error"]["message"]) == (404, f"Invalid URL ({method} {path})")
    assert visitor.sandbox.calls.total() == 0


async def test_server_counts_failed_calls_too(visit):
    """Every request of an operation counts, whatever was answered."""
    visitor = await visit(Faults(create=["500"]))
    await visitor.create()
    await visitor.create(duration="x")
    await visitor.request("GET", await visitor.link())
    assert visitor.sandbox.calls == {"create": 3, "query": 1, "download": 1}


async def test_server_records_requests_without_the_key(visit):
    """A record says that there was a key, not which."""
    visitor = await visit(record=True)
    await visitor.request("GET", "/v1/video/query?id=a%3Ab", headers={"X-Mark": "1"})
    (record,) = visitor.sandbox.requests
    assert (record.operation, record.method, record.path) == ("query", "GET", "/v1/video/query?id=a%3Ab")
    assert (record.authorized, record.received_at, record.headers["x-mark"]) == (True, 100.0, "1")
    assert "Bearer" not in repr(record)


async def test_server_keeps_no_requests_unless_told_to(visit):
    """Thousands of calls must not fill the memory."""
    visitor = await visit()
    await visitor.create()
    assert visitor.sandbox.requests == []


async def test_server_with_one_seed_gives_the_same_ids(visit):
    """Ids follow the seed and the clock."""
    first, second = await visit(dialect="veo"), await visit(dialect="veo")
    assert (await first.create()).json["id"] == (await second.create()).json["id"]


@pytest.mark.parametrize("faults", [Faults(create=["stall_unread"]), Faults(create=["stall_after"])])
async def test_server_closing_ends_stalls_at_once(visit, until, faults):
    """A stalled call ends with the sandbox."""
    visitor = await visit(faults)
    call = asyncio.create_task(visitor.create())
    await until(lambda: visitor.sandbox.calls["create"])
    await visitor.sandbox.__aexit__(None, None, None)
    with pytest.raises(aiohttp.ClientConnectionError):
        await call


async def test_server_forgets_a_stalled_call_whose_client_hung_up(visit, until):
    """A client that gives up takes its stalled call with it."""
    visitor = await visit(Faults(create=["stall_after"] * 3))
    idle = len(asyncio.all_tasks())
    for number in range(1, 4):
        call = asyncio.create_task(visitor.create())
        await until(lambda: len(visitor.sandbox.creates) == number)  # noqa: B023
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    await until(lambda: len(asyncio.all_tasks()) <= idle)


async def test_server_closing_ends_an_unfinished_request(until):
    """A client that never sends its body does not hold the sandbox open."""
    async with Sandbox(QUICK) as sandbox:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
        head = "POST /v1/video/create HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: 9\r\n\r\n"
        writer.write(head.encode())
        await until(lambda: sandbox.calls["create"])
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_server_leaves_no_task_thread_or_socket():
    """A closed sandbox leaves nothing behind."""
    tasks, threads = asyncio.all_tasks(), threading.active_count()
    async with Sandbox(QUICK) as sandbox, aiohttp.ClientSession() as session:
        async with session.get(sandbox.url) as response:
            assert response.status == 404
        port = int(sandbox.url.rpartition(":")[2])
    gc.collect()
    assert (asyncio.all_tasks(), threading.active_count()) == (tasks, threads)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_server_keeps_many_tasks_without_running_anything(visit):
    """A task is a record: thousands of them add no asyncio task."""
    visitor = await visit(takes_s=60)
    relay, running = visitor.sandbox._relay, len(asyncio.all_tasks())
    for _ in range(20_000):
        relay.accept({"model": "m", "prompt": "p"})
    assert (await visitor.query()).json["status"] == "pending"
    assert len(asyncio.all_tasks()) <= running + 1
    assert len({made.id for made in visitor.sandbox.creates}) == 20_000


@pytest.mark.parametrize("turns", range(6))
async def test_server_closing_ends_a_connection_that_just_came(turns):
    """A connection that is still being accepted is closed as well."""
    async with Sandbox(QUICK) as sandbox:
        connection = socket.create_connection(("127.0.0.1", int(sandbox.url.rpartition(":")[2])))
        for _ in range(turns):
            await asyncio.sleep(0)
    connection.settimeout(1)
    with connection, contextlib.suppress(ConnectionResetError):
        assert connection.recv(1) == b""
    gc.collect()


async def test_server_client_that_leaves_midway_is_not_an_error(until, caplog):
    """A request that breaks off in its body is dropped without a word, and accepts nothing."""
    async with Sandbox(QUICK) as sandbox:
        _, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
        idle = len(asyncio.all_tasks())
        writer.write(b"POST /v1/video/create HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        await until(lambda: sandbox.calls["create"])
        writer.close()
        await writer.wait_closed()
        await until(lambda: len(asyncio.all_tasks()) < idle)
        assert (sandbox.creates, caplog.records) == ([], [])
