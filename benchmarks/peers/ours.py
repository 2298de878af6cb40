"""This client, on the unified video format."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from benchmarks.peers.peer import KEY, PROMPT, VIDEO_URL, Calls, Peer, Wire
from sora_async import Client

TASK_ID = "sora-2:task_01kbq6ykm3fxsaw5xh2p2r4v9z"


def _polled(status: str) -> Mapping[str, object]:
    video_url = VIDEO_URL if status == "completed" else None
    return {"id": TASK_ID, "status": status, "video_url": video_url, "status_update_time": 1763800012000}


def _failure(_: int, text: str) -> Mapping[str, object]:
    return {"error": {"message": text, "type": "server_error", "code": ""}}


@asynccontextmanager
async def _connect(base: str) -> AsyncIterator[Calls]:
    async with Client(KEY, base) as client:

        async def create() -> object:
            return (await client.create(PROMPT)).id

        async def generate() -> object:
            return (await client.generate(PROMPT)).status

        yield Calls(create=create, generate=generate, query=client.query)


WIRE = Wire(
    task_id=TASK_ID,
    created={"id": TASK_ID, "status": "pending", "status_update_time": 1763800000000},
    polled=_polled,
    running="processing",
    finished="completed",
    failure=_failure,
)
PEER = Peer(
    name="sora_async", create_call="client.create", generate_call="client.generate", wire=WIRE, connect=_connect
)
