"""The sandbox server: a relay and its CDN on a real socket of this machine."""

import asyncio
import contextlib
import ipaddress
import socket
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

from aiohttp import web

from sora_async.sandbox import render
from sora_async.sandbox.breakage import break_unread
from sora_async.sandbox.cdn import Cdn, Fetch
from sora_async.sandbox.dialects import nested_error
from sora_async.sandbox.facts import Refusal
from sora_async.sandbox.faults import FaultPlan, Faults
from sora_async.sandbox.operations import Call, Operations
from sora_async.sandbox.records import Created, Received
from sora_async.sandbox.relay import Relay
from sora_async.sandbox.reply import Answer, Reply, json_reply, send
from sora_async.sandbox.scenario import Scenario
from sora_async.sandbox.studio import Studio

BODY_LIMIT_BYTES = 32 * 1024 * 1024
HEAD_LIMIT_BYTES = 64 * 1024
SHUTDOWN_TIMEOUT_S = 0.2
ACCEPTING_TURNS = 5
BACKLOG = 1024
ROUTES = {
    ("POST", "/v1/video/create"): "create",
    ("GET", "/v1/video/query"): "query",
    ("POST", "/sora/v1/characters"): "character",
}


class Sandbox:
    """A relay on 127.0.0.1 that costs nothing: open it once, with `async with`.

    Args:
        scenario: How it behaves while nothing goes wrong; None is `Scenario()`.
        faults: What goes wrong; None is nothing.
        seed: Makes ids, durations and faults reproducible.
        host: A loopback address or `localhost`.
        port: The port; 0 takes a free one.
        record: Whether `requests` keeps every request; off by default, as it grows with each call.
        clock: Gives seconds that never go back; a test can hand in its own and move it on.
        started_s: The Unix time in seconds at which the sandbox says that it started; None is now.

    Raises:
        ValueError: The host is not a loopback address.
    """

    def __init__(
        self,
        scenario: Scenario | None = None,
        *,
        faults: Faults | None = None,
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        record: bool = False,
        clock: Callable[[], float] = time.monotonic,
        started_s: float | None = None,
    ) -> None:
        _check_host(host)
        self._host, self._port, self._seed = host, port, seed
        self._record, self._clock = record, clock
        self._scenario = scenario or Scenario()
        self._plan = FaultPlan(faults or Faults(), seed)
        started_s = time.time() if started_s is None else started_s
        self._relay = Relay(self._scenario, seed=seed, clock=clock, started_s=started_s)
        self._operations = Operations(self._relay, clock)
        self._cdn = Cdn(self._relay)
        self._closing = asyncio.Event()
        self._opened = False
        self._stack = contextlib.AsyncExitStack()
        self.calls: Counter[str] = Counter()
        """How many requests arrived for `create`, `query`, `character` and `download`, failed ones included."""
        self.requests: list[Received] = []
        """Every request, if `record` is set."""

    @property
    def url(self) -> str:
        """The base URL; empty until it serves."""
        return self._relay.links.base_url

    @property
    def creates(self) -> list[Created]:
        """What was really accepted, in order: what a relay would bill."""
        return self._relay.creates

    @property
    def characters(self) -> list[Created]:
        """The characters that were really made, in order."""
        return self._operations.characters

    async def __aenter__(self) -> Self:
        """Start to serve.

        Raises:
            RenderUnavailable: The scenario has no clip, and the `sandbox` extra that renders one is missing.
            RuntimeError: It was opened before.
            OSError: The port is taken.
        """
        if self._opened:
            raise RuntimeError("a Sandbox can be opened only once")
        self._opened = True
        async with contextlib.AsyncExitStack() as stack:
            listener = stack.enter_context(_listen(self._host, self._port))
            if self._scenario.clip is None:
                render.require()
                self._relay.studio = Studio(self._clock, self._seed)
                stack.push_async_callback(self._relay.studio.close)
            runner = web.ServerRunner(self._server(), shutdown_timeout=SHUTDOWN_TIMEOUT_S)
            stack.push_async_callback(runner.cleanup)
            stack.callback(self._closing.set)
            await runner.setup()
            stack.push_async_callback(_stop_accepting, listener)
            await web.SockSite(runner, listener).start()
            self._stack = stack.pop_all()
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._relay.links.base_url = f"http://{host}:{listener.getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop at once: stalls end, renders are aborted, files are removed."""
        await self._stack.aclose()

    def _server(self) -> web.Server:
        # A client that hangs up must end its stalled request, or stalls would pile up.
        return web.Server(self._serve, handler_cancellation=True, access_log=None, max_line_size=HEAD_LIMIT_BYTES)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        # Results are known by their raw path: decoding it would hide a client that re-encodes links.
        is_result = request.rel_url.raw_path.startswith("/cdn/")
        operation = "download" if is_result else ROUTES.get((request.method, request.path), "other")
        if self._record:
            self.requests.append(_describe(request, operation, self._clock()))
        if operation == "other" or (is_result and request.method != "GET"):
            return await send(request, _wrong_path(request), self._closing)
        self.calls[operation] += 1
        fault = self._plan.next(operation)
        return await send(request, await self._answer(request, operation, fault), self._closing)

    async def _answer(self, request: web.BaseRequest, operation: str, fault: str | None) -> Answer:
        if operation == "download":
            return self._cdn.answer(Fetch(target=request.raw_path, headers=request.headers), fault)
        unread = break_unread(fault)
        if unread is not None:
            return unread
        call = Call(
            operation=operation,
            location=request.raw_path,
            authorization=request.headers.get("Authorization", ""),
            task_id=request.query.get("id"),
            body=await _read_body(request),
        )
        return self._operations.answer(call, fault)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


async def _stop_accepting(listener: socket.socket) -> None:
    # A connection accepted a moment ago is known to the server only after a few turns of the loop; asyncio
    # would leak it if the listener were closed before. Loops without readers accept in another way.
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().remove_reader(listener)
    for _ in range(ACCEPTING_TURNS):
        await asyncio.sleep(0)


def _check_host(host: str) -> None:
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ValueError(f"a sandbox serves this machine only: host must be a loopback address, not {host!r}")


def _describe(request: web.BaseRequest, operation: str, now: float) -> Received:
    headers = {name.lower(): value for name, value in request.headers.items()}
    authorized = headers.pop("authorization", None) is not None
    return Received(
        operation=operation,
        method=request.method,
        path=request.raw_path,
        headers=headers,
        authorized=authorized,
        received_at=now,
    )


def _wrong_path(request: web.BaseRequest) -> Reply:
    message = f"Invalid URL ({request.method} {request.path})"
    refusal = Refusal(status=404, code="", message=message, kind="invalid_request_error")
    status, body = nested_error(refusal)
    return json_reply(body, status)


async def _read_body(request: web.BaseRequest) -> bytes | None:
    """Read a body whole, or None if it is larger than a relay reads."""
    if request.content_length is not None and request.content_length > BODY_LIMIT_BYTES:
        return None
    pieces, size = [], 0
    async for piece in request.content.iter_any():
        size += len(piece)
        if size > BODY_LIMIT_BYTES:
            return None
        pieces.append(piece)
    return b"".join(pieces)
