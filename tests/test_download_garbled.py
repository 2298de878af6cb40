"""Whatever happens to the bytes on their way, under the final name stands the very file, or nothing."""

import asyncio
import base64
import contextlib
import hashlib
import random

import pytest
from file_server import Answer, Files, serving, tiny_mp4
from test_download import ONCE, downloader

from sora_async.download.digests import Digest
from sora_async.download.part import Part
from sora_async.errors import DownloadError

FETCHES, CHECKS, WORKERS = 2_000, 10_000, 8
VIDEO = tiny_mp4(3, bytes(range(256)))
DIGEST = base64.b64encode(hashlib.sha256(VIDEO).digest()).decode()


def garble(wire: bytes, dice: random.Random) -> bytes:
    """Damage an answer at one place: bits or bytes changed, some put in, some lost, or its end lost."""
    start = dice.randrange(len(wire))
    length = dice.choice([1, 1, 2, 8, 40])
    noise = dice.randbytes(length)
    stretch = wire[start : start + length]
    instead = {
        "flip": bytes([stretch[0] ^ 1 << dice.randrange(8)]) + stretch[1:],
        "overwrite": noise[: len(stretch)],
        "insert": noise + stretch,
        "delete": b"",
        "cut": None,
    }[dice.choice(["flip", "overwrite", "insert", "delete", "cut"])]
    return wire[:start] if instead is None else wire[:start] + instead + wire[start + len(stretch) :]


def serve_garbled(request) -> Answer:
    """Answer as a healthy server would, and damage that; the number in the link decides how."""
    healthy = Files(VIDEO)(request)
    healthy.headers["Repr-Digest"] = f"sha-256=:{DIGEST}:"
    return Answer(raw=garble(healthy.spell(), random.Random(int(request.target.strip("/")))))


@pytest.mark.unmeasured
async def test_download_garbled_at_one_of_many_places_is_the_file_or_nothing(tmp_path):
    """Damaged answers over real connections, many of them to requests for the rest of a damaged part."""
    whole = 0

    async def work(first: int) -> None:
        nonlocal whole
        target = tmp_path / f"{first}.mp4"
        for number in range(first, FETCHES, WORKERS):
            try:
                await fetcher.fetch(f"{server.url}/{number}", target)
            except DownloadError:
                assert not target.exists()
            else:
                assert target.read_bytes() == VIDEO
                target.unlink()
                whole += 1

    async with serving(serve_garbled) as server, downloader(ONCE) as fetcher:
        await asyncio.gather(*map(work, range(WORKERS)))
    assert {path.suffix for path in tmp_path.iterdir()} <= {".part", ".json"}
    assert whole > 100
    assert sum(asked is not None for asked in server.ranges) > 100


@pytest.mark.unmeasured
def test_download_garbled_at_any_place_is_no_video(tmp_path):
    """Ten thousand damaged files on disk: each that differs from what the server told is refused."""
    part = Part(tmp_path / "cat.mp4")
    part.open()
    with contextlib.closing(part):
        for number in range(CHECKS):
            garbled = garble(VIDEO, random.Random(number))
            part.restart(None, None, Digest("sha256", hashlib.sha256(VIDEO).hexdigest()))
            part.write([garbled])
            assert (part.check() is None) == (garbled == VIDEO)


@pytest.mark.unmeasured
def test_download_cut_anywhere_is_no_video_also_without_a_digest(tmp_path):
    """The structure of a video tells at each byte that the rest is missing."""
    part = Part(tmp_path / "cat.mp4")
    part.open()
    with contextlib.closing(part):
        for length in range(len(VIDEO)):
            part.restart()
            part.write([VIDEO[:length]])
            assert part.check() is not None
