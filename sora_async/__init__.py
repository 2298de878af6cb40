"""Async client for the unified video format: never pay twice, never lose a paid task.

Importing this package loads nothing else; each name below brings its module when it is first touched.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sora_async.batch import BatchItem, BatchPolicy, Outcome
    from sora_async.client import Client
    from sora_async.errors import (
        APIError,
        AuthenticationError,
        BatchStoppedError,
        ContentRejectedError,
        DecodeError,
        DownloadError,
        InvalidRequestError,
        LedgerError,
        MissingVideoError,
        NotFoundError,
        OverloadedError,
        PermissionDeniedError,
        QuotaError,
        RateLimitError,
        RequestTimeoutError,
        ServerError,
        SoraError,
        SubmissionUncertainError,
        TaskFailedError,
        TransportError,
        UnsafeURLError,
        WaitTimeoutError,
    )
    from sora_async.events import Downloaded, Event, Polled, Retrying, StatusChanged, Submitted
    from sora_async.models import Character, State, VideoRequest, VideoTask
    from sora_async.pacing import Adaptive, Fixed, Growing, InformedPacing, Pacing
    from sora_async.retry import Retry
    from sora_async.timeouts import Timeouts

    __version__: str

__all__ = [
    "APIError",
    "Adaptive",
    "AuthenticationError",
    "BatchItem",
    "BatchPolicy",
    "BatchStoppedError",
    "Character",
    "Client",
    "ContentRejectedError",
    "DecodeError",
    "DownloadError",
    "Downloaded",
    "Event",
    "Fixed",
    "Growing",
    "InformedPacing",
    "InvalidRequestError",
    "LedgerError",
    "MissingVideoError",
    "NotFoundError",
    "Outcome",
    "OverloadedError",
    "Pacing",
    "PermissionDeniedError",
    "Polled",
    "QuotaError",
    "RateLimitError",
    "RequestTimeoutError",
    "Retry",
    "Retrying",
    "ServerError",
    "SoraError",
    "State",
    "StatusChanged",
    "SubmissionUncertainError",
    "Submitted",
    "TaskFailedError",
    "Timeouts",
    "TransportError",
    "UnsafeURLError",
    "VideoRequest",
    "VideoTask",
    "WaitTimeoutError",
    "__version__",
]

# The light ones first: backoff comes with retry, aiohttp with client.
_MODULES = ("errors", "events", "models", "pacing", "retry", "timeouts", "client", "batch")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "__version__":
        value: Any = import_module("importlib.metadata").version(__name__)
    else:
        modules = (import_module(f"{__name__}.{module}") for module in _MODULES)
        value = next(getattr(module, name) for module in modules if hasattr(module, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
