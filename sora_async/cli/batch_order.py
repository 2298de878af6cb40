"""What a batch is to do, and whether it can."""

from __future__ import annotations

from pathlib import Path

import attrs

from sora_async.batch import BatchPolicy, Manifest
from sora_async.cli.failures import USAGE, Failure, Job
from sora_async.cli.reporting import Output
from sora_async.cli.wording import show_count

LEDGER_NAME = "batch.ledger"
"""The ledger of a batch, in its folder, if no other is named."""


@attrs.frozen(kw_only=True)
class Order:
    """What is to be done."""

    manifest: Path
    """The inputs; `-` for standard input."""
    directory: Path
    """Where the files go."""
    ledger: Path
    """Where the account is kept."""
    policy: BatchPolicy
    """The limits."""
    job: Job
    """Which relay."""
    wants_page: bool = True
    """Whether the page is written at the end."""


def check_folder(directory: Path) -> None:
    """Check that the files will find their place.

    Raises:
        ValueError: they will not.
    """
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"--output {str(directory)!r} is no folder: name another one")


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
