"""Where a download goes: what a file on disk and an object in a store have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sora_async.download.digests import Digest
    from sora_async.download.disk import Disk


class Destination(Protocol):
    """Takes the bytes of one file, and shows nothing under its final name before all of them are checked.

    Its methods block, so run them through its disk.

    Attributes:
        disk: where they run.
        size: bytes taken so far.
        etag: the strong ETag of the version that those bytes belong to, None if they cannot be resumed.
        total: bytes of the whole file, None if not known.
        digest: what the whole file must hash to, None if not known.
    """

    disk: Disk
    size: int
    etag: str | None
    total: int | None
    digest: Digest | None

    def open(self) -> None:
        """Take up what an earlier try left."""
        ...

    def restart(self, etag: str | None = None, total: int | None = None, digest: Digest | None = None) -> None:
        """Drop all bytes and start on another version of the file."""
        ...

    def write(self, chunks: Sequence[bytes]) -> None:
        """Append the chunks."""
        ...

    def finish(self) -> str | None:
        """Check the video; if it is whole, make it durable, give it its final name in one step, and let go of it.

        Returns:
            What is wrong with it; None if it is in place.
        """
        ...

    def close(self) -> None:
        """Let go of it; unfinished it stays for a later try."""
        ...
