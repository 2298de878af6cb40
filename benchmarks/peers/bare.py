"""Bare aiohttp, used as its documentation shows, on the unified video format."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from benchmarks.peers.ours import WIRE
from benchmarks.peers.peer import BODY, KEY, Calls, Peer


@asynccontextmanager
async def _connect(base: str) -> AsyncIterator[Calls]:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:

        async def create() -> object:
            async with session.post(f"{base}/v1/video/create", json=BODY) as response:
                response.raise_for_status()
                return (await response.json())["id"]

        async def query(task_id: Any) -> object:
            async with session.get(f"{base}/v1/video/query", params={"id": task_id}) as response:
                response.raise_for_status()
                return await response.json()

        yield Calls(create=create, query=query)


PEER = Peer(name="aiohttp", create_call="session.post", wire=WIRE, connect=_connect)
