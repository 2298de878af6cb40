"""How long and how much: the limits of a download."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class DownloadPolicy:
    """The limits of a download."""

    max_bytes: int = 4 * 2**30
    """The largest file that is accepted, in bytes."""
    connect_s: float = 10.0
    """Seconds for a connection with its TLS handshake."""
    read_s: float = 30.0
    """Seconds that the server may be silent."""
    delays_s: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0)
    """Seconds before each repeat after trouble; progress starts them anew, and with none left the download fails."""
    min_rate: float = 1024.0
    """The slowest rate that is put up with, in bytes per second; 0 for any."""
    rate_window_s: float = 60.0
    """Seconds over which that rate is measured; two such spans in a row below it are too many."""
    chunk_bytes: int = 2**20
    """Bytes that are collected before they are written."""
