"""What a batch gives back for each input."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import attrs

from sora_async.models import video_html

if TYPE_CHECKING:
    from sora_async.models import VideoRequest, VideoTask

_EMBEDDED_BYTES = 10 * 1024 * 1024


@attrs.frozen(kw_only=True)
class Outcome:
    """How one input of a batch ended: with a task, and perhaps a file, or with an error."""

    key: str
    """The name of the input in the ledger: the user's own, or made from the request and how often it came before."""
    request: VideoRequest
    """What was asked for."""
    task: VideoTask | None = None
    """The task as last seen; None if none was accepted, or if the ledger knew the end and nothing was asked."""
    path: Path | None = None
    """The whole file; None without a directory, with one that is a URL, or with an error."""
    url: str | None = None
    """The whole file in a store; None without a directory that is a URL, or with an error."""
    error: Exception | None = None
    """Why there is no video; None if all is well. A SoraError, but for an input that is unusable (ValueError)."""

    def _repr_html_(self) -> str:
        """Show itself in a notebook: the video plays, or the text says why there is none.

        A file of up to 10 MiB goes into the notebook and plays everywhere; a larger one is linked, and plays if it is
        below the notebook's folder.
        """
        if self.error is not None:
            return video_html(None, f"{self.key}: {type(self.error).__name__}: {self.error}")
        if self.path is not None:
            return video_html(_to_source(self.path), f"{self.key}: {self.path}")
        if self.url is not None:
            return video_html(None, f"{self.key}: {self.url}")
        if self.task is not None:
            return self.task._repr_html_()
        return video_html(None, f"{self.key}: done")


def _to_source(path: Path) -> str | None:
    """What a notebook can play the file from; None if it cannot."""
    try:
        if path.stat().st_size <= _EMBEDDED_BYTES:
            return f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode()}"
        return quote(path.absolute().relative_to(Path.cwd()).as_posix())
    except (OSError, ValueError):
        return None
