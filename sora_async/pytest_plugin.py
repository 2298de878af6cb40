"""Pytest fixtures for tests of your own: a relay that costs nothing, and a client of it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sora_async import Client
    from sora_async.sandbox import Faults, Sandbox, Scenario


@pytest.fixture
def sora_scenario() -> Scenario:
    """How `sora_sandbox` behaves; override it for a Scenario of your own.

    By default tasks are finished at once, and each results in a placeholder: a file that is an MP4 by its structure, as
    the download checks it, but shows no picture. With `clip=None` in the Scenario real previews are rendered.
    """
    from sora_async.sandbox import Scenario  # noqa: PLC0415 loading the plugin must cost other tests nothing

    return Scenario(takes_s=0.0, clip=_make_placeholder())


@pytest.fixture
def sora_faults() -> Faults:
    """What goes wrong in `sora_sandbox`: nothing; override it for Faults of your own."""
    from sora_async.sandbox import Faults  # noqa: PLC0415 as above

    return Faults()


@pytest.fixture
def sora_sandbox(sora_scenario: Scenario, sora_faults: Faults) -> Iterator[Sandbox]:
    """A running sandbox, in a thread with a loop of its own, so that it serves any kind of test.

    Its `url` is the base URL for any key; `creates`, `calls` and `requests` tell what arrived.
    """
    from sora_async.sandbox import Sandbox  # noqa: PLC0415 as above

    sandbox = Sandbox(sora_scenario, faults=sora_faults, record=True)
    with _running(sandbox):
        yield sandbox


@pytest.fixture
def sora_client(sora_sandbox: Sandbox) -> Client:
    """A client of `sora_sandbox` that never sleeps; open it with `async with sora_client as client:`."""
    from sora_async import Client, Fixed, Retry  # noqa: PLC0415 as above

    return Client("sandbox", sora_sandbox.url, pacing=Fixed(0.0), retry=Retry(first=0.0))


@contextlib.contextmanager
def _running(sandbox: Sandbox) -> Iterator[None]:
    opened: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        async with sandbox:
            opened.set_result((asyncio.get_running_loop(), stop))
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except (OSError, RuntimeError) as error:
            opened.set_exception(error)

    thread = threading.Thread(target=run, name="sora-sandbox", daemon=True)
    thread.start()
    loop, stop = opened.result()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def _make_placeholder() -> bytes:
    # Version and flags, two times, units per second, duration, rate, volume, reserved, matrix, reserved, next track.
    times = bytes(12) + (1000).to_bytes(4, "big") + bytes(4)
    matrix = b"".join(number.to_bytes(4, "big") for number in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))
    header = times + (1 << 16).to_bytes(4, "big") + (1 << 8).to_bytes(2, "big") + bytes(10) + matrix + bytes(24)
    movie = _box(b"mvhd", header + (1).to_bytes(4, "big"))
    return _box(b"ftyp", b"isom" + bytes(4) + b"isommp41") + _box(b"moov", movie) + _box(b"mdat", bytes(8))


def _box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content
