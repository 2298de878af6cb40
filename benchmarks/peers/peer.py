"""What a client is to the comparisons: how it is made, its two calls, and what its own server answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import attrs

PROMPT = "a paper boat in the rain"
KEY = "a-key-that-opens-nothing"
BODY = {
    "prompt": PROMPT,
    "images": [],
    "model": "sora-2-all",
    "orientation": "landscape",
    "size": "small",
    "duration": 10,
    "watermark": True,
}
"""What this client sends for the prompt alone."""
VIDEO_URL = "https://files.example/boat.mp4"
OBEYS = "obeys an `x-should-retry` header, which the server here never sends"
"""The note of the clients that one generator makes."""


@attrs.frozen(kw_only=True)
class Wire:
    """The answers of a client's own server; `{base}` in them stands for the server's address."""

    task_id: str
    """The id in `created`; a body is cut before its first character, or after its closing quote."""
    created: Mapping[str, object]
    """What a create answers."""
    polled: Callable[[str], Mapping[str, object]]
    """From a status word to what a poll answers."""
    running: str
    """The word for a task under way."""
    finished: str
    """The word for a task that succeeded."""
    failure: Callable[[int, str], Mapping[str, object]]
    """From a status and a text to the body of an error."""
    result_path: str | None = None
    """The path that answers the result, where that is not the one that is polled."""
    result: Mapping[str, object] = attrs.field(factory=dict)
    """What the result's path answers."""


@attrs.frozen(kw_only=True)
class Calls:
    """A client that is connected to one server."""

    create: Callable[[], Awaitable[object]]
    """One logical create; answers the id that the caller holds then."""
    generate: Callable[[], Awaitable[object]] | None = None
    """Create and wait; answers the status word that the caller sees at the end. None if the client has no such call."""
    query: Callable[[Any], Awaitable[object]] | None = None
    """One look at a task, by the id that `create` answered; None if it is not measured."""


@attrs.frozen(kw_only=True)
class Peer:
    """A client under comparison."""

    name: str
    """Its distribution's name."""
    create_call: str
    """What `Calls.create` calls, as its user writes it."""
    generate_call: str | None = None
    """What `Calls.generate` calls; None if the client has no such call."""
    wire: Wire
    connect: Callable[[str], AbstractAsyncContextManager[Calls]]
    """From a base URL to the client with its default settings."""
    note: str = ""
    """What is not default, or needs to be known to read its row."""

    @property
    def is_installed(self) -> bool:
        """Whether its distribution is there."""
        try:
            return bool(version(self.name))
        except PackageNotFoundError:
            return False
