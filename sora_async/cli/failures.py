"""From an error to one sentence, the next step and the exit code."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import Any

import attrs

from sora_async import (
    APIError,
    AuthenticationError,
    ContentRejectedError,
    DecodeError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaError,
    RateLimitError,
    ServerError,
    SoraError,
    SubmissionUncertainError,
    TaskFailedError,
    TransportError,
    UnsafeURLError,
    WaitTimeoutError,
)
from sora_async.cli.wording import clean

DONE = 0
ERROR = 1
USAGE = 2
TASK_FAILED = 3
DEADLINE = 4
UNCERTAIN = 5
INTERRUPTED = 130
"""After Ctrl-C; after another signal it is 128 and the signal's number."""

_EXIT_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (TaskFailedError, TASK_FAILED),
    (WaitTimeoutError, DEADLINE),
    (SubmissionUncertainError, UNCERTAIN),
)
_UNBOUGHT = "nothing was bought"
# What to do next where no task can be gone on with. The first match speaks.
_ADVICE: tuple[tuple[type[BaseException], str], ...] = (
    (UnsafeURLError, "`sora-async status` shows the address, should you trust it"),
    (AuthenticationError, "check SORA_API_KEY; `sora-async doctor` tells more"),
    (PermissionDeniedError, "choose another --model, or ask the relay what this key may use"),
    (QuotaError, "top up the account at the relay"),
    (ContentRejectedError, "change the prompt or the picture"),
    (NotFoundError, "check the id and the base URL; `sora-async doctor` tells more"),
    (RateLimitError, f"{_UNBOUGHT}, so run it again later"),
    (OverloadedError, f"{_UNBOUGHT}, so run it again later, or choose another --model"),
    (ServerError, f"{_UNBOUGHT}, so run it again later"),
    (APIError, f"{_UNBOUGHT}, so correct it and run it again"),
    (TransportError, f"{_UNBOUGHT}; `sora-async doctor` tells what is wrong"),
    (DecodeError, "check the base URL; `sora-async doctor` tells more"),
)


@attrs.define(kw_only=True)
class Job:
    """What is known of a run when it goes wrong."""

    verb: str
    """The command that goes on with a task: `wait`, `download` or `status`."""
    base_url: str | None = None
    """`--base-url` as given."""
    is_sandbox: bool = False
    """Whether the relay ends with this process."""
    task_id: str | None = None
    """The task, as soon as it has an id."""
    output: Path | None = None
    """`--output` as given."""
    replaces: bool = False
    """`--force` as given."""
    is_buying: bool = False
    """Whether a POST that may cost money was begun."""
    idle_until: float = 0.0
    """The time on the monotonic clock up to which none is under way, as all before were proven not to be taken."""

    @property
    def has_bought(self) -> bool:
        """Whether this run has created a task."""
        return self.is_buying and self.task_id is not None

    def command(self) -> str | None:
        """The command that goes on with the task, None if none can."""
        if self.task_id is None or self.is_sandbox:
            return None
        words = ["sora-async", self.verb]
        if self.output is not None:
            words += ["-o", str(self.output), *(["--force"] if self.replaces else [])]
        if self.base_url is not None:
            words += ["--base-url", self.base_url]
        return shlex.join([*words, *(["--"] if self.task_id.startswith("-") else []), self.task_id])


@attrs.frozen(kw_only=True)
class Failure:
    """A bad end."""

    error: str
    """The name of the error's class."""
    message: str
    """One sentence with the next step."""
    exit_code: int
    """The status of the process."""
    task_id: str | None = None
    """The task that it is about."""
    retryable: bool = False
    """Whether the same step may succeed later."""
    billed: str = "no"
    """Whether a create was paid: "yes", "no" or "unknown"."""
    command: str | None = None
    """The command that goes on, if one can."""

    def facts(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "event": "error",
            "error": self.error,
            "message": self.message,
            "id": self.task_id,
            "retryable": self.retryable,
            "billed": self.billed,
            "exit_code": self.exit_code,
            "resume": self.command,
        }


def explain(error: BaseException, job: Job, signal_number: int | None = None) -> Failure:
    """Put an error into words.

    Args:
        error: what ended the run.
        job: what is known of it.
        signal_number: the signal that ended it, if one did.
    """
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
        return _explain_signal(job, INTERRUPTED if signal_number is None else 128 + signal_number)
    if isinstance(error, SoraError):
        return _explain_ours(error, job)
    # A ValueError is about what was given, unless this run has bought something with it already.
    is_misuse = isinstance(error, ValueError) and not job.has_bought
    text = clean(str(error))
    if not (is_misuse or isinstance(error, RuntimeError | OSError | ImportError)):
        text = f"unexpected {type(error).__name__}: {text}; please report it"
    return Failure(
        error=type(error).__name__,
        message=text if is_misuse else _with_command(text, job),
        exit_code=USAGE if is_misuse else ERROR,
        task_id=job.task_id,
        billed="yes" if job.has_bought else "no",
        command=None if is_misuse else job.command(),
    )


def _explain_ours(error: SoraError, job: Job) -> Failure:
    text = clean(str(error))
    if isinstance(error, WaitTimeoutError):
        seen = f"last seen as {clean(error.last.status, 30)!r}" if error.last else "and no poll succeeded"
        text = f"Task {clean(str(error.task_id))} is not finished at the deadline, {seen}"
    elif isinstance(error, TaskFailedError):
        text = f"{text}; another try is another purchase"
    elif (advice := _advise(error)) is not None:
        text = f"{text}; {advice}"
    # What ended for good is not gone on with, nor what may never have begun.
    can_go_on = error.task_id is not None and not isinstance(error, TaskFailedError | NotFoundError | UnsafeURLError)
    return Failure(
        error=type(error).__name__,
        message=_with_command(text, job) if can_go_on else text,
        exit_code=next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), ERROR),
        task_id=error.task_id,
        retryable=error.retryable,
        billed=error.billed,
        command=job.command() if can_go_on else None,
    )


def _advise(error: SoraError) -> str | None:
    advice = next((text for kind, text in _ADVICE if isinstance(error, kind)), None)
    if advice is not None and error.task_id is not None and advice.startswith(_UNBOUGHT):
        return None
    return advice


def _with_command(text: str, job: Job) -> str:
    if job.task_id is not None and job.is_sandbox:
        return f"{text}; the sandbox ends with this process, so start again"
    command = job.command()
    return text if command is None else f"{text}; go on with: {command}"


def _explain_signal(job: Job, exit_code: int) -> Failure:
    is_lost = job.is_buying and job.task_id is None and not job.is_sandbox
    if job.task_id is not None and not job.is_sandbox:
        text = _with_command(f"Interrupted, but task {clean(job.task_id)} goes on at the relay", job)
    elif is_lost:
        text = (
            "Interrupted before an id came: what was sent may have been accepted and billed, so look at the relay's "
            "console before you repeat it"
        )
    else:
        text = f"Interrupted; {_UNBOUGHT}"
    return Failure(
        error="Interrupted",
        message=text,
        exit_code=exit_code,
        task_id=job.task_id,
        retryable=job.command() is not None,
        billed="unknown" if is_lost else "yes" if job.has_bought else "no",
        command=job.command(),
    )
