"""The file of the page: whole or not at all, never over somebody else's, and of a reasonable size."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from gallery_entries import ListedLedger, make_entry

from sora_async import LedgerError
from sora_async.batch.gallery import write_gallery
from sora_async.batch.ledger import Entry, Stage


def names_in(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


async def test_gallery_is_one_file_with_the_name_that_browsers_open(tmp_path: Path) -> None:
    """The folder is made, and nothing else is left in it."""
    page = await write_gallery(ListedLedger([make_entry()]), tmp_path / "new" / "folder")
    assert page == tmp_path / "new" / "folder" / "index.html"
    assert names_in(page.parent) == ["index.html"]
    assert '<h1 dir="auto">folder</h1>' in page.read_text()


async def test_gallery_of_a_store_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be written into a folder here that has the name of the URL."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="into a folder, not into a store"):
        await write_gallery(ListedLedger([]), "s3://bucket/boats")
    assert names_in(tmp_path) == []


async def test_gallery_replaces_its_own_page(tmp_path: Path) -> None:
    """Each run of a batch brings the page up to date."""
    await write_gallery(ListedLedger([make_entry()]), tmp_path, title="Before")
    page = await write_gallery(ListedLedger([]), tmp_path, title="After")
    assert "<title>After</title>" in page.read_text()
    assert "Nothing has been entered into this batch yet." in page.read_text()


async def test_gallery_never_replaces_a_page_of_somebody_else(tmp_path: Path) -> None:
    """An index.html without our mark stays, and so does a folder of that name."""
    (tmp_path / "index.html").write_text("<title>My site</title>")
    with pytest.raises(FileExistsError, match="was not made by this library: move it away"):
        await write_gallery(ListedLedger([make_entry()]), tmp_path)
    assert (tmp_path / "index.html").read_text() == "<title>My site</title>"
    (tmp_path / "site" / "index.html").mkdir(parents=True)
    with pytest.raises(FileExistsError):
        await write_gallery(ListedLedger([make_entry()]), tmp_path / "site")


async def test_gallery_without_its_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra, and nothing is written."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ModuleNotFoundError, match=r"sora_async\[gallery\]"):
        await write_gallery(ListedLedger([]), tmp_path)
    assert names_in(tmp_path) == []


async def test_gallery_of_a_ledger_that_fails_leaves_the_old_page(tmp_path: Path) -> None:
    """Half a ledger makes no page."""

    class Broken(ListedLedger):
        async def entries(self, *stages: Stage) -> AsyncIterator[Entry]:
            yield make_entry()
            raise LedgerError("the disk is gone")

    page = await write_gallery(ListedLedger([]), tmp_path, title="Before")
    with pytest.raises(LedgerError, match="the disk is gone"):
        await write_gallery(Broken([]), tmp_path, title="After")
    assert "<title>Before</title>" in page.read_text()


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file of this process can grow beyond 10,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_gallery_on_a_full_disk_leaves_the_folder_as_it_was(tmp_path: Path, small_disk: None) -> None:
    """What does not fit is taken away again."""
    with pytest.raises(OSError, match="File too large"):
        await write_gallery(ListedLedger([make_entry()]), tmp_path)
    assert names_in(tmp_path) == []


async def test_gallery_that_is_cancelled_waits_for_its_thread(tmp_path: Path) -> None:
    """No thread goes on with files that are closed."""
    begun, go_on = threading.Event(), threading.Event()

    class Slow(dict[str, Any]):
        def get(self, name: str, default: Any = None) -> Any:
            begun.set()
            go_on.wait()
            return super().get(name, default)

    entry = Entry(key="slow", stage=Stage.DONE, request=Slow(prompt="a cat"))
    task = asyncio.create_task(write_gallery(ListedLedger([entry]), tmp_path))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert names_in(tmp_path) == []


async def test_gallery_of_thousands_is_of_a_reasonable_size(tmp_path: Path) -> None:
    """2,000 entries with all that is known of them are a page under 3 MB."""
    entries = [
        make_entry(
            os.urandom(8).hex(),
            prompt="a paper boat in the rain, slow dolly shot, 35 mm, soft light, reflections of neon",
            path=f"a-paper-boat-in-the-rain-slow-dolly-{number:016x}.mp4",
            size=12_345_678,
            sha256=os.urandom(32).hex(),
            attempt=1,
            request={"watermark": True},
        )
        for number in range(2000)
    ]
    for entry in entries:
        (tmp_path / str(entry.path)).touch()
    page = await write_gallery(ListedLedger(entries), tmp_path)
    assert page.read_text().count('<li class="card"') == 2000
    assert page.stat().st_size < 3_000_000


async def test_gallery_larger_than_memory_keeps_every_character(tmp_path: Path) -> None:
    """Cards wait on disk from 16 MB, and come back as they were."""
    prompt = "é" * 10_000
    page = await write_gallery(ListedLedger(make_entry(str(n), prompt=prompt) for n in range(1000)), tmp_path)
    assert page.read_text().count(f">{prompt}</h3>") == 1000


@pytest.mark.parametrize(
    ("key", "fields", "line"),
    [
        ("line-1", {}, "sora-async ledger resolve line-1 --lost"),
        (
            "it's",
            {"ledger_file": "my runs/a.db"},
            """sora-async ledger resolve 'it'"'"'s' --lost --ledger 'my runs/a.db'""",
        ),
        ("$(rm x); y", {"command": "uv run sora-async"}, "uv run sora-async ledger resolve '$(rm x); y' --lost"),
        ("--retry", {"ledger_file": Path("a.db")}, "sora-async ledger resolve --lost --ledger a.db -- --retry"),
    ],
)
async def test_gallery_command_can_be_pasted_into_a_shell(
    key: str, fields: dict[str, Any], line: str, tmp_path: Path
) -> None:
    """Keys and names are quoted, and a key never becomes an option."""
    entries = [make_entry(key, Stage.UNCERTAIN, reason="502")]
    page = await write_gallery(ListedLedger(entries), tmp_path, **fields)
    shown = line.replace("'", "&#39;").replace('"', "&#34;")
    assert f"<code>{shown}</code>" in page.read_text()
