"""One run of a command: a client, the signals, and exactly one end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import typer

from sora_async import Client, Event, Growing, Retrying, Submitted
from sora_async.cli.failures import Job, explain
from sora_async.cli.reporting import Output
from sora_async.cli.signals import Signals
from sora_async.cli.wording import Result, clean

CLOCK_SLACK_S = 0.1

# A preview is done in seconds, and its relay is this process.
_SANDBOX_PACING = Growing(first=0.3, factor=1.2, limit=1.0)


Work = Callable[[Client], Awaitable[Result]]
"""What to do with a client."""


def run(job: Job, plan: Callable[[], Work], *, doing: str, is_json: bool) -> None:
    """Run one command to its end.

    Args:
        job: what it is about.
        plan: checks all that was given and answers what to do; its ValueError ends the run before anything is started.
        doing: what is shown until there is more to tell.
        is_json: whether stdout is for programs.

    Raises:
        typer.Exit: it did not end well; why is said.
    """
    output = Output(is_json=is_json)
    signals = Signals(lambda: _note_cancel(job, output))
    with one_end(job, output, signals):
        check_relay(job)
        work = plan()
        output.working(doing)
        output.done(asyncio.run(signals.guard(_work(job, work, output))))


@contextlib.contextmanager
def one_end(job: Job, output: Output, signals: Signals | None = None) -> Iterator[None]:
    """Give every error its sentence and its exit code.

    Args:
        job: what is known of the run.
        output: where to say it.
        signals: tells which signal ended the run, if one did.

    Raises:
        typer.Exit: for whatever was raised.
    """
    try:
        with _logging_to(output):
            yield
    except (Exception, asyncio.CancelledError, KeyboardInterrupt) as error:  # noqa: BLE001 it is told, not lost
        failure = explain(error, job, signals.number if signals else None)
        output.failed(failure)
        raise typer.Exit(failure.exit_code) from None
    finally:
        output.close()


async def _work(job: Job, work: Work, output: Output) -> Result:
    def heard(event: Event) -> None:
        if isinstance(event, Submitted):
            job.task_id = event.task.id
        elif isinstance(event, Retrying) and event.task_id is None:
            job.idle_until = time.monotonic() + event.delay_s - CLOCK_SLACK_S
        output.heard(event)

    async with open_client(job, heard) as client:
        return await work(client)


def check_relay(job: Job) -> None:
    """Check what tells which relay it is.

    Raises:
        ValueError: it is contradictory, or there is no key.
    """
    if job.is_sandbox and job.base_url is not None:
        raise ValueError("--sandbox has an address of its own: leave out either it or --base-url")
    if not job.is_sandbox and not os.environ.get("SORA_API_KEY", "").strip():
        raise ValueError("SORA_API_KEY is not set: export your relay's key, or preview without one with --sandbox")


@contextlib.asynccontextmanager
async def open_client(job: Job, heard: Callable[[Event], None]) -> AsyncIterator[Client]:
    """Give a client of the relay that was chosen, or of a sandbox that ends with it.

    Args:
        job: tells which.
        heard: called with each event.
    """
    if not job.is_sandbox:
        async with Client(base_url=job.base_url, on_event=heard) as client:
            yield client
        return
    from sora_async.sandbox import Sandbox  # noqa: PLC0415 it is a server, and most runs need none

    async with (
        # A seed of its own for each run, or all would have the same ids and so the same default file names.
        Sandbox(seed=secrets.randbits(32)) as sandbox,
        Client("sandbox", sandbox.url, pacing=_SANDBOX_PACING, on_event=heard) as client,
    ):
        yield client


def _note_cancel(job: Job, output: Output) -> None:
    job.is_buying = job.is_buying and time.monotonic() >= job.idle_until
    if job.is_buying and job.task_id is None:
        output.note("Stopping as soon as the id of the create under way is home; Ctrl-C again stops at once")


@contextlib.contextmanager
def _logging_to(output: Output) -> Iterator[None]:
    """Show the library's warnings as notes, instead of what Python does where nobody has set up logging."""
    handler = _Notes(output)
    logger = logging.getLogger("sora_async")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Notes(logging.Handler):
    def __init__(self, output: Output) -> None:
        super().__init__(logging.WARNING)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        self._output.note(clean(record.getMessage()))
