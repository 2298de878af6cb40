"""The preview a sandbox task ends with: a real H.264 file made from the prompt and the images.

This module loads without the ``sandbox`` extra; only `render` needs it.
"""

import importlib
import pathlib
import re
import secrets
from collections.abc import Callable, Sequence

LONGEST_SIDE = 1920
SHORTEST_SIDE = 64
LONGEST_S = 60.0
SHORTEST_S = 1.0

_NAMED_SHORT_SIDES = {"small": 720, "large": 1080}


class RenderUnavailable(RuntimeError):  # noqa: N818 -- states a condition of the machine, as the sandbox names it
    """The packages that render videos are not installed; the message says what to install."""


def require() -> None:
    """Check that videos can be rendered here.

    Raises:
        RenderUnavailable: PyAV or Pillow cannot be imported.
    """
    for name in ("av", "PIL.Image"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            message = f"rendering needs {name.partition('.')[0]}: pip install 'sora_async[sandbox]'"
            raise RenderUnavailable(message) from error


def frame_size(size: str, orientation: str) -> tuple[int, int]:
    """Read the width and height in pixels from the words of a create request.

    Args:
        size: `small` (720 lines), `large` (1080 lines), `720P`, or `1280x720`, which then decides the
            orientation as well. Anything else is `small`.
        orientation: `portrait`; anything else is landscape.

    Returns:
        Two even numbers from 64 to 1920.
    """
    word = size.strip().lower()
    if explicit := re.fullmatch(r"([0-9]{1,5})\s*[x*×:]\s*([0-9]{1,5})", word):
        return _allowed(int(explicit[1])), _allowed(int(explicit[2]))
    lines = re.fullmatch(r"([0-9]{1,5})p", word)
    short = min(int(lines[1]) if lines else _NAMED_SHORT_SIDES.get(word, 720), 1080)
    width, height = _allowed(short * 16 // 9), _allowed(short)
    return (height, width) if orientation.strip().lower() == "portrait" else (width, height)


def _allowed(side: int) -> int:
    return min(max(side, SHORTEST_SIDE), LONGEST_SIDE) // 2 * 2


def render(
    target: pathlib.Path,
    *,
    prompt: str,
    images: Sequence[str],
    orientation: str,
    size: str,
    duration_s: float,
    seed: int,
    on_progress: Callable[[float], None],
) -> None:
    """Write a playable MP4 of the images, or of a moving gradient, under the prompt as a caption.

    Blocks for a tenth to a third of the clip's length, mostly outside the interpreter lock: call it from a thread.

    Args:
        target: Where the whole file appears, at once; nothing appears there if anything is raised.
        prompt: Any text; what fits in three lines is shown.
        images: Image links. A `data:` URI is shown, any other link becomes a placeholder that names it.
        orientation: See `frame_size`.
        size: See `frame_size`.
        duration_s: Length of the clip in seconds, kept within 1 to 60.
        seed: Chooses colours and camera moves; the same seed and input give the same pictures.
        on_progress: Called often with the share done, 0.0 to 1.0. What it raises ends the rendering.

    Raises:
        RenderUnavailable: The `sandbox` extra is not installed.
        OSError: The file cannot be written.
    """
    require()
    from sora_async.sandbox import render_film  # noqa: PLC0415 -- it imports the extra

    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    # Written in this order, a duration that is not a number becomes the shortest.
    seconds = min(LONGEST_S, max(SHORTEST_S, duration_s))
    try:
        film = render_film.compose(
            prompt=prompt,
            images=images,
            size=frame_size(size, orientation),
            duration_s=seconds,
            seed=seed,
            on_progress=on_progress,
        )
        render_film.encode(film, part, on_progress)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
