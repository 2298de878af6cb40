"""What a sandbox keeps: its tasks, and what tests may look at afterwards."""

from collections.abc import Mapping
from typing import NamedTuple

import attrs

from sora_async.sandbox.studio import Job


class Created(NamedTuple):
    """A create that was really accepted: what a relay would bill."""

    id: str
    body: Mapping[str, object]


@attrs.frozen(kw_only=True)
class Received:
    """One request as it arrived, whatever was answered."""

    operation: str
    """`create`, `query`, `character`, `download`, or `other`."""
    method: str
    """The HTTP method."""
    path: str
    """The path with its query, exactly as sent."""
    headers: Mapping[str, str]
    """The headers under lower-case names, without `authorization`."""
    authorized: bool
    """Whether there was an `Authorization` header."""
    received_at: float
    """When its head was read, on the sandbox's clock, in seconds."""


@attrs.define(kw_only=True)
class Task:
    """An accepted task; its state follows from the clock, so nothing runs for it."""

    task_id: str
    token: str
    body: Mapping[str, object]
    created_at: float
    takes_s: float
    fails: bool
    not_found_left: int
    missing_url_left: int
    job: Job | None = None
