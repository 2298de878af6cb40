"""Answers as they leave, where a real connection cannot show it."""

import asyncio
import socket
import struct
from types import SimpleNamespace

import pytest
from yarl import URL

from sora_async.sandbox import Faults
from sora_async.sandbox.links import LinkSigner
from sora_async.sandbox.reply import Break, send


async def test_reply_to_a_client_that_is_gone_does_nothing():
    """A connection that is already lost cannot be broken."""
    response = await send(SimpleNamespace(transport=None), Break(then="reset"), asyncio.Event())
    assert not response.prepared


@pytest.mark.parametrize("is_reset", [False, True])
@pytest.mark.parametrize("fault", [None, "slow"])
async def test_reply_to_a_client_that_goes_away_leaves_no_traceback(visit, until, caplog, fault, is_reset):
    """It has had enough of it, be the answer half sent or not begun, and nobody has to be told."""
    visitor = await visit(faults=Faults(download=[fault] * 2) if fault else None, clip=bytes(2**20))
    link = URL(await visitor.link(), encoded=True)
    with socket.create_connection((link.host, link.port)) as client:
        client.sendall(f"GET {link.raw_path_qs} HTTP/1.1\r\nHost: {link.authority}\r\n\r\n".encode())
        client.shutdown(socket.SHUT_WR)
        if is_reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        await until(lambda: visitor.sandbox.calls["download"])
    await visitor.query()  # the loop has turned meanwhile, and it serves as before
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_link_with_bytes_that_are_not_text_is_refused():
    """Bytes outside of UTF-8 in a path are a wrong signature, not a crash."""
    signer = LinkSigner(base_url="", key=b"key")
    assert signer.check("/cdn/\udcff&Signature=\udcff", 0.0) == "SignatureDoesNotMatch"
