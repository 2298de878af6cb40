"""Which storage a directory stands for, and which directories are refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from sora_async import Client
from sora_async.batch.storage import make_storage

pytest.importorskip("fsspec")


@pytest.mark.parametrize("write", [str, Path, Path.as_uri, lambda path: path.as_uri().replace("file", "local", 1)])
def test_directory_of_this_machine_is_a_folder(write, tmp_path: Path) -> None:
    """As a text, a Path, or a URL, whose escapes are those of URLs."""
    folder = tmp_path / "my boats"
    assert make_storage(write(folder), threads=1).locate("a/b.mp4") == {"path": folder / "a" / "b.mp4"}


def test_directory_in_a_store_is_shown_as_it_was_written() -> None:
    """Whatever fsspec calls it."""
    assert make_storage("memory://boats/", threads=1).locate("a/b.mp4") == {"url": "memory://boats/a/b.mp4"}


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIAcanary:canary@bucket/boats",
        "s3://canary@bucket",
        "s3://bucket/boats?key=canary&secret=canary",
        "s3://bucket/#canary",
        "simplecache::s3://canary:canary@bucket",
        "simplecache::s3://bucket",
        "s3://bucket::zip://canary",
        "://bucket",
    ],
)
async def test_url_that_may_hold_a_secret_is_refused_and_not_shown(url: str) -> None:
    """Neither users, keys and options, nor one file system within another."""
    async with Client("any", "http://127.0.0.1:1") as client:
        with pytest.raises(ValueError, match="directory") as caught:
            client.generate_many([], directory=url)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("url", ["file://boats", "file://host/boats", "file://"])
def test_file_url_without_a_folder_is_refused(url: str) -> None:
    """It would be another folder than the one that was meant."""
    with pytest.raises(ValueError, match="write file:///folder"):
        make_storage(url, threads=1)


@pytest.mark.parametrize("directory", ["s3:/bucket", PurePosixPath("s3://bucket")])
def test_url_that_lost_a_slash_is_refused(directory: str | os.PathLike[str]) -> None:
    """It would become a folder named s3: here."""
    with pytest.raises(ValueError, match="as a text"):
        make_storage(directory, threads=1)


async def test_url_of_an_unknown_kind_is_told() -> None:
    """By fsspec, which knows the kinds."""
    with pytest.raises(ValueError, match="nothing-known"):
        await make_storage("nothing-known://boats", threads=1).open()


def test_url_without_fsspec_names_the_extra() -> None:
    """A batch into a folder needs no fsspec, and one into a store says where it is to be had."""
    code = (
        "import sys; sys.modules['fsspec'] = None\n"
        "from sora_async.batch.storage import make_storage\n"
        "make_storage('boats', threads=1)\n"
        "make_storage('memory://boats', threads=1)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'sora_async[storage]'" in ran.stderr.splitlines()[-1]
