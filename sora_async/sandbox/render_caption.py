"""What is written over every frame: the prompt on a soft dark band, and a mark that says sandbox."""

from PIL import Image, ImageDraw

from sora_async.sandbox.render_fonts import system_fonts
from sora_async.sandbox.render_frames import Overlay
from sora_async.sandbox.render_text import Pen

MOST_LINES = 3
MARK = "SANDBOX"

_BAND_OPACITY = 175
_MARK_OPACITY = 130


def overlays(prompt: str, size: tuple[int, int]) -> list[Overlay]:
    """Lay out the mark and, unless the prompt is blank, the caption for a frame of this size in pixels."""
    return [layer for layer in (caption(prompt, size), mark(size)) if layer is not None]


def caption(prompt: str, size: tuple[int, int]) -> Overlay | None:
    """Set the prompt at the bottom of the frame, in at most three lines; None if it has nothing to show."""
    width, height = size
    pen = Pen(fonts=system_fonts(), size=max(10, min(size) // 21))
    lines = pen.wrap(prompt, width * 0.88, MOST_LINES)
    if not lines:
        return None
    fade, below = pen.size * 3, round(pen.size * 0.9)
    band_height = min(height, (fade + len(lines) * pen.line_height + below + 1) // 2 * 2)
    shade = Image.new("L", (width, band_height), _BAND_OPACITY)
    slope = Image.linear_gradient("L").resize((width, fade)).point(_eased)
    shade.paste(slope, (0, 0))
    layer = Image.new("RGBA", shade.size)
    layer.putalpha(shade)
    for index, line in enumerate(reversed(lines)):
        pen.draw(layer, line, width / 2, band_height - below - pen.size * 0.2 - index * pen.line_height)
    return Overlay.from_rgba(layer, 0, height - band_height)


def _eased(level: int) -> float:
    """Start and end a slope softly, so that no edge of the band is seen."""
    share = level / 255
    return _BAND_OPACITY * share * share * (3 - 2 * share)


def mark(size: tuple[int, int]) -> Overlay:
    """Set the word SANDBOX into the upper right corner."""
    pen = Pen(fonts=system_fonts(), size=max(8, min(size) // 36))
    margin = min(size) // 60 * 2
    width = min(size[0] - margin, round(pen.width(MARK) + pen.size * 1.4)) // 2 * 2
    height = round(pen.size * 1.8) // 2 * 2
    layer = Image.new("RGBA", (width, height))
    ImageDraw.Draw(layer).rounded_rectangle((0, 0, width - 1, height - 1), height / 2, (0, 0, 0, _MARK_OPACITY))
    pen.draw(layer, MARK, width / 2, height / 2 + pen.size * 0.36)
    return Overlay.from_rgba(layer, size[0] - width - margin, margin)
