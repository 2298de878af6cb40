"""The options of the commands, and what they make."""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Annotated, Any, NoReturn

import attrs
import typer

from sora_async import VideoRequest

DEFAULTS = VideoRequest("-")
"""Where the commands take the defaults of a request from."""
DEFAULT_TIMEOUT_S = 1800.0

_REMOTE = re.compile("https?:|data:", re.IGNORECASE)
_OPTIONS = {field.name: f"--{field.name.replace('_', '-')}" for field in attrs.fields(VideoRequest)}
_OPTIONS |= {"prompt": "the argument PROMPT", "images": "--image", "extra": "--set once for each of its names"}


def _words(*words: str) -> Any:
    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


Prompt = Annotated[str, typer.Argument(metavar="PROMPT", help="What to show, in any language.")]
TaskId = Annotated[str, typer.Argument(metavar="ID", help="The id that create printed.")]
Image = Annotated[
    list[str] | None,
    typer.Option(
        "--image",
        metavar="FILE|URL",
        help="A picture to start from: a file, an http(s) URL or a data: URI. Repeatable.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="The relay's name of the model.",
        autocompletion=_words("sora-2-all", "sora-2", "sora-2-pro", "veo3.1", "veo3.1-fast", "grok-video-3"),
    ),
]
Orientation = Annotated[
    str | None,
    typer.Option(metavar="WORD", help="portrait or landscape.", autocompletion=_words("portrait", "landscape")),
]
Size = Annotated[
    str | None,
    typer.Option(
        metavar="WORD",
        help="small (about 720p) or large (about 1080p); other models use words of their own.",
        autocompletion=_words("small", "large"),
    ),
]
Duration = Annotated[
    int | None,
    typer.Option(metavar="SECONDS", help="The length; each model takes a few values only, such as 10 or 15."),
]
Watermark = Annotated[bool | None, typer.Option(help="--no-watermark takes a file without watermark only.")]
Private = Annotated[bool | None, typer.Option(help="Whether the video is kept unpublished.", show_default=False)]
CharacterUrl = Annotated[str | None, typer.Option(metavar="URL", help="A video to take a character from.")]
CharacterTimestamps = Annotated[
    str | None, typer.Option(metavar="START,END", help="Where it is seen there, such as 1,3 (seconds).")
]
Extra = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Another field of the request, as JSON or text. Repeatable."),
]
Omit = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="A field to leave out, for models that do not know it, such as size. Repeatable.",
        autocompletion=_words("images", "orientation", "size", "duration", "watermark"),
    ),
]
Timestamps = Annotated[
    str, typer.Option(metavar="START,END", help="The stretch that shows it, in seconds, such as 1,3.")
]
CharacterSource = Annotated[str | None, typer.Option("--url", metavar="URL", help="The address of the video.")]
CharacterTask = Annotated[str | None, typer.Option("--from-task", metavar="ID", help="Or the id of a finished task.")]
OutputFile = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="The file to write; without it, a new name in this folder."),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace the output file if it exists.")]
Timeout = Annotated[
    float, typer.Option(min=0.0, metavar="SECONDS", help="The longest wait; 0 looks once, inf waits for ever.")
]
UseSandbox = Annotated[bool, typer.Option("--sandbox", help="Preview on this machine: no key, no network, no cost.")]
BaseUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="The relay's address; else SORA_BASE_URL, else the library's default.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON object for each event to stdout.")]


def make_request(
    prompt: str, images: list[str] | None, extra: list[str] | None, omit: list[str] | None, **fields: Any
) -> VideoRequest:
    """Make the request that the options describe.

    Raises:
        ValueError: an option is unusable; the message says which, or what to give instead.
    """
    sources = [image if _REMOTE.match(image) else Path(image) for image in images or ()]
    left_out = dict.fromkeys(omit or ())
    unknown = sorted(left_out.keys() - {"images", "orientation", "size", "duration", "watermark"})
    if unknown:
        raise ValueError(f"--omit takes images, orientation, size, duration or watermark, not {unknown[0]!r}")
    return VideoRequest(prompt, **{"images": sources, **fields, **left_out}, extra=_read_extra(extra or ()))


def _read_extra(assignments: list[str] | tuple[()]) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip()
        if not name or not equals:
            raise ValueError(f"--set takes NAME=VALUE, such as --set aspect_ratio=16:9, not {assignment!r}")
        if name in _OPTIONS:
            raise ValueError(f"--set {name}: use {_OPTIONS[name]} for this field")
        extra[name] = _read_value(text)
    return extra


def _read_value(text: str) -> Any:
    """JSON if it is some, else the text itself."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def read_timeout(seconds: float) -> float | None:
    """The deadline as the client takes it: None for ever.

    Raises:
        ValueError: it is no number.
    """
    if math.isnan(seconds):
        raise ValueError("--timeout must be a number of seconds from 0, or inf")
    return None if math.isinf(seconds) else seconds


def check_output(output: Path | None, *, may_replace: bool) -> None:
    """Check that the result will find its place, before it is paid for.

    Raises:
        ValueError: it will not.
    """
    folder = Path.cwd() if output is None else output.parent
    if output is not None and output.is_dir():
        raise ValueError(f"--output {str(output)!r} is a folder: name a file in it")
    if not folder.is_dir():
        raise ValueError(f"--output: there is no folder {str(folder)!r}: make it first, or name another file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"--output: nothing can be written in the folder {str(folder)!r}: name another file")
    if output is not None and os.path.lexists(output):
        if not output.is_file():
            raise ValueError(f"--output {str(output)!r} is no regular file: name another one")
        if not may_replace:
            raise ValueError(f"--output {str(output)!r} exists: name another file, or add --force to replace it")
