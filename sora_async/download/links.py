"""Which links may be followed, and how they are shown; pure."""

from __future__ import annotations

import re
import string
from urllib.parse import quote

from yarl import URL

from sora_async.errors import UnsafeURLError

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}$)(?:{_LABEL}\.)*{_LABEL}\.?", re.IGNORECASE | re.ASCII)


def parse_link(url: str, *, base: URL | None = None, local: bool = False) -> URL:
    """Check where a link leads and prepare it so that its signed parts reach the server byte for byte.

    Args:
        url: the link as received; what is not ASCII is percent-encoded, nothing else is touched.
        base: what it is relative to, if it comes from a redirect.
        local: whether http is allowed too.

    Raises:
        UnsafeURLError: it is no https link, holds a user name, or names no host.
    """
    try:
        link = URL(quote(url.strip(), safe=string.punctuation, errors="surrogateescape"), encoded=True)
        link = base.join(link) if base is not None else link
        # yarl reads the parts of the authority, a wrong port among them, only when they are asked for.
        host, _ = link.raw_host or "", link.port
    except (ValueError, IndexError):  # yarl trips over an empty host behind brackets
        raise UnsafeURLError("the link of the file cannot be understood") from None
    if link.scheme != "https" and not (local and link.scheme == "http"):
        raise UnsafeURLError(f"the link of the file must be https, not {link.scheme or 'without a scheme'}")
    if "@" in link.raw_authority:
        raise UnsafeURLError("the link of the file holds a user name, so it is not what it seems")
    if not (_HOST.fullmatch(host) or ":" in host):
        raise UnsafeURLError("the link of the file names no host that can be reached")
    return link


def show_link(link: URL) -> str:
    """The scheme and the host of a link: its path and query may hold its signature."""
    return str(link.origin())
