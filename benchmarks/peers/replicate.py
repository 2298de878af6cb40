"""The replicate client, on Replicate's API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from benchmarks.peers.peer import KEY, PROMPT, VIDEO_URL, Calls, Peer, Wire

TASK_ID = "gm3qorzdhgbfurvjtvhg6dckhu"
MODEL = "google/veo-3"


def _polled(status: str) -> Mapping[str, object]:
    return {
        "id": TASK_ID,
        "model": MODEL,
        "version": "hidden",
        "input": {"prompt": PROMPT},
        "logs": "",
        "output": VIDEO_URL if status == "succeeded" else None,
        "error": None,
        "status": status,
        "created_at": "2026-01-01T00:00:00Z",
        "urls": {"get": f"{{base}}/v1/predictions/{TASK_ID}"},
    }


def _failure(status: int, text: str) -> Mapping[str, object]:
    return {"title": text, "detail": text, "status": status}


@asynccontextmanager
async def _connect(base: str) -> AsyncIterator[Calls]:
    from replicate.client import Client

    client = Client(api_token=KEY, base_url=base)

    async def create() -> object:
        return (await client.predictions.async_create(model=MODEL, input={"prompt": PROMPT})).id

    async def generate() -> object:
        output = await client.async_run(MODEL, input={"prompt": PROMPT})
        return "succeeded" if VIDEO_URL in str(output) else repr(output)

    yield Calls(create=create, generate=generate)


WIRE = Wire(
    task_id=TASK_ID,
    # With "Prefer: wait", this is what comes back when the task is not finished within the wait.
    created=_polled("starting"),
    polled=_polled,
    running="processing",
    finished="succeeded",
    failure=_failure,
)
PEER = Peer(
    name="replicate",
    create_call="client.predictions.async_create",
    generate_call="client.async_run",
    wire=WIRE,
    connect=_connect,
)
