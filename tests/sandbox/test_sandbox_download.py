"""The CDN: links, ranges, and how downloads break."""

import asyncio
import email.utils

import aiohttp
import pytest
from yarl import URL

from sora_async.sandbox import Faults


async def test_download_gives_the_file_with_its_facts(visit, clip):
    """A result comes with its length, a strong ETag, a date, and the offer of ranges."""
    visitor = await visit()
    answer = await visitor.request("GET", await visitor.link())
    assert (answer.status, answer.body) == (200, clip)
    assert answer.headers["ETag"].startswith('"')
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert email.utils.parsedate_to_datetime(answer.headers["Last-Modified"]).timestamp() == 1_760_000_000


async def test_download_of_a_large_file_is_whole(visit):
    """A file of more than one piece arrives complete."""
    large = bytes(range(256)) * 3000
    visitor = await visit(clip=large)
    assert (await visitor.request("GET", await visitor.link())).body == large


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=10-19", 10, 20), ("bytes=10-", 10, None), ("bytes=-5", 1151, None), ("bytes=10-99999999", 10, None)],
)
async def test_download_range_gives_that_part(visit, clip, asked, start, end):
    """A single range is answered with exactly those bytes."""
    visitor = await visit()
    answer = await visitor.request("GET", await visitor.link(), headers={"Range": asked})
    part = clip[start:end]
    assert (answer.status, answer.body) == (206, part)
    assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(part) - 1}/{len(clip)}"


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=-0", "bytes=9-3"])
async def test_download_range_beyond_the_file_is_416(visit, clip, asked):
    """A range without a byte in the file is refused with the real length."""
    visitor = await visit()
    answer = await visitor.request("GET", await visitor.link(), headers={"Range": asked})
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{len(clip)}")


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "pages=1-2", "bytes=-"])
async def test_download_range_that_is_not_understood_gives_the_whole_file(visit, clip, asked):
    """Several ranges and other units are ignored."""
    visitor = await visit()
    answer = await visitor.request("GET", await visitor.link(), headers={"Range": asked})
    assert (answer.status, answer.body) == (200, clip)


@pytest.mark.parametrize(("name", "status"), [("ETag", 206), ("Last-Modified", 206), (None, 200)])
async def test_download_range_depends_on_if_range(visit, name, status):
    """A part is only given of the file that the client already has a part of."""
    visitor = await visit()
    link = await visitor.link()
    known = (await visitor.request("GET", link)).headers[name] if name else '"another"'
    answer = await visitor.request("GET", link, headers={"Range": "bytes=1-2", "If-Range": known})
    assert answer.status == status


@pytest.mark.parametrize(
    ("written", "instead"), [("%2F", "/"), ("%2B", "+"), ("%3D", "="), ("%2F", "%2f"), ("Nonce=1", "Nonce=2")]
)
async def test_download_link_that_was_changed_is_403(visit, written, instead):
    """A link only works exactly as it was given."""
    visitor = await visit()
    answer = await visitor.request("GET", (await visitor.link()).replace(written, instead, 1))
    assert (answer.status, b"SignatureDoesNotMatch" in answer.body) == (403, True)


async def test_download_link_expires(visit):
    """A link stops to work after its lifetime, and a new query gives one that works."""
    visitor = await visit(link_lifetime_s=60)
    link = await visitor.link()
    visitor.clock.advance(60)
    assert b"ExpiredToken" in (await visitor.request("GET", link)).body
    fresh = (await visitor.query()).json["video_url"]
    assert (await visitor.request("GET", fresh)).status == 200


async def test_download_head_is_404(visit):
    """Some CDNs do not know HEAD."""
    visitor = await visit()
    answer = await visitor.request("HEAD", await visitor.link())
    assert answer.status == 404
    assert visitor.sandbox.calls["download"] == 0


async def test_download_of_a_result_that_is_not_there_is_404(visit):
    """A signed link to nothing is not found."""
    visitor = await visit()
    link = visitor.sandbox._relay.links.make("nothing", 2e9)
    assert (await visitor.request("GET", link)).status == 404


@pytest.mark.parametrize(
    ("kind", "status"), [("403", 403), ("404", 404), ("500", 500), ("expired", 403), ("html", 200), ("slow", 200)]
)
async def test_download_fault_that_answers_strikes_once(visit, clip, kind, status):
    """A CDN that does not have the file yet has it a moment later."""
    visitor = await visit(Faults(download=[kind]))
    link = await visitor.link()
    struck, healthy = await visitor.request("GET", link), await visitor.request("GET", link)
    assert (struck.status, healthy.body) == (status, clip)
    assert (struck.body == clip) is (kind == "slow")


@pytest.mark.parametrize("kind", ["cut", "reset"])
async def test_download_fault_that_breaks_off_had_promised_all(visit, clip, kind):
    """A download that breaks midway had the length of the whole file, and works the next time."""
    visitor = await visit(Faults(download=[kind]))
    link = await visitor.link()
    with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientOSError)):
        await visitor.request("GET", link)
    assert (await visitor.request("GET", link)).body == clip


async def test_download_fault_stall_goes_silent_midway(visit, clip):
    """A download that stalls sends half of what it promised, and stays open."""
    visitor = await visit(Faults(download=["stall"]))
    async with visitor.session.get(URL(await visitor.link(), encoded=True)) as response:
        assert response.content_length == len(clip)
        assert await response.content.readexactly(len(clip) // 2) == clip[: len(clip) // 2]
        assert not response.content.at_eof()


async def test_download_fault_without_a_length_looks_complete(visit, clip):
    """A connection that closes midway without a length cannot be told from the end of the file."""
    visitor = await visit(Faults(download=["no_length_cut"]))
    answer = await visitor.request("GET", await visitor.link())
    assert answer.body == clip[: len(clip) // 2]
    assert "Content-Length" not in answer.headers


async def test_download_fault_garble_keeps_length_and_etag(visit, clip):
    """Wrong bytes come under the right facts."""
    visitor = await visit(Faults(download=["garble"]))
    link = await visitor.link()
    wrong, right = await visitor.request("GET", link), await visitor.request("GET", link)
    assert wrong.body != clip
    assert (len(wrong.body), wrong.headers["ETag"]) == (len(clip), right.headers["ETag"])


@pytest.mark.parametrize(("kind", "status", "start"), [("ignore_range", 200, 0), ("wrong_range", 206, 0)])
async def test_download_fault_answers_another_range(visit, clip, kind, status, start):
    """A CDN may send the whole file, or another part, when it was asked for one part."""
    visitor = await visit(Faults(download=[kind]))
    answer = await visitor.request("GET", await visitor.link(), headers={"Range": "bytes=100-"})
    assert answer.status == status
    assert answer.body == clip[start : start + len(answer.body)]
    assert answer.headers.get("Content-Range", "bytes 0-").startswith("bytes 0-")


async def test_download_fault_redirect_leads_to_a_link_that_works(visit, clip):
    """A CDN may send on to a fresh link."""
    visitor = await visit(Faults(download=["redirect"]))
    answer = await visitor.request("GET", await visitor.link())
    assert answer.status == 302
    assert (await visitor.request("GET", answer.headers["Location"])).body == clip


async def test_download_slow_ends_early_when_the_sandbox_closes(visit, until, clip):
    """Closing does not wait for the pauses of a slow download."""
    visitor = await visit(Faults(download=["slow"]))
    link = await visitor.link()
    download = asyncio.create_task(visitor.request("GET", link))
    await until(lambda: visitor.sandbox.calls["download"])
    await visitor.sandbox.__aexit__(None, None, None)
    assert (await download).body == clip
