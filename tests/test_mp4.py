import io
import random
import struct

import pytest
from file_server import box, tiny_mp4
from hypothesis import given
from hypothesis import strategies as st

from sora_async.mp4 import check_video

FTYP = box(b"ftyp", b"isom\0\0\2\0")
MOOV = box(b"moov", bytes(20))
MDAT = box(b"mdat", b"pictures")
EBML = b"\x1a\x45\xdf\xa3\x8b\x42\x82\x84webm\x42\x87\x81\x04"


def check(data: bytes) -> str | None:
    return check_video(io.BytesIO(data), len(data))


def large(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4sQ", 1, kind, len(body) + 16) + body


@pytest.mark.parametrize(
    "data",
    [
        FTYP + MOOV + MDAT,
        FTYP + MDAT + box(b"free") + MOOV,
        FTYP + MOOV + large(b"mdat", b"pictures"),
        FTYP + MOOV + b"\0\0\0\0mdat" + b"pictures",
        FTYP + MOOV + box(b"moof", bytes(8)) + MDAT,
        FTYP + box(b"moof", bytes(8)) + MDAT,
        FTYP + box(b"moov", box(b"mvhd", bytes(100)) + box(b"trak")) + MDAT,
        FTYP + box(b"moov", box(b"mvhd", bytes(100)) + bytes(4)) + MDAT,
        FTYP + box(b"moov", box(b"mvhd", bytes(100)) + bytes(3)) + MDAT,
        FTYP + box(b"moov", large(b"mvhd", bytes(100)) + box(b"trak")) + MDAT,
        FTYP + large(b"moov", box(b"mvhd", bytes(100)) + box(b"trak")) + MDAT,
        FTYP + MDAT + b"\0\0\0\0moov" + box(b"mvhd", bytes(100)),
        EBML + b"\x18\x53\x80\x67\x84body",
        EBML + b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" + b"body of unknown length",
        EBML.replace(b"\x84webm", b"\x88matroska").replace(b"\x8b", b"\x8f") + b"\x18\x53\x80\x67\x84body",
    ],
)
def test_video_whole_is_accepted(data):
    """MP4 in all sizes of boxes, fragmented MP4 and WebM pass."""
    assert check(data) is None


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf\r\n<!DOCTYPE html><p>sorry", "an HTML page"),
        (b"<HTML>", "an HTML page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document"),
        (b' {"error": "expired"}', "a JSON document"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
        (b"GIF89a", "a picture"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "a picture"),
        (b"not found", "neither MP4 nor WebM"),
        (MOOV + MDAT, "neither MP4 nor WebM"),
    ],
)
def test_video_that_is_something_else_is_named(data, what):
    """What came instead of a video is said, so that the cause can be guessed."""
    assert what in check(data)


@pytest.mark.parametrize(
    "data",
    [
        FTYP,
        FTYP + MOOV,
        FTYP + MDAT,
        FTYP + MOOV + MDAT[:-1],
        FTYP + MOOV + MDAT + b"\0",
        FTYP + MOOV + MDAT + b"\0\0\0\0",
        FTYP + MOOV + b"\0\0\0\7mdat",
        FTYP + MOOV + b"\0\0\0\1mdat" + struct.pack(">Q", 15),
        FTYP + MOOV + b"\0\0\0\1mdat",
        FTYP + MOOV + large(b"mdat", b"pictures")[:-1],
        FTYP + box(b"free") * 100_000 + MOOV + MDAT,
        FTYP + box(b"moov", box(b"mvhd", bytes(100))[:-1]) + MDAT,
        FTYP + box(b"moov", box(b"mvhd", bytes(100)) + b"\0\0\0\7trak") + MDAT,
        FTYP + box(b"moov", box(b"mvhd", bytes(100)) + b"\0\0\0\x08tr") + MDAT,
        FTYP + large(b"moov", box(b"mvhd", bytes(100)) + b"\0\0\0\xfftrak") + MDAT,
        FTYP + box(b"moov", box(b"free") * 100_001) + MDAT,
    ],
)
def test_video_of_boxes_that_do_not_tile_is_refused(data):
    """The boxes must fill the file, and those of the index the index, be not too many, and hold both."""
    assert check(data) is not None


@pytest.mark.parametrize(
    "data",
    [
        EBML[:4],
        EBML[:4] + b"\0",
        EBML[:4] + b"\x01\x02",
        EBML,
        EBML + b"\x18\x53\x80\x67",
        EBML + b"\x18\x53\x80\x67\x85body",
        EBML.replace(b"webm", b"text") + b"\x18\x53\x80\x67\x84body",
    ],
)
def test_video_webm_damaged_is_refused(data):
    """A WebM file needs its header, its kind, and the segment that its length promises."""
    assert check(data) is not None


@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [
        ("mp4", "mpeg4", {}),
        ("mp4", "mpeg4", {"movflags": "faststart"}),
        ("mp4", "mpeg4", {"movflags": "frag_keyframe+empty_moov"}),
        ("mp4", "mpeg4", {"movflags": "frag_keyframe+empty_moov+default_base_moof+cmaf"}),
        ("mp4", "mpeg4", {"movflags": "use_metadata_tags", "moov_size": "20000"}),
        ("mov", "mpeg4", {}),
        ("ipod", "mpeg4", {}),
        ("3gp", "mpeg4", {}),
        ("webm", "vp8", {}),
        ("matroska", "mpeg4", {}),
    ],
)
def test_video_of_a_real_writer_is_accepted(container, codec, options, tmp_path):
    """The check has no quarrel with what real software writes."""
    av = pytest.importorskip("av")
    file = tmp_path / "video"
    with av.open(str(file), "w", format=container, options=options) as output:
        output.metadata["title"] = "a cat"
        stream = output.add_stream(codec, rate=24)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(12):
            frame = av.VideoFrame(64, 64, "yuv420p")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    assert check(file.read_bytes()) is None


def test_video_cut_anywhere_is_refused():
    """No truncation of a video passes."""
    whole = tiny_mp4(5000)
    assert not [length for length in range(len(whole)) if check(whole[:length]) is None]


def test_video_with_a_garbled_box_header_is_refused():
    """A wrong bit in the length of any top-level box, or of one in the index, is found."""
    whole, dice = tiny_mp4(5000), random.Random(1)
    moov = len(box(b"ftyp", b"isom\0\0\2\0isomiso2"))
    places = [start + byte for start in (0, moov, moov + 8, whole.index(b"mdat") - 4) for byte in range(4)]
    for _ in range(500):
        bad = bytearray(whole)
        bad[dice.choice(places)] ^= 1 << dice.randrange(8)
        assert check(bytes(bad)) is not None


@given(st.binary(max_size=200), st.sampled_from([b"", FTYP, EBML, FTYP + MOOV]))
def test_video_of_noise_never_raises(noise, start):
    """Any bytes give an answer, not an exception."""
    assert check(start + noise) is None or isinstance(check(start + noise), str)
