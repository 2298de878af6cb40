"""What a batch is to do, and whether it can."""

from __future__ import annotations

from pathlib import Path

import attrs

from sora_async.batch import BatchPolicy, Manifest
from sora_async.cli.failures import USAGE, Failure, Job
from sora_async.cli.ledger_place import Place
from sora_async.cli.reporting import Output
from sora_async.cli.wording import show_count


@attrs.frozen(kw_only=True)
class Order:
    """What is to be done."""

    manifest: Path
    """The inputs; `-` for standard input."""
    directory: Path | str
    """Where the files go: a folder, or the URL of a store."""
    ledger: Place
    """Where the account is kept."""
    dask: str | None = None
    """The address of the scheduler of the fleet that brings it; None for this process alone."""
    policy: BatchPolicy
    """The limits."""
    job: Job
    """Which relay."""
    wants_page: bool = True
    """Whether the page is written at the end."""


def check_directory(directory: Path | str) -> None:
    """Check that the files will find their place.

    Raises:
        ValueError: they will not.
    """
    if isinstance(directory, Path) and directory.exists() and not directory.is_dir():
        raise ValueError(f"--output {str(directory)!r} is no folder: name another one")


def check_ledger(order: Order) -> None:
    """Check that the ledger fits the rest.

    Raises:
        ValueError: it does not.
    """
    if order.job.is_sandbox and isinstance(order.directory, str):
        raise ValueError("--sandbox makes previews in a folder: for a store start `sora-async sandbox`")
    if order.job.is_sandbox and (order.dask or order.ledger.dsn):
        raise ValueError(
            "--sandbox is within this process, and its ledger a file: for a fleet start `sora-async sandbox`"
        )
    if order.dask and order.ledger.dsn is None:
        raise ValueError("--dask needs a ledger that all workers can write: --ledger postgresql://user@host/database")
    if order.dask and order.job.base_url is not None:
        raise ValueError("--base-url is for this process: with --dask set SORA_BASE_URL where the workers are started")


def check_manifest(manifest: Manifest, output: Output) -> bool:
    """Say all that is wrong with a manifest; answers whether it is right."""
    problems = manifest.check()
    for problem in problems:
        facts = {"event": "problem", "line": problem.line, "column": problem.column, "message": problem.text}
        output.fact(facts, "")
        output.note(f"{manifest.name}: {problem}")
    if problems:
        text = f"nothing was bought, for the manifest has {show_count(len(problems), 'problem')}"
        output.failed(Failure(error="ValueError", message=text, exit_code=USAGE))
    return not problems
