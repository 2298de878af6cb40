"""The runwayml client, on Runway's API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from benchmarks.peers.peer import KEY, OBEYS, PROMPT, VIDEO_URL, Calls, Peer, Wire

TASK_ID = "497f6eca-6276-4993-bfeb-53cbbbba6f08"


def _polled(status: str) -> Mapping[str, object]:
    output = [VIDEO_URL] if status == "SUCCEEDED" else []
    return {"id": TASK_ID, "status": status, "createdAt": "2026-01-01T00:00:00Z", "progress": 0.5, "output": output}


def _failure(_: int, text: str) -> Mapping[str, object]:
    return {"error": text}


@asynccontextmanager
async def _connect(base: str) -> AsyncIterator[Calls]:
    from runwayml import AsyncRunwayML

    async with AsyncRunwayML(api_key=KEY, base_url=base) as client:

        async def create() -> object:
            task = await client.text_to_video.create(model="veo3.1", prompt_text=PROMPT, ratio="1280:720", duration=4)
            return task.id

        async def generate() -> object:
            task = await client.text_to_video.create(model="veo3.1", prompt_text=PROMPT, ratio="1280:720", duration=4)
            return (await task.wait_for_task_output()).status

        yield Calls(create=create, generate=generate)


WIRE = Wire(
    task_id=TASK_ID,
    created={"id": TASK_ID},
    polled=_polled,
    running="RUNNING",
    finished="SUCCEEDED",
    failure=_failure,
)
PEER = Peer(
    name="runwayml",
    create_call="client.text_to_video.create",
    generate_call="task.wait_for_task_output",
    wire=WIRE,
    connect=_connect,
    note=OBEYS,
)
