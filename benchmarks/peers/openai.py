"""The openai client, on OpenAI's video API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from benchmarks.peers.peer import KEY, OBEYS, PROMPT, Calls, Peer, Wire

TASK_ID = "video_68d7512d07848190b3e45da0ecbebcde004da08e1e0678d5"


def _polled(status: str) -> Mapping[str, object]:
    return {
        "id": TASK_ID,
        "object": "video",
        "model": "sora-2",
        "status": status,
        "progress": 100 if status == "completed" else 0,
        "created_at": 1763800000,
        "size": "720x1280",
        "seconds": "4",
    }


def _failure(_: int, text: str) -> Mapping[str, object]:
    return {"error": {"message": text, "type": "server_error", "param": None, "code": None}}


@asynccontextmanager
async def _connect(base: str) -> AsyncIterator[Calls]:
    from openai import AsyncOpenAI

    async with AsyncOpenAI(api_key=KEY, base_url=f"{base}/v1") as client:

        async def create() -> object:
            return (await client.videos.create(prompt=PROMPT, model="sora-2")).id

        async def generate() -> object:
            return (await client.videos.create_and_poll(prompt=PROMPT, model="sora-2")).status

        yield Calls(create=create, generate=generate, query=client.videos.retrieve)


WIRE = Wire(
    task_id=TASK_ID,
    created=_polled("queued"),
    polled=_polled,
    running="in_progress",
    finished="completed",
    failure=_failure,
)
PEER = Peer(
    name="openai",
    create_call="client.videos.create",
    generate_call="client.videos.create_and_poll",
    wire=WIRE,
    connect=_connect,
    note=OBEYS,
)
