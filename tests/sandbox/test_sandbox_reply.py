"""Answers as they leave, where a real connection cannot show it."""

import asyncio
from types import SimpleNamespace

from sora_async.sandbox.links import LinkSigner
from sora_async.sandbox.reply import Break, send


async def test_reply_to_a_client_that_is_gone_does_nothing():
    """A connection that is already lost cannot be broken."""
    response = await send(SimpleNamespace(transport=None), Break(then="reset"), asyncio.Event())
    assert not response.prepared


def test_link_with_bytes_that_are_not_text_is_refused():
    """Bytes outside of UTF-8 in a path are a wrong signature, not a crash."""
    signer = LinkSigner(base_url="", key=b"key")
    assert signer.check("/cdn/\udcff&Signature=\udcff", 0.0) == "SignatureDoesNotMatch"
