"""The comfy-sdk client, on the queued model requests of the Comfy Router."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from benchmarks.peers.peer import KEY, PROMPT, VIDEO_URL, Calls, Peer, Wire

TASK_ID = "0b7c2f5e-93a4-4f0e-8a53-9d1a5f6c2e71"
MODEL = "google/veo3"
ERROR_TYPES = {
    404: "request_not_found",
    409: "concurrency_limit_exceeded",
    429: "rate_limited",
    500: "internal_error",
    503: "service_unavailable",
}


def _polled(status: str) -> Mapping[str, object]:
    return {"request_id": TASK_ID, "status": status, "queue_position": 0}


def _failure(status: int, text: str) -> Mapping[str, object]:
    return {"detail": text, "error_type": ERROR_TYPES[status]}


@asynccontextmanager
async def _connect(base: str) -> AsyncIterator[Calls]:
    from comfy_sdk import AsyncComfy

    os.environ["COMFY_BASE_URL"] = os.environ["COMFY_ROUTER_BASE_URL"] = base
    async with AsyncComfy(api_key=KEY) as client:

        async def create() -> object:
            return (await client.models.submit(MODEL, {"prompt": PROMPT})).request_id

        async def generate() -> object:
            result = await client.models.subscribe(MODEL, {"prompt": PROMPT})
            return "COMPLETED" if VIDEO_URL in str(result) else repr(result)

        yield Calls(create=create, generate=generate)


WIRE = Wire(
    task_id=TASK_ID,
    created=_polled("IN_QUEUE"),
    polled=_polled,
    running="IN_PROGRESS",
    finished="COMPLETED",
    failure=_failure,
    result_path=f"/v2/models/{MODEL}/requests/{TASK_ID}",
    result={"video": {"url": VIDEO_URL}},
)
PEER = Peer(
    name="comfy-sdk",
    create_call="client.models.submit",
    generate_call="client.models.subscribe",
    wire=WIRE,
    connect=_connect,
)
