"""Batches into a bucket of a real S3 server over HTTP, and what is left there when things go wrong."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from file_server import Answer, Files, serving, tiny_mp4
from test_download import downloader

from sora_async import BatchItem, Client
from sora_async.batch import Outcome
from sora_async.batch.storage import Storage, make_storage
from sora_async.download import DownloadPolicy
from sora_async.errors import DownloadError
from sora_async.sandbox import Sandbox

for package in ("moto", "flask_cors"):
    pytest.importorskip(package, reason=f"the S3 server of these tests needs {package}")
s3fs = pytest.importorskip("s3fs", reason="fsspec needs s3fs for S3")

HERE = Path(__file__).parent
SECRET = "c4n4ry"
CLIP = tiny_mp4(12_000_000)
PATIENT = DownloadPolicy(delays_s=(0.0, 0.0), chunk_bytes=300_000)
HANGING = Answer(CLIP, cut=9_500_000, stays=True)


class Server:
    """Where it is, the file of its log, and the owner of all in it."""

    def __init__(self, url: str, log: Path) -> None:
        self.url, self.log = url, log
        self.owner = s3fs.S3FileSystem(endpoint_url=url, key=SECRET, secret=SECRET)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("s3") / "log"
    command = [sys.executable, str(HERE / "s3_child.py")]
    with (
        log.open("w") as written,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=written, text=True) as child,
    ):
        port = int(child.stdout.readline())
        yield Server(f"http://127.0.0.1:{port}", log)
        child.stdin.close()


class Bucket:
    """A new bucket, as its owner sees it."""

    def __init__(self, server: Server) -> None:
        self.name = f"films-{uuid.uuid4().hex}"
        self.url = f"s3://{self.name}/boats"
        self._log, self._owner = server.log, server.owner
        self._owner.mkdir(self.name)

    def objects(self) -> dict[str, int]:
        found = self._owner.call_s3("list_objects_v2", Bucket=self.name)
        return {each["Key"]: each["Size"] for each in found.get("Contents", ())}

    def uploads(self) -> list[str]:
        """The keys of what is unfinished there."""
        found = self._owner.call_s3("list_multipart_uploads", Bucket=self.name)
        return [each["Key"] for each in found.get("Uploads", ())]

    def read(self, key: str) -> bytes:
        return self._owner.cat_file(f"{self.name}/{key}")

    def write(self, key: str, data: bytes) -> None:
        self._owner.pipe_file(f"{self.name}/{key}", data)

    def remove(self, key: str) -> None:
        self._owner.rm_file(f"{self.name}/{key}")

    def count(self, *words: str) -> int:
        """The requests to this bucket with all these words in their line."""
        return sum(
            self.name in line and all(word in line for word in words) for line in self._log.read_text().splitlines()
        )


@pytest.fixture
def bucket(server: Server, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """The credentials are where S3's own tools look for them."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", SECRET)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return Bucket(server)


@pytest.fixture
async def storage(bucket: Bucket) -> Storage:
    storage = make_storage(bucket.url, threads=2)
    await storage.open()
    return storage


async def receive(storage: Storage, handler: Files | Answer) -> int:
    async with serving(handler) as source, downloader(PATIENT) as fetcher:
        size, _ = await storage.receive("boat.mp4", lambda target: fetcher.fetch(source.url, target))
        return size


async def test_clip_goes_in_parts_and_is_there_at_the_end(bucket: Bucket, storage: Storage) -> None:
    """A break of its source amid a part sends no part twice."""
    assert await receive(storage, Files(CLIP, cuts=(9_000_000,))) == len(CLIP)
    assert bucket.read("boats/boat.mp4") == CLIP
    assert bucket.count("PUT", "boat.mp4", "partNumber") == 2
    assert bucket.uploads() == []


async def test_clip_that_is_small_goes_in_one_request(bucket: Bucket, storage: Storage) -> None:
    """And what proved that the bucket can be written is gone."""
    await receive(storage, Files(tiny_mp4(1000)))
    assert bucket.count("PUT", "boat.mp4") == 1
    assert bucket.count("POST", "boat.mp4") == 0
    assert (list(bucket.objects()), bucket.uploads()) == (["boats/boat.mp4"], [])


@pytest.mark.parametrize("answer", [Answer(CLIP[:-1]), Answer(CLIP + b"more"), Answer(b"<html>")])
async def test_clip_that_is_not_whole_leaves_nothing(answer: Answer, bucket: Bucket, storage: Storage) -> None:
    """Neither an object, nor parts that cost money."""
    with pytest.raises(DownloadError, match="not a whole video"):
        await receive(storage, answer)
    assert (bucket.objects(), bucket.uploads()) == ({}, [])


async def until_a_part_is_there(bucket: Bucket) -> None:
    async with asyncio.timeout(30):
        while not bucket.count("PUT", "boat.mp4", "partNumber=1", " 200 "):  # noqa: ASYNC110 only the server knows
            await asyncio.sleep(0.02)


async def test_clip_amid_a_cancel_leaves_nothing(bucket: Bucket, storage: Storage) -> None:
    """The upload is aborted before the cancel is passed on."""
    task = asyncio.create_task(receive(storage, HANGING))
    await until_a_part_is_there(bucket)
    assert bucket.uploads() == ["boats/boat.mp4"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (bucket.objects(), bucket.uploads()) == ({}, [])


async def test_clip_of_a_killed_process_is_no_object(bucket: Bucket) -> None:
    """At most an unfinished upload is left, which a rule of the bucket removes."""
    async with serving(HANGING) as source:
        command = [sys.executable, str(HERE / "s3_killed_child.py"), source.url, bucket.url]
        child = await asyncio.create_subprocess_exec(*command)
        await until_a_part_is_there(bucket)
        child.kill()
        await child.wait()
    assert (bucket.objects(), bucket.uploads()) == ({}, ["boats/boat.mp4"])


async def run(client: Client, folder: Path, url: str, *items: Any) -> list[Outcome]:
    async with client:
        outcomes = client.generate_many(items, ledger=folder / "batch.ledger", directory=url)
        return [outcome async for outcome in outcomes]


def again(sandbox: Sandbox) -> Client:
    return Client("sandbox", sandbox.url)


async def test_batch_run_again_sends_nothing_and_brings_what_is_missing(
    bucket: Bucket, sora_client: Client, sora_sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is bought twice; and the credentials are in no outcome, log or ledger."""
    prompts = [f"boat {number}" for number in range(5)]
    first = await run(sora_client, tmp_path, bucket.url, *prompts)
    whole = bucket.objects()
    assert sorted(f"s3://{bucket.name}/{key}" for key in whole) == sorted(str(outcome.url) for outcome in first)
    assert [outcome.path for outcome in first] == [None] * 5
    assert bucket.count("PUT", ".mp4") == 5

    second = await run(again(sora_sandbox), tmp_path, bucket.url, *prompts)
    assert {outcome.url for outcome in second} == {outcome.url for outcome in first}
    assert bucket.count("PUT", ".mp4") == 5

    key = next(iter(whole))
    bucket.remove(key)
    third = await run(again(sora_sandbox), tmp_path, bucket.url, *prompts)
    assert [outcome.error for outcome in third] == [None] * 5
    assert (bucket.objects(), bucket.count("PUT", ".mp4"), bucket.count("PUT", key)) == (whole, 6, 2)
    assert len(sora_sandbox.creates) == 5
    assert SECRET not in repr([*first, *second, *third]) + caplog.text
    assert SECRET.encode() not in (tmp_path / "batch.ledger").read_bytes()


async def test_object_that_the_ledger_does_not_know_is_refused(
    bucket: Bucket, sora_client: Client, sora_sandbox: Sandbox, tmp_path: Path
) -> None:
    """Before anything is bought; the others go their way."""
    bucket.write("boats/old.mp4", b"somebody's")
    items = [BatchItem("boat", output="old.mp4"), BatchItem("boat", output="new.mp4")]
    old, new = sorted(await run(sora_client, tmp_path, bucket.url, *items), key=lambda outcome: outcome.error is None)
    assert f"{bucket.url}/old.mp4 exists, and the ledger does not know it: nothing was bought" in str(old.error)
    assert (new.url, new.error) == (f"{bucket.url}/new.mp4", None)
    assert len(sora_sandbox.creates) == 1
    assert bucket.read("boats/old.mp4") == b"somebody's"


async def test_bucket_that_is_not_there_is_told_before_anything_is_bought(
    bucket: Bucket, sora_client: Client, sora_sandbox: Sandbox, tmp_path: Path
) -> None:
    """With its code, and without what the server says."""
    with pytest.raises(ValueError, match=r"it is not there \(NoSuchBucket\); nothing was bought"):
        await run(sora_client, tmp_path, "s3://no-such-films/boats", "boat")
    assert not sora_sandbox.creates
