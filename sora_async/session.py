"""The session layer over aiohttp: bytes in, bytes out, and proof of what left this machine."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import aiohttp
import attrs
from aiohttp import hdrs, http_exceptions

from sora_async.connector import KEEPALIVE_S, Attempt, ProofConnector, current_attempt
from sora_async.errors import RequestTimeoutError, TransportError
from sora_async.timeouts import Timeouts, Watchdog
from sora_async.wire.reading import MAX_BODY_BYTES

if TYPE_CHECKING:
    from sora_async.apikey import ApiKey
    from sora_async.wire.request import Call

# An answer that was paid for must not be lost to a proxy's oversize header.
MAX_HEADER_BYTES = 64 * 1024
MAX_HEADERS = 1024
_BIG_BODY_BYTES = 1024 * 1024


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
        reads = {"GET": timeouts.query, "POST": timeouts.create}
        self._watchdogs: dict[str, Watchdog] = {}
        self._limits: dict[str, aiohttp.ClientTimeout] = {}
        for method, read_s in reads.items():
            if borrowed is None:
                self._watchdogs[method] = Watchdog(read_s)
                self._limits[method] = aiohttp.ClientTimeout(total=None, connect=timeouts.connect)
            else:
                # Whether its connections tell when something comes is not known. aiohttp lets go of the limit of a read
                # after an interim answer, so there is a total, too.
                total_s = None if timeouts.connect is None or read_s is None else timeouts.connect + 2 * read_s
                self._limits[method] = aiohttp.ClientTimeout(total_s, connect=timeouts.connect, sock_read=read_s)

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
        watchdog = self._watchdogs.get(method)
        if watchdog is not None:
            watchdog.begin(attempt)
        proof = current_attempt.set(attempt)
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
                body, cut = await _read_body(response, attempt)
            finally:
                self._reading.discard(response)
                response.release()
        except Exception as error:  # noqa: BLE001 any class may come, and none may pass for an answer
            if _is_refused(error):
                attempt.sent = False
            attempt.came = bytearray(self._key.hide(bytes(attempt.came)))
            failure = explain(TimeoutError() if attempt.is_late else error, sent=attempt.sent)
        finally:
            current_attempt.reset(proof)
            if watchdog is not None:
                watchdog.end(attempt)
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
        for watchdog in self._watchdogs.values():
            watchdog.close()
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


def _to_data(body: bytes | None) -> bytes | io.BytesIO | None:
    """The body as aiohttp wants it: above 1 MiB it warns of bytes, and users' tests may make warnings errors."""
    return body if body is None or len(body) <= _BIG_BODY_BYTES else io.BytesIO(body)


async def _read_body(response: aiohttp.ClientResponse, attempt: Attempt) -> tuple[bytes, TransportError | None]:
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
        return b"".join(chunks), explain(TimeoutError() if attempt.is_late else error, sent=True)
    # A body of no told length looks whole where its connection was broken.
    return b"".join(chunks), explain(TimeoutError(), sent=True) if attempt.is_late else None


def _is_refused(error: BaseException) -> bool:
    return isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ConnectionRefusedError)


# The first match speaks, so subclasses stand before their bases.
_EXPLANATIONS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ConnectionTimeoutError, "connecting took too long: is the host reachable?"),
    (TimeoutError, "the answer took too long"),
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
