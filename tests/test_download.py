"""What one answer of a file's server leads to."""

import asyncio
import contextlib
import traceback
from collections.abc import AsyncIterator

import pytest
from file_server import Answer, Files, serving, tiny_mp4
from raw_server import full_port

from sora_async.download import Downloader, DownloadPolicy
from sora_async.errors import DownloadError, UnsafeURLError

VIDEO = tiny_mp4(3000)
ONCE = DownloadPolicy(delays_s=())
TWICE = DownloadPolicy(delays_s=(0.0,))
SIGNATURE = "c4n4ry"


@contextlib.asynccontextmanager
async def downloader(policy=ONCE, *, local=True) -> AsyncIterator[Downloader]:
    fetcher = Downloader(local=local, policy=policy)
    try:
        yield fetcher
    finally:
        await fetcher.close()


async def fetch_from(handler, folder, policy=ONCE, **options):
    async with serving(handler) as server, downloader(policy) as fetcher:
        return await fetcher.fetch(f"{server.url}/v.mp4?sig={SIGNATURE}", folder / "cat.mp4", **options)


async def refuse(handler, folder, policy=ONCE) -> DownloadError:
    """The error of a download that must fail, leave no file, and tell no secret."""
    with pytest.raises(DownloadError) as caught:
        await fetch_from(handler, folder, policy)
    told = "".join([str(caught.value), repr(caught.value), *traceback.format_exception(caught.value)])
    assert SIGNATURE not in told
    assert not (folder / "cat.mp4").exists()
    return caught.value


def left_in(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_download_brings_the_whole_file(tmp_path):
    """The file stands under its name, in a folder that was made for it, and nothing beside it."""
    path = await fetch_from(Files(VIDEO), tmp_path / "new" / "folder")
    assert path.read_bytes() == VIDEO
    assert left_in(path.parent) == ["cat.mp4"]


async def test_download_replaces_an_older_file(tmp_path):
    """A file of that name is replaced in one step."""
    (tmp_path / "cat.mp4").write_bytes(b"old")
    assert (await fetch_from(Files(VIDEO), tmp_path)).read_bytes() == VIDEO


async def test_download_sends_the_signed_link_unchanged_and_no_secret(tmp_path):
    """The path and query arrive byte for byte; no cookie and no credential goes along."""
    link = "/a%2Fb%20c/v.mp4?sig=%2B%2f%3D+x&name=%E7%8C%AB"
    cookie = Answer(VIDEO, headers={"Set-Cookie": "a=b"})
    async with serving(cookie) as server, downloader() as fetcher:
        await fetcher.fetch(server.url + link, tmp_path / "1.mp4")
        await fetcher.fetch(server.url + link, tmp_path / "2.mp4")
    assert [request.target for request in server.requests] == [link, link]
    assert not {"cookie", "authorization", "range"} & set(server.requests[1].headers)
    assert server.requests[0].headers["accept-encoding"] == "identity"


async def test_download_tells_progress_up_to_the_whole(tmp_path):
    """Progress never goes back within one answer and ends with all bytes."""
    seen = []
    await fetch_from(Files(VIDEO), tmp_path, DownloadPolicy(chunk_bytes=1), on_progress=lambda *now: seen.append(now))
    assert seen == sorted(seen)
    assert seen[-1] == (len(VIDEO), len(VIDEO))


async def test_download_without_length_is_whole_by_its_boxes(tmp_path):
    """A server need not say the length: the structure of the file tells the end."""
    seen = []
    answer = Answer(VIDEO, declare=False)
    path = await fetch_from(answer, tmp_path, on_progress=lambda *now: seen.append(now))
    assert path.read_bytes() == VIDEO
    assert seen[-1] == (len(VIDEO), None)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(b"<!doctype html><p>busy"), "an HTML page"),
        (Answer(b"<?xml version='1.0'?><Error/>"), "an XML document"),
        (Answer(b'{"error":1}'), "a JSON document"),
        (Answer(b""), "empty"),
        (Answer(VIDEO, cut=2000, declare=False), "cut short"),
        (Answer(VIDEO[:-1]), "cut short"),
        (Answer(VIDEO, cut=2000), "ClientPayloadError"),
        (Answer(VIDEO, cut=0, headers={"Content-Length": "x"}), "ClientResponseError"),
        (Answer(status=500), "HTTP 500"),
        (Answer(status=503, headers={"Retry-After": "0"}), "HTTP 503"),
        (Answer(status=429), "HTTP 429"),
    ],
)
async def test_download_spoilt_fails_and_may_be_repeated(tmp_path, answer, message):
    """What is no whole video is named, never stands under the final name, and may be tried again."""
    error = await refuse(answer, tmp_path)
    assert message in str(error)
    assert error.retryable
    healthy = await fetch_from(Files(VIDEO), tmp_path)
    assert healthy.read_bytes() == VIDEO


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_download_of_an_expired_link_says_so_at_once(tmp_path, status):
    """A dead link is not asked again: a fresh one is needed."""
    async with serving(Answer(status=status)) as server, downloader(TWICE) as fetcher:
        with pytest.raises(DownloadError, match="fresh link") as caught:
            await fetcher.fetch(server.url, tmp_path / "cat.mp4")
    assert (caught.value.status, caught.value.retryable) == (status, True)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [204, 304, 400, 416, 451])
async def test_download_of_another_answer_fails_with_its_status(tmp_path, status):
    """An answer that is neither a file nor trouble known to pass ends the download."""
    answer = Answer(status=status, headers={"Content-Range": "bytes */0"}, declare=False)
    assert (await refuse(answer, tmp_path)).status == status


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate"])
async def test_download_packed_is_refused(tmp_path, coding):
    """A packed answer has lengths that mean something else, so it is not taken."""
    error = await refuse(Answer(VIDEO, headers={"Content-Encoding": coding}), tmp_path)
    assert "packed" in str(error)


async def test_download_marked_identity_is_taken(tmp_path):
    """`identity` means that nothing was packed."""
    assert await fetch_from(Answer(VIDEO, headers={"Content-Encoding": "Identity"}), tmp_path)


@pytest.mark.parametrize("declare", [True, False])
async def test_download_too_large_is_refused_for_good(tmp_path, declare):
    """The cap holds for the length that is declared and for the bytes that come."""
    error = await refuse(Answer(VIDEO, declare=declare), tmp_path, DownloadPolicy(max_bytes=2000, chunk_bytes=100))
    assert "2000 bytes" in str(error)
    assert not error.retryable
    assert not [path for path in tmp_path.iterdir() if path.stat().st_size]


async def test_download_repeats_trouble_and_tells_it(tmp_path):
    """Trouble is repeated after the given delays, and each repeat is announced."""
    told = []
    answers = [Answer(status=500), Answer(b"<html>"), Files(VIDEO)]
    async with serving(*answers) as server, downloader(DownloadPolicy(delays_s=(0.0, 0.001))) as fetcher:
        await fetcher.fetch(server.url, tmp_path / "cat.mp4", on_retry=lambda *news: told.append(news))
    assert [delay_s for _, delay_s in told] == [0.0, 0.001]
    assert "HTTP 500" in told[0][0]
    assert "an HTML page" in told[1][0]


async def test_download_waits_as_long_as_the_server_asks(tmp_path):
    """Retry-After is a floor of the delay."""
    told = []
    answers = [Answer(status=429, headers={"Retry-After": "0.01"}), Files(VIDEO)]
    async with serving(*answers) as server, downloader(TWICE) as fetcher:
        await fetcher.fetch(server.url, tmp_path / "cat.mp4", on_retry=lambda *news: told.append(news))
    assert [delay_s for _, delay_s in told] == [0.01]


async def test_download_gives_up_after_the_last_delay(tmp_path):
    """There is one try more than there are delays, and the last trouble is what is told."""
    async with serving(Answer(status=500), Answer(status=502)) as server, downloader(TWICE) as fetcher:
        with pytest.raises(DownloadError, match="HTTP 502") as caught:
            await fetcher.fetch(server.url, tmp_path / "cat.mp4")
    assert caught.value.status == 502
    assert len(server.requests) == 2


async def test_download_from_a_silent_server_ends(tmp_path):
    """A server that says nothing more is left after the given time."""
    error = await refuse(Answer(VIDEO, cut=100, stays=True), tmp_path, DownloadPolicy(delays_s=(), read_s=0.02))
    assert "silent" in str(error)


async def test_download_from_nobody_says_so(tmp_path):
    """A server that cannot be reached is trouble, not an unsafe link."""
    async with serving(Answer()) as server:
        url = server.url
    async with downloader() as fetcher:
        with pytest.raises(DownloadError, match="cannot be reached") as caught:
            await fetcher.fetch(url, tmp_path / "cat.mp4")
    assert not isinstance(caught.value, UnsafeURLError)


async def test_download_from_a_host_that_drops_all_packets_ends(tmp_path):
    """Connecting has a limit of its own."""
    policy = DownloadPolicy(delays_s=(), connect_s=0.03)
    with full_port() as port:
        async with downloader(policy) as fetcher:
            with pytest.raises(DownloadError, match="cannot be reached: connecting took too long"):
                await fetcher.fetch(f"http://127.0.0.1:{port}/cat.mp4", tmp_path / "cat.mp4")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_download_follows_redirects(tmp_path, status):
    """A redirect may be relative, and is sent on byte for byte."""
    away = Answer(status=status, headers={"Location": "../b%2Fc?x=%2B"})
    async with serving(away, Files(VIDEO)) as server, downloader() as fetcher:
        await fetcher.fetch(f"{server.url}/a/v.mp4", tmp_path / "cat.mp4")
    assert server.requests[1].target == "/b%2Fc?x=%2B"


async def test_download_does_not_wait_for_the_body_of_a_redirect(tmp_path):
    """Only the place that it names is of interest."""
    away = Answer(VIDEO, status=302, headers={"Location": "/b"}, cut=10, stays=True)
    async with serving(away, Files(VIDEO)) as server, downloader() as fetcher:
        assert (await fetcher.fetch(server.url, tmp_path / "cat.mp4")).read_bytes() == VIDEO


async def test_download_follows_five_redirects_and_no_more(tmp_path):
    """A sixth redirect, and so a loop of them, is the end."""
    loop = Answer(status=302, headers={"Location": "/again"})
    async with serving(*[loop] * 5, Files(VIDEO)) as server, downloader() as fetcher:
        await fetcher.fetch(server.url, tmp_path / "cat.mp4")
    async with serving(loop) as server, downloader(TWICE) as fetcher:
        with pytest.raises(DownloadError, match="more than 5 redirects"):
            await fetcher.fetch(server.url, tmp_path / "cat.mp4")
    assert len(server.requests) == 6


async def test_download_of_a_redirect_to_nowhere_fails(tmp_path):
    """A redirect that does not say where to is an answer like any other that is no file."""
    assert (await refuse(Answer(status=302), tmp_path)).status == 302


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/", "file:///etc/passwd", "http://me:pw@127.0.0.1/", "//a..b/"])
async def test_download_checks_each_redirect(tmp_path, location):
    """Where a redirect leads is judged like the first link."""
    error = await refuse(Answer(status=302, headers={"Location": location}), tmp_path)
    assert isinstance(error, UnsafeURLError)
    assert not error.retryable


async def test_download_several_at_once_share_a_session(tmp_path):
    """One downloader fetches many files at a time."""
    async with serving(Files(VIDEO)) as server, downloader() as fetcher:
        await asyncio.gather(*(fetcher.fetch(server.url, tmp_path / f"{number}.mp4") for number in range(20)))
    assert left_in(tmp_path) == sorted(f"{number}.mp4" for number in range(20))


async def test_download_after_close_is_misuse(tmp_path):
    """A closed downloader says so; closing twice, or before use, is fine."""
    fetcher = Downloader(local=True)
    await fetcher.close()
    await fetcher.close()
    with pytest.raises(RuntimeError, match="closed"):
        await fetcher.fetch("http://127.0.0.1/", tmp_path / "cat.mp4")


async def test_download_etag_is_not_needed(tmp_path):
    """A server without ETags is fine as long as nothing breaks."""
    assert await fetch_from(Files(VIDEO, etag=None), tmp_path)


async def test_download_passes_on_what_a_callback_raises(tmp_path):
    """Also a TimeoutError, which is not taken for the end of the client."""

    def broken(*_):
        raise TimeoutError("the user's own")

    async with (
        serving(Answer(status=503), Files(VIDEO)) as server,
        downloader(DownloadPolicy(delays_s=(0.0,))) as fetcher,
    ):
        with pytest.raises(TimeoutError, match="the user's own"):
            await fetcher.fetch(server.url, tmp_path / "cat.mp4", on_retry=broken)
