"""TLS for the judge: a test CA that the client trusts, and another one that it does not."""

from __future__ import annotations

import ssl
from functools import cache

import trustme

NAMES = ("localhost", "127.0.0.1", "relay.test")


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


def _serving(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@cache
def trusted() -> ssl.SSLContext:
    """For the server: what the client expects."""
    return _serving(_authority(), *NAMES)


@cache
def unknown() -> ssl.SSLContext:
    """For the server: the right names, signed by whom nobody knows."""
    return _serving(trustme.CA(), *NAMES)


@cache
def misnamed() -> ssl.SSLContext:
    """For the server: another host's certificate."""
    return _serving(_authority(), "elsewhere.test")


@cache
def trusting() -> ssl.SSLContext:
    """For the client: trusts the test CA alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _authority().configure_trust(context)
    return context
