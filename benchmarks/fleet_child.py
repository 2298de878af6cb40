"""A process that brings a batch on a fleet. Run: `python -m benchmarks.fleet_child ADDRESS LEDGER DIRECTORY PROMPTS`.

It writes one JSON object in each line: the outcomes as they come, and why it stopped if it did.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from distributed import Client as Dask

from sora_async import Client, Fixed, Retry
from sora_async.batch import BatchPolicy, PostgresLedger, generate_many_on
from sora_async.errors import SoraError

VARIABLE = "LEDGER_DSN"


def environment_of(url: str, dsn: str) -> dict[str, str]:
    """What the processes of a fleet find in their environment.

    Args:
        url: the relay's.
        dsn: the database's.
    """
    return {
        "SORA_API_KEY": "any",
        "SORA_BASE_URL": url,
        VARIABLE: dsn,
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }


def make_client() -> Client:
    """A client for tasks that take no time."""
    return Client(pacing=Fixed(0.2), retry=Retry(first=0.1, limit=0.5))


def _tell(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def _run(options: argparse.Namespace) -> None:
    async with Dask(options.address, asynchronous=True, timeout=30) as dask:  # type: ignore[no-untyped-call]
        outcomes = generate_many_on(
            dask,
            (f"boat {number}" for number in range(options.prompts)),
            ledger=PostgresLedger(VARIABLE, name=options.ledger, lease_s=options.lease),
            directory=options.directory,
            concurrency=options.concurrency,
            policy=BatchPolicy(max_tasks=options.max_tasks),
            client=make_client,
        )
        try:
            async for outcome in outcomes:
                error = "" if outcome.error is None else type(outcome.error).__name__
                _tell(key=outcome.key, prompt=outcome.request.prompt, error=error)
        except (SoraError, ValueError, OSError) as error:
            _tell(stopped=type(error).__name__, message=str(error))
        else:
            _tell(stopped="")


def main() -> None:
    """Bring it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("ledger")
    parser.add_argument("directory", type=Path)
    parser.add_argument("prompts", type=int)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--lease", type=float, default=2.0)
    parser.add_argument("--max-tasks", type=int)
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
