"""Downloads that are killed, interrupted or refused by a real disk: nothing half, and gone on from the next time."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys

import attrs
import pytest
from file_server import ETAG, Answer, Files, serving, tiny_mp4
from test_download import ONCE, TWICE, downloader, left_in
from test_download_disk import until_part_has

from sora_async.errors import DownloadError

VIDEO = tiny_mp4(100_000)
HANGING = Answer(VIDEO, headers={"ETag": ETAG}, cut=50_000, stays=True)
PARTS = [".cat.mp4.part", ".cat.mp4.part.json"]
PROGRAM = """
import asyncio, concurrent.futures.thread, os, pathlib, subprocess, sys
from sora_async.download import Downloader, DownloadPolicy
from sora_async.errors import DownloadError

async def fetch(url):
    fetcher = Downloader(local=True, policy=DownloadPolicy(delays_s=(), chunk_bytes=1000))
    try:
        await fetcher.fetch(url, pathlib.Path("cat.mp4"))
    except DownloadError as error:
        print(error)
    finally:
        await fetcher.close()
    print(*sorted(os.listdir()))

"""
FETCH = PROGRAM + "asyncio.run(fetch(sys.argv[1]))"
POWERLESS = PROGRAM + "os.getuid() or os.setuid(65534)\nasyncio.run(fetch(sys.argv[1]))"
SMALL = """
def mount(options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", os.getcwd()], check=True)
    os.chdir(os.getcwd())

mount("size=64k")
asyncio.run(fetch(sys.argv[1]))
mount("remount,size=1m")
asyncio.run(fetch(sys.argv[1]))
print(pathlib.Path("cat.mp4").stat().st_size)
"""


async def start(program, url, folder, *command) -> asyncio.subprocess.Process:
    """Run a program in another process whose current folder is the given one."""
    pipe = asyncio.subprocess.PIPE
    words = [*command, sys.executable, "-c", program, url]
    return await asyncio.create_subprocess_exec(*words, cwd=folder, stdout=pipe, stderr=pipe)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
async def test_crash_in_mid_download_is_gone_on_from(tmp_path, way):
    """After kill -9, Ctrl-C or a stop a new process asks for what the old one had not written, and no more."""
    target = tmp_path / "cat.mp4"
    async with serving(HANGING, Files(VIDEO)) as server, downloader(ONCE) as fetcher:
        child = await start(FETCH, server.url, tmp_path)
        try:
            await until_part_has(target, 1000)
            child.send_signal(way)
        finally:
            _, said = await child.communicate()
        assert child.returncode == -way
        assert left_in(tmp_path) == PARTS
        size = (tmp_path / PARTS[0]).stat().st_size
        assert (await fetcher.fetch(server.url, target)).read_bytes() == VIDEO
    assert server.ranges == [None, f"bytes={size}-"]
    assert left_in(tmp_path) == ["cat.mp4"]
    last_line = said.decode().strip().rpartition("\n")[2]
    assert last_line == ("KeyboardInterrupt" if way == signal.SIGINT else "")
    assert b"Unclosed" not in said


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="there are no such modes here")
async def test_crash_on_a_folder_that_is_read_only(tmp_path):
    """Nothing is asked of the server when the folder takes nothing, and once it does, all is well."""
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0o555)
    async with serving(Files(VIDEO)) as server, downloader(ONCE) as fetcher:
        child = await start(POWERLESS, server.url, folder)
        said, _ = await child.communicate()
        assert said.decode().startswith("cannot write cat.mp4: Permission denied; check the folder")
        assert not server.requests
        assert left_in(folder) == []
        folder.chmod(0o755)
        assert (await fetcher.fetch(server.url, folder / "cat.mp4")).read_bytes() == VIDEO


def can_mount(folder) -> bool:
    command = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", folder]
    return shutil.which("unshare") is not None and not subprocess.run(command, check=False).returncode


async def test_crash_on_a_disk_that_is_full(tmp_path):
    """What fits on a real full disk stays, the error says what to do, and with more room the rest is fetched."""
    if not can_mount(tmp_path):
        pytest.skip("no small disk can be mounted here")
    async with serving(Files(VIDEO)) as server:
        child = await start(PROGRAM + SMALL, server.url, tmp_path, "unshare", "--user", "--map-root-user", "--mount")
        said, complaints = await child.communicate()
    first, left, after, size = said.decode().splitlines()
    assert "No space left on device; free some space" in first, complaints
    assert left.split() == PARTS
    assert (after, int(size)) == ("cat.mp4", len(VIDEO))
    start_of_rest = int(server.ranges[1].removeprefix("bytes=").removesuffix("-"))
    assert start_of_rest > 40_000


async def test_crash_on_the_last_step_costs_no_second_fetch(tmp_path):
    """A whole part that could not get its final name is only checked and named the next time."""
    target = tmp_path / "cat.mp4"

    def in_the_way(received, total) -> None:
        target.mkdir(exist_ok=True)

    policy = attrs.evolve(TWICE, chunk_bytes=10_000)
    async with serving(Files(VIDEO)) as server, downloader(policy) as fetcher:
        with pytest.raises(DownloadError, match=r"cannot write .*directory"):
            await fetcher.fetch(server.url, target, on_progress=in_the_way)
        target.rmdir()
        assert left_in(tmp_path) == PARTS
        assert (await fetcher.fetch(server.url, target)).read_bytes() == VIDEO
    assert server.ranges == [None, f"bytes={len(VIDEO)}-"]


async def test_crash_of_the_folder_itself_is_told(tmp_path):
    """A folder that is removed in mid-download is an error of the disk; the next download makes it again."""
    target = tmp_path / "folder" / "cat.mp4"

    def removed(received, total) -> None:
        shutil.rmtree(target.parent, ignore_errors=True)

    policy = attrs.evolve(ONCE, chunk_bytes=10_000)
    async with serving(Files(VIDEO)) as server, downloader(policy) as fetcher:
        with pytest.raises(DownloadError, match=r"cannot write .*No such file"):
            await fetcher.fetch(server.url, target, on_progress=removed)
        assert (await fetcher.fetch(server.url, target)).read_bytes() == VIDEO
