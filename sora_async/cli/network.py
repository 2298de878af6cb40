"""Whether the relay can be reached: name, connection, certificate, clock. No key is sent."""

from __future__ import annotations

import email.utils
import http.client
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from sora_async.cli.findings import Finding

TIMEOUT_S = 10.0
MAX_CLOCK_ERROR_S = 60.0
FEW_DAYS = 14
_SHOWN_ADDRESSES = 3


def check_network(base_url: str) -> Iterator[Finding]:
    """Check step by step, up to the first problem.

    Args:
        base_url: the relay's address, normalised.

    Yields:
        One finding for each step.
    """
    parts = urlsplit(base_url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    names = _resolve(host, port)
    yield names
    if names.level == "problem":
        return
    began = time.monotonic()
    try:
        plain = socket.create_connection((host, port), TIMEOUT_S)
    except OSError as error:
        advice = "check the port, a firewall, or whether a proxy is needed"
        yield Finding(check="tcp", level="problem", text=f"{host}:{port}: {_reason(error)}", advice=advice)
        return
    yield Finding(check="tcp", text=f"connected to port {port} in {_milliseconds(began)}")
    with plain:
        yield from _check_stream(plain, parts)


def _check_stream(plain: socket.socket, parts: SplitResult) -> Iterator[Finding]:
    if parts.scheme != "https":
        yield Finding(check="tls", text="not used, as the base URL is http")
        yield _check_clock(plain, parts)
        return
    try:
        stream = ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname)
    except ssl.SSLCertVerificationError as error:
        advice = "check the host name, this machine's clock and its certificate store"
        text = f"the certificate is not valid: {error.verify_message}"
        yield Finding(check="tls", level="problem", text=text, advice=advice)
        return
    except OSError as error:
        advice = "check that this port speaks https, and that nothing in between breaks it"
        yield Finding(check="tls", level="problem", text=_reason(error), advice=advice)
        return
    with stream:
        yield judge_certificate(stream.getpeercert() or {}, time.time())
        yield _check_clock(stream, parts)


def _resolve(host: str, port: int) -> Finding:
    began = time.monotonic()
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        advice = "check the host name in the base URL, and the network"
        text = f"{host} cannot be resolved: {_reason(error)}"
        return Finding(check="dns", level="problem", text=text, advice=advice)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    more = f" and {len(addresses) - _SHOWN_ADDRESSES} more" if len(addresses) > _SHOWN_ADDRESSES else ""
    text = f"{host} is {', '.join(addresses[:_SHOWN_ADDRESSES])}{more}, found in {_milliseconds(began)}"
    return Finding(check="dns", text=text)


def judge_certificate(certificate: Mapping[str, Any], now: float) -> Finding:
    """Judge a valid certificate, as Python's ssl module describes it.

    Args:
        certificate: what `getpeercert` answers.
        now: Unix time in seconds.
    """
    issuer = {name: value for part in certificate.get("issuer", ()) for name, value in part}
    who = issuer.get("organizationName") or issuer.get("commonName") or "an unnamed issuer"
    days = int((ssl.cert_time_to_seconds(certificate["notAfter"]) - now) // 86400)
    text = f"the certificate by {who} is valid for {days} more days"
    if days < FEW_DAYS:
        return Finding(check="tls", level="warning", text=text, advice="tell the relay, if it is yours to tell")
    return Finding(check="tls", text=text)


def _check_clock(stream: socket.socket, parts: SplitResult) -> Finding:
    # The connection is there already; http.client only speaks on it, and follows no proxy and no redirect.
    connection = http.client.HTTPConnection(parts.netloc)
    connection.sock = stream
    try:
        connection.request("HEAD", f"{parts.path}/")
        date = connection.getresponse().getheader("Date")
    except (OSError, http.client.HTTPException) as error:
        advice = "check that the base URL is that of an API"
        return Finding(check="clock", level="problem", text=f"no HTTP answer: {_reason(error)}", advice=advice)
    return judge_clock(date, time.time())


def judge_clock(date: str | None, now: float) -> Finding:
    """Judge this machine's clock by the Date header of an answer.

    Args:
        date: the header, None if there was none.
        now: Unix time in seconds.
    """
    try:
        server = email.utils.parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return Finding(check="clock", text="the relay does not tell the time, so it cannot be compared")
    error = now - server
    if abs(error) <= MAX_CLOCK_ERROR_S:
        return Finding(check="clock", text="agrees with the relay's to a minute")
    side = "ahead of" if error > 0 else "behind"
    text = f"this machine's clock is {abs(error):.0f} s {side} the relay's"
    return Finding(check="clock", level="warning", text=text, advice="set it, as certificates and links depend on it")


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_S:.0f} s"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def _milliseconds(began: float) -> str:
    return f"{(time.monotonic() - began) * 1000:.0f} ms"
