"""Renders the previews of accepted tasks, two at a time, off the event loop."""

import asyncio
import concurrent.futures
import hashlib
import logging
import pathlib
import tempfile
from collections.abc import Callable, Mapping

import attrs

from sora_async.sandbox import render
from sora_async.sandbox.loopback import to_data_uri

logger = logging.getLogger("sora_async.sandbox")
RENDERS_AT_ONCE = 2
DEFAULT_DURATION_S = 10


class StudioClosedError(Exception):
    """Aborts a render because the sandbox is closing."""


@attrs.define(kw_only=True)
class Job:
    """One render; written by its worker thread, read by the event loop."""

    path: pathlib.Path
    """Where the file is once it is finished."""
    progress: float = 0.0
    """Share rendered, 0 to 1."""
    etag: str | None = None
    """The strong ETag of the finished file; None until then."""
    error: str | None = None
    """Why it could not be rendered; None unless it failed."""
    ended_at: float | None = None
    """When it finished or failed, on the sandbox's clock; None until then."""


def strong_etag(content: bytes) -> str:
    """Make the ETag of some bytes, quotes included."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


class Studio:
    """Owns the worker threads and the directory with the rendered files."""

    def __init__(self, clock: Callable[[], float], seed: int) -> None:
        self._clock = clock
        self._seed = seed
        self._closing = False
        self._futures: set[concurrent.futures.Future[None]] = set()
        self._directory = tempfile.TemporaryDirectory(prefix="sora-sandbox-")
        self._pool = concurrent.futures.ThreadPoolExecutor(RENDERS_AT_ONCE, thread_name_prefix="sora-sandbox")

    def start(self, number: int, body: Mapping[str, object]) -> Job:
        """Queue the render of the task with this number."""
        job = Job(path=pathlib.Path(self._directory.name) / f"{number}.mp4")
        future = self._pool.submit(self._run, job, dict(body), self._seed + number)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return job

    async def close(self) -> None:
        """Abort what is being rendered, wait for the threads, and remove the files."""
        self._closing = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        running = [asyncio.wrap_future(future) for future in tuple(self._futures)]
        await asyncio.gather(*running, return_exceptions=True)
        self._pool.shutdown(wait=True)
        self._directory.cleanup()

    def _run(self, job: Job, body: dict[str, object], seed: int) -> None:
        try:
            self._render(job, body, seed)
            job.etag = strong_etag(job.path.read_bytes())
        except StudioClosedError:
            return
        except Exception as error:
            # A render that fails must fail its task, whatever went wrong in which library.
            logger.warning("could not render %s", job.path.name, exc_info=True)
            job.error = f"The sandbox could not render this task: {error}"
        job.ended_at = self._clock()

    def _render(self, job: Job, body: dict[str, object], seed: int) -> None:
        def report(progress: float) -> None:
            if self._closing:
                raise StudioClosedError
            job.progress = progress

        images, duration = body.get("images", []), body.get("duration", DEFAULT_DURATION_S)
        render.render(
            job.path,
            prompt=str(body["prompt"]),
            images=[to_data_uri(str(link)) for link in images] if isinstance(images, list) else [],
            orientation=str(body.get("orientation", "landscape")),
            size=str(body.get("size", "small")),
            duration_s=float(duration) if isinstance(duration, int) else DEFAULT_DURATION_S,
            seed=seed,
            on_progress=report,
        )
