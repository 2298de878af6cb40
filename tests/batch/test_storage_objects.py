"""Files on their way into a store: whole, or not there; sent once; and nothing is left behind."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from file_server import ETAG, Answer, Files, Handler, serving, tiny_mp4
from test_download import downloader

from sora_async import BatchStoppedError, Client, VideoRequest
from sora_async.batch import Outcome
from sora_async.download import DownloadPolicy
from sora_async.errors import DownloadError
from sora_async.sandbox import Sandbox

fsspec = pytest.importorskip("fsspec")

from piece_store import PieceStore  # noqa: E402 they need fsspec

from sora_async.batch.storage.objects import ObjectStore  # noqa: E402
from sora_async.download.upload import PIECE_BYTES  # noqa: E402

VIDEO = tiny_mp4(3000)
LARGE = tiny_mp4(PIECE_BYTES + 2**20)
WAS = (len(VIDEO), hashlib.sha256(VIDEO).hexdigest())
PATIENT = DownloadPolicy(delays_s=(0.0, 0.0), chunk_bytes=300_000)
CANARY = "c4n4ry"


@pytest.fixture(params=["memory", "pieces"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ObjectStore]:
    """Open, in each kind of store that holds files back, and empty."""
    fsspec.filesystem("memory").store.clear()
    PieceStore.clear()
    store = ObjectStore(f"{request.param}://boats/", threads=2)
    await store.open()
    yield store
    store.close()


@pytest.fixture
async def pieces() -> AsyncIterator[ObjectStore]:
    PieceStore.clear()
    store = ObjectStore("pieces://boats", threads=2)
    await store.open()
    PieceStore.clear()
    yield store
    store.close()


def objects() -> dict[str, bytes]:
    """What the stores show, by name."""
    in_memory = {name.lstrip("/"): file.getvalue() for name, file in fsspec.filesystem("memory").store.items()}
    return {**in_memory, **PieceStore.objects}


async def receive(store: ObjectStore, *handlers: Handler | Answer, tries: int = 1, **policy: Any) -> tuple[int, str]:
    """Have one file brought from a server; a link that is refused is asked for anew, as the client does."""
    policy = {"delays_s": (0.0, 0.0), "chunk_bytes": 300_000, **policy}
    async with serving(*handlers) as server, downloader(DownloadPolicy(**policy)) as fetcher:

        async def bring(target: Any) -> None:
            for _ in range(1, tries):
                with contextlib.suppress(DownloadError):
                    await fetcher.fetch(server.url, target)
            await fetcher.fetch(server.url, target)

        try:
            return await store.receive("a/b.mp4", bring)
        finally:
            receive.ranges = server.ranges


async def test_object_is_whole_and_measured(store: ObjectStore) -> None:
    """It stands under its name, with nothing beside it; its size and digest are those of the file."""
    assert await receive(store, Files(VIDEO)) == WAS
    assert objects() == {"boats/a/b.mp4": VIDEO}


async def test_object_replaces_an_older_one(store: ObjectStore) -> None:
    """In one step."""
    await receive(store, Files(LARGE))
    assert await receive(store, Files(VIDEO)) == WAS
    assert objects() == {"boats/a/b.mp4": VIDEO}


def starts() -> list[int]:
    """Where the answers were asked to begin."""
    return [int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0 for asked in receive.ranges]


@pytest.mark.parametrize("cut", [2000, 1_000_000, PIECE_BYTES + 500_000])
async def test_object_whose_source_breaks_is_gone_on_with(cut: int, pieces: ObjectStore) -> None:
    """The rest alone is asked for, and no piece is sent twice."""
    await receive(pieces, Files(LARGE, cuts=(cut,)))
    first, second = starts()
    assert first < second <= cut
    assert objects() == {"boats/a/b.mp4": LARGE}
    assert PieceStore.log == ["begin", "piece", "piece", "show"]


async def test_object_goes_in_pieces_of_one_size(pieces: ObjectStore) -> None:
    """But for the last one, however the bytes come in."""
    PieceStore.refusals["show"] = ConnectionError()

    async def bring(target: Any) -> None:
        target.write([LARGE[:5], LARGE[5:9_000_000]])
        target.write([LARGE[9_000_000:], LARGE])
        target.commit()

    with pytest.raises(OSError, match="it failed"):
        await pieces.receive("a/b.mp4", bring)
    assert PieceStore.sizes == [PIECE_BYTES, PIECE_BYTES, 2 * len(LARGE) - 2 * PIECE_BYTES]


async def test_object_is_gone_on_with_by_a_fresh_link(pieces: ObjectStore) -> None:
    """A link that expires amid the file costs one query, not what was sent."""
    files = Files(LARGE, cuts=(PIECE_BYTES + 500_000,))
    await receive(pieces, files, Answer(status=403), files, tries=2)
    first, second, third = starts()
    assert first < second == third
    assert PieceStore.log == ["begin", "piece", "piece", "show"]


async def test_object_of_a_source_without_ranges_is_begun_anew(store: ObjectStore) -> None:
    """Nothing of the first try is in it."""
    old = tiny_mp4(3000, fill=b"o")
    assert await receive(store, Files(old, etag=None, cuts=(2000,)), Files(VIDEO, etag=None)) == WAS
    assert objects() == {"boats/a/b.mp4": VIDEO}


async def test_object_of_another_version_is_begun_anew(store: ObjectStore) -> None:
    """Two versions are never mixed."""
    assert await receive(store, Files(LARGE, cuts=(PIECE_BYTES + 9,)), Files(VIDEO, etag='"version-2"')) == WAS
    assert objects() == {"boats/a/b.mp4": VIDEO}


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"<html>sorry</html>"),
        Answer(VIDEO[:-1]),
        Answer(VIDEO, cut=2000),
        Answer(LARGE, cut=PIECE_BYTES + 100),
        Answer(LARGE + b"more"),
        Answer(VIDEO, headers={"Content-MD5": base64.b64encode(bytes(16)).decode()}),
        Answer(VIDEO, headers={"Repr-Digest": f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"}),
        Answer(status=404),
        Answer(b"", declare=False),
    ],
)
async def test_object_that_is_not_whole_is_never_shown(answer: Answer, store: ObjectStore) -> None:
    """Whatever the check finds; and what was sent of it is taken back."""
    with pytest.raises(DownloadError):
        await receive(store, answer)
    assert objects() == {}
    assert PieceStore.uploads == {}


async def test_object_with_the_checksum_of_its_server_is_taken(store: ObjectStore) -> None:
    """Also of a kind that is not noted in the ledger."""
    digest = base64.b64encode(hashlib.sha512(VIDEO).digest()).decode()
    assert await receive(store, Answer(VIDEO, headers={"Repr-Digest": f"sha-512=:{digest}:"})) == WAS


async def test_object_whose_checksum_is_told_too_late_is_taken(store: ObjectStore) -> None:
    """What has passed cannot be hashed again."""
    late = {"ETag": ETAG, "Content-Range": f"bytes 2000-{len(VIDEO) - 1}/{len(VIDEO)}", "Digest": f"md5={'A' * 22}=="}
    rest = Answer(VIDEO[2000:], 206, late)
    assert await receive(store, Files(VIDEO, cuts=(2000,)), rest) == WAS


async def test_object_amid_a_cancel_is_taken_back(pieces: ObjectStore) -> None:
    """Before the cancel is passed on, the store has forgotten it."""
    hanging = Answer(LARGE, cut=PIECE_BYTES + 2**19, stays=True)
    task = asyncio.create_task(receive(pieces, hanging))
    async with asyncio.timeout(20):
        while not PieceStore.uploads:  # noqa: ASYNC110 only the store knows
            await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (PieceStore.uploads, objects()) == ({}, {})
    assert PieceStore.log[-1] == "discard"


async def test_store_tells_what_it_has(store: ObjectStore) -> None:
    """A name is taken by an object, whatever its size, and by a folder; whole is what has the size that was noted."""
    await store.check_free("a/b.mp4")
    assert not await store.has("a/b.mp4", len(VIDEO))
    await receive(store, Files(VIDEO))
    assert await store.has("a/b.mp4", len(VIDEO))
    assert not await store.has("a/b.mp4", len(VIDEO) + 1)
    assert not await store.has("a", 0)
    for name in ("a/b.mp4", "a"):
        with pytest.raises(ValueError, match=f"://boats/{name} exists, and the ledger does not know it"):
            await store.check_free(name)


class SimpleError(Exception):
    def __init__(self, text: str, **facts: Any) -> None:
        super().__init__(text)
        vars(self).update(facts)


def like_a_server(code: str) -> Exception:
    """What s3fs raises for an answer, whose text may say anything."""
    error = PermissionError(CANARY)
    error.__cause__ = SimpleError(CANARY, response={"Error": {"Code": code, "Message": CANARY}})
    return error


REFUSALS = {
    "no bucket": (FileNotFoundError(CANARY), "it is not there (FileNotFoundError)"),
    "no rights": (like_a_server("AccessDenied"), "it is not allowed (AccessDenied)"),
    "an odd code": (like_a_server(f"at http://{CANARY}"), "it is not allowed (SimpleError)"),
    "a number": (SimpleError(CANARY, code=503), "it failed (503)"),
    "no network": (ConnectionError(CANARY), "it failed (ConnectionError)"),
}


@pytest.mark.parametrize(("step", "name"), [(step, name) for step in ("begin", "piece") for name in REFUSALS])
async def test_store_that_refuses_is_found_out_at_the_start(step: str, name: str) -> None:
    """By a byte that is sent and taken back; the words of others, which may hold keys, are not passed on."""
    PieceStore.clear()
    PieceStore.refusals[step], told = REFUSALS[name]
    with pytest.raises(ValueError, match="nothing was bought") as caught:
        await ObjectStore("pieces://boats", threads=1).open()
    assert told in str(caught.value)
    assert CANARY not in str(caught.value)
    assert caught.value.__context__.__context__ is None
    assert objects() == {}


@pytest.mark.parametrize("name", REFUSALS)
async def test_store_that_refuses_a_piece_gets_nothing_more(name: str, pieces: ObjectStore) -> None:
    """The rest would close the gap; an errno says that it is not this one object alone."""
    PieceStore.refusals["piece"], told = REFUSALS[name]
    with pytest.raises(DownloadError) as caught:
        await receive(pieces, Files(LARGE))
    assert told in str(caught.value)
    assert CANARY not in str(caught.value)
    assert (caught.value.errno is None) == told.startswith("it failed")
    assert PieceStore.log == ["begin", "piece", "discard"]
    assert objects() == {}


async def test_object_that_misses_a_piece_stays_broken(pieces: ObjectStore) -> None:
    """Even if the store would take the next one."""
    PieceStore.refusals["piece"] = ConnectionError(CANARY)

    async def bring(target: Any) -> None:
        for data in (LARGE, b"more"):
            with pytest.raises(OSError, match=r"it failed \(ConnectionError\)"):
                target.write([data])
            PieceStore.refusals.clear()

    await pieces.receive("a/b.mp4", bring)
    assert objects() == {}


async def test_store_that_refuses_the_end_shows_nothing(pieces: ObjectStore) -> None:
    """And is told to forget it."""
    PieceStore.refusals["show"] = ConnectionError(CANARY)
    with pytest.raises(DownloadError, match=r"cannot write pieces://boats/a/b\.mp4"):
        await receive(pieces, Files(VIDEO))
    assert objects() == {}


async def test_store_that_does_not_forget_is_warned_of(pieces: ObjectStore, caplog: pytest.LogCaptureFixture) -> None:
    """What is left there may cost money."""
    PieceStore.refusals["discard"] = ConnectionError(CANARY)
    with caplog.at_level(logging.WARNING), pytest.raises(DownloadError, match="not a whole video"):
        await receive(pieces, Answer(b"<html>"))
    assert "pieces://boats/a/b.mp4: an unfinished upload may be left there" in caplog.text
    assert CANARY not in caplog.text


async def test_store_that_cannot_be_asked_is_told(pieces: ObjectStore) -> None:
    """Not taken for one that has nothing."""
    PieceStore.refusals["info"] = like_a_server("AccessDenied")
    with pytest.raises(DownloadError, match=r"cannot use pieces://boats: it is not allowed \(AccessDenied\)"):
        await pieces.check_free("a/b.mp4")


async def test_store_that_shows_files_early_is_refused() -> None:
    """For it would show halves; nothing is left there."""
    PieceStore.clear()
    with pytest.raises(ValueError, match="shows files before they are whole"):
        await ObjectStore("early://boats", threads=1).open()
    assert objects() == {}


async def test_store_that_lost_its_rights_stops_the_buying(sora_client: Client, sora_sandbox: Sandbox) -> None:
    """What is bought could not be kept."""
    PieceStore.clear()

    def prompts() -> Iterator[str]:
        PieceStore.refusals["begin"] = PermissionError()  # the batch has begun by now
        yield from ("boat 1", "boat 2", "boat 3")

    async with sora_client as client:
        outcomes = client.generate_many(prompts(), concurrency=1, directory="pieces://boats")
        assert "cannot write pieces://boats/boat-1" in str((await anext(outcomes)).error)
        with pytest.raises(BatchStoppedError, match="nothing more is bought"):
            await anext(outcomes)
    assert len(sora_sandbox.creates) == 1


def test_outcome_in_a_store_shows_where_it_is() -> None:
    """In a notebook, as a text that cannot be taken for HTML."""
    outcome = Outcome(key="<b>", request=VideoRequest("boat"), url="s3://boats/<i>.mp4")
    assert "&lt;b&gt;: s3://boats/&lt;i&gt;.mp4" in outcome._repr_html_()
