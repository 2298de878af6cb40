"""A server that drips is left; a program or a machine that stood still for a while is no reason to."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from file_server import ETAG, Answer, Files, serving, tiny_mp4
from test_download import VIDEO, downloader, fetch_from, refuse
from virtual_time import run_virtual
from yarl import URL

from sora_async.download import Downloader, DownloadPolicy
from sora_async.download.pace import keep_pace
from sora_async.download.part import Part
from sora_async.download.trouble import DripError, TroubleError
from sora_async.errors import DownloadError

EAGER = DownloadPolicy(delays_s=(), min_rate=1e6, rate_window_s=0.02)
HEAD = b"HTTP/1.1 200 Said\r\nTransfer-Encoding: chunked\r\n\r\n"
# Bytes a second at which the default policy has no patience, and at which it has; and a loop that stands still.
SLOW, FAST, STALL = 900, 1100, -1


async def receive(*spans: tuple[int, int]) -> None:
    """Get bytes at some rates, each for some seconds; in a STALL only the clock goes on."""
    async with keep_pace(DownloadPolicy()) as pace:
        for rate, seconds in spans:
            if rate == STALL:
                asyncio.get_running_loop()._jumping.now += seconds
                continue
            for _ in range(seconds):
                await asyncio.sleep(1)
                pace.count(rate)


@pytest.mark.parametrize(
    "spans",
    [
        [(SLOW, 200)],
        [(0, 200)],
        [(FAST, 600), (SLOW, 300)],
        [(SLOW, 30), (STALL, 90), (SLOW, 300)],
    ],
)
def test_pace_too_slow_for_long_is_trouble(spans):
    """Less than the slowest rate in two spans in a row ends the try."""
    with pytest.raises(TroubleError, match="less than 1024 bytes per second"):
        run_virtual(receive(*spans))


@pytest.mark.parametrize(
    "spans",
    [
        [(FAST, 3600)],
        [(FAST, 100), (SLOW, 50), (FAST, 100)],
        [(FAST, 59), (STALL, 90), (FAST, 600)],
        [(FAST, 5), (STALL, 86_400), (FAST, 600)],
        [(FAST, 30), (STALL, 90), (FAST, 120), (STALL, 90), (FAST, 600)],
        [(STALL, 3600), (FAST, 600)],
    ],
)
def test_pace_with_a_single_stall_changes_nothing(spans):
    """A loop that stood still, or a machine that slept, is not the server's fault."""
    run_virtual(receive(*spans))


def test_pace_of_a_silent_server_is_trouble_of_its_own():
    """Nothing at all for as long as the policy allows, and not more than an eighth longer."""

    async def listen() -> None:
        async with keep_pace(DownloadPolicy()) as pace:
            await asyncio.sleep(10)
            pace.count(0)
            await asyncio.sleep(600)

    async def be_patient() -> float:
        with pytest.raises(TroubleError, match="silent for too long"):
            await listen()
        return asyncio.get_running_loop().time()

    assert 10 + DownloadPolicy().read_s <= run_virtual(be_patient()) <= 10 + DownloadPolicy().read_s * 9 / 8


def test_pace_is_no_silence_while_nobody_listens():
    """A slow disk is not the server's fault."""

    async def write_slowly() -> None:
        async with keep_pace(DownloadPolicy(rate_window_s=10_000)) as pace:
            pace.is_aside = True
            await asyncio.sleep(600)
            pace.is_aside = False
            await asyncio.sleep(25)

    run_virtual(write_slowly())


def test_pace_is_not_watched_after_the_block(caplog):
    """Once a try is over nothing looks at it any more."""

    async def receive_and_rest() -> None:
        await receive((SLOW, 100))
        await asyncio.sleep(600)

    run_virtual(receive_and_rest())
    assert not caplog.records


def test_pace_passes_other_timeouts_on():
    """Only its own limit is told as a drip."""

    async def time_out() -> None:
        async with keep_pace(DownloadPolicy()):
            raise TimeoutError("of another kind")

    with pytest.raises(TimeoutError, match="of another kind"):
        run_virtual(time_out())


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
        b"HTTP/1.1 200 Said\r\nX-Long: " + b"x" * 4000,
        HEAD + b"1;" + b"x" * 4000,
        HEAD + b"1\r\nx\r\n" * 1000,
    ],
    ids=["interim answers", "head", "chunk extension", "tiny chunks"],
)
async def test_download_that_drips_ends(tmp_path, raw):
    """A server below the slowest rate is left, whatever it drips, although it is never silent."""
    error = await refuse(Answer(raw=raw, drip_s=0.001), tmp_path, EAGER)
    assert "less than 1000000 bytes per second" in str(error)
    assert error.retryable


async def test_download_that_drips_keeps_what_came(tmp_path):
    """The bytes of a slow server count like any others."""
    policy = DownloadPolicy(delays_s=(0.0,), min_rate=1e6, rate_window_s=0.2)
    dripping = Answer(VIDEO, headers={"ETag": ETAG}, drip_s=0.002)
    async with serving(dripping, Files(VIDEO)) as server, downloader(policy) as fetcher:
        path = await fetcher.fetch(server.url, tmp_path / "cat.mp4")
    assert path.read_bytes() == VIDEO
    assert server.ranges[1] is not None


async def test_download_at_any_rate_is_fine_without_a_limit(tmp_path):
    """0 means that no rate is too slow."""
    policy = DownloadPolicy(delays_s=(), min_rate=0, rate_window_s=0.001)
    assert await fetch_from(Answer(raw=Answer(tiny_mp4(10)).spell(), drip_s=0.0001), tmp_path, policy)


class _Tries:
    """Stands in for a transfer each of whose tries brings some bytes and then fails."""

    link = URL("https://h.example/")

    def __init__(self, brought: int, trouble: TroubleError) -> None:
        self.part, self.brought, self.trouble, self.count = Part(Path("cat.mp4")), brought, trouble, 0

    async def attempt(self) -> None:
        self.count += 1
        self.part.size += self.brought
        if self.count == 100:
            return
        raise self.trouble


@pytest.mark.parametrize(
    ("brought", "trouble", "tries"),
    [
        (0, TroubleError("broke"), 5),
        (60_000, TroubleError("broke"), 100),
        (119_000, DripError("slow"), 5),
        (123_000, DripError("slow"), 100),
    ],
)
async def test_pace_of_drips_does_not_add_up_to_progress(brought, trouble, tries):
    """Tries are counted anew when bytes came, but not for what a drip brings in the time that it is given."""
    transfer, fetcher = _Tries(brought, trouble), Downloader(policy=DownloadPolicy(delays_s=(0.0,) * 4))
    with contextlib.suppress(DownloadError):
        await fetcher._persist(transfer, None)
    assert transfer.count == tries


class _Sleeper(asyncio.SelectorEventLoop):
    """A loop that can be made to have stood still."""

    slept_s = 0.0

    def time(self) -> float:
        return super().time() + self.slept_s


async def _fetch_asleep(target) -> list[str]:
    """Stand still once for longer than any limit; the rest of the file waits in the socket meanwhile."""
    told: list[str] = []
    loop, large = asyncio.get_running_loop(), tiny_mp4(3_000_000)

    def progressed(*_) -> None:
        loop.slept_s = 3600.0

    policy = DownloadPolicy(chunk_bytes=2**17)
    async with serving(Files(large)) as server, downloader(policy) as fetcher:
        await fetcher.fetch(server.url, target, on_progress=progressed, on_retry=lambda reason, _: told.append(reason))
    return told


def test_download_by_a_loop_that_stalls_is_not_disturbed(tmp_path):
    """Time in which the program itself did nothing trips no limit, the one of silence included."""
    with asyncio.Runner(loop_factory=_Sleeper) as runner:
        assert runner.run(_fetch_asleep(tmp_path / "cat.mp4")) == []
