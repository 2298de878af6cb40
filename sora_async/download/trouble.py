"""What goes wrong in one try of a download, and whether another try may help."""

from __future__ import annotations

import aiohttp

from sora_async.download.guard import PrivateAddressError
from sora_async.errors import DownloadError, UnsafeURLError


class TroubleError(Exception):
    """Something that may be gone at the next try; it never leaves a Downloader.

    Args:
        message: what happened, without secrets.
        status: the HTTP status, None if it did not come to that.
        retry_after_s: seconds that the server asks to wait, 0 if it did not say.
    """

    def __init__(self, message: str, status: int | None = None, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class SpoiltError(TroubleError):
    """Trouble that leaves nothing on disk worth to go on from."""


class DripError(TroubleError):
    """Trouble with a server that sends too slowly."""


def translate(error: aiohttp.ClientError | TimeoutError) -> DownloadError | TroubleError:
    """Say the same without the signed link, which their texts may hold."""
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, PrivateAddressError):
        return UnsafeURLError("the link of the file leads to a machine that is not public")
    if isinstance(error, aiohttp.InvalidURL):
        return UnsafeURLError("the link of the file names no host that can be reached")
    if isinstance(error, aiohttp.ClientConnectorError):
        return TroubleError(f"its server cannot be reached: {error.os_error.strerror or error.os_error}")
    if isinstance(error, TimeoutError):
        return TroubleError("its server cannot be reached: connecting took too long")
    return TroubleError(f"the connection broke ({type(error).__name__})")
