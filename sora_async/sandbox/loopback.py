"""Fetches pictures from this machine, and from nowhere else."""

import base64
import http.client
import urllib.parse

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
PICTURE_LIMIT_BYTES = 20 * 1024 * 1024
FETCH_TIMEOUT_S = 5.0


def to_data_uri(link: str) -> str:
    """Fetch an http link on this machine as a `data:` URI; give any other link back as it is.

    A link that cannot be fetched, or is larger than 20 MiB, is given back too: it becomes a placeholder.
    """
    try:
        parts = urllib.parse.urlsplit(link)
        if parts.scheme != "http" or parts.hostname not in LOOPBACK_HOSTS:
            return link
        return _fetch(parts) or link
    except (ValueError, OSError, http.client.HTTPException):
        return link


def _fetch(parts: urllib.parse.SplitResult) -> str | None:
    # A bare connection neither follows redirects nor uses a proxy, so it cannot be led off this machine.
    host = "::1" if parts.hostname == "::1" else "127.0.0.1"
    connection = http.client.HTTPConnection(host, parts.port or 80, timeout=FETCH_TIMEOUT_S)
    try:
        target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        connection.request("GET", target, headers={"Host": parts.netloc.rpartition("@")[2]})
        answer = connection.getresponse()
        content = answer.read(PICTURE_LIMIT_BYTES + 1)
        if answer.status != 200 or len(content) > PICTURE_LIMIT_BYTES:
            return None
        kind = answer.headers.get_content_type()
        return f"data:{kind};base64,{base64.b64encode(content).decode()}"
    finally:
        connection.close()
