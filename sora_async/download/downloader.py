"""The session that files come through, and the patience with which they are fetched."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import aiohttp

from sora_async.download.destination import Destination
from sora_async.download.guard import open_connector
from sora_async.download.links import parse_link, show_link
from sora_async.download.part import Part
from sora_async.download.policy import DownloadPolicy
from sora_async.download.transfer import OnProgress, Transfer
from sora_async.download.trouble import DripError, TroubleError
from sora_async.errors import DownloadError

_Target = TypeVar("_Target", bound=Path | Destination)

OnRetry = Callable[[str, float], None]
"""Is told what went wrong and the seconds until the next try."""


class Downloader:
    """Fetches files in a session of its own, without credentials and cookies; for use within one event loop.

    Args:
        local: whether the relay itself is on this machine or in its network: then http and addresses that are not
            public are allowed too.
        policy: the limits; None for the defaults.
    """

    def __init__(self, *, local: bool = False, policy: DownloadPolicy | None = None) -> None:
        self._local = local
        self._policy = policy or DownloadPolicy()
        self._session: aiohttp.ClientSession | None = None
        self._under_way: set[asyncio.Timeout] = set()
        self._closed = False

    async def fetch(
        self, url: str, target: _Target, *, on_progress: OnProgress | None = None, on_retry: OnRetry | None = None
    ) -> _Target:
        """Fetch a file; whatever happens, under its final name it is whole or not there.

        What an earlier, broken download of the same target left is resumed if the server still has that version.
        Cancelling keeps what has come so far, and the task on the server hears nothing of it.

        Args:
            url: the signed link; sent as it is.
            target: the file to make or to replace, its folder being made if missing; or another Destination.
            on_progress: called with each batch that is handed to the disk, and when all is there.
            on_retry: called before each repeat.

        Returns:
            The target.

        Raises:
            UnsafeURLError: the link, or a redirect of it, leads where nothing must be sent.
            DownloadError: the server refuses (a `status` of 401, 403, 404 or 410 means that a fresh link is needed),
                what came is no whole video, the disk refuses, or another download writes the same file.
            ValueError: the target is a directory.
            RuntimeError: the downloader is closed, or was closed meanwhile.
        """
        try:
            part = Part(target) if isinstance(target, Path) else target
            await self._bring(self._prepare(url, part, on_progress), on_retry)
        except BaseException as error:
            # The link is to be seen neither in the errors behind this one nor in the variables of its frames.
            error.__context__ = None
            traceback.clear_frames(error.__traceback__)
            raise
        else:
            return target
        finally:
            del url

    async def close(self) -> None:
        """Close the connections; downloads under way fail, and what they have stays for a later try."""
        self._closed = True
        for scope in self._under_way:
            # Not by closing their connections: aiohttp would leave whoever reads a body waiting for ever.
            scope.reschedule(asyncio.get_running_loop().time())
        if self._session is not None:
            await self._session.close()

    def _prepare(self, url: str, part: Destination, on_progress: OnProgress | None) -> Transfer:
        return Transfer(
            session=self._open_session(),
            link=parse_link(url, local=self._local),
            part=part,
            policy=self._policy,
            local=self._local,
            on_progress=on_progress,
        )

    async def _bring(self, transfer: Transfer, on_retry: OnRetry | None) -> None:
        part, disk = transfer.part, transfer.disk
        scope = asyncio.timeout(None)
        self._under_way.add(scope)
        try:
            async with scope:
                try:
                    await disk.run(part.open)
                    await self._persist(transfer, on_retry)
                except BaseException:
                    await disk.run(part.close)  # else it was closed in the one piece of work that named it
                    raise
                return
        except TimeoutError:
            if not scope.expired():
                raise
        finally:
            self._under_way.discard(scope)
        raise RuntimeError("closed while a file was fetched; what came is kept: download it again")

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("this downloader is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=open_connector(local=self._local),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._policy.connect_s),
                # Ranges and lengths count the bytes on the wire, so nothing may be packed on the way.
                headers={"Accept-Encoding": "identity"},
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    async def _persist(self, transfer: Transfer, on_retry: OnRetry | None) -> None:
        """Repeat after trouble until the video is in place, or the delays are used up without progress."""
        part, policy = transfer.part, self._policy
        # What the slowest rate allowed brings before it is called a drip.
        step = max(1.0, 2 * policy.min_rate * policy.rate_window_s)
        best, delays = part.size, iter(policy.delays_s)
        while True:
            try:
                return await transfer.attempt()
            except TroubleError as error:
                trouble = error
            if part.size >= best + step:
                best, delays = part.size, iter(policy.delays_s)
            elif isinstance(trouble, DripError):
                # Drips do not add up to progress: else a server could keep them up for days.
                best = part.size
            delay_s = next(delays, None)
            if delay_s is None:
                raise DownloadError(f"{show_link(transfer.link)}: {trouble}", trouble.status)
            delay_s = max(delay_s, trouble.retry_after_s)
            if on_retry is not None:
                on_retry(str(trouble), delay_s)
            await asyncio.sleep(delay_s)
