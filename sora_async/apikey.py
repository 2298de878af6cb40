"""The relay's key, which shows itself to nobody."""

from __future__ import annotations

import hashlib
from typing import NoReturn

# Shorter ones are made up for a test, and may be a part of any word.
_SHORTEST_KEY = 8


class ApiKey:
    """A key that shows itself to nobody: not in repr, not in pickle."""

    __slots__ = ("_bytes", "_value")

    def __init__(self, value: str) -> None:
        value = value.strip().removeprefix("Bearer ").strip()
        if not value or not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError(
                "the API key must be printable ASCII without spaces: copy it again from the relay's console"
            )
        self._value = value
        self._bytes = value.encode()

    def __repr__(self) -> str:
        return "ApiKey('***')"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key cannot be pickled: make a new client where it is needed")

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that tell this key from others, and from which it cannot be found."""
        return hashlib.sha256(self._bytes).hexdigest()[:8]

    def hide(self, body: bytes) -> bytes:
        """An answer without the key: some relays repeat a wrong one, and errors show what relays say."""
        return body.replace(self._bytes, b"***") if len(self._bytes) >= _SHORTEST_KEY else body

    @property
    def header(self) -> dict[str, str]:
        """The header that carries the key."""
        return {"Authorization": f"Bearer {self._value}"}
