"""The command that runs a sandbox until it is told to stop."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence

import attrs

from sora_async.sandbox.dialects import DIALECTS
from sora_async.sandbox.faults import KINDS, Faults
from sora_async.sandbox.scenario import Scenario
from sora_async.sandbox.server import Sandbox

GREETING = """\
sandbox at {url} (Ctrl-C stops it)
use it with: SORA_BASE_URL={url} SORA_API_KEY=sandbox
"""


def serve(argv: Sequence[str] | None = None) -> int:
    """Run a sandbox until Ctrl-C, SIGTERM or a closed terminal.

    Args:
        argv: The arguments after the program's name; None takes those of this process.

    Returns:
        The exit status: 0 after it was told to stop, 1 if it could not start.

    Raises:
        SystemExit: An argument is wrong (2), or help was asked for (0).
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        sandbox = _build(arguments)
    except ValueError as error:
        parser.error(str(error))
    try:
        asyncio.run(_run(sandbox, is_json=arguments.json))
    except (OSError, RuntimeError) as error:
        sys.stderr.write(f"the sandbox could not start: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


async def _run(sandbox: Sandbox, *, is_json: bool) -> None:
    stop = asyncio.Event()
    if sys.platform != "win32":  # pragma: no branch
        # Ctrl-C arrives as KeyboardInterrupt on every system; Windows has no other way to ask.
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with sandbox:
        event = json.dumps({"event": "serving", "url": sandbox.url}) + "\n"
        sys.stdout.write(event if is_json else GREETING.format(url=sandbox.url))
        sys.stdout.flush()
        await stop.wait()


def _build(arguments: argparse.Namespace) -> Sandbox:
    scenario = Scenario(
        dialect=arguments.dialect,
        reports_progress=arguments.progress,
        rate_limit=arguments.rate_limit,
        failure_rate=arguments.failure_rate,
    )
    if arguments.takes is not None:
        scenario = attrs.evolve(scenario, takes_s=arguments.takes)
    return Sandbox(
        scenario,
        faults=_read_faults(arguments.fault),
        seed=arguments.seed,
        host=arguments.host,
        port=arguments.port,
    )


def _read_faults(texts: Sequence[str]) -> Faults:
    chances: dict[str, dict[str, float]] = {operation: {} for operation in KINDS}
    for text in texts:
        operation, equals, rest = text.partition("=")
        kind, colon, chance = rest.rpartition(":")
        if operation not in KINDS or not equals or not colon:
            raise ValueError(f"a fault is OPERATION=KIND:PROBABILITY, for example create=502_html:0.1, not {text!r}")
        chances[operation][kind] = float(chance)
    return Faults(**chances)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sora_async.sandbox",
        description="Run a relay on this machine that costs nothing.",
        epilog="Fault kinds: " + "; ".join(f"{operation}: {', '.join(kinds)}" for operation, kinds in KINDS.items()),
    )
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to serve on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to serve on; 0 takes a free one (default)")
    parser.add_argument("--takes", type=float, metavar="SECONDS", help="how long a task takes (default: about 3 s)")
    parser.add_argument(
        "--dialect", choices=sorted(DIALECTS), default="sora", help="whose answers (default: %(default)s)"
    )
    parser.add_argument("--no-progress", dest="progress", action="store_false", help="report no progress")
    parser.add_argument("--rate-limit", type=float, metavar="N", help="calls per second before 429 (default: no limit)")
    parser.add_argument("--failure-rate", type=float, default=0.0, metavar="P", help="share of tasks that fail, 0 to 1")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="OPERATION=KIND:P",
        help="what goes wrong, and how often (repeatable)",
    )
    parser.add_argument("--seed", type=int, default=0, help="makes ids, durations and faults reproducible")
    parser.add_argument("--json", action="store_true", help="write the address as a JSON object")
    return parser
