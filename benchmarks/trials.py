"""Trials of clients against faults, all at once, each against a server of its own; and how their tables are shown."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import socket
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import attrs

from benchmarks.fault_server import FaultServer, Stage
from benchmarks.machine import describe
from benchmarks.peers import PEERS
from benchmarks.peers.peer import Calls, Peer

OK = "ok"
STOPPED = "stopped"
SETTLE_S = 10.0
"""How long a cancelled call is watched for polls that go on."""


@attrs.frozen(kw_only=True)
class Fault:
    """A column of a table."""

    name: str
    stage: Callable[[Peer], Stage] | None
    """The server to play; None for a port on which nobody listens."""
    is_quick: bool = True
    """Whether no client under test needs to sleep for it."""
    cancel_after_s: float | None = None
    """Seconds after which the caller cancels the call; None if it does not."""


@attrs.frozen(kw_only=True)
class Seen:
    """What one logical call did, on the wire and to its caller."""

    ended: str
    """OK, STOPPED, the class of the exception, or the wrong result."""
    creates: int
    polls: int
    polls_late: int
    """Polls that came after the call had ended."""
    cancels: int
    """Requests that told the server to cancel."""
    seconds: float
    id_in_error: str
    """Where the exception holds the task's id: "text", "attribute", "url" or nowhere."""
    key_header: str
    """The name of the header with an idempotency key, if there was one."""
    keys: int
    """How many different keys it held."""


def find_id(error: BaseException, task_id: str) -> str:
    """Where a caller who caught this finds the task's id."""
    if task_id in str(error):
        return "text"
    for value in vars(error).values():
        for held in (value, *(getattr(value, name, None) for name in ("id", "request_id", "task_id"))):
            if held == task_id:
                return "attribute"
    for holder in ("request", "response"):
        if task_id in str(getattr(getattr(error, holder, None), "url", "")):
            return "url"
    return ""


async def _run(calls: Calls, fault: Fault, stage: Stage, *, is_generate: bool, bound_s: float, delay_s: float) -> Seen:
    await asyncio.sleep(delay_s)
    started = time.perf_counter()
    expected = stage.wire.finished if is_generate else stage.wire.task_id
    call = calls.generate if is_generate else calls.create
    assert call is not None
    task = asyncio.ensure_future(call())
    await asyncio.wait({task}, timeout=fault.cancel_after_s or bound_s)
    seconds = time.perf_counter() - started
    is_stopped = not task.done()
    task.cancel()
    error: BaseException | None = None
    try:
        result = await task
        ended = OK if result == expected else f"returned {result!r}"
    except (Exception, asyncio.CancelledError) as caught:  # noqa: BLE001 what it raises is what is asked
        error = caught
        ended = STOPPED if is_stopped and fault.cancel_after_s is None else type(error).__name__
    polls = stage.count("GET")
    if fault.cancel_after_s is not None:
        await asyncio.sleep(SETTLE_S)
    headers = [
        (name, request.headers[name]) for request in stage.requests for name in request.headers if "idempot" in name
    ]
    return Seen(
        ended=ended,
        creates=stage.count("POST"),
        polls=polls,
        polls_late=stage.count("GET") - polls,
        cancels=stage.count("PUT", "DELETE"),
        seconds=round(seconds, 1),
        id_in_error=find_id(error, stage.wire.task_id) if error is not None else "",
        key_header=headers[0][0] if headers else "",
        keys=len({key for _, key in headers}),
    )


async def try_all(
    peers: Sequence[Peer], faults: Sequence[Fault], *, is_generate: bool, bound_s: float, stagger_s: float = 0.0
) -> dict[str, dict[str, Seen]]:
    """Try every client with every fault at the same time; gives what was seen by client and fault.

    Args:
        peers: the clients.
        faults: the faults.
        is_generate: whether the call waits for the task too.
        bound_s: seconds after which a call is stopped.
        stagger_s: seconds between the starts of two trials, from 0. A client's first call sets things up, which holds
            up all others in the thread; where seconds are shown, they should not include that.
    """
    trials: list[tuple[Peer, Fault]] = [(peer, fault) for peer in peers for fault in faults]
    with ExitStack() as held, FaultServer() as server:
        async with AsyncExitStack() as clients:
            runs = []
            for number, (peer, fault) in enumerate(trials):
                stage = Stage(peer.wire) if fault.stage is None else fault.stage(peer)
                base = _refusing(held) if fault.stage is None else server.open(stage)
                calls = await clients.enter_async_context(peer.connect(base))
                delay_s = number * stagger_s
                runs.append(_run(calls, fault, stage, is_generate=is_generate, bound_s=bound_s, delay_s=delay_s))
            seen = await asyncio.gather(*runs)
    table: dict[str, dict[str, Seen]] = {peer.name: {} for peer in peers}
    for (peer, fault), cell in zip(trials, seen, strict=True):
        table[peer.name][fault.name] = cell
    return table


def _refusing(held: ExitStack) -> str:
    """The base URL of a port that is held, so that nobody else gets it, but not listened to."""
    holder = held.enter_context(socket.socket())
    holder.bind(("127.0.0.1", 0))
    return f"http://127.0.0.1:{holder.getsockname()[1]}"


def read_options(about: str | None) -> argparse.Namespace:
    """The options that both tables have."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--quick", action="store_true", help="only the faults that answer at once, and a short bound")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was seen there too")
    parser.add_argument("--only", action="append", metavar="NAME", choices=[peer.name for peer in PEERS])
    return parser.parse_args()


def measure(
    peers: Sequence[Peer], faults: Sequence[Fault], *, is_generate: bool, bound_s: float, stagger_s: float
) -> dict[str, dict[str, Seen]]:
    """Try the clients that are installed, without proxies, quietly."""
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    warnings.simplefilter("ignore", DeprecationWarning)
    logging.disable(logging.CRITICAL)
    present = [peer for peer in peers if peer.is_installed]
    return asyncio.run(try_all(present, faults, is_generate=is_generate, bound_s=bound_s, stagger_s=stagger_s))


def show(
    title: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]], peers: Sequence[Peer], notes: Sequence[str]
) -> None:
    """Print a table in Markdown: a row for each client, also for those that are not installed."""
    names = [peer.name for peer in peers]
    print(f"{title}\n")
    print(f"| client | {' | '.join(columns)} |")
    print(f"|{'---|' * (len(columns) + 1)}")
    for name in names:
        cells = rows.get(name) or [f"skipped: `pip install {name}`", *[""] * (len(columns) - 1)]
        label = f"**{name}**" if name == "sora_async" else f"{name} {version(name) if name in rows else ''}".strip()
        print(f"| {label} | {' | '.join(cells)} |")
    print()
    for note in notes:
        print(f"- {note}")
    others = [name for name in names if name not in {"sora_async", "aiohttp"}]
    command = " ".join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]])
    print(f"\n`{command}`, {datetime.now(UTC):%Y-%m-%d}: {describe(*others)}.")


def write_json(path: Path | None, table: Mapping[str, Mapping[str, Seen]]) -> None:
    """Write all that was seen, if there is a file to write to."""
    if path is not None:
        cells = {name: {fault: attrs.asdict(seen) for fault, seen in row.items()} for name, row in table.items()}
        path.write_text(json.dumps(cells, indent=2))
