"""What can go wrong with a connection or an answer, and how a paid POST and a query must end: written by hand.

A POST ends as one of
    UNSENT      proven that nothing left: TransportError after the allowed tries, not billed
    FINAL       the same, but repeating would not mend it: one try
    EITHER      UNSENT or UNCERTAIN, as the race goes; never a complete create
    UNCERTAIN   SubmissionUncertainError, sent once
    NAMED       the same, and it names the task that the contradicting answer shows
    ACCEPTED    the id was read
    SALVAGED    the id was read from a broken answer; for a character, which needs a name too, UNCERTAIN
    an APIError refused with that class
and a query as TASK or with the named class.
"""

from __future__ import annotations

import gzip
import ssl
from collections.abc import Callable
from typing import NamedTuple

from fault_certificates import misnamed, unknown
from raw_server import CLOSE, RESET, STALL, Action, Early, http

from sora_async import (
    APIError,
    AuthenticationError,
    DecodeError,
    InvalidRequestError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    TransportError,
)

UNSENT = "not sent"
FINAL = "not sent, and final"
EITHER = "not sent or uncertain"
UNCERTAIN = "uncertain"
NAMED = "uncertain, with an id"
ACCEPTED = "accepted"
SALVAGED = "salvaged"
TASK = "task"

End = str | type[Exception]

TASK_ID = "sora-2:task_01K7XKJ0Z0"
BODY = f'{{"id":"{TASK_ID}","status":"pending","username":"cat","status_update_time":1763800000000}}'
HEALTHY = http(200, BODY)
CUT_BEFORE = BODY[: BODY.index(TASK_ID) + len(TASK_ID)]
"""The answer without the id's closing quote."""
CUT_BEHIND = CUT_BEFORE + '"'
BIG = 1 << 20


class Fault(NamedTuple):
    """One thing that goes wrong."""

    phase: str
    """When: see PHASES in fault_rows."""
    name: str
    does: Action | Callable[[], ssl.SSLContext]
    """What the judge, or for `resolve` and `dial` the resolver, does."""
    post: End
    """How a create or a character ends."""
    get: End
    """How a query ends."""


TOO_LATE = RequestTimeoutError
BROKEN = TransportError
PLAIN = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"

CONNECTING = [
    Fault("resolve", "unknown host", "unknown", UNSENT, BROKEN),
    Fault("resolve", "silent resolver", STALL, UNSENT, TOO_LATE),
    Fault("dial", "refused", "refused", UNSENT, BROKEN),
    Fault("dial", "black hole", "black hole", UNSENT, TOO_LATE),
    Fault("accept", "closed", CLOSE, EITHER, BROKEN),
    Fault("accept", "reset", RESET, EITHER, BROKEN),
    Fault("accept under tls", "closed", CLOSE, UNSENT, BROKEN),
    Fault("accept under tls", "reset", RESET, UNSENT, BROKEN),
    Fault("tunnel", "407", b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n", UNSENT, BROKEN),
    Fault("tunnel", "403", b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", UNSENT, BROKEN),
    Fault("tunnel", "502", b"HTTP/1.1 502 Gone\r\nContent-Length: 0\r\n\r\n", UNSENT, BROKEN),
    Fault("tunnel", "no http", b"SSH-2.0-OpenSSH_9\r\n", UNSENT, BROKEN),
    Fault("tunnel", "closed", CLOSE, UNSENT, BROKEN),
    Fault("tunnel", "reset", RESET, UNSENT, BROKEN),
    Fault("tunnel", "silent", STALL, UNSENT, TOO_LATE),
    Fault("handshake", "plain port", PLAIN, UNSENT, BROKEN),
    Fault("handshake", "garbage", b"\x16\x03\x01garbage" * 9, UNSENT, BROKEN),
    Fault("handshake", "closed", CLOSE, UNSENT, BROKEN),
    Fault("handshake", "reset", RESET, UNSENT, BROKEN),
    Fault("handshake", "silent", STALL, UNSENT, TOO_LATE),
    Fault("handshake", "unknown authority", unknown, FINAL, BROKEN),
    Fault("handshake", "another host's certificate", misnamed, FINAL, BROKEN),
]

REQUESTING = [
    Fault("head", "closed", Early(CLOSE), UNCERTAIN, BROKEN),
    Fault("head", "reset", Early(RESET), UNCERTAIN, BROKEN),
    Fault("head", "silent", Early(STALL), UNCERTAIN, TOO_LATE),
    Fault("body", "closed", Early(CLOSE, BIG), UNCERTAIN, BROKEN),
    Fault("body", "reset", Early(RESET, BIG), UNCERTAIN, BROKEN),
    Fault("body", "silent", Early(STALL, BIG), UNCERTAIN, TOO_LATE),
    Fault("body", "413 before its end", Early(http(413), BIG), InvalidRequestError, InvalidRequestError),
    Fault("read", "closed", CLOSE, UNCERTAIN, BROKEN),
    Fault("read", "reset", RESET, UNCERTAIN, BROKEN),
    Fault("read", "silent", STALL, UNCERTAIN, TOO_LATE),
]


def head(*lines: str, status: str = "HTTP/1.1 200 OK", body: str | bytes = BODY, end: str = CLOSE) -> Action:
    """An answer with just these lines in its head."""
    data = body.encode() if isinstance(body, str) else body
    return "\r\n".join((status, *lines)).encode() + b"\r\n\r\n" + data, end


def chunked(*chunks: bytes, end: str = CLOSE) -> Action:
    """An answer of ready-made chunks."""
    return head("Transfer-Encoding: chunked", body=b"".join(chunks), end=end)


def zipped(data: bytes, *, status: int = 200, coding: str = "gzip") -> bytes:
    return http(status, data, headers=[f"Content-Encoding: {coding}"])


LENGTH = f"Content-Length: {len(BODY)}"
CHUNK = b"%x\r\n%s\r\n" % (len(BODY), BODY.encode())
LAST = b"0\r\n\r\n"
GZIP = gzip.compress(BODY.encode(), mtime=0)
PAD = " " * (16 << 20)
BOMB = gzip.compress(PAD.encode(), mtime=0)
BOMB_BEHIND = gzip.compress(f'{CUT_BEHIND},"status":"pending","pad":"{PAD}"}}'.encode(), mtime=0)

_ANSWERS: list[tuple[str, Action, End, End]] = [
    # heads
    ("no http", (b"SSH-2.0-OpenSSH_9\r\n", CLOSE), UNCERTAIN, BROKEN),
    ("zeros", (b"\0" * 64, CLOSE), UNCERTAIN, BROKEN),
    ("body without a head", (BODY.encode(), CLOSE), UNCERTAIN, BROKEN),
    ("status that is no number", head(LENGTH, status="HTTP/1.1 OK 200"), UNCERTAIN, BROKEN),
    ("status of four digits", head(LENGTH, status="HTTP/1.1 2000 OK"), UNCERTAIN, BROKEN),
    ("status line without a version", head(LENGTH, status="200 OK"), UNCERTAIN, BROKEN),
    ("version 9.9", head(LENGTH, status="HTTP/9.9 200 OK"), UNCERTAIN, BROKEN),
    ("status without a reason", head(LENGTH, status="HTTP/1.1 200"), ACCEPTED, TASK),
    ("http 1.0", head(LENGTH, status="HTTP/1.0 200 OK"), ACCEPTED, TASK),
    ("head cut", (HEALTHY[:20], CLOSE), UNCERTAIN, BROKEN),
    ("head reset", (HEALTHY[:20], RESET), UNCERTAIN, BROKEN),
    ("head stalled", (HEALTHY[:20], STALL), UNCERTAIN, TOO_LATE),
    ("header without a colon", head("no colon", LENGTH), ACCEPTED, BROKEN),
    ("header with a zero byte", head("X-Odd: a\0b", LENGTH), ACCEPTED, BROKEN),
    ("header of 20 KB", head(LENGTH, "X-Big: " + "a" * 20_000), ACCEPTED, TASK),
    ("header of 70 KB", head(LENGTH, "X-Big: " + "a" * 70_000), UNCERTAIN, BROKEN),
    ("header of 1 MB without an end", (b"HTTP/1.1 200 OK\r\nX-Big: " + b"a" * BIG, CLOSE), UNCERTAIN, BROKEN),
    ("500 headers", head(LENGTH, *(f"X-{number}: 1" for number in range(500))), ACCEPTED, TASK),
    ("2000 headers", head(LENGTH, *(f"X-{number}: 1" for number in range(2000))), ACCEPTED, BROKEN),
    # lengths and chunks
    ("two lengths", head(LENGTH, "Content-Length: 5"), ACCEPTED, BROKEN),
    ("negative length", head("Content-Length: -1"), ACCEPTED, BROKEN),
    ("length that is no number", head("Content-Length: many"), ACCEPTED, BROKEN),
    ("length of 30 digits", head("Content-Length: " + "9" * 30), ACCEPTED, BROKEN),
    ("length and chunks", head(LENGTH, "Transfer-Encoding: chunked", body=CHUNK + LAST), ACCEPTED, BROKEN),
    ("no length", head(), ACCEPTED, TASK),
    ("length too short", (http(200, BODY, length=len(BODY) - 1), CLOSE), SALVAGED, BROKEN),
    ("length too long", (http(200, BODY, length=len(BODY) + 1), CLOSE), ACCEPTED, BROKEN),
    ("garbage behind the answer", HEALTHY + b"garbage\r\n\r\n", ACCEPTED, BROKEN),
    ("chunks", chunked(CHUNK, LAST, end=""), ACCEPTED, TASK),
    ("bad chunk size", chunked(b"zz\r\n", CHUNK, LAST), UNCERTAIN, BROKEN),
    ("negative chunk size", chunked(b"-5\r\n", CHUNK, LAST), UNCERTAIN, BROKEN),
    ("chunk size of 30 digits", chunked(b"f" * 30 + b"\r\n", CHUNK, LAST), UNCERTAIN, BROKEN),
    ("bad chunk size behind the id", chunked(CHUNK, b"zz\r\n"), ACCEPTED, BROKEN),
    ("bad chunk end behind the id", chunked(CHUNK[:-2] + b"XX", LAST), ACCEPTED, BROKEN),
    ("last chunk missing", chunked(CHUNK), ACCEPTED, BROKEN),
    ("last chunk reset", chunked(CHUNK, end=RESET), ACCEPTED, BROKEN),
    # bodies that are cut
    ("cut before the id's end", (http(200, CUT_BEFORE, length=500), CLOSE), UNCERTAIN, BROKEN),
    ("reset before the id's end", (http(200, CUT_BEFORE, length=500), RESET), UNCERTAIN, BROKEN),
    ("stalled before the id's end", (http(200, CUT_BEFORE, length=500), STALL), UNCERTAIN, TOO_LATE),
    ("cut behind the id", (http(200, CUT_BEHIND, length=500), CLOSE), SALVAGED, BROKEN),
    ("reset behind the id", (http(200, CUT_BEHIND, length=500), RESET), SALVAGED, BROKEN),
    ("stalled behind the id", (http(200, CUT_BEHIND, length=500), STALL), SALVAGED, TOO_LATE),
    # codings
    ("gzip", zipped(GZIP), ACCEPTED, TASK),
    ("gzip without its checksum", (zipped(GZIP[:-8]), CLOSE), ACCEPTED, TASK),
    ("gzip cut in its head", zipped(GZIP[:9]), UNCERTAIN, DecodeError),
    ("bad gzip", zipped(GZIP[:10] + b"\xff" * 30), UNCERTAIN, BROKEN),
    ("gzip that is none", zipped(b"<html>" * 9), UNCERTAIN, BROKEN),
    ("gzip bomb", (zipped(BOMB), CLOSE), UNCERTAIN, BROKEN),
    ("gzip bomb behind the id", (zipped(BOMB_BEHIND), CLOSE), SALVAGED, BROKEN),
    ("over the cap", (http(200, b" " * (5 << 20)), CLOSE), UNCERTAIN, BROKEN),
    ("over the cap behind the id", (http(200, CUT_BEHIND.encode() + b" " * (5 << 20)), CLOSE), SALVAGED, BROKEN),
    ("bad utf-8 in the id", http(200, b'{"id":"\xff\xfe","status":"pending"}'), UNCERTAIN, DecodeError),
    ("bad utf-8 behind the id", http(200, CUT_BEHIND.encode() + b',"x":"\xff"}'), SALVAGED, DecodeError),
    ("utf-16", http(200, BODY.encode("utf-16")), UNCERTAIN, DecodeError),
    # bodies that are no task
    ("deep nesting", http(200, "[" * 200_000), UNCERTAIN, DecodeError),
    ("deep nesting behind the id", http(200, CUT_BEHIND + ',"x":' + "[" * 9000), SALVAGED, DecodeError),
    ("number of 5000 digits", http(200, '{"n":' + "9" * 5000 + "}"), UNCERTAIN, DecodeError),
    ("empty", http(200), UNCERTAIN, DecodeError),
    ("null", http(200, "null"), UNCERTAIN, DecodeError),
    ("list", http(200, "[]"), UNCERTAIN, DecodeError),
    ("text", http(200, '"ok"'), UNCERTAIN, DecodeError),
    ("page", http(200, "<!doctype html><title>Console</title>"), UNCERTAIN, DecodeError),
    ("no id", http(200, '{"code":"success","data":null}'), UNCERTAIN, DecodeError),
    ("two ids", http(200, '{"id":"a","id":"b"}'), UNCERTAIN, DecodeError),
    # statuses
    ("201", http(201, BODY), ACCEPTED, TASK),
    ("202", http(202, BODY), ACCEPTED, TASK),
    ("204", http(204), UNCERTAIN, DecodeError),
    ("100 before the answer", b"HTTP/1.1 100 Go on\r\n\r\n" + HEALTHY, ACCEPTED, TASK),
    ("102 before the answer", b"HTTP/1.1 102 Working\r\n\r\n" * 3 + HEALTHY, ACCEPTED, TASK),
    ("103 before the answer", b"HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n" + HEALTHY, ACCEPTED, TASK),
    ("100 and no answer", (b"HTTP/1.1 100 Go on\r\n\r\n", CLOSE), UNCERTAIN, BROKEN),
    ("100 and silence", (b"HTTP/1.1 100 Go on\r\n\r\n", STALL), UNCERTAIN, TOO_LATE),
    ("101", (b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", CLOSE), UNCERTAIN, ServerError),
    *(
        (f"{status} to {name}", http(status, "moved", headers=[f"Location: {place}"]), APIError, APIError)
        for status in (301, 302, 303, 307, 308)
        for name, place in (("itself", ""), ("another place", "/v1/videos"), ("another host", "http://127.0.0.1:9/x"))
    ),
    ("307 with a task in it", http(307, BODY, headers=["Location: /"]), NAMED, APIError),
    ("401 with a task in it", http(401, BODY), NAMED, AuthenticationError),
    ("429 with a task in it", http(429, BODY), NAMED, RateLimitError),
    ("502 with a task in it", http(502, BODY), NAMED, ServerError),
]
ANSWERING = [Fault("answer", *row) for row in _ANSWERS]
