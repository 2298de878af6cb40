"""What happens on the disk: locks, refusals, cancels and kills."""

import asyncio
import contextlib
import errno
import os
import stat
import threading
from functools import partial
from pathlib import Path

import pytest
from file_server import ETAG, Answer, Files, serving, tiny_mp4
from test_download import ONCE, downloader, left_in

from sora_async.download import DownloadPolicy
from sora_async.download import part as part_module
from sora_async.download.disk import MOST_WAITING, Disk
from sora_async.download.part import Part
from sora_async.errors import DownloadError

VIDEO = tiny_mp4(5000)
EAGER = DownloadPolicy(delays_s=(), chunk_bytes=1)
HANGING = Answer(VIDEO, headers={"ETag": ETAG}, cut=2000, stays=True)


async def until_part_has(target: Path, size: int) -> None:
    part = target.with_name(f".{target.name}.part")
    async with asyncio.timeout(20):
        while not part.exists() or part.stat().st_size < size:  # noqa: ASYNC110 only the disk knows
            await asyncio.sleep(0.005)


def open_parts() -> list[Path]:
    """The part files that this process holds open."""
    descriptors = [path for path in Path("/proc/self/fd").iterdir() if path.exists()]
    return [path.readlink() for path in descriptors if ".part" in path.readlink().name]


async def test_disk_part_is_locked_while_written(tmp_path):
    """A second download of the same target is told to wait and changes nothing."""
    target = tmp_path / "cat.mp4"
    async with serving(HANGING, Files(VIDEO)) as server, downloader(ONCE) as fetcher:
        first = asyncio.create_task(fetcher.fetch(server.url, target))
        await server.asked.wait()
        with pytest.raises(DownloadError, match="another download is writing"):
            await fetcher.fetch(server.url, target)
        server.release()
        with pytest.raises(DownloadError, match="ClientPayloadError"):
            await first
        assert await fetcher.fetch(server.url, target)
    assert server.ranges == [None, "bytes=2000-"]


async def test_disk_cancel_keeps_the_part_and_lets_go_of_it(tmp_path):
    """After a cancel the file is closed, what came is kept, and a later download goes on."""
    target = tmp_path / "cat.mp4"
    async with serving(HANGING, Files(VIDEO)) as server, downloader(EAGER) as fetcher:
        task = asyncio.create_task(fetcher.fetch(server.url, target))
        await until_part_has(target, 2000)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left_in(tmp_path) == [".cat.mp4.part", ".cat.mp4.part.json"]
        assert await fetcher.fetch(server.url, target)
    assert target.read_bytes() == VIDEO


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are listed on Linux only")
async def test_disk_no_file_stays_open(tmp_path):
    """Neither success nor failure leaves a file open."""
    async with serving(Files(VIDEO, cuts=(100,))) as server, downloader(ONCE) as fetcher:
        with pytest.raises(DownloadError):
            await fetcher.fetch(server.url, tmp_path / "cat.mp4")
        await fetcher.fetch(server.url, tmp_path / "cat.mp4")
    assert not open_parts()


async def test_disk_work_ends_before_a_cancel_is_passed_on():
    """A thread that writes never outlives its download, however often that is cancelled."""
    started, may_end, ended = asyncio.Event(), asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def work():
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(may_end.wait(), loop).result()
        ended.append(True)
        raise OSError("nobody hears this")

    task = asyncio.create_task(Disk(str).run(work))
    await started.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended


def refuse():
    raise OSError(errno.ENOSPC, "full")


async def test_disk_work_is_done_in_order_until_some_of_it_fails():
    """What stands behind a failure would leave a gap, so it is dropped; once that is told, all goes on."""
    disk, may_begin, done = Disk(str), threading.Event(), []
    disk.start(may_begin.wait)
    for work in (partial(done.append, 1), partial(done.append, 2), refuse, partial(done.append, 3)):
        disk.start(work)
    assert disk.is_behind
    may_begin.set()
    with pytest.raises(DownloadError, match="full"):
        await disk.settle()
    assert done == [1, 2]
    assert not disk.is_behind
    assert await disk.run(str, 5) == "5"


async def test_disk_work_that_comes_after_a_failure_is_dropped():
    """Also if nobody was told of it yet."""
    disk, done = Disk(str), []
    disk.start(refuse)
    while not disk.is_behind:  # noqa: ASYNC110 it is told by no event
        await asyncio.sleep(0)
    disk.start(done.append, 1)
    with pytest.raises(DownloadError, match="full"):
        await disk.run(done.append, 2)
    assert await disk.run(len, done) == 0


async def test_disk_that_is_slow_is_waited_for(tmp_path, monkeypatch):
    """Little of the file is held in memory, however fast it comes."""
    may_write, waiting = threading.Event(), []
    write, settle = Part.write, Disk.settle

    def write_slowly(part, chunks):
        may_write.wait()
        write(part, chunks)

    async def see(disk):
        waiting.append(len(disk._pieces))
        if waiting[-1] > 1:
            may_write.set()
        return await settle(disk)

    monkeypatch.setattr(Part, "write", write_slowly)
    monkeypatch.setattr(Disk, "settle", see)
    large = tiny_mp4(2**23)
    async with serving(Files(large)) as server, downloader(EAGER) as fetcher:
        assert (await fetcher.fetch(server.url, tmp_path / "cat.mp4")).read_bytes() == large
    assert max(waiting) == MOST_WAITING


async def test_disk_full_keeps_what_fits(tmp_path):
    """A full disk is told with its path and advice; the part stays and is gone on from."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    target, large = tmp_path / "cat.mp4", tiny_mp4(2**20)
    async with serving(Files(large)) as server, downloader(ONCE) as fetcher:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
        try:
            with pytest.raises(DownloadError, match=r"cat\.mp4.*free some space") as refused:
                await fetcher.fetch(server.url, target)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert refused.value.errno == errno.EFBIG
        assert not target.exists()
        assert (await fetcher.fetch(server.url, target)).read_bytes() == large
    assert server.ranges == [None, "bytes=500000-"]


async def test_disk_that_refuses_the_folder_is_told(tmp_path):
    """A folder that cannot be made is an error with its path, not a crash."""
    (tmp_path / "file").write_bytes(b"")
    async with serving(Files(VIDEO)) as server, downloader(ONCE) as fetcher:
        with pytest.raises(DownloadError, match=r"cannot write .*check the folder"):
            await fetcher.fetch(server.url, tmp_path / "file" / "cat.mp4")
    assert not server.requests


async def test_disk_target_that_is_a_folder_is_misuse(tmp_path):
    """The target names a file."""
    async with downloader(ONCE) as fetcher:
        with pytest.raises(ValueError, match="is a directory"):
            await fetcher.fetch("http://127.0.0.1:1/", tmp_path)


@pytest.mark.parametrize("name", [".cat.mp4.part", ".cat.mp4.part.json"])
async def test_disk_links_are_not_followed(tmp_path, name):
    """A link in the place of the part, or of its note, leads nowhere."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / name).symlink_to(victim)
    async with serving(Files(VIDEO)) as server, downloader(ONCE) as fetcher:
        with contextlib.suppress(DownloadError):
            await fetcher.fetch(server.url, tmp_path / "cat.mp4")
    assert (tmp_path / "cat.mp4").exists() == name.endswith(".json")
    assert victim.read_bytes() == b"precious"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
async def test_disk_part_that_is_no_file_is_refused(tmp_path):
    """A pipe in the place of the part is not written to."""
    os.mkfifo(tmp_path / ".cat.mp4.part")
    async with downloader(ONCE) as fetcher:
        with pytest.raises(DownloadError, match="not a regular file"):
            await fetcher.fetch("http://127.0.0.1:1/", tmp_path / "cat.mp4")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
async def test_disk_mode_is_that_of_any_new_file(tmp_path):
    """The umask decides, as for a file that was made by hand."""
    before = os.umask(0o027)
    try:
        async with serving(Files(VIDEO)) as server, downloader(ONCE) as fetcher:
            path = await fetcher.fetch(server.url, tmp_path / "cat.mp4")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("another", [False, True])
def test_part_finished_by_another_in_between_is_opened_anew(tmp_path, monkeypatch, another):
    """A part that was renamed between opening and locking is a finished file by then, and must not be written."""
    target, path, lock = tmp_path / "cat.mp4", tmp_path / ".cat.mp4.part", part_module._lock

    def lock_late(descriptor):
        if not target.exists():
            path.rename(target)
            if another:
                path.write_bytes(b"a later one")
        lock(descriptor)

    monkeypatch.setattr(part_module, "_lock", lock_late)
    part = Part(target)
    part.open()
    part.write([b"!"])
    part.close()
    assert target.read_bytes() == b""
    assert path.read_bytes() == (b"a later one!" if another else b"!")


@pytest.mark.parametrize("pieces", [[b"a" * 300_000, b"b" * 300_000], [b"c" * 1000] * 600], ids=["large", "small"])
def test_part_that_fits_in_part_counts_what_fits(tmp_path, pieces):
    """However the pieces are written, the next try goes on behind the last byte that is on the disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    part = Part(tmp_path / "cat.mp4")
    part.open()
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            part.write(pieces)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    part.close()
    assert part.size == 500_000
    assert (tmp_path / ".cat.mp4.part").read_bytes() == b"".join(pieces)[:500_000]


def test_part_of_many_small_pieces_is_written_whole(tmp_path):
    """A slow line brings many."""
    part = Part(tmp_path / "cat.mp4")
    part.open()
    part.write([b"small "] * 600)
    part.close()
    assert (part.size, (tmp_path / ".cat.mp4.part").read_bytes()) == (3600, b"small " * 600)


def test_part_not_open_is_misuse(tmp_path):
    """A closed part neither writes nor fails to close again."""
    part = Part(tmp_path / "cat.mp4")
    part.close()
    with pytest.raises(ValueError, match="not open"):
        part.write([b"!"])
