"""Connections that lead to public machines only."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import aiohttp

from sora_async.addresses import is_public

if TYPE_CHECKING:
    from aiohttp import AddrInfoType


class PrivateAddressError(OSError):
    """The connection would lead to a machine that is not on the public Internet."""


def open_public_socket(info: AddrInfoType) -> socket.socket:
    """Open the socket of a connection.

    The one place that sees where a connection really leads: after DNS, redirects and odd spellings of numbers.

    Raises:
        PrivateAddressError: to a machine that is not public.
    """
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise PrivateAddressError("the address is not public")
    return socket.socket(family, kind, protocol)


def open_connector(*, local: bool, **settings: Any) -> aiohttp.TCPConnector:
    """Make the connections of a session.

    Args:
        local: whether they may lead anywhere.
        **settings: what else aiohttp is to know.
    """
    return aiohttp.TCPConnector(socket_factory=None if local else open_public_socket, **settings)
