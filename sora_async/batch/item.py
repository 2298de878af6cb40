"""What goes into a batch."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import attrs

from sora_async.models import VideoRequest, to_request

MAX_KEY_LENGTH = 200
_WINDOWS_ONLY = re.compile(r'[<>:"|?*\\]|[ .](?:/|$)')
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)", re.IGNORECASE)


def _check_key(_: object, __: object, key: str | None) -> None:
    if key is not None and not (isinstance(key, str) and 0 < len(key) <= MAX_KEY_LENGTH and key.isprintable()):
        raise ValueError(f"key must be a printable text of 1 to {MAX_KEY_LENGTH} characters, not {key!r:.60}")


def _check_output(_: object, __: object, output: str | None) -> None:
    if output is None:
        return
    if not isinstance(output, str) or not output.isprintable() or not output.strip():
        raise ValueError(f"output must be the name of a file, not {output!r:.60}")
    path = PurePosixPath(output)
    if path.is_absolute() or ".." in path.parts or not path.name or path.name.startswith("."):
        raise ValueError(f"output must be a visible file inside the batch's folder, not {output!r:.60}")
    if _WINDOWS_ONLY.search(output) or any(_DEVICE.match(part) for part in path.parts):
        raise ValueError(f"output must be a name that is legal on every file system, not {output!r:.60}")


@attrs.frozen
class BatchItem:
    """One input of a batch that has a name of its own, or a file of its own.

    Raises:
        ValueError: a value is unusable; the message says what to give instead.
    """

    request: VideoRequest = attrs.field(converter=to_request)
    """What to create; a text is the prompt of a request with the defaults."""
    key: str | None = attrs.field(default=None, kw_only=True, validator=_check_key)
    """Its name in the ledger, 1 to 200 printable characters: the same key is bought once. None makes one from the
    request and how often it came before, so that the same request twice means two videos."""
    output: str | None = attrs.field(default=None, kw_only=True, validator=_check_output)
    """Its file, relative to the batch's folder, with `/` between folders; None makes a name from prompt and key."""
