"""The fal-client client, on fal's queue."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.peers.peer import KEY, PROMPT, VIDEO_URL, Calls, Peer, Wire

TASK_ID = "764cabcf-b745-4b3e-ae38-1200304cf45b"
APP = "fal-ai/veo3"
PATH = f"/{APP}/requests/{TASK_ID}"


def _polled(status: str) -> Mapping[str, object]:
    return {"status": status, "request_id": TASK_ID, "queue_position": 0, "logs": None, "metrics": {}}


def _failure(_: int, text: str) -> Mapping[str, object]:
    return {"detail": text}


@asynccontextmanager
async def _connect(base: str) -> AsyncIterator[Calls]:
    import fal_client.client

    # It insists on https, whatever FAL_QUEUE_RUN_HOST says; without its prefix the app's id can hold the address.
    fal_client.client.QUEUE_URL_FORMAT = ""
    client = fal_client.AsyncClient(key=KEY)
    handles = {}

    async def create() -> object:
        handle = await client.submit(f"{base}/{APP}", {"prompt": PROMPT})
        handles[handle.request_id] = handle
        return handle.request_id

    async def query(task_id: Any) -> object:
        return await handles[task_id].status()

    async def generate() -> object:
        result = await client.subscribe(f"{base}/{APP}", {"prompt": PROMPT})
        return "COMPLETED" if VIDEO_URL in str(result) else repr(result)

    yield Calls(create=create, generate=generate, query=query)


WIRE = Wire(
    task_id=TASK_ID,
    created={
        "status": "IN_QUEUE",
        "request_id": TASK_ID,
        "response_url": f"{{base}}{PATH}",
        "status_url": f"{{base}}{PATH}/status",
        "cancel_url": f"{{base}}{PATH}/cancel",
        "queue_position": 0,
    },
    polled=_polled,
    running="IN_PROGRESS",
    finished="COMPLETED",
    failure=_failure,
    result_path=PATH,
    result={"video": {"url": VIDEO_URL}},
)
PEER = Peer(
    name="fal-client",
    create_call="client.submit",
    generate_call="client.subscribe",
    wire=WIRE,
    connect=_connect,
    note="speaks https only, so its queue's address (a module constant) was replaced; nothing else was",
)
