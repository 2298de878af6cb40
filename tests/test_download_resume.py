"""What is on disk already is not fetched again, unless it may be something else."""

import random

import pytest
from file_server import ETAG, Answer, Files, serving, tiny_mp4
from test_download import ONCE, downloader, left_in

from sora_async.download import DownloadPolicy
from sora_async.errors import DownloadError

VIDEO = tiny_mp4(5000)
OTHER = tiny_mp4(5000, b"w")
PATIENT = DownloadPolicy(delays_s=(0.0, 0.0), min_rate=0.0)


async def resume(tmp_path, *answers, policy=PATIENT, told=None):
    async with serving(*answers) as server, downloader(policy) as fetcher:
        path = await fetcher.fetch(f"{server.url}/v.mp4", tmp_path / "cat.mp4", on_retry=told)
        return path.read_bytes(), server.ranges


async def break_off(tmp_path, **headers) -> None:
    """Leave the first bytes of VIDEO on disk."""
    answer = Answer(VIDEO, headers={"ETag": ETAG, **headers}, cut=2000)
    async with serving(answer) as server, downloader(ONCE) as fetcher:
        with pytest.raises(DownloadError):
            await fetcher.fetch(server.url, tmp_path / "cat.mp4")


async def test_resume_after_each_cut_asks_for_the_rest(tmp_path):
    """Every byte that came counts: the next request starts behind it."""
    got, ranges = await resume(tmp_path, Files(VIDEO, cuts=(2000, 0, 1, 1000)))
    assert got == VIDEO
    assert ranges == [None, "bytes=2000-", "bytes=2000-", "bytes=2001-", "bytes=3001-"]


async def test_resume_counts_tries_anew_after_progress(tmp_path):
    """A server that always breaks but always brings something is not given up."""
    got, ranges = await resume(
        tmp_path, Files(VIDEO, cuts=(100,) * 20), policy=DownloadPolicy(delays_s=(0,), min_rate=0)
    )
    assert got == VIDEO
    assert len(ranges) == 21


async def test_resume_with_too_little_progress_gives_up(tmp_path):
    """Less than the slowest rate allowed does not count as progress."""
    with pytest.raises(DownloadError):
        await resume(tmp_path, Files(VIDEO, cuts=(100,) * 20), policy=DownloadPolicy(delays_s=(0.0,) * 5))


async def test_resume_by_another_downloader_goes_on(tmp_path):
    """A later process finds the bytes and their version, and asks for the rest only."""
    await break_off(tmp_path)
    assert left_in(tmp_path) == [".cat.mp4.part", ".cat.mp4.part.json"]
    got, ranges = await resume(tmp_path, Files(VIDEO))
    assert (got, ranges) == (VIDEO, ["bytes=2000-"])
    assert left_in(tmp_path) == ["cat.mp4"]


async def test_resume_of_a_changed_file_starts_anew(tmp_path):
    """Bytes of two versions are never mixed."""
    await break_off(tmp_path)
    got, ranges = await resume(tmp_path, Files(OTHER, etag='"version-2"'))
    assert (got, ranges) == (OTHER, ["bytes=2000-"])


@pytest.mark.parametrize("etag", ['W/"version-1"', "version-1", ""])
async def test_resume_without_a_strong_etag_starts_anew(tmp_path, etag):
    """A weak ETag does not promise the same bytes."""
    await break_off(tmp_path, ETag=etag)
    assert await resume(tmp_path, Files(VIDEO)) == (VIDEO, [None])


@pytest.mark.parametrize(
    "note", [b"", b"{", b"[]", b'{"etag": "x"}', b'{"etag": 5, "total": 9}', b'{"total": "x"}', b"\xff"]
)
async def test_resume_with_a_damaged_note_starts_anew(tmp_path, note):
    """Without a readable note the bytes belong to nothing known."""
    await break_off(tmp_path)
    (tmp_path / ".cat.mp4.part.json").write_bytes(note)
    assert await resume(tmp_path, Files(VIDEO)) == (VIDEO, [None])


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": f"bytes 2001-{len(VIDEO) - 1}/{len(VIDEO)}"},
        {"Content-Range": f"bytes 2000-{len(VIDEO) - 1}/{len(VIDEO) + 1}"},
        {"Content-Range": f"bytes 2000-{len(VIDEO) - 1}/*"},
        {"Content-Range": f"bytes 2000-{len(VIDEO) - 1}/{len(VIDEO)}", "ETag": '"version-2"'},
        {"Content-Range": "nonsense"},
        {},
    ],
)
async def test_resume_of_another_range_starts_anew(tmp_path, headers):
    """A 206 counts only if it holds the very bytes that were asked for."""
    await break_off(tmp_path)
    wrong = Answer(OTHER[2000:], 206, headers)
    assert await resume(tmp_path, wrong, Files(VIDEO)) == (VIDEO, ["bytes=2000-", None])


async def test_resume_that_brings_too_much_starts_anew(tmp_path):
    """More bytes than the file is long are no part of it."""
    told = []
    await break_off(tmp_path)
    wrong = Answer(VIDEO, 206, {"Content-Range": f"bytes 2000-{len(VIDEO) - 1}/{len(VIDEO)}"})
    got = await resume(tmp_path, wrong, Files(VIDEO), told=lambda reason, _: told.append(reason))
    assert got == (VIDEO, ["bytes=2000-", None])
    assert told == ["more came than its server had announced"]


async def test_resume_that_brings_a_piece_goes_on(tmp_path):
    """A 206 may hold less than was asked for."""
    await break_off(tmp_path)
    piece = Answer(VIDEO[2000:3000], 206, {"Content-Range": f"bytes 2000-2999/{len(VIDEO)}"})
    assert await resume(tmp_path, piece, Files(VIDEO)) == (VIDEO, ["bytes=2000-", "bytes=3000-"])


async def test_range_that_nobody_asked_for_is_not_taken(tmp_path):
    """A 206 to a plain request may be any part of the file."""
    wrong = Answer(VIDEO, 206, {"Content-Range": f"bytes 0-{len(VIDEO) - 1}/{len(VIDEO)}"})
    assert await resume(tmp_path, wrong, Files(VIDEO)) == (VIDEO, [None, None])


@pytest.mark.parametrize("total", [f"bytes */{len(VIDEO)}", ""])
async def test_resume_of_a_complete_part_only_checks_it(tmp_path, total):
    """A 416 for a part that is as long as the file means that nothing is missing."""
    (tmp_path / ".cat.mp4.part").write_bytes(VIDEO)
    (tmp_path / ".cat.mp4.part.json").write_text(f'{{"etag": "\\"version-1\\"", "total": {len(VIDEO)}}}')
    complete = Answer(status=416, headers={"Content-Range": total})
    assert await resume(tmp_path, complete) == (VIDEO, [f"bytes={len(VIDEO)}-"])


async def test_resume_of_a_part_too_long_starts_anew(tmp_path):
    """A 416 for a part of another length means that it belongs to another file."""
    await break_off(tmp_path)
    gone = Answer(status=416, headers={"Content-Range": "bytes */1000"})
    assert await resume(tmp_path, gone, Files(VIDEO)) == (VIDEO, ["bytes=2000-", None])


async def test_resume_that_completes_a_wrong_file_starts_anew(tmp_path):
    """A part that turns out to be no video is dropped, and the file fetched from its start."""
    await break_off(tmp_path)
    with (tmp_path / ".cat.mp4.part").open("r+b") as part:
        part.write(b"garbled!")
    assert await resume(tmp_path, Files(VIDEO)) == (VIDEO, ["bytes=2000-", None])


async def test_resume_after_expiry_works_with_a_fresh_link(tmp_path):
    """A dead link leaves the part alone, so that the next link goes on."""
    await break_off(tmp_path)
    async with serving(Answer(status=403)) as server, downloader(ONCE) as fetcher:
        with pytest.raises(DownloadError):
            await fetcher.fetch(server.url, tmp_path / "cat.mp4")
    assert await resume(tmp_path, Files(VIDEO)) == (VIDEO, ["bytes=2000-"])


async def test_resume_through_random_cuts_and_lies_is_whole_or_absent(tmp_path):
    """Whatever lengths a server gives and keeps, under the final name stands the video or nothing."""
    dice = random.Random(7)

    def lie(request):
        kind, cut = dice.randrange(4), dice.randrange(len(VIDEO))
        if kind == 0:
            return Answer(VIDEO, headers={"ETag": ETAG}, cut=cut)
        if kind == 1:
            return Answer(VIDEO[:cut], headers={"ETag": ETAG} if cut % 2 else {}, declare=bool(cut % 3))
        if kind == 2:
            garbled = bytearray(VIDEO)
            garbled[dice.choice([0, 4, 5, 6, 7, 30, 31])] ^= 0x55
            return Answer(bytes(garbled), headers={"ETag": f'"{cut}"'})
        return Files(VIDEO, cuts=(cut,))(request)

    async with serving(lie) as server, downloader(ONCE) as fetcher:
        for number in range(500):
            target = tmp_path / f"{number % 5}.mp4"
            try:
                await fetcher.fetch(server.url, target)
            except DownloadError:
                assert not target.exists()
            else:
                assert target.read_bytes() == VIDEO
                target.unlink()
    assert len(server.requests) == 500
