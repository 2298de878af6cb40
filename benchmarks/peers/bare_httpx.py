"""Bare httpx, used as its documentation shows, on the unified video format."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.peers.ours import WIRE
from benchmarks.peers.peer import BODY, KEY, Calls, Peer


@asynccontextmanager
async def _connect(base: str) -> AsyncIterator[Calls]:
    import httpx

    async with httpx.AsyncClient(base_url=base, headers={"Authorization": f"Bearer {KEY}"}) as client:

        async def create() -> object:
            response = await client.post("/v1/video/create", json=BODY)
            return response.raise_for_status().json()["id"]

        async def query(task_id: Any) -> object:
            response = await client.get("/v1/video/query", params={"id": task_id})
            return response.raise_for_status().json()

        yield Calls(create=create, query=query)


PEER = Peer(name="httpx", create_call="client.post", wire=WIRE, connect=_connect)
