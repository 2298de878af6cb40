"""The values that users give and get: VideoRequest, VideoTask, State, Character."""

from __future__ import annotations

import enum
import html
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import attrs

if TYPE_CHECKING:
    from datetime import datetime

DEFAULT_MODEL = "sora-2-all"
"""The model of the published example."""

_URL = re.compile(r"https?://[^\s/]+", re.IGNORECASE)
_DATA_URI = re.compile(r"data:image/[\w.+-]+(;[\w=.-]+)*,.", re.IGNORECASE | re.DOTALL)
# Within JSON: a text that is all that a ledger keeps of a data: URI.
_DIGEST = re.compile(r'(?<!\\)"data:[\w.+-]+/[\w.+-]+;sha256,[0-9a-f]{64}"')
_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*,\s*(\d+(?:\.\d+)?)\s*", re.ASCII)


class State(enum.Enum):
    """What a relay's status word means."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether the status will not change any more."""
        return self in _FINAL


_FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})


def check_timestamps(text: str) -> str:
    """Answer `text` if it is `"start,end"` in seconds with a span of 1 to 3, else raise ValueError."""
    found = _SPAN.fullmatch(text) if isinstance(text, str) else None
    # The slack is for decimals: 0.1 to 3.1 is a span of 3.0000000000000001 in binary.
    if found is None or not 1 - 1e-9 <= float(found[2]) - float(found[1]) <= 3 + 1e-9:
        raise ValueError(
            f"character timestamps must be 'start,end' in seconds with a span of 1 to 3, such as '1,3', not {text!r}"
        )
    return text


def _to_images(images: Iterable[str | Path] | None) -> tuple[str | Path, ...] | None:
    if isinstance(images, str | bytes | os.PathLike):
        raise ValueError(f"images must be a list, such as images=[{_shown(images)}]")  # noqa: TRY004 one class for bad values
    if images is not None and not isinstance(images, Iterable):
        raise ValueError(f"images must be a list, not {_shown(images)}")
    return None if images is None else tuple(images)


def _shown(image: object) -> str:
    text = repr(image)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _show_images(images: tuple[str | Path, ...] | None) -> str:
    return repr(images) if images is None else f"({', '.join(map(_shown, images))})"


def _check_whole(name: str, value: Any) -> None:
    if isinstance(value, str) and value[-72:-64] != ";sha256,":
        return  # the quick way, for pictures are long
    if _DIGEST.search(json.dumps(value)):
        raise ValueError(
            f"{name} holds only the digest that a ledger keeps of a data: URI: put the picture back, as a data: URI, a "
            "link or a file"
        )


def _check_images(_: object, __: object, images: tuple[str | Path, ...] | None) -> None:
    for place, image in enumerate(images or ()):
        if isinstance(image, Path):
            # Path.is_file raises if a name is too long or a folder may not be entered.
            if not (os.path.isfile(image) and os.access(image, os.R_OK)):  # noqa: PTH113
                raise ValueError(f"images[{place}] is not a readable file: {str(image)!r}")
        elif not isinstance(image, str) or not (_URL.match(image) or _DATA_URI.match(image)):
            raise ValueError(
                f"images[{place}] must be an http(s) URL, a data:image/... URI or a pathlib.Path, not {_shown(image)}"
            )
        else:
            _check_whole(f"images[{place}]", image)


def _check_text(_: Any, attribute: attrs.Attribute[Any], text: Any) -> None:
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{attribute.name} must be a text that is not empty, not {text!r}")
    _check_whole(attribute.name, text)


def _check_flag(_: Any, attribute: attrs.Attribute[Any], flag: Any) -> None:
    # Relays type the flag as text on some pages, so "false" is an easy mistake that would mean true.
    if not isinstance(flag, bool):
        raise ValueError(f"{attribute.name} must be True or False, not {flag!r}")  # noqa: TRY004 one class for bad values


def _check_duration(_: Any, __: Any, duration: Any) -> None:
    if not isinstance(duration, int) or isinstance(duration, bool) or duration < 1:
        raise ValueError(f"duration must be a whole number of seconds from 1, not {duration!r}")


def _copy_extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    """A deep copy through JSON, so that nobody changes a request after it was made."""
    if extra == {}:
        return {}  # nearly always, and the rest costs as much as all other fields together
    try:
        text = json.dumps(dict(extra), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"extra must hold JSON values by name: {error}") from None
    copied: dict[str, Any] = json.loads(text)
    return copied


def _check_extra(request: VideoRequest, _: object, extra: dict[str, Any]) -> None:
    if not extra:
        return
    taken = sorted(extra.keys() & {field.name for field in attrs.fields(type(request))})
    if taken:
        raise ValueError(f"extra must not hold {', '.join(taken)}: give it as an argument of its own")
    for name, value in extra.items():
        _check_whole(name, value)


def _optional(check: Callable[[Any, Any, Any], None]) -> Any:
    return attrs.validators.optional(check)


@attrs.frozen
class VideoRequest:
    """One video to create. `None` leaves a field out of what is sent.

    Raises:
        ValueError: a value is unusable; the message says what to give instead.
    """

    prompt: str = attrs.field(validator=_check_text)
    """What to show, in any language."""
    images: tuple[str | Path, ...] | None = attrs.field(
        default=(), kw_only=True, converter=_to_images, validator=_check_images, repr=_show_images
    )
    """Pictures to start from: http(s) URLs, `data:` URIs, or local files as Path, which are sent as data URIs."""
    model: str = attrs.field(default=DEFAULT_MODEL, kw_only=True, validator=_check_text)
    """The relay's name of the model, such as `sora-2-all`, `sora-2-pro`, `veo3.1` or `grok-video-3`."""
    orientation: str | None = attrs.field(default="landscape", kw_only=True, validator=_optional(_check_text))
    """`portrait` or `landscape`."""
    size: str | None = attrs.field(default="small", kw_only=True, validator=_optional(_check_text))
    """`small` (about 720p) or `large` (about 1080p); other model families use words of their own."""
    duration: int | None = attrs.field(default=10, kw_only=True, validator=_optional(_check_duration))
    """Length in seconds; each model takes a few values only, such as 10 or 15."""
    watermark: bool | None = attrs.field(default=True, kw_only=True, validator=_optional(_check_flag))
    """True: prefer a file without watermark, fall back to one with it. False: only one without."""
    private: bool | None = attrs.field(default=None, kw_only=True, validator=_optional(_check_flag))
    """True: not published, cannot be remixed."""
    character_url: str | None = attrs.field(default=None, kw_only=True, validator=_optional(_check_text))
    """A video to take a character from."""
    character_timestamps: str | None = attrs.field(
        default=None, kw_only=True, converter=attrs.converters.optional(check_timestamps)
    )
    """Where the character is seen in it: `"start,end"` in seconds, a span of 1 to 3."""
    extra: Mapping[str, Any] = attrs.field(
        factory=dict, kw_only=True, converter=_copy_extra, validator=_check_extra, hash=False
    )
    """Fields of other model families, such as `aspect_ratio` or `seed`; sent as they are."""


class RequestFields(TypedDict, total=False):
    """The arguments of VideoRequest besides the prompt."""

    images: Sequence[str | Path] | None
    model: str
    orientation: str | None
    size: str | None
    duration: int | None
    watermark: bool | None
    private: bool | None
    character_url: str | None
    character_timestamps: str | None
    extra: Mapping[str, Any]


def to_request(request: VideoRequest | str, **fields: Unpack[RequestFields]) -> VideoRequest:
    """Answer the request that was meant: a prompt with fields, or a request with some of its fields changed."""
    if isinstance(request, str):
        return VideoRequest(request, **fields)
    if not isinstance(request, VideoRequest):
        raise ValueError(f"give a VideoRequest or a prompt, not {type(request).__name__}")  # noqa: TRY004
    return attrs.evolve(request, **fields) if fields else request


def video_html(source: str | None, caption: str, poster: str | None = None) -> str:
    """Make a figure for a notebook.

    Args:
        source: what plays: an http(s) or `data:` URI or a relative path, percent-encoded; None shows the caption alone.
        caption: any text.
        poster: the URL of a still.

    Returns:
        HTML that keeps all of them from being markup; a poster that is no http(s) URL is left out.
    """
    figure = ""
    if source is not None:
        still = f' poster="{_to_html(poster)}"' if poster and _URL.match(poster) else ""
        style = "max-width: 100%; max-height: 30em"
        figure = f'<video controls loop preload="metadata" style="{style}"{still} src="{_to_html(source)}"></video>'
    return f'<figure style="margin: 0">{figure}<figcaption>{_to_html(caption)}</figcaption></figure>'


def _to_html(text: str) -> str:
    # Texts from JSON may hold lone surrogates, which no notebook file can.
    return html.escape(text.encode("utf-8", "replace").decode())


@attrs.frozen(kw_only=True)
class VideoTask:
    """A task as one answer of the relay showed it."""

    id: str
    """The id to poll with: always the one from create."""
    status: str
    """The relay's own word, as received."""
    state: State
    """What that word means; an unknown word is RUNNING."""
    progress: float | None = None
    """0.0 to 1.0, None if the relay does not say. It decides nothing: failures show 1.0 too."""
    video_url: str | None = attrs.field(default=None, repr=False)
    """Where the file is, for some hours to days; signed, so treat it as a secret."""
    thumbnail_url: str | None = attrs.field(default=None, repr=False)
    """A still of the video."""
    gif_url: str | None = attrs.field(default=None, repr=False)
    """A small moving preview."""
    enhanced_prompt: str | None = attrs.field(default=None, repr=False)
    """The prompt as the relay rewrote it."""
    error_message: str | None = None
    """Why a FAILED or CANCELLED task ended; None in every other state."""
    created_at: datetime | None = None
    """When the relay took the task, aware, UTC."""
    updated_at: datetime | None = None
    """When the relay last changed its status, aware, UTC."""
    raw: Any = attrs.field(default=None, repr=False, eq=False)
    """The body as received, parsed from JSON."""

    def _repr_html_(self) -> str:
        """Show itself in a notebook: the video plays, from its link, which is then saved with the notebook."""
        source = self.video_url if self.video_url and _URL.match(self.video_url) else None
        progress = "" if self.progress is None or self.state.is_final else f" {self.progress:.0%}"
        message = f", {self.error_message}" if self.error_message else ""
        return video_html(source, f"{self.id}: {self.status}{progress}{message}", self.thumbnail_url)


@attrs.frozen(kw_only=True)
class Character:
    """A character that prompts can name as `@username`."""

    id: str
    """The relay's id of the character."""
    username: str
    """The name to use in prompts."""
    permalink: str | None = None
    """The character's page."""
    profile_picture_url: str | None = attrs.field(default=None, repr=False)
    """A portrait of it."""
    raw: Any = attrs.field(default=None, repr=False, eq=False)
    """The body as received, parsed from JSON."""
