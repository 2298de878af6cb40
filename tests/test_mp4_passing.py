"""A video that passes by in pieces is judged as one that lies on a disk."""

import io
import random

import pytest
from file_server import box, tiny_mp4

from benchmarks.fuzzing.films import film
from sora_async.mp4 import PassingVideo, check_video


def judge(data: bytes, sizes: list[int]) -> str | None:
    """The verdict over pieces of these sizes; the last piece has the rest."""
    passing, place = PassingVideo(), 0
    for size in sizes:
        passing.feed(data[place : place + size])
        place += size
    passing.feed(memoryview(data)[place:])
    return passing.end()


def test_passing_video_has_the_verdict_of_a_file():
    """However it is cut into pieces, whole or damaged, MP4 or WebM."""
    whole = 0
    for number in range(1500):
        dice = random.Random(number)
        data = film(dice)
        expected = check_video(io.BytesIO(data), len(data))
        assert judge(data, [dice.randrange(40) for _ in range(20)]) == expected, number
        whole += expected is None
    assert whole > 50


@pytest.mark.parametrize("size", [1, 7, 511, 512, 513, 100_000])
def test_passing_video_that_is_cut_anywhere_is_refused(size):
    """Pieces of every size, and no truncation passes."""
    whole = tiny_mp4(900)
    assert judge(whole, [size] * 5) is None
    assert not [length for length in range(len(whole)) if judge(whole[:length], [size] * 5) is None]


def test_passing_video_keeps_nothing_of_the_pictures():
    """What is held does not grow with the file, nor with what comes behind a verdict."""
    passing = PassingVideo()
    passing.feed(tiny_mp4(100)[:-100])
    for _ in range(100):
        passing.feed(bytes(100_000))
        assert len(passing._rest) <= 100_000
    noise = PassingVideo()
    for _ in range(100):
        noise.feed(b"no video" * 100)
    assert len(noise._rest) < 1000


def test_index_up_to_the_end_of_the_file_that_is_cut_is_refused():
    """An index whose length says "all the rest" must be filled by its boxes, too."""
    start = box(b"ftyp", b"isom\0\0\2\0") + box(b"mdat", b"pictures") + b"\0\0\0\0moov"
    whole = start + box(b"mvhd", bytes(100))
    assert judge(whole, []) is None
    assert "damaged" in judge(whole[:-1], [])
