"""One row: a healthy call where the connection asks for one, then the fault, and what the user and the judge saw."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import aiohttp
import attrs
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from fault_certificates import trusted, trusting
from fault_rows import Row
from fault_table import BIG, HEALTHY, Fault
from raw_server import STALL, Break, Exchange, RawServer, closed_port, full_port, raw_server

from sora_async import Character, Client, Event, Retry, SoraError, Timeouts, VideoTask
from sora_async.connector import ProofConnector, idle_clock

KEY = "sk-canary-7f3d9a1c"
MARKER = "the-row-itself"
TRIES = 2
IDLE_S = 6.0
PATIENT = Timeouts(connect=9, create=9, query=9, drain=0.1)
# Only what is silent is waited for with these: a busy machine may take longer for what is healthy.
BRIEF_S = 0.05
BEFORE = {"resolve", "dial", "tunnel", "handshake"}
"""The phases that come before the request."""


class Resolver(AbstractResolver):
    """Leads every name to the next of its places, at last to the same; no packet leaves this machine for it."""

    def __init__(self, port: int) -> None:
        self.places: list[int | str] = [port]
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        self.asked += 1
        place = self.places.pop(0) if len(self.places) > 1 else self.places[0]
        if place == "unknown":
            raise OSError(f"{host} is unknown")
        if place == STALL:
            await asyncio.Event().wait()
        assert isinstance(place, int)
        return [ResolveResult(hostname=host, host="127.0.0.1", port=place, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is held."""


@attrs.frozen(kw_only=True)
class Seen:
    """What came of a row."""

    end: VideoTask | Character | SoraError
    """What the user got."""
    judge: RawServer
    """What arrived."""
    events: list[Event]
    """What was told meanwhile."""
    used: int
    """Connections that were there before the fault."""
    dialled: int
    """How often the row itself asked for a connection."""
    healed: VideoTask | Character | SoraError | None
    """What a query got once the fault was over."""

    @property
    def exchanges(self) -> list[Exchange]:
        """The row's own complete requests."""
        return [exchange for exchange in self.judge.exchanges if MARKER.encode() in exchange.request]

    @property
    def creates(self) -> list[Exchange]:
        """The row's own complete paid requests, a character's included."""
        return [exchange for exchange in self.exchanges if exchange.request.startswith(b"POST ")]


def is_silent(fault: Fault) -> bool:
    """Whether only a limit ends it."""
    return STALL in (fault.does if isinstance(fault.does, tuple) else (fault.does,)) or fault.name == "black hole"


def limits_for(fault: Fault) -> Timeouts:
    """Patient ones, but for the phase that is silent."""
    if not is_silent(fault):
        return PATIENT
    if fault.phase in BEFORE:
        return attrs.evolve(PATIENT, connect=BRIEF_S)
    return attrs.evolve(PATIENT, connect=0.5, create=BRIEF_S, query=BRIEF_S)


async def call(client: Client, row: Row, marker: str) -> VideoTask | Character | SoraError:
    """One call of the row's method."""
    try:
        if row.method == "query":
            return await client.query(marker)
        if row.method == "character":
            return await client.create_character(timestamps="1,3", from_task=marker)
        return await client.create(marker, extra={"pad": "x" * 3 * BIG} if row.fault.phase == "body" else {})
    except SoraError as error:
        return error


@contextmanager
def break_down(row: Row, judge: RawServer, resolver: Resolver, *, lasts: bool) -> Iterator[None]:
    """Let the fault come with what is asked next."""
    phase, _, does, *_ = row.fault
    with full_port() as full:
        if phase in {"resolve", "dial"}:
            place = {"refused": closed_port(), "black hole": full}.get(str(does), str(does))
            resolver.places[:] = [place] if lasts else [place, judge.port]
        elif phase in {"head", "body", "read", "answer"}:
            judge.actions[:] = [does] if lasts else [does, HEALTHY]  # type: ignore[list-item]
        else:
            action = does() if callable(does) else does
            broken = Break(phase.removesuffix(" under tls"), action)  # type: ignore[arg-type]
            judge.breaks[:] = [broken] if lasts else [broken, None]
        yield


def mend(judge: RawServer, resolver: Resolver) -> None:
    """Let all be well again."""
    resolver.places[:] = [judge.port]
    judge.actions[:] = [HEALTHY]
    judge.breaks.clear()


@asynccontextmanager
async def clients(
    row: Row, judge: RawServer, resolver: Resolver, events: list[Event]
) -> AsyncIterator[tuple[Client, Client]]:
    """A patient client, and one for the fault, on the same connections."""
    is_named = row.fault.phase in {"resolve", "dial"}
    retry = Retry(tries=TRIES, first=0)
    async with AsyncExitStack() as stack:
        if row.transport == "http" and not is_named and not is_silent(row.fault):
            client = Client(KEY, judge.url, retry=retry, timeouts=PATIENT, on_event=events.append)
            yield await stack.enter_async_context(client), client
            return
        connector = ProofConnector(ssl=trusting(), resolver=resolver, use_dns_cache=False)
        host = f"{'localhost' if is_named else '127.0.0.1'}:{judge.port}"
        base, proxy = {
            "http": (f"http://{host}", None),
            "tls": (f"https://{host}", None),
            "proxy": ("https://relay.test", f"http://{host}"),
        }[row.transport]
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, proxy=proxy))
        patient, own = (
            Client(KEY, base, session=session, retry=retry, timeouts=limits, on_event=events.append)
            for limits in (PATIENT, limits_for(row.fault))
        )
        yield await stack.enter_async_context(patient), await stack.enter_async_context(own)


async def run(row: Row, monkeypatch: pytest.MonkeyPatch, *, lasts: bool = True) -> Seen:
    """Run it; a fault that does not last meets only the first try."""
    events: list[Event] = []
    healed = None
    tls = None if row.transport == "http" else trusted()
    async with asyncio.timeout(30), raw_server(HEALTHY, tls=tls, is_proxy=row.transport == "proxy") as judge:
        resolver = Resolver(judge.port)
        async with clients(row, judge, resolver, events) as (patient, client):
            if row.connection != "fresh":
                await call(patient, row, "the-healthy-call")
                events.clear()
            if row.connection == "idle":
                monkeypatch.setattr("sora_async.connector.idle_clock", lambda: idle_clock() + IDLE_S)
            used, asked = judge.connections, resolver.asked
            with break_down(row, judge, resolver, lasts=lasts):
                end = await call(client, row, MARKER)
            dialled = max(judge.connections - used, resolver.asked - asked)
            if row.method == "query":
                mend(judge, resolver)
                healed = await call(patient, row, "the-call-after")
        await judge.settle()
    return Seen(end=end, judge=judge, events=events, used=used, dialled=dialled, healed=healed)
