"""The file of a task: from its id to its place, with a fresh link whenever the old one is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sora_async.download import Destination, Downloader, DownloadPolicy
from sora_async.errors import DownloadError
from sora_async.events import Downloaded, OnEvent, Retrying

if TYPE_CHECKING:
    from sora_async.download import OnProgress
    from sora_async.models import VideoTask
    from sora_async.retry import Retry
    from sora_async.waiter import Waiter

_Target = TypeVar("_Target", bound=Path | Destination)

# A link is refused shortly after success at some CDNs, and after some hours to days at all of them.
LINK_STATUSES = frozenset({401, 403, 404, 410})


class Delivery:
    """Brings the files of tasks home.

    Args:
        waiter: waits for tasks, and tells their links.
        local: whether the relay is on this machine or in its network; its links may be too.
        retry: how broken transfers and refused links are repeated.
        tell: hears of each event; None for none.
    """

    def __init__(self, waiter: Waiter, *, local: bool, retry: Retry, tell: OnEvent | None) -> None:
        self._waiter = waiter
        self._retry = retry
        self._tell = tell
        self._downloader = Downloader(local=local, policy=DownloadPolicy(delays_s=retry.schedule()))

    async def fetch(
        self, task: VideoTask | str, target: _Target, *, timeout_s: float | None, on_progress: OnProgress | None
    ) -> _Target:
        """Wait for a task and fetch its file; the errors are those of `Client.download`."""
        found = await self._waiter.wait(task, timeout_s)
        for delay_s in self._retry.schedule():
            try:
                return await self._fetch_once(found, target, on_progress)
            except DownloadError as error:
                if error.status not in LINK_STATUSES:
                    raise
                self._retrying(found.id, str(error), delay_s)
            await asyncio.sleep(delay_s)
            found = await self._waiter.wait(found.id, timeout_s)
        return await self._fetch_once(found, target, on_progress)

    async def close(self) -> None:
        """Close the connections."""
        await self._downloader.close()

    async def _fetch_once(self, task: VideoTask, target: _Target, on_progress: OnProgress | None) -> _Target:
        tell = self._tell

        def progressed(received: int, total: int | None) -> None:
            if on_progress is not None:
                on_progress(received, total)
            if tell is not None:
                tell(Downloaded(task_id=task.id, received=received, total=total))

        try:
            return await self._downloader.fetch(
                task.video_url or "",
                target,
                on_progress=None if on_progress is None and tell is None else progressed,
                on_retry=lambda reason, delay_s: self._retrying(task.id, reason, delay_s),
            )
        except DownloadError as error:
            raise error.about(task.id) from None

    def _retrying(self, task_id: str, reason: str, delay_s: float) -> None:
        if self._tell is not None:
            self._tell(Retrying(operation="download", task_id=task_id, error=reason, delay_s=delay_s))
