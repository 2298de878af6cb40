"""From errors to sentences and exit codes."""

import asyncio

import pytest

import sora_async
from sora_async import (
    DecodeError,
    DownloadError,
    MissingVideoError,
    NotFoundError,
    OverloadedError,
    SoraError,
    State,
    SubmissionUncertainError,
    TaskFailedError,
    TransportError,
    UnsafeURLError,
    VideoTask,
    WaitTimeoutError,
)
from sora_async.cli.failures import Job, explain

TASK = VideoTask(id="t1", status="processing", state=State.RUNNING)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TaskFailedError(TASK), 3),
        (WaitTimeoutError("t1", TASK), 4),
        (SubmissionUncertainError({}, "cut"), 5),
        (TransportError("refused"), 1),
        (ValueError("bad"), 2),
        (OSError("disk"), 1),
        (KeyError("bug"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_code_follows_the_class_of_the_error(error, code):
    """Each way to end has its number."""
    assert explain(error, Job(verb="wait")).exit_code == code


@pytest.mark.parametrize("name", [name for name in sora_async.__all__ if name.endswith("Error")])
def test_every_error_of_the_library_has_its_sentence(name):
    """None of them falls through, whatever it holds."""
    error = getattr(sora_async, name).__new__(getattr(sora_async, name))
    SoraError.__init__(error, "what happened")
    for attribute in ("status", "code", "message", "request_id", "retry_after", "reason", "last"):
        vars(error)[attribute] = None
    error.task = TASK
    assert explain(error, Job(verb="wait")).message


@pytest.mark.parametrize("error", [DownloadError("cut"), MissingVideoError(TASK), OverloadedError(503, "", "busy")])
def test_error_of_a_paid_task_tells_how_to_go_on(error):
    """With an id the next step is the same command again, never another create."""
    job = Job(verb="download", task_id="t1", is_buying=True)
    failure = explain(error.about("t1"), job)
    assert failure.message.endswith("; go on with: sora-async download t1")
    assert "nothing was bought" not in failure.message


@pytest.mark.parametrize("error", [UnsafeURLError("private"), NotFoundError(404, "", "none"), TaskFailedError(TASK)])
def test_error_that_repeating_cannot_mend_offers_no_command(error):
    """A command that must fail again is no next step."""
    assert explain(error.about("t1"), Job(verb="wait", task_id="t1")).command is None


def test_error_without_a_task_says_that_nothing_was_bought():
    """The money is what one wants to know first."""
    message = explain(OverloadedError(503, "", "busy"), Job(verb="wait", is_buying=True)).message
    assert message == "HTTP 503: busy; nothing was bought, so run it again later, or choose another --model"


def test_error_in_the_sandbox_offers_no_command():
    """The embedded relay is gone when the message is read."""
    failure = explain(DownloadError("cut").about("t1"), Job(verb="download", task_id="t1", is_sandbox=True))
    assert failure.command is None
    assert failure.message.endswith("the sandbox ends with this process, so start again")


def test_value_error_after_buying_is_no_misuse():
    """What goes wrong after the create must not hide the id."""
    failure = explain(ValueError("odd"), Job(verb="wait", task_id="t1", is_buying=True))
    assert (failure.exit_code, failure.billed) == (1, "yes")
    assert failure.message == "unexpected ValueError: odd; please report it; go on with: sora-async wait t1"


def test_unknown_error_is_told_without_a_traceback():
    """A bug is one sentence, too."""
    assert explain(KeyError("bug"), Job(verb="wait")).message == "unexpected KeyError: 'bug'; please report it"


def test_deadline_without_any_answer_says_so():
    """A wait that never saw the task shows that."""
    assert "no poll succeeded" in explain(WaitTimeoutError("t1"), Job(verb="wait", task_id="t1")).message


def test_decode_error_asks_for_the_base_url():
    """What is no answer of the API comes from a wrong address as a rule."""
    assert "check the base URL" in explain(DecodeError("no JSON"), Job(verb="wait")).message


def test_text_of_a_relay_is_one_harmless_line():
    """Escape sequences and line breaks do not reach the terminal."""
    failure = explain(TransportError("a\x1b[2Jb\r\nc\u202ed"), Job(verb="wait"))
    assert failure.message.startswith("a [2Jb c d;")


@pytest.mark.parametrize(
    ("job", "billed", "start"),
    [
        (Job(verb="wait"), "no", "Interrupted; nothing was bought"),
        (Job(verb="wait", is_buying=True), "unknown", "Interrupted before an id came"),
        (Job(verb="wait", is_buying=True, is_sandbox=True), "no", "Interrupted; nothing was bought"),
        (Job(verb="wait", is_buying=True, task_id="t1"), "yes", "Interrupted, but task t1 goes on"),
        (Job(verb="wait", task_id="t1"), "no", "Interrupted, but task t1 goes on"),
    ],
)
def test_interruption_tells_what_was_bought(job, billed, start):
    """It depends on how far the run came."""
    failure = explain(asyncio.CancelledError(), job, 15)
    assert (failure.exit_code, failure.billed) == (143, billed)
    assert failure.message.startswith(start)
