"""Local pictures as data URIs."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import attrs

from sora_async.models import VideoRequest

MAX_IMAGE_BYTES = 20 * 1024 * 1024
"""Relays refuse bodies of some tens of MiB with 413; base64 adds a third."""

_MAGICS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
)
_BRANDS = {b"avif": "image/avif", b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heif"}


def sniff_image(head: bytes) -> str | None:
    """The media type of a picture by its first 12 bytes, None if they are not those of a known kind."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12])
    return next((kind for magic, kind in _MAGICS if head.startswith(magic)), None)


def read_image(path: Path) -> str:
    """Read a picture file as a `data:` URI. Blocks, so call it in a thread.

    Raises:
        ValueError: the file cannot be read, is over MAX_IMAGE_BYTES, or is no picture by its content.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_IMAGE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"the image {str(path)!r} cannot be read: {error.strerror}") from None
    if len(data) > MAX_IMAGE_BYTES:
        raise ValueError(f"the image {str(path)!r} is over {MAX_IMAGE_BYTES >> 20} MiB: make it smaller")
    kind = sniff_image(data[:12])
    if kind is None:
        raise ValueError(f"{str(path)!r} is no picture: give a PNG, JPEG, WebP, GIF, BMP, AVIF or HEIC file")
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


async def with_data_uris(request: VideoRequest) -> VideoRequest:
    """Read the files among a request's images, off the loop.

    Raises:
        ValueError: as for read_image.
    """
    if not any(isinstance(image, Path) for image in request.images or ()):
        return request
    images = [
        await asyncio.to_thread(read_image, image) if isinstance(image, Path) else image
        for image in request.images or ()
    ]
    return attrs.evolve(request, images=images)
