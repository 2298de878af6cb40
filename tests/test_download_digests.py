"""The checksum that a server tells is held against what came; one that cannot be read never costs a file."""

import base64
import hashlib
import io

import pytest
from file_server import ETAG, Answer, Files, serving, tiny_mp4
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from test_download import ONCE, TWICE, downloader, fetch_from, refuse

from sora_async.download.digests import Digest, read_digest
from sora_async.download.part import Part
from sora_async.errors import DownloadError

VIDEO = tiny_mp4(3000)
OTHER = tiny_mp4(3000, b"w")


def packed(algorithm: str, content: bytes = VIDEO) -> str:
    return base64.b64encode(hashlib.new(algorithm, content).digest()).decode()


SHA256, SHA512, MD5 = packed("sha256"), packed("sha512"), packed("md5")
REPR = {"Repr-Digest": f"sha-256=:{SHA256}:"}


@pytest.mark.parametrize(
    ("headers", "algorithm"),
    [
        (REPR, "sha256"),
        ({"repr-digest": f"sha-256=:{SHA256}:, sha-512=:{SHA512}:;v=1"}, "sha512"),
        ({"Digest": f"MD5={MD5},SHA-256={SHA256}"}, "sha256"),
        ({"Digest": f"md5={MD5}"}, "md5"),
        ({"x-goog-hash": f"crc32c=n03x6A==,md5={MD5}"}, "md5"),
        ({"x-goog-hash": f"md5={MD5}", "x-goog-stored-content-encoding": "identity"}, "md5"),
        ({"Content-MD5": f" {MD5} "}, "md5"),
        ({"Repr-Digest": "sha-256=:AAAA:", "Content-MD5": MD5}, "md5"),
        (CIMultiDict([("x-goog-hash", "crc32c=n03x6A=="), ("x-goog-hash", f"md5={MD5}")]), "md5"),
    ],
)
def test_digest_told_is_read(headers, algorithm):
    """Of the checksums that can be read the strongest counts, in each of the headers that carry one."""
    assert read_digest(headers, whole=True) == Digest(algorithm, hashlib.new(algorithm, VIDEO).hexdigest())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ETag": f'"{hashlib.md5(VIDEO).hexdigest()}"'},
        {"Repr-Digest": ""},
        {"Repr-Digest": "sha-256=:not base64:"},
        {"Repr-Digest": f"sha-256=:{SHA256[:-2]}:"},
        {"Repr-Digest": f"sha-256=:{SHA256[:-1]}:"},
        {"Digest": f"SHA-256={hashlib.sha256(VIDEO).hexdigest()}"},
        {"Digest": f"id-sha-256={SHA256}, unixsum=30637, sha={packed('sha1')}"},
        {"Content-Digest": f"sha-256=:{SHA256}:"},
        {"Content-MD5": hashlib.md5(VIDEO).hexdigest()},
        {"x-goog-hash": "crc32c=n03x6A=="},
        {"x-goog-hash": f"md5={MD5}", "x-goog-stored-content-encoding": "gzip"},
    ],
)
def test_digest_that_is_none_of_the_whole_file_is_ignored(headers):
    """What cannot be read, or may be of something else, is no reason to refuse a paid file."""
    assert read_digest(headers, whole=True) is None


def test_digest_of_the_body_alone_does_not_count_for_a_range():
    """Content-MD5 is that of the bytes sent; the others stand for the whole file in each answer."""
    assert read_digest({"Content-MD5": MD5}, whole=False) is None
    assert read_digest(REPR, whole=False) is not None


@given(st.dictionaries(st.sampled_from(["Repr-Digest", "Digest", "x-goog-hash", "Content-MD5"]), st.text()))
def test_digest_of_noise_never_raises(headers):
    """Any header gives an answer."""
    assert read_digest(headers, whole=True) is None


@pytest.mark.parametrize("algorithm", ["sha512", "sha256", "md5"])
def test_digest_matches_only_its_file(algorithm):
    """Each kind of checksum tells the file from another one."""
    digest = Digest(algorithm, hashlib.new(algorithm, VIDEO).hexdigest())
    assert digest.read(io.BytesIO(VIDEO)).hexdigest() == digest.digits
    assert digest.read(io.BytesIO(OTHER)).hexdigest() != digest.digits


@pytest.mark.parametrize(
    "headers",
    [REPR, {"Digest": f"SHA-512={SHA512}"}, {"x-goog-hash": f"md5={MD5}"}, {"Content-MD5": MD5}],
)
async def test_download_garbled_is_told_by_its_digest(tmp_path, headers):
    """A file of the right length and structure with wrong bytes inside is refused, and fetched anew."""
    error = await refuse(Answer(OTHER, headers=headers), tmp_path)
    assert "is not the one that its server told" in str(error)
    assert error.retryable
    answers = Answer(OTHER, headers=headers), Answer(VIDEO, headers=headers)
    async with serving(*answers) as server, downloader(TWICE) as fetcher:
        path = await fetcher.fetch(server.url, tmp_path / "cat.mp4")
    assert path.read_bytes() == VIDEO


async def test_download_with_an_unreadable_digest_is_taken(tmp_path):
    """Nonsense in the header says nothing about the file."""
    assert await fetch_from(Answer(VIDEO, headers={"Repr-Digest": "sha-256=?", "Digest": "md5=?"}), tmp_path)


class _Digested(Files):
    """A healthy file whose digest is told with the first answer, or with the later ones."""

    def __init__(self, content: bytes, *, first: bool, cuts: tuple[int, ...] = ()) -> None:
        super().__init__(content, cuts=cuts)
        self.first = first

    def __call__(self, request):
        answer = super().__call__(request)
        if self.first == (answer.status == 200):
            answer.headers |= REPR
        return answer


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("content", [VIDEO, OTHER])
async def test_resume_is_held_against_the_digest(tmp_path, first, content):
    """What an earlier process left is checked together with the rest, whichever answer told the digest."""
    target = tmp_path / "cat.mp4"
    async with serving(_Digested(content, first=first, cuts=(2000,))) as server, downloader(ONCE) as fetcher:
        with pytest.raises(DownloadError):
            await fetcher.fetch(server.url, target)
        if content == VIDEO:
            assert (await fetcher.fetch(server.url, target)).read_bytes() == VIDEO
        else:
            with pytest.raises(DownloadError, match="sha256"):
                await fetcher.fetch(server.url, target)
            assert not target.exists()
    assert server.ranges == [None, "bytes=2000-"]


@pytest.mark.parametrize("content", [VIDEO, OTHER])
async def test_resume_by_the_same_call_is_held_against_the_digest(tmp_path, content):
    """All that passed counts, by whichever answer it came."""
    async with serving(_Digested(content, first=True, cuts=(2000,))) as server, downloader(TWICE) as fetcher:
        if content == VIDEO:
            assert (await fetcher.fetch(server.url, tmp_path / "cat.mp4")).read_bytes() == VIDEO
        else:
            with pytest.raises(DownloadError, match="sha256"):
                await fetcher.fetch(server.url, tmp_path / "cat.mp4")
    assert server.ranges[:2] == [None, "bytes=2000-"]


def test_digest_is_of_what_the_disk_took(tmp_path):
    """Of a write that was refused in its middle nobody knows how much counts, so the file itself is read."""
    resource = pytest.importorskip("resource")
    part = Part(tmp_path / "cat.mp4")
    part.open()
    part.restart("etag", len(VIDEO), Digest("sha256", hashlib.sha256(VIDEO).hexdigest()))
    part.write([VIDEO[:100], VIDEO[100:1000]])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            part.write([VIDEO[1000:2000], VIDEO[2000:]])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert part.size == 1500
    part.write([VIDEO[1500:]])
    assert part.finish() is None
    assert (tmp_path / "cat.mp4").read_bytes() == VIDEO


async def test_resume_takes_a_digest_of_the_rest_for_what_it_is(tmp_path):
    """A 206 with the Content-MD5 of its own bytes, as the header was once meant, is a healthy answer."""

    def with_md5(request) -> Answer:
        answer = files(request)
        answer.headers["Content-MD5"] = packed("md5", answer.body)
        return answer

    files = Files(VIDEO, cuts=(2000,))
    async with serving(files, with_md5) as server, downloader(TWICE) as fetcher:
        assert (await fetcher.fetch(server.url, tmp_path / "cat.mp4")).read_bytes() == VIDEO
    assert server.ranges == [None, "bytes=2000-"]


async def test_resume_of_a_part_that_rotted_on_disk_starts_anew(tmp_path):
    """Bytes that changed on disk between two tries are found and fetched again."""
    target = tmp_path / "cat.mp4"
    async with serving(_Digested(VIDEO, first=True, cuts=(2000,))) as server, downloader(ONCE) as fetcher:
        with pytest.raises(DownloadError):
            await fetcher.fetch(server.url, target)
        with (tmp_path / ".cat.mp4.part").open("r+b") as part:
            part.seek(1500)
            part.write(b"!")
        async with downloader(TWICE) as patient:
            assert (await patient.fetch(server.url, target)).read_bytes() == VIDEO
    assert server.ranges == [None, "bytes=2000-", None]


@pytest.mark.parametrize("digest", ['["sha256"]', '["crc32", "00"]', '"x"', "7", '{"sha256": "00"}', '["sha256", 5]'])
async def test_resume_with_a_damaged_digest_in_the_note_starts_anew(tmp_path, digest):
    """A note that cannot be read, or does not fit, costs another fetch and nothing else."""
    (tmp_path / ".cat.mp4.part").write_bytes(VIDEO[:2000])
    etag = ETAG.replace('"', '\\"')
    (tmp_path / ".cat.mp4.part.json").write_text(f'{{"etag": "{etag}", "total": {len(VIDEO)}, "digest": {digest}}}')
    async with serving(Files(VIDEO)) as server, downloader(TWICE) as fetcher:
        assert (await fetcher.fetch(server.url, tmp_path / "cat.mp4")).read_bytes() == VIDEO
    assert server.ranges[-1] is None
