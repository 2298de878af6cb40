"""The rows: fault times method times connection times transport, as far as they go together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from fault_table import ANSWERING, CONNECTING, REQUESTING, Fault
from refusal_table import REFUSING

METHODS = ("create", "character", "query")
CONNECTIONS = ("fresh", "reused", "idle")
NEW = ("fresh", "idle")
TRANSPORTS = ("http", "tls", "proxy")
SECURE = ("tls", "proxy")

# In which phase it goes wrong, and with which methods, connections and transports that can be.
PHASES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "resolve": (METHODS, NEW, TRANSPORTS),
    "dial": (METHODS, NEW, TRANSPORTS),
    "accept": (METHODS, NEW, ("http",)),
    "accept under tls": (METHODS, NEW, SECURE),
    "tunnel": (("create", "query"), NEW, ("proxy",)),
    "handshake": (("create", "query"), NEW, SECURE),
    "head": (METHODS, CONNECTIONS, TRANSPORTS),
    "body": (("create",), CONNECTIONS, TRANSPORTS),
    "read": (METHODS, CONNECTIONS, TRANSPORTS),
}
# What an answer says is read alike on every way, so not every way is gone with each.
WAYS = (
    ("create", "fresh", "http"),
    ("create", "reused", "tls"),
    ("create", "idle", "proxy"),
    ("character", "fresh", "http"),
    ("query", "reused", "http"),
)
# Queries read the same errors: two shapes of each are enough.
ASKED = (" nested", " empty")


class Row(NamedTuple):
    """One fault on one way."""

    fault: Fault
    method: str
    connection: str
    """`fresh`, `reused` after a healthy call, or `idle` for six seconds after one."""
    transport: str
    """`http`, `tls`, or `proxy`: TLS through a CONNECT."""

    @property
    def name(self) -> str:
        return "-".join((self.method, self.connection, self.transport, self.fault.phase, self.fault.name))


def rows() -> Iterator[Row]:
    for fault in CONNECTING + REQUESTING:
        yield from itertools.starmap(Row, itertools.product((fault,), *PHASES[fault.phase]))
    for fault, way in itertools.product(ANSWERING, WAYS):
        yield Row(fault, *way)
    for fault in REFUSING:
        yield Row(fault, "create", "fresh", "http")
        if fault.name.endswith(ASKED):
            yield Row(fault, "query", "fresh", "http")
