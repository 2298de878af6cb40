"""Local pictures as data URIs."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from sora_async.images import MAX_IMAGE_BYTES, read_image, sniff_image

HEADS = {
    "image/png": b"\x89PNG\r\n\x1a\n0000",
    "image/jpeg": b"\xff\xd8\xff\xe000000000",
    "image/gif": b"GIF89a000000",
    "image/webp": b"RIFF0000WEBP",
    "image/bmp": b"BM0000000000",
    "image/avif": b"\0\0\0\x1cftypavif",
    "image/heic": b"\0\0\0\x1cftypheic",
}


@pytest.mark.parametrize(("kind", "head"), HEADS.items())
def test_picture_is_known_by_its_content(kind: str, head: bytes) -> None:
    """A file's name says nothing."""
    assert sniff_image(head) == kind


@pytest.mark.parametrize("head", [b"", b"%PDF-1.7", b"RIFF0000WAVE", b"\0\0\0\x1cftypisom", b"<html>"])
def test_other_content_is_no_picture(head: bytes) -> None:
    """A video, a page or nothing at all is told apart."""
    assert sniff_image(head) is None


def test_picture_becomes_a_data_uri(tmp_path: Path) -> None:
    """Every byte of the file is in it."""
    file = tmp_path / "cat.jpg"
    file.write_bytes(HEADS["image/png"])
    assert read_image(file) == "data:image/png;base64," + base64.b64encode(HEADS["image/png"]).decode()


def test_unusable_files_say_why(tmp_path: Path) -> None:
    """Missing, wrong and oversize files are refused before anything is sent."""
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        read_image(tmp_path / "missing.png")
    text = tmp_path / "text.png"
    text.write_text("hello")
    with pytest.raises(ValueError, match="is no picture"):
        read_image(text)
    huge = tmp_path / "huge.png"
    with huge.open("wb") as file:
        file.truncate(MAX_IMAGE_BYTES + 1)
    with pytest.raises(ValueError, match="over 20 MiB"):
        read_image(huge)
