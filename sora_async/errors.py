"""Every error of this library, under one root.

```text
SoraError
├── TransportError              no answer came, and nothing was bought by this call
│   └── RequestTimeoutError     the same, for lack of time (a TimeoutError too)
├── APIError                    the relay answered with an error: status, code, message, request_id, retry_after
│   ├── AuthenticationError     the key is missing, wrong or expired
│   ├── PermissionDeniedError   the key may not use this model or call
│   ├── QuotaError              the account has no money or quota left
│   ├── InvalidRequestError     a parameter is wrong, or the request is too large
│   ├── ContentRejectedError    moderation refused the prompt or an image
│   ├── NotFoundError           no such task, or no such path (then check the base URL)
│   ├── RateLimitError          too many requests
│   ├── OverloadedError         the relay or its upstream has no capacity at the moment
│   └── ServerError             the relay failed
├── DecodeError                 an answer that cannot be understood
├── SubmissionUncertainError    a create whose outcome is unknown: it may have been accepted and billed
├── TaskFailedError             the task ended without a video
├── MissingVideoError           the task succeeded but shows no video
├── WaitTimeoutError            the deadline passed; the task goes on (a TimeoutError too)
├── DownloadError               the file could not be fetched whole
│   └── UnsafeURLError          the result's address must not be connected to
├── LedgerError                 the ledger cannot be read or written
└── BatchStoppedError           a batch has stopped buying before its inputs ended
```

All of them survive pickle. Misuse (a closed client, a bad argument) is RuntimeError or ValueError instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sora_async.models import VideoRequest, VideoTask

Billed = Literal["yes", "no", "unknown"]


class SoraError(Exception):
    """The root of all errors of this library.

    Attributes:
        task_id: the task that the error is about; None before a create was accepted. With an id at hand go on
            from it (`client.wait(task_id)`, `client.download(task_id)`): another create would be paid again.
        retryable: whether the same step may succeed later. With a task_id the step is the wait or the download,
            never the create.
        billed: whether the create behind this error was paid: "yes", "no" or "unknown".
    """

    retryable: bool = False
    billed: Billed = "no"
    task_id: str | None = None

    def __init__(self, *args: Any) -> None:
        # Not super().__init__: for the TimeoutErrors that is OSError's, which takes two arguments for an errno.
        Exception.__init__(self, *args)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, self.__dict__

    def about(self, task_id: str) -> Self:
        """Name the accepted, hence paid, task that this error is about; answers the error itself."""
        if self.task_id is None:
            self.task_id = task_id
            if self.billed == "no":
                self.billed = "yes"
        return self

    def __str__(self) -> str:
        return self._with_task(str(self.args[0]) if self.args else type(self).__name__)

    def _with_task(self, text: str) -> str:
        if self.task_id is None or self.task_id in text:
            return text
        return f"{text} (task {self.task_id})"


class TransportError(SoraError):
    """No answer came. For a create it is raised only when nothing of the request can have been taken.

    Args:
        message: what happened.

    Attributes:
        sent: whether any byte of the request may have left this machine.
    """

    retryable = True
    sent: bool = False


class RequestTimeoutError(TransportError, TimeoutError):
    """A connect or read phase took longer than its limit."""


class APIError(SoraError):
    """The relay answered with an error.

    Args:
        status: the HTTP status of the answer; errors come with 200 too.
        code: the relay's own code, "" if it gave none.
        message: the innermost text that the relay gave.
        request_id: the relay's id of the request, for its support; None if it gave none.
        retry_after: seconds that the relay asks to wait, None if it did not say.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(status, code, message, request_id, retry_after)
        self.status = status
        self.code = code
        self.message = message
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        code = f" {self.code}" if self.code else ""
        request = f" (request id: {self.request_id})" if self.request_id else ""
        return self._with_task(f"HTTP {self.status}{code}: {self.message}{request}")


class AuthenticationError(APIError):
    """The key is missing, wrong or expired."""


class PermissionDeniedError(APIError):
    """The key may not use this model or call."""


class QuotaError(APIError):
    """The account has no money or quota left."""


class InvalidRequestError(APIError):
    """A parameter is wrong, or the request is too large."""


class ContentRejectedError(APIError):
    """Moderation refused the prompt or an image; `billed` is "unknown" where the relay may take a fee for it."""


class NotFoundError(APIError):
    """The relay knows no such task, or no such path."""


class RateLimitError(APIError):
    """Too many requests."""

    retryable = True


class OverloadedError(APIError):
    """The relay or its upstream has no capacity, or no channel for this model, at the moment."""

    retryable = True


class ServerError(APIError):
    """The relay failed while it handled the request."""

    retryable = True


class DecodeError(SoraError):
    """An answer that cannot be understood: not JSON, too large, or without what the call is for.

    Args:
        message: what is wrong with it.
        raw: the first bytes of the answer.
    """

    retryable = True

    def __init__(self, message: str, raw: bytes = b"") -> None:
        super().__init__(message, raw)
        self.raw = raw


class SubmissionUncertainError(SoraError):
    """A create that left this machine and whose outcome is unknown: it may have been accepted and billed.

    The library never sends it again by itself. Look at the relay's web console before you do.

    Args:
        request: what was to be created.
        reason: what happened to the answer.
        raw: the first bytes of the answer, for the relay's support.
    """

    billed = "unknown"

    def __init__(self, request: VideoRequest | Mapping[str, str], reason: str, raw: bytes = b"") -> None:
        super().__init__(request, reason, raw)
        self.request = request
        self.reason = reason
        self.raw = raw

    def __str__(self) -> str:
        return (
            f"It is not known whether this create was accepted: {self.reason}. It may have been billed, so it is "
            "not sent again; look at the relay's console before you repeat it"
        )


class TaskFailedError(SoraError):
    """The task ended as failed or cancelled. Whether the relay charges for it is the relay's affair.

    Args:
        task: the task as last seen.
    """

    billed = "unknown"

    def __init__(self, task: VideoTask) -> None:
        super().__init__(task)
        self.task = task
        self.task_id = task.id

    def __str__(self) -> str:
        reason = self.task.error_message or "the relay gives no reason"
        return f"Task {self.task.id} ended as {self.task.status!r}: {reason}"


class MissingVideoError(SoraError):
    """The task succeeded, but the relay shows no address of a video, also after some more polls.

    Args:
        task: the task as last seen; its `raw` is the body as received.
    """

    retryable = True
    billed = "yes"

    def __init__(self, task: VideoTask) -> None:
        super().__init__(task)
        self.task = task
        self.task_id = task.id

    def __str__(self) -> str:
        return (
            f"Task {self.task.id} succeeded, but no answer holds the address of its video. It is paid: query it "
            "again later, or show the task's raw body to the relay's support"
        )


class WaitTimeoutError(SoraError, TimeoutError):
    """The deadline of a wait passed. The task goes on at the relay: wait for its id again.

    Args:
        task_id: the task.
        last: the task as last seen, None if no poll succeeded.
    """

    retryable = True
    billed = "yes"

    def __init__(self, task_id: str, last: VideoTask | None = None) -> None:
        super().__init__(task_id, last)
        self.task_id = task_id
        self.last = last

    def __str__(self) -> str:
        seen = f"last seen as {self.last.status!r}" if self.last else "no poll succeeded"
        return f"Task {self.task_id} was not finished at the deadline ({seen}). It goes on: wait for its id again"


class DownloadError(SoraError):
    """The file could not be fetched whole; nothing stands under its final name.

    Args:
        message: what happened.
        status: the HTTP status of the file's server, None if it did not come to that.

    Attributes:
        status: as given.
        errno: why the disk of this machine refuses, as in the module errno; None if it does not.
    """

    retryable = True
    errno: int | None = None

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message, status)
        self.status = status


class UnsafeURLError(DownloadError):
    """The result's address is not https, or leads to a machine that is not public; nothing was sent there."""

    retryable = False


class LedgerError(SoraError):
    """The ledger cannot be read or written."""


class BatchStoppedError(SoraError):
    """A batch has stopped buying before its inputs ended; what it had bought is accounted for.

    Raised by `generate_many` after its last outcome. Run it again once the reason is gone.

    Args:
        message: why.
    """

    retryable = True
