"""What the commands do with a client."""

from __future__ import annotations

import time

from sora_async import Client, VideoRequest
from sora_async.cli.failures import Job
from sora_async.cli.wording import Result, describe_character, describe_created, describe_file, describe_task


async def generate(client: Client, job: Job, request: VideoRequest, timeout: float | None) -> Result:
    """Create, wait, download."""
    started = time.monotonic()
    job.is_buying = True
    task = await client.create(request)
    finished = await client.wait(task, timeout)
    path = await client.download(finished, job.output)
    hint = "; a preview, so set SORA_API_KEY and leave out --sandbox for the real one" if job.is_sandbox else ""
    return describe_file(task.id, path, time.monotonic() - started, hint)


async def create(client: Client, job: Job, request: VideoRequest) -> Result:
    """Create, without waiting."""
    job.is_buying = True
    hint = "The sandbox accepts this request, and ended with this command" if job.is_sandbox else None
    return describe_created(await client.create(request), hint)


async def query(client: Client, task_id: str) -> Result:
    """Look at a task once."""
    return describe_task(await client.query(task_id))


async def wait(client: Client, task_id: str, timeout: float | None) -> Result:
    """Wait for a task."""
    return describe_task(await client.wait(task_id, timeout))


async def download(client: Client, job: Job, task_id: str, timeout: float | None) -> Result:
    """Wait for a task and download its file."""
    started = time.monotonic()
    finished = await client.wait(task_id, timeout)
    path = await client.download(finished, job.output)
    return describe_file(task_id, path, time.monotonic() - started)


async def make_character(client: Client, job: Job, timestamps: str, url: str | None, from_task: str | None) -> Result:
    """Make a character."""
    job.is_buying = True
    return describe_character(await client.create_character(timestamps=timestamps, url=url, from_task=from_task))
