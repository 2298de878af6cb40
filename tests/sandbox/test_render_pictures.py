"""Image links and what becomes of them."""

import base64
import io
import random
import urllib.parse

import pytest
from PIL import Image, ImageChops

from sora_async.sandbox import render_pictures as subject

SIZE = (160, 90)


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def link(data: bytes, head: str = "data:image/png;base64") -> str:
    return f"{head},{base64.b64encode(data).decode()}"


def is_plain(picture: Image.Image, colour: tuple[int, int, int]) -> bool:
    """Compare leniently: JPEG and scaling round."""
    worst = ImageChops.difference(picture, Image.new("RGB", picture.size, colour)).getextrema()
    return all(high <= 3 for _, high in worst)


RED = encode(Image.new("RGB", (32, 32), (255, 0, 0)))


@pytest.mark.parametrize(
    "text",
    [
        link(RED),
        link(RED).rstrip("="),
        link(RED).replace("data:", "DATA:").replace(";base64", ";BASE64"),
        link(RED, "data:;name=a b;base64"),
        "data:image/png;base64," + urllib.parse.quote(base64.b64encode(RED)),
        "data:image/png;base64," + base64.urlsafe_b64encode(RED).decode(),
        "data:image/png," + urllib.parse.quote(RED),
    ],
    ids=["plain", "no padding", "capitals", "odd head", "quoted base64", "urlsafe", "percent"],
)
def test_from_link_reads_each_way_to_write_a_data_uri(text: str) -> None:
    """Every spelling of a data URI that clients send is decoded."""
    assert is_plain(subject.from_link(text, SIZE), (255, 0, 0))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_from_link_reads_each_common_format(kind: str) -> None:
    """The formats of phones and browsers are shown."""
    data = encode(Image.new("RGB", (32, 32), (0, 0, 255)), kind)
    assert is_plain(subject.from_link(link(data), SIZE), (0, 0, 255))


@pytest.mark.parametrize("source", [(1, 1), (3000, 7), (7, 3000), (333, 501)])
def test_from_link_covers_the_frame_whatever_the_proportions(source: tuple[int, int]) -> None:
    """The result has the frame's proportions and no bars."""
    picture = subject.from_link(link(encode(Image.new("RGB", source, (9, 99, 199)))), SIZE)
    assert picture.size == (178, 100)
    assert is_plain(picture, (9, 99, 199))


def test_from_link_crops_to_the_middle() -> None:
    """What is lost is lost at both ends."""
    wide = Image.new("RGB", (300, 90), "red")
    wide.paste("lime", (100, 0, 200, 90))
    picture = subject.from_link(link(encode(wide)), (90, 90))
    assert is_plain(picture.crop((10, 10, 90, 90)), (0, 255, 0))


def test_from_link_turns_a_photo_upright() -> None:
    """A camera's orientation tag is obeyed."""
    lying = Image.new("RGB", (90, 160), "red")
    lying.paste("lime", (0, 0, 90, 80))
    exif = Image.Exif()
    exif[0x0112] = 8
    picture = subject.from_link(link(encode(lying, exif=exif)), SIZE)
    assert picture.getpixel((10, 50)) == (0, 255, 0)
    assert picture.getpixel((170, 50)) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "I;16"])
def test_from_link_reads_each_depth_of_colour(mode: str) -> None:
    """Grey, palette and 16-bit pictures are as bright as they were meant to be."""
    white = Image.new("I;16", (32, 32), 65535) if mode == "I;16" else Image.new("L", (32, 32), 255).convert(mode)
    assert is_plain(subject.from_link(link(encode(white)), SIZE), (255, 255, 255))


def test_from_link_lays_transparency_on_a_dark_ground() -> None:
    """A transparent logo is not shown on a random colour."""
    data = encode(Image.new("RGBA", (32, 32), (255, 0, 0, 0)))
    assert is_plain(subject.from_link(link(data), SIZE), (36, 41, 56))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("data:image/png;base64", "The data URI has no comma"),
        ("data:image/png;base64,A", "The data URI is not valid base64"),
        ("data:image/png;base64,", "The data is not a whole JPEG, PNG, WebP, GIF or BMP"),
        (link(RED[:60]), "The data is not a whole JPEG, PNG, WebP, GIF or BMP"),
        (
            link(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
            "The data is not a whole JPEG, PNG, WebP, GIF or BMP",
        ),
        ("data:,\ud800", "The data is not a whole JPEG, PNG, WebP, GIF or BMP"),
    ],
    ids=["comma", "base64", "empty", "cut", "postscript", "surrogate"],
)
def test_from_link_that_is_no_picture_says_why(text: str, reason: str) -> None:
    """A broken picture becomes a card with the reason, never an error."""
    assert subject.from_link(text, SIZE) == subject.placeholder("Unreadable picture", reason, SIZE)


def test_from_link_refuses_too_many_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture's size is judged before its pixels are unpacked."""
    monkeypatch.setattr(subject, "MOST_PIXELS", 1023)
    reason = "The picture has 32 x 32 pixels, which is too many"
    assert subject.from_link(link(RED), SIZE) == subject.placeholder("Unreadable picture", reason, SIZE)


def test_from_link_refuses_a_decompression_bomb() -> None:
    """Pillow's own guard against a header of absurd size ends in a card as well."""
    bomb = bytearray(encode(Image.new("1", (8, 8)), "BMP"))
    bomb[18:26] = (60000).to_bytes(4, "little") * 2
    reason = "The picture has too many pixels"
    assert subject.from_link(link(bytes(bomb)), SIZE) == subject.placeholder("Unreadable picture", reason, SIZE)


def test_from_link_refuses_too_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data URI is measured before it is decoded."""
    monkeypatch.setattr(subject, "MOST_BYTES", 9)
    reason = "The data URI holds more than 0 MiB"
    assert subject.from_link(link(RED), SIZE) == subject.placeholder("Unreadable picture", reason, SIZE)


@pytest.mark.parametrize("address", ["https://example.com/cat.png", "", "file:///etc/passwd", "x" * 9000, "\ud800\n\0"])
def test_from_link_shows_an_address_instead_of_opening_it(address: str) -> None:
    """Whatever is not a data URI is only written down."""
    assert subject.from_link(address, SIZE) == subject.placeholder("Image link (not fetched)", address, SIZE)


@pytest.mark.parametrize("size", [(64, 64), (1920, 64), (64, 1920), (1280, 720)])
def test_gradient_has_even_sides_at_any_size(size: tuple[int, int]) -> None:
    """Half-size colour planes need even sides."""
    picture = subject.gradient(random.Random(1), size)
    assert (picture.width % 2, picture.height % 2) == (0, 0)
    assert len(picture.getcolors(1 << 20) or ()) > 100
