"""A signed link shows up nowhere but on the wire, and nothing of the relay's goes to the server of a file."""

import asyncio
import json
import logging
import pickle
import traceback

import pytest
from file_server import ETAG, Answer, Files, serving, tiny_mp4
from raw_server import CLOSE, RESET, STALL, closed_port, http, raw_server
from test_download import ONCE, downloader

from sora_async import Client, Fixed, Retry
from sora_async.download import DownloadPolicy
from sora_async.errors import DownloadError, UnsafeURLError

CANARY = "c4n4ry"
LINK = f"/{CANARY}/v.mp4?sig={CANARY}#{CANARY}"
VIDEO = tiny_mp4(3000)
IMPATIENT = DownloadPolicy(delays_s=(0.0,), read_s=0.02, max_bytes=10_000)
PLAIN = {"host", "accept", "accept-encoding", "user-agent"}


def chain_of(error: BaseException | None) -> list[BaseException]:
    """An error and all that stand behind it."""
    if error is None:
        return []
    return [error, *chain_of(error.__cause__), *chain_of(error.__context__)]


def texts_of(error: BaseException) -> str:
    """All that a program, or a service that collects its errors, may print or store of it."""
    told = []
    for link in chain_of(error):
        printed = traceback.TracebackException.from_exception(link, capture_locals=True).format()
        told += [str(link), repr(link), repr(link.args), repr(vars(link)), repr(pickle.dumps(link)), *printed]
    return "".join(told)


async def endure(fetcher, base, target, **options) -> BaseException:
    """The error of a download of a signed link; this frame, which is in its traceback, does not hold the link."""
    with pytest.raises((DownloadError, ValueError, KeyError)) as caught:
        await fetcher.fetch(base + LINK, target, **options)
    return caught.value


def assert_nothing_shows(error, folder, caplog, *told) -> None:
    files = "".join(path.name + path.read_bytes().decode("latin-1") for path in folder.iterdir())
    assert CANARY not in texts_of(error) + caplog.text + files + repr(told)


@pytest.fixture(autouse=True)
def _talkative(caplog) -> None:
    caplog.set_level(logging.DEBUG)


FAULTS = [
    *(http(status) for status in (204, 304, 400, 401, 403, 404, 410, 416, 429, 451, 500, 503)),
    http(200, b"<html>"),
    http(200, VIDEO, headers=[f"ETag: {ETAG}"], length=len(VIDEO) + 1),
    http(200, VIDEO, headers=["Content-Encoding: gzip"]),
    http(200, VIDEO, headers=["Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg=="]),
    http(200, tiny_mp4(20_000)),
    http(206, VIDEO, headers=["Content-Range: bytes 5-9/10"]),
    *(
        http(302, headers=[f"Location: {location}{LINK}"])
        for location in (
            "", "ftp://127.0.0.1", "http://me:c4n4ry@127.0.0.1", "//a..b", "http://127.0.0.1:99999", "http://[::1",
            f"http://127.0.0.1:{closed_port()}", "http://127.1", "http://①②⑦.0.0.1", "http://a b",
        )
    ),
    b"HTTP/1.1 BAD\r\n\r\n",
    b"\x16\x03\x01 not http \r\n\r\n",
    http(200, VIDEO, headers=["Content-Length: 5"]),
    http(200, VIDEO, headers=["X: " + "x" * 70_000]),
    http(200, VIDEO, headers=[f"X-{number}: {LINK}" for number in range(500)]),
    b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"HTTP/1.1 200 X\r\nContent-Length: -1\r\n\r\n",
    CLOSE, RESET, STALL,
    (http(200, VIDEO[:100], length=5000), RESET),
    (http(200, VIDEO[:100], length=5000), STALL),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=range(len(FAULTS)))
async def test_nothing_of_the_link_shows_when_the_server_fails(fault, tmp_path, caplog):
    """Not in the error, nor behind it, nor in the variables of its frames, nor in logs, files and what is told."""
    told = []
    async with raw_server(fault) as server, downloader(IMPATIENT) as fetcher:
        error = await endure(fetcher, server.url, tmp_path / "cat.mp4", on_retry=lambda *news: told.append(news))
    assert all(isinstance(link, DownloadError) for link in chain_of(error))
    assert_nothing_shows(error, tmp_path, caplog, told)


@pytest.mark.parametrize(
    "base",
    ["http://h.example", "https://127.0.0.1", "https://[::1]", "https://me@h.example", "https://h.example:99999",
     "https://[::1", "https://a..b", "https:", "ftp://h.example", "", "https://①②⑦.0.0.1", "https://0x7f.1", "x"],
)  # fmt: skip
async def test_nothing_of_the_link_shows_when_it_is_refused(base, tmp_path, caplog):
    """A link that must not be followed is a secret like any other."""
    async with downloader(IMPATIENT, local=False) as fetcher:
        error = await endure(fetcher, base, tmp_path / "cat.mp4")
    assert [type(link) for link in chain_of(error)] == [UnsafeURLError]
    assert_nothing_shows(error, tmp_path, caplog)


@pytest.mark.parametrize("place", ["folder", "file/cat.mp4", "pipe"])
async def test_nothing_of_the_link_shows_when_the_disk_refuses(place, tmp_path, caplog):
    """An error of the disk stands alone."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / ".pipe.part").symlink_to(tmp_path / "file")
    async with serving(Files(VIDEO)) as server, downloader(IMPATIENT) as fetcher:
        error = await endure(fetcher, server.url, tmp_path / place)
    assert len(chain_of(error)) == 1
    (tmp_path / "folder").rmdir()
    assert_nothing_shows(error, tmp_path, caplog)


async def test_nothing_of_the_link_shows_when_a_callback_fails(tmp_path, caplog):
    """The program's own error comes with its cause and the names of the frames, but without their variables."""

    def progressed(*_) -> None:
        raise KeyError("mine") from ValueError("of mine")

    async with serving(Files(VIDEO, cuts=(100,))) as server, downloader(ONCE) as fetcher:
        error = await endure(fetcher, server.url, tmp_path / "cat.mp4", on_progress=progressed)
    assert [type(link) for link in chain_of(error)] == [KeyError, ValueError]
    assert "in progressed" in texts_of(error)
    assert_nothing_shows(error, tmp_path, caplog)


@pytest.mark.parametrize("raw", [b"", Answer(VIDEO, cut=500).spell()], ids=["before the head", "in the body"])
async def test_nothing_of_the_link_shows_when_time_is_over(raw, tmp_path, caplog):
    """Neither does it in the cancel that stands behind the timeout of the caller."""

    async with serving(Answer(raw=raw, stays=True)) as server, downloader(ONCE) as fetcher:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.03):
                await fetcher.fetch(server.url + LINK, tmp_path / "cat.mp4")
    assert asyncio.CancelledError in map(type, chain_of(caught.value))
    assert_nothing_shows(caught.value, tmp_path, caplog)


def succeeded(url: str) -> bytes:
    """A relay's answer that shows the link of a finished task."""
    return http(200, json.dumps({"id": "t-1", "status": "completed", "video_url": url + LINK}))


async def test_nothing_of_the_link_shows_from_a_client(tmp_path, caplog):
    """The frames and events of the client, and of what stands between it and the download, show no more."""
    told, settings = [], {"retry": Retry(tries=2, first=0), "pacing": Fixed(0)}
    async with (
        serving(Answer(status=403)) as files,
        raw_server(succeeded(files.url)) as relay,
        Client(CANARY, relay.url, on_event=told.append, **settings) as client,
    ):
        with pytest.raises(DownloadError, match="fresh link") as caught:
            await client.download("t-1", tmp_path / "cat.mp4")
    assert len(chain_of(caught.value)) == 1
    assert len(files.requests) == 2
    assert_nothing_shows(caught.value, tmp_path, caplog, told)


async def test_nothing_of_the_link_shows_in_what_is_left_on_disk(tmp_path, caplog):
    """The part and its note know the version of the file, not where it came from."""
    async with serving(Files(VIDEO, cuts=(500,))) as server, downloader(ONCE) as fetcher:
        error = await endure(fetcher, server.url, tmp_path / "cat.mp4")
    assert {path.name for path in tmp_path.iterdir()} == {".cat.mp4.part", ".cat.mp4.part.json"}
    assert_nothing_shows(error, tmp_path, caplog)


@pytest.mark.parametrize("cut", [None, 500])
async def test_redirect_to_another_origin_gets_what_a_plain_download_needs(tmp_path, cut):
    """No cookie, no credential, no referer, no header of our own: not even that the link came from elsewhere."""
    async with serving(Files(VIDEO, cuts=() if cut is None else (cut,))) as other:
        away = Answer(status=302, headers={"Location": other.url, "Set-Cookie": f"{CANARY}={CANARY}"})
        policy = DownloadPolicy(delays_s=(0.0,))
        async with serving(away) as server, downloader(policy) as fetcher:
            await fetcher.fetch(server.url + LINK, tmp_path / "cat.mp4")
    for request in [*server.requests, *other.requests]:
        assert set(request.headers) - {"range", "if-range"} == PLAIN
    assert CANARY not in repr(other.requests)
    assert ("range" in other.requests[-1].headers) == (cut is not None)
