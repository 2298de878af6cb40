"""The lumaai client, on Luma's Dream Machine API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from benchmarks.peers.peer import KEY, OBEYS, PROMPT, VIDEO_URL, Calls, Peer, Wire

TASK_ID = "123e4567-e89b-12d3-a456-426614174000"


def _polled(state: str) -> Mapping[str, object]:
    assets = {"video": VIDEO_URL} if state == "completed" else None
    return {"id": TASK_ID, "state": state, "created_at": "2026-01-01T00:00:00Z", "assets": assets, "model": "ray-2"}


def _failure(_: int, text: str) -> Mapping[str, object]:
    return {"detail": text}


@asynccontextmanager
async def _connect(base: str) -> AsyncIterator[Calls]:
    from lumaai import AsyncLumaAI

    async with AsyncLumaAI(auth_token=KEY, base_url=base) as client:

        async def create() -> object:
            return (await client.generations.create(prompt=PROMPT, model="ray-2")).id

        yield Calls(create=create)


WIRE = Wire(
    task_id=TASK_ID,
    created=_polled("queued"),
    polled=_polled,
    running="dreaming",
    finished="completed",
    failure=_failure,
)
PEER = Peer(
    name="lumaai",
    create_call="client.generations.create",
    wire=WIRE,
    connect=_connect,
    note=OBEYS,
)
