"""The session that files come through, and the patience with which they are fetched."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from sora_async.addresses import is_public
from sora_async.download.links import parse_link, show_link
from sora_async.download.part import Disk, Part
from sora_async.download.transfer import DownloadPolicy, OnProgress, Transfer, TroubleError
from sora_async.errors import DownloadError, UnsafeURLError

if TYPE_CHECKING:
    from aiohttp import AddrInfoType

OnRetry = Callable[[str, float], None]
"""Is told what went wrong and the seconds until the next try."""


class _PrivateAddressError(OSError):
    """The connection would lead to a machine that is not on the public Internet."""


def _open_public_socket(info: AddrInfoType) -> socket.socket:
    # The one place that sees where a connection really leads: after DNS, redirects and odd spellings of numbers.
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise _PrivateAddressError("the address is not public")
    return socket.socket(family, kind, protocol)


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
        self._closed = False

    async def fetch(
        self, url: str, target: Path, *, on_progress: OnProgress | None = None, on_retry: OnRetry | None = None
    ) -> Path:
        """Fetch a file; whatever happens, under its final name it is whole or not there.

        What an earlier, broken download of the same target left is resumed if the server still has that version.
        Cancelling keeps what has come so far, and the task on the server hears nothing of it.

        Args:
            url: the signed link; sent as it is.
            target: the file to make or to replace; its folder is made if missing.
            on_progress: called after each write.
            on_retry: called before each repeat.

        Returns:
            The target.

        Raises:
            UnsafeURLError: the link, or a redirect of it, leads where nothing must be sent.
            DownloadError: the server refuses (a `status` of 401, 403, 404 or 410 means that a fresh link is needed),
                what came is no whole video, the disk refuses, or another download writes the same file.
            ValueError: the target is a directory.
            RuntimeError: the downloader is closed.
        """
        link = parse_link(url, local=self._local)
        target = Path(target)
        part, disk = Part(target), Disk(target)
        transfer = Transfer(
            session=self._open_session(),
            link=link,
            part=part,
            disk=disk,
            policy=self._policy,
            local=self._local,
            on_progress=on_progress,
        )
        try:
            await disk.run(part.open)
            await self._persist(transfer, on_retry)
            await disk.run(part.commit)
        finally:
            await disk.run(part.close)
        return target

    async def close(self) -> None:
        """Close the connections; downloads under way fail, and what they have stays for a later try."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("this downloader is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(socket_factory=None if self._local else _open_public_socket),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(sock_connect=self._policy.connect_s, sock_read=self._policy.read_s),
                # Ranges and lengths count the bytes on the wire, so nothing may be packed on the way.
                headers={"Accept-Encoding": "identity"},
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    async def _persist(self, transfer: Transfer, on_retry: OnRetry | None) -> None:
        """Repeat after trouble until the part is a whole video, or the delays are used up without progress."""
        part, policy = transfer.part, self._policy
        # Less than the slowest rate allowed is no progress: else a dripping server could keep it up for days.
        step = max(1.0, policy.min_rate * policy.rate_window_s)
        best, delays = part.size, iter(policy.delays_s)
        while True:
            try:
                return await _attempt(transfer)
            except TroubleError as error:
                trouble = error
            if part.size >= best + step:
                best, delays = part.size, iter(policy.delays_s)
            delay_s = next(delays, None)
            if delay_s is None:
                raise DownloadError(f"{show_link(transfer.link)}: {trouble}", trouble.status)
            delay_s = max(delay_s, trouble.retry_after_s)
            if on_retry is not None:
                on_retry(str(trouble), delay_s)
            await asyncio.sleep(delay_s)


async def _attempt(transfer: Transfer) -> None:
    try:
        await transfer.attempt()
    except (aiohttp.ClientError, TimeoutError) as error:
        # Their texts may hold the signed link, so only what is known to be harmless goes on.
        raise _translate(error) from None


def _translate(error: aiohttp.ClientError | TimeoutError) -> DownloadError | TroubleError:
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, _PrivateAddressError):
        return UnsafeURLError("the link of the file leads to a machine that is not public")
    if isinstance(error, aiohttp.InvalidURL):
        return UnsafeURLError("the link of the file names no host that can be reached")
    if isinstance(error, aiohttp.ClientConnectorError):
        return TroubleError(f"its server cannot be reached: {error.os_error.strerror or error.os_error}")
    if isinstance(error, TimeoutError):
        return TroubleError("its server was silent for too long")
    return TroubleError(f"the connection broke ({type(error).__name__})")
