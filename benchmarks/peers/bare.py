"""Bare aiohttp, used as its documentation shows, on the unified video format."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from benchmarks.peers.ours import WIRE
from benchmarks.peers.peer import KEY, PROMPT, Calls, Peer


@asynccontextmanager
async def _connect(base: str) -> AsyncIterator[Calls]:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:

        async def create() -> object:
            body = {"model": "sora-2-all", "prompt": PROMPT, "images": []}
            async with session.post(f"{base}/v1/video/create", json=body) as response:
                response.raise_for_status()
                return (await response.json())["id"]

        yield Calls(create=create)


PEER = Peer(name="aiohttp", create_call="session.post", wire=WIRE, connect=_connect)
