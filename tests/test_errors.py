"""The error tree: facts in attributes, text with the next step, and a life after pickle."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

import sora_async
from sora_async import errors
from sora_async.errors import SoraError

TASK = sora_async.VideoTask(id="t-1", status="failed", state=sora_async.State.FAILED, error_message="no luck")
REQUEST = sora_async.VideoRequest("a cat")

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, SoraError)]


def example(kind: type[SoraError]) -> SoraError:
    """One error of each class, made as the library makes it."""
    if issubclass(kind, errors.APIError):
        return kind(429, "rate_limit_exceeded", "slow down", "req-1", 2.5)
    if kind is errors.SubmissionUncertainError:
        return kind(REQUEST, "the connection broke", b"{")
    if kind in {errors.TaskFailedError, errors.MissingVideoError}:
        return kind(TASK)
    if kind is errors.WaitTimeoutError:
        return kind("t-1", TASK)
    return kind("it broke")


@pytest.mark.parametrize("kind", CLASSES)
def test_error_survives_pickle_and_copy(kind: type[SoraError]) -> None:
    """Class, text and every fact are the same in another process."""
    error = example(kind)
    error.about("t-1")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is kind
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)
        assert twin.args == error.args


@pytest.mark.parametrize("kind", CLASSES)
def test_error_says_what_repeating_and_money_are(kind: type[SoraError]) -> None:
    """Both facts stand on every error."""
    error = example(kind)
    assert isinstance(error.retryable, bool)
    assert error.billed in {"yes", "no", "unknown"}


@pytest.mark.parametrize("kind", CLASSES)
def test_error_about_a_task_names_it(kind: type[SoraError]) -> None:
    """The id stands in the text, and the create behind it counts as paid or unknown."""
    error = example(kind).about("t-1")
    assert error.task_id == "t-1"
    assert "t-1" in str(error) or kind is errors.SubmissionUncertainError
    assert error.billed != "no"


def test_first_task_named_stays() -> None:
    """An error is about one task."""
    assert errors.TaskFailedError(TASK).about("other").task_id == "t-1"


@pytest.mark.parametrize("kind", [errors.RequestTimeoutError, errors.WaitTimeoutError])
def test_timeouts_are_builtin_timeouts_too(kind: type[SoraError]) -> None:
    """`except TimeoutError` catches them."""
    assert isinstance(example(kind), TimeoutError)


def test_api_error_holds_its_facts() -> None:
    """Status, code, text, request id and the time to wait."""
    error = errors.RateLimitError(429, "slow", "too many", "req-1", 3.0)
    assert (error.status, error.code, error.message, error.request_id, error.retry_after) == (
        429,
        "slow",
        "too many",
        "req-1",
        3.0,
    )
    assert str(error) == "HTTP 429 slow: too many (request id: req-1)"
    assert str(errors.ServerError(502, "", "bad gateway")) == "HTTP 502: bad gateway"


def test_texts_tell_the_next_step() -> None:
    """A reader knows what to do, and what not."""
    assert "not sent again" in str(errors.SubmissionUncertainError(REQUEST, "the connection broke"))
    assert "no luck" in str(errors.TaskFailedError(TASK))
    assert "gives no reason" in str(errors.TaskFailedError(sora_async.VideoTask(id="t", status="x", state=TASK.state)))
    assert "wait for its id again" in str(errors.WaitTimeoutError("t-1"))
    assert "no poll succeeded" in str(errors.WaitTimeoutError("t-1"))


def test_tree_in_the_docstring_is_complete() -> None:
    """The drawing shows every class."""
    assert errors.__doc__ is not None
    assert all(kind.__name__ in errors.__doc__ for kind in CLASSES)


def test_every_error_is_a_public_name() -> None:
    """Users can catch each of them from the top level."""
    assert {kind.__name__ for kind in CLASSES} <= set(sora_async.__all__)
