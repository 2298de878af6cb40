"""What goes into a batch."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import attrs

from sora_async.models import VideoRequest, to_request

MAX_KEY_LENGTH = 200
MAX_NAME_BYTES = 240
"""Most file systems take 255 bytes, and an unfinished download adds to the name."""

_ROOT = re.compile(r"(?:[a-z]:)?[/\\]", re.IGNORECASE)
_WINDOWS_ONLY = re.compile(r'[<>:"|?*]')
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\.|$)", re.IGNORECASE)


def _check_key(_: object, __: object, key: str | None) -> None:
    if key is not None and not (isinstance(key, str) and 0 < len(key) <= MAX_KEY_LENGTH and key.isprintable()):
        raise ValueError(f"key must be a printable text of 1 to {MAX_KEY_LENGTH} characters, not {key!r:.60}")


def _to_output(output: str | None) -> str | None:
    """Answer the path in its shortest form, if it is one that every file system takes and that stays in its folder."""
    if output is None:
        return None
    fault = _find_fault(output)
    if fault is not None:
        raise ValueError(
            f"output must be a file inside the batch's folder, such as 'cats/1.mp4', not {output!r:.60}: {fault}"
        )
    return str(PurePosixPath(output))


def _find_fault(output: object) -> str | None:
    """Say what to do about a path that will not do."""
    if not isinstance(output, str) or not output.isprintable():
        return "give a text of printable characters"
    parts = PurePosixPath(output).parts
    device = next((part for part in parts if _DEVICE.match(part)), None)
    faults = (
        (_ROOT.match(output), "leave out the drive, or the / at the begin"),
        ("\\" in output, "write / between folders"),
        (".." in parts, "leave out '..', which leads out of it"),
        (not parts or output.endswith(("/", "/.")), "name the file, too"),
        (parts and parts[-1].startswith("."), "a dot at the begin would hide it"),
        (_WINDOWS_ONLY.search(output), 'leave out < > : " | ? *, which Windows does not take'),
        (any(part.endswith((" ", ".")) for part in parts), "Windows takes no dot or space at the end of a name"),
        (device, f"{device!r} is a device on Windows, so choose another name"),
        (any(len(part.encode()) > MAX_NAME_BYTES for part in parts), f"a name may have {MAX_NAME_BYTES} bytes"),
    )
    return next((advice for is_so, advice in faults if is_so), None)


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
    output: str | None = attrs.field(default=None, kw_only=True, converter=_to_output)
    """Its file, relative to the batch's folder, with `/` between folders and without `.`; None makes a name from
    prompt and key."""
