"""The still pictures of a film: decoded from links, stood in for by placeholders, or made up."""

import base64
import io
import random
import struct
import urllib.parse

from PIL import Image, ImageDraw, ImageOps

from sora_async.sandbox.render_fonts import system_fonts
from sora_async.sandbox.render_text import Pen

MOST_BYTES = 30 * 1024 * 1024
MOST_PIXELS = 40_000_000

_MARGIN = 1.12
# Only formats that Pillow decodes by itself: EPS, for one, would start a PostScript interpreter.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
# What Pillow's decoders let through when a file is damaged, and warnings, since an application may make them errors.
_DAMAGE = (OSError, ValueError, LookupError, TypeError, SyntaxError, EOFError, ArithmeticError, struct.error, Warning)
_PLACEHOLDER_COLOURS = ((36, 41, 56), (58, 66, 92))
_GRID = (5, 4)
_GRADIENT_SIDE = 320


class UnreadablePicture(Exception):  # noqa: N818 -- never leaves this module
    """A data URI that is no picture we show; the message says why."""


def from_link(link: str, size: tuple[int, int]) -> Image.Image:
    """Give the RGB picture a link stands for, with the proportions of a frame `size`, and some margin to move in."""
    if link[:5].lower() != "data:":
        return placeholder("Image link (not fetched)", link, size)
    try:
        return _cover(_decode(_payload(link)), size)
    except UnreadablePicture as error:
        return placeholder("Unreadable picture", str(error), size)


def placeholder(title: str, text: str, size: tuple[int, int]) -> Image.Image:
    """Draw a card with a title, and with a text of up to six lines below it."""
    width, height = _with_margin(size)
    shade = Image.linear_gradient("L").resize((width, height))
    card = ImageOps.colorize(shade, *_PLACEHOLDER_COLOURS)
    side = min(width, height)
    inset = side // 12
    frame = (inset * 2, inset * 2, width - inset * 2, height - inset * 2)
    ImageDraw.Draw(card).rounded_rectangle(frame, inset // 2, outline=(120, 132, 170), width=max(1, side // 240))
    large = Pen(fonts=system_fonts(), size=max(10, side // 22))
    small = Pen(fonts=system_fonts(), size=max(8, side // 28))
    rows = [(large, line) for line in large.wrap(title, width * 0.62, 2)]
    rows += [(small, line) for line in small.wrap(text, width * 0.62, 6)]
    baseline = (height - sum(pen.line_height for pen, _ in rows)) / 2
    for pen, line in rows:
        baseline += pen.line_height
        pen.draw(card, line, width / 2, baseline - (pen.line_height - pen.size) / 2)
    return card


def gradient(chance: random.Random, size: tuple[int, int]) -> Image.Image:
    """Make a soft gradient of kindred colours; small, since it has no detail to lose when it is scaled up."""
    hue = chance.random()
    columns, rows = _GRID if size[0] > size[1] else _GRID[::-1]
    grid = Image.new("HSV", (columns, rows))
    for place in range(columns * rows):
        colour = ((hue + chance.uniform(-0.14, 0.14)) % 1.0, chance.uniform(0.45, 0.8), chance.uniform(0.3, 0.95))
        grid.putpixel((place % columns, place // columns), tuple(round(255 * part) for part in colour))
    scale = _GRADIENT_SIDE / max(size)
    small = (max(2, round(size[0] * scale) // 2 * 2), max(2, round(size[1] * scale) // 2 * 2))
    return grid.convert("RGB").resize(small, Image.Resampling.BICUBIC)


def _payload(link: str) -> bytes:
    head, comma, body = link.partition(",")
    if not comma:
        raise UnreadablePicture("The data URI has no comma")
    if len(body) > MOST_BYTES * 4 // 3:
        raise UnreadablePicture(f"The data URI holds more than {MOST_BYTES // 1024 // 1024} MiB")
    raw = urllib.parse.unquote_to_bytes(body) if "%" in body else body.encode("utf-8", "replace")
    if not head.lower().rstrip().endswith(";base64"):
        return raw
    try:
        return base64.b64decode(raw.translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=") + b"==")
    except ValueError as error:
        raise UnreadablePicture("The data URI is not valid base64") from error


def _decode(data: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _refuse_too_many_pixels(image)
            return _flatten(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError as error:
        raise UnreadablePicture("The picture has too many pixels") from error
    except _DAMAGE as error:
        raise UnreadablePicture("The data is not a whole JPEG, PNG, WebP, GIF or BMP") from error


def _flatten(image: Image.Image) -> Image.Image:
    """Make it RGB: 16 bits become 8, and transparency shows a dark ground."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda level: level / 257).convert("L").convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    ground = Image.new("RGBA", image.size, _PLACEHOLDER_COLOURS[0])
    return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")


def _refuse_too_many_pixels(image: Image.Image) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise UnreadablePicture(f"The picture has {image.width} x {image.height} pixels, which is too many")


def _cover(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Crop the middle of a picture to a frame's proportions, and scale it to the frame and its margin."""
    width, height = _with_margin(size)
    scale = min(image.width / width, image.height / height)
    # Whole pixels: rounding in Pillow puts the box of a fraction outside the picture now and then.
    part = (max(1, int(width * scale)), max(1, int(height * scale)))
    left, top = (image.width - part[0]) // 2, (image.height - part[1]) // 2
    box = (left, top, left + part[0], top + part[1])
    return image.resize((width, height), Image.Resampling.BICUBIC, box, reducing_gap=2.0)


def _with_margin(size: tuple[int, int]) -> tuple[int, int]:
    return round(size[0] * _MARGIN) // 2 * 2, round(size[1] * _MARGIN) // 2 * 2
