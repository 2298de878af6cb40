"""One try of a download: an answer is asked for, judged, and written behind what is there already."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import attrs

from sora_async.download.destination import Destination
from sora_async.download.digests import read_digest
from sora_async.download.links import parse_link, show_link
from sora_async.download.pace import Pace, keep_pace
from sora_async.download.policy import DownloadPolicy
from sora_async.download.ranges import ask_range, read_content_range, read_etag, read_retry_after
from sora_async.download.trouble import SpoiltError, TroubleError, translate
from sora_async.errors import DownloadError

if TYPE_CHECKING:
    from yarl import URL

    from sora_async.download.disk import Disk

OnProgress = Callable[[int, int | None], None]
"""Is told the bytes that came and those of the whole file (None if not known)."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5
# With its usual 64 KiB aiohttp stops the socket after each read and starts it again: 8 % of a fast download's CPU.
_READ_AHEAD = 2**20
_EXPIRED = frozenset({401, 403, 404, 410})
_REPEATABLE = frozenset({408, 425, 429, *range(500, 600)})


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Transfer:
    """A download under way."""

    session: aiohttp.ClientSession
    """Without credentials, cookies and decompression."""
    link: URL
    """A checked link."""
    part: Destination
    """Open."""
    policy: DownloadPolicy
    """The limits."""
    local: bool
    """Whether redirects may lead to http."""
    on_progress: OnProgress | None
    """Called with each batch that is handed to the disk, and when all is there."""

    async def attempt(self) -> None:
        """Bring the part to a whole video under its name, or as far as this answer goes.

        Raises:
            TroubleError: it may work the next time, from where the part is now.
            DownloadError: it will not.
        """
        try:
            await self._go_on()
        except SpoiltError:
            await self.disk.run(self.part.restart)
            raise
        except (aiohttp.ClientError, TimeoutError) as error:
            raise translate(error) from None

    async def _go_on(self) -> None:
        async with keep_pace(self.policy) as pace, self._open() as response:
            pace.count(0)
            span = self._accept(response)
            rest = [] if span is None else await self._receive(response, pace, *span)
        # All that is left is done in one go: each piece of work in a thread costs a small file as much as its bytes.
        fault = await self.disk.run(self._finish, rest)
        self._tell(self.part.size, self.part.total)
        if fault is not None:
            raise SpoiltError(f"what came is not a whole video: {fault}")

    def _finish(self, rest: list[bytes]) -> str | None:
        self._write(rest)
        return self.part.finish()

    @property
    def disk(self) -> Disk:
        """Where the work on the part runs."""
        return self.part.disk

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[aiohttp.ClientResponse]:
        link, headers = self.link, ask_range(self.part.size, self.part.etag)
        for _ in range(_MAX_REDIRECTS + 1):
            request = self.session.get(link, headers=headers, allow_redirects=False, read_bufsize=_READ_AHEAD)
            async with request as response:
                if response.status not in _REDIRECTS or "Location" not in response.headers:
                    yield response
                    return
                link = parse_link(response.headers["Location"], base=link, local=self.local)
        raise DownloadError(f"{show_link(self.link)} leads to more than {_MAX_REDIRECTS} redirects")

    def _accept(self, response: aiohttp.ClientResponse) -> tuple[int, int | None] | None:
        """Judge the head of an answer.

        Returns:
            Where its body starts in the file and how long the file is; None if nothing of the body is needed.
        """
        status, headers, part = response.status, response.headers, self.part
        if status in _REPEATABLE:
            raise TroubleError(f"its server answered HTTP {status}", status, read_retry_after(headers))
        if status not in {200, 206, 416}:
            advice = "; query the task for a fresh link" if status in _EXPIRED else ""
            raise DownloadError(f"{show_link(self.link)}: its server answered HTTP {status}{advice}", status)
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise DownloadError(f"{show_link(self.link)}: its server packed the file, although asked not to", status)
        start, total = read_content_range(headers)
        if status == 416 and part.size and part.size == (total or part.total):
            return None
        if status == 200:
            total = response.content_length
        elif status == 416 or not self._continues(start, total, read_etag(headers)):
            raise SpoiltError("its server answered another range than the one asked for", status)
        if total is not None and total > self.policy.max_bytes:
            raise self._too_large()
        digest = read_digest(headers, whole=status == 200)
        if status == 200:
            self.disk.start(part.restart, read_etag(headers), total, digest)
        else:
            part.digest = part.digest or digest
        return part.size if status == 206 else 0, total

    def _continues(self, start: int | None, total: int | None, etag: str | None) -> bool:
        """Whether a 206 holds the very bytes that follow those that are here."""
        part = self.part
        asked = bool(ask_range(part.size, part.etag))
        return asked and start == part.size and part.total in {None, total} and etag in {None, part.etag}

    async def _receive(
        self, response: aiohttp.ClientResponse, pace: Pace, start: int, total: int | None
    ) -> list[bytes]:
        """Have the body written batch by batch while more is read; answers the last one, which is yet to be written."""
        # Nothing may be awaited before the first read: an error hides what aiohttp holds unread.
        batch, pending = list[bytes](), 0
        place, end = start, self.policy.max_bytes if total is None else total
        try:
            async for chunk in response.content.iter_any():
                pace.count(len(chunk))
                place += len(chunk)
                if place > end:
                    break
                batch.append(chunk)
                pending += len(chunk)
                if pending >= self.policy.chunk_bytes:
                    self.disk.start(self.part.write, batch)
                    batch, pending = [], 0
                    self._tell(place, total)
                    if self.disk.is_behind:
                        pace.is_aside = True
                        await self.disk.settle()
                        pace.is_aside = False
        except BaseException:
            await self._keep(batch, pace)
            raise
        if place > end and total is None:
            await self.disk.run(self.part.restart)
            raise self._too_large()
        if place > end:
            raise SpoiltError("more came than its server had announced")
        if total is not None and place < total:
            await self._keep(batch, pace)
            raise TroubleError(f"only {self.part.size} of {total} bytes came")
        return batch

    async def _keep(self, batch: list[bytes], pace: Pace) -> None:
        """Write what came before trouble or a cancel: the next try goes on behind it."""
        pace.is_aside = True
        await self.disk.run(self._write, batch)
        self._tell(self.part.size, self.part.total)

    def _write(self, batch: list[bytes]) -> None:
        if batch:
            self.part.write(batch)

    def _tell(self, size: int, total: int | None) -> None:
        if self.on_progress is not None:
            self.on_progress(size, total)

    def _too_large(self) -> DownloadError:
        error = DownloadError(f"{show_link(self.link)} is larger than the {self.policy.max_bytes} bytes allowed")
        error.retryable = False
        return error
