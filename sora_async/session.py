"""The session layer over aiohttp: bytes in, bytes out, and proof of what left this machine."""

from __future__ import annotations

import asyncio
import hashlib
import io
import math
import time
import weakref
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import aiohttp
import attrs
from aiohttp import hdrs, http_exceptions
from aiohttp.client_proto import ResponseHandler

from sora_async.errors import RequestTimeoutError, TransportError
from sora_async.wire.reading import MAX_BODY_BYTES

if TYPE_CHECKING:
    from aiohttp import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

    from sora_async.wire.request import Call

# Servers close idle connections after 5 s; a create that meets that moment would end uncertain.
KEEPALIVE_S = 4.0
# An answer that was paid for must not be lost to a proxy's oversize header.
MAX_HEADER_BYTES = 64 * 1024
MAX_HEADERS = 1024
MAX_CAME_BYTES = 64 * 1024
# Shorter ones are made up for a test, and may be a part of any word.
_SHORTEST_KEY = 8
_BIG_BODY_BYTES = 1024 * 1024

# Linux's and macOS's usual monotonic clocks stand still while the machine sleeps, and servers close connections
# meanwhile. These go on, as the only one of Windows does.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
idle_clock = time.monotonic if _CLOCK is None else partial(time.clock_gettime, _CLOCK)
"""Seconds that a step of the wall clock does not change, and that pass while the machine sleeps."""


def _check_limit(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not value > 0:
        raise ValueError(f"{attribute.name} must be a number of seconds above 0, or None for no limit, not {value!r}")


@attrs.frozen(kw_only=True)
class Timeouts:
    """Limits in seconds for the phases of a call; None means no limit."""

    connect: float | None = attrs.field(default=10.0, validator=_check_limit)
    """For the connection: the name's address, the socket and TLS. On a session that you lend, waiting for one of its
    connections to be free counts too."""
    create: float | None = attrs.field(default=180.0, validator=_check_limit)
    """For each read of a create's answer. Gateways try several channels before they answer: not under 120."""
    query: float | None = attrs.field(default=120.0, validator=_check_limit)
    """For each read of a query's answer. Some relays fetch the whole file before the first `completed`."""
    drain: float = attrs.field(default=30.0, validator=attrs.validators.ge(0))
    """For a create that nobody awaits any more to bring its id, when the client closes."""


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
        return {hdrs.AUTHORIZATION: f"Bearer {self._value}"}


class Attempt:
    """What is known of one request on its way.

    Attributes:
        sent: False only while it is proven that nothing left.
        came: the first bytes of the answer as they came, whatever became of them.
    """

    __slots__ = ("came", "sent")

    def __init__(self) -> None:
        self.sent = False
        self.came = bytearray()


_attempt: ContextVar[Attempt | None] = ContextVar("_attempt", default=None)


class _Answers(ResponseHandler):
    """Keeps what came of an answer that is paid for: aiohttp drops all of a read in which something is malformed."""

    attempt: Attempt | None = None

    def data_received(self, data: bytes) -> None:
        attempt = self.attempt
        if attempt is not None and len(attempt.came) < MAX_CAME_BYTES:
            attempt.came += data[:MAX_CAME_BYTES]
        super().data_received(data)


class ProofConnector(aiohttp.TCPConnector):
    """Proves what was not sent: a request is written only to a connection that this has handed out.

    The proof is positive. Were this ever bypassed, a failed create would count as uncertain, not as unsent. Give
    one to a session of your own before you lend it: `aiohttp.ClientSession(connector=ProofConnector())`. Whatever its
    `keepalive_timeout`, it hands out no connection that was idle for more than KEEPALIVE_S, asleep or awake.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Where aiohttp knows no such attribute any more, a malformed answer is uncertain, and that is all.
        self._factory = partial(_Answers, loop=self._loop)  # type: ignore[assignment]  # partial is invariant
        self._idle_since: weakref.WeakKeyDictionary[ResponseHandler, float] = weakref.WeakKeyDictionary()

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        """Hand out a connection; while it is not handed out, nothing has left."""
        attempt = _attempt.get()
        if attempt is not None:
            attempt.sent = False
        connection = await super().connect(req, traces, timeout)
        while self._is_stale(connection):
            connection.close()
            connection = await super().connect(req, traces, timeout)
        if attempt is not None:
            attempt.sent = True
            if isinstance(connection.protocol, _Answers):
                connection.protocol.attempt = attempt if req.method == hdrs.METH_POST else None
        return connection

    def _is_stale(self, connection: Connection) -> bool:
        protocol = connection.protocol
        assert protocol is not None  # noqa: S101 it was handed out just now
        connection.add_callback(partial(self._released, protocol))
        return idle_clock() - self._idle_since.get(protocol, math.inf) > KEEPALIVE_S

    def _released(self, protocol: ResponseHandler) -> None:
        self._idle_since[protocol] = idle_clock()


@attrs.frozen(kw_only=True)
class Reply:
    """One answer, as bytes."""

    status: int
    """HTTP status."""
    body: bytes = attrs.field(repr=False)
    """The body, decompressed; what arrived of it if it was cut."""
    cut: TransportError | None = None
    """Why the body is not whole, None if it is."""
    retry_after: str | None = None
    """The Retry-After header as received."""
    date: str | None = None
    """The Date header as received."""


class Session:
    """Sends calls to one relay over aiohttp, with the key, without cookies, and never follows a redirect.

    Args:
        base: the normalised base URL.
        key: sent as a Bearer token.
        timeouts: limits of the phases.
        borrowed: a session of the user's, which is not closed here; None makes own ones in the running loop when
            the first call is made.
    """

    def __init__(
        self, base: str, key: ApiKey, *, timeouts: Timeouts, borrowed: aiohttp.ClientSession | None = None
    ) -> None:
        self._base = base
        self._key = key
        self._borrowed = borrowed
        # Creates take minutes: on connections of their own they cannot starve the polls.
        self._own: dict[str, aiohttp.ClientSession] = {}
        self._reading: set[aiohttp.ClientResponse] = set()
        self._is_closed = False
        headers = {hdrs.ACCEPT: "application/json", **key.header}
        self._headers = {"GET": headers, "POST": {**headers, hdrs.CONTENT_TYPE: "application/json"}}
        self._limits = {
            "GET": _to_limits(timeouts.connect, timeouts.query),
            "POST": _to_limits(timeouts.connect, timeouts.create),
        }

    async def send(self, call: Call, attempt: Attempt | None = None) -> Reply:
        """Send one request, once.

        Args:
            call: what to send.
            attempt: told whether anything left; readable also when this is cancelled.

        Raises:
            TransportError: no answer came; `sent` tells whether anything of the request may have left.
            RuntimeError: this, or the borrowed session, is closed.
        """
        if attempt is None:
            attempt = Attempt()
        method = call.method
        session = self._session(method)
        failure: TransportError | None = None
        attempt.sent = True  # until the connector proves that it is not
        proof = _attempt.set(attempt)
        try:
            # Not by `async with`, whose layers of coroutines would add 3 % to what bare aiohttp costs.
            response = await session.request(
                method,
                self._base + call.path,
                params=call.params or None,
                data=_to_data(call.body),
                headers=None if self._borrowed is None else self._headers[method],
                allow_redirects=False,
                timeout=self._limits[method],
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
                max_headers=MAX_HEADERS,
            )
            self._reading.add(response)
            try:
                body, cut = await _read_body(response)
            finally:
                self._reading.discard(response)
                response.release()
        except Exception as error:  # noqa: BLE001 any class may come, and none may pass for an answer
            if _is_refused(error):
                attempt.sent = False
            attempt.came = bytearray(self._key.hide(bytes(attempt.came)))
            failure = explain(error, sent=attempt.sent)
        finally:
            _attempt.reset(proof)
        if failure is not None:
            # Out here, as else the foreign error, which holds the key, would stay attached as its context.
            try:
                raise failure
            finally:
                del failure  # it holds this frame, and would hold itself and the whole request with it
        headers = response.headers
        return Reply(
            status=response.status,
            body=self._key.hide(body),
            cut=cut,
            retry_after=headers.get(hdrs.RETRY_AFTER),
            date=headers.get(hdrs.DATE),
        )

    async def close(self) -> None:
        """Close the own sessions; a borrowed one stays open. Nothing can be sent any more."""
        self._is_closed = True
        for response in tuple(self._reading):
            # aiohttp would leave whoever reads a body waiting for ever.
            response.close()
        while self._own:
            await self._own.popitem()[1].close()

    def _session(self, method: str) -> aiohttp.ClientSession:
        if self._is_closed:
            # A retry or a pause may end after the close; a session made now would never be closed.
            raise RuntimeError("the client was closed meanwhile")
        if self._borrowed is not None:
            if self._borrowed.closed:
                raise RuntimeError("the aiohttp session lent to this client is closed")
            return self._borrowed
        session = self._own.get(method)
        if session is None:
            session = self._own[method] = aiohttp.ClientSession(
                # The throttle bounds what is under way; a second bound here would let calls wait in the wrong place.
                connector=ProofConnector(limit=0, keepalive_timeout=KEEPALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers[method],
            )
        return session


def _to_limits(connect: float | None, read: float | None) -> aiohttp.ClientTimeout:
    # The total is only for what the limit of a read misses: aiohttp lets go of it after an interim answer.
    total = None if connect is None or read is None else connect + 2 * read
    return aiohttp.ClientTimeout(total=total, connect=connect, sock_read=read)


def _to_data(body: bytes | None) -> bytes | io.BytesIO | None:
    """The body as aiohttp wants it: above 1 MiB it warns of bytes, and users' tests may make warnings errors."""
    return body if body is None or len(body) <= _BIG_BODY_BYTES else io.BytesIO(body)


async def _read_body(response: aiohttp.ClientResponse) -> tuple[bytes, TransportError | None]:
    """The body up to the cap, and why it is cut if it is: an id may already be in what arrived."""
    chunks: list[bytes] = []
    size = 0
    try:
        while not response.content.at_eof():
            chunk = await response.content.readany()
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                response.close()
                return b"".join(chunks)[:MAX_BODY_BYTES], TransportError(
                    f"the answer is over {MAX_BODY_BYTES >> 20} MiB"
                )
    except (aiohttp.ClientError, OSError, http_exceptions.HttpProcessingError) as error:
        return b"".join(chunks), explain(error, sent=True)
    return b"".join(chunks), None


def _is_refused(error: BaseException) -> bool:
    return isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ConnectionRefusedError)


# The first match speaks, so subclasses stand before their bases.
_EXPLANATIONS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ConnectionTimeoutError, "connecting took too long: is the host reachable?"),
    (aiohttp.ServerTimeoutError, "the answer took too long"),
    (asyncio.TimeoutError, "the call took too long"),
    (aiohttp.ClientConnectorDNSError, "the host name cannot be resolved: check the base URL and the network"),
    (
        aiohttp.ClientConnectorCertificateError,
        "the server's TLS certificate is not valid: check the base URL and the clock",
    ),
    (aiohttp.ServerFingerprintMismatch, "the server's TLS certificate is not the pinned one"),
    (aiohttp.ClientSSLError, "TLS could not be set up: check that the base URL should start with https"),
    (aiohttp.ClientProxyConnectionError, "the proxy cannot be reached"),
    (aiohttp.ClientHttpProxyError, "the proxy refused the connection"),
    (aiohttp.ClientConnectorError, "the connection was refused or the host is unreachable"),
    (aiohttp.ServerDisconnectedError, "the server closed the connection without an answer"),
    (aiohttp.ClientPayloadError, "the answer was cut off"),
    (aiohttp.InvalidURL, "the address is not usable: check the base URL"),
    (aiohttp.NonHttpUrlClientError, "the address is not usable: check the base URL"),
    (aiohttp.ClientResponseError, "the answer is not valid HTTP"),
    (http_exceptions.HttpProcessingError, "the answer is not valid HTTP"),
    (aiohttp.ClientError, "the connection broke"),
    (OSError, "the connection broke"),
)
# What repeating cannot mend.
_FINAL = (
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)


def explain(error: BaseException, *, sent: bool) -> TransportError:
    """One of our errors for a foreign one, whose own text may hold the key or a signed address.

    Args:
        error: what aiohttp or the system raised.
        sent: whether anything of the request may have left.
    """
    text = next(
        (text for kind, text in _EXPLANATIONS if isinstance(error, kind)), f"the call failed ({type(error).__name__})"
    )
    ours = (RequestTimeoutError if isinstance(error, TimeoutError) else TransportError)(text)
    ours.sent = sent
    ours.retryable = not isinstance(error, _FINAL)
    return ours
