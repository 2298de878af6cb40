"""Uses the public names as users do. It is type-checked, never run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Mapping
from pathlib import Path
from typing import Any, assert_type

import aiohttp

from sora_async import (
    Adaptive,
    APIError,
    BatchItem,
    BatchPolicy,
    BatchStoppedError,
    Character,
    Client,
    Downloaded,
    Event,
    Fixed,
    Growing,
    InformedPacing,
    MissingVideoError,
    Outcome,
    Pacing,
    Polled,
    Retry,
    Retrying,
    SoraError,
    State,
    StatusChanged,
    SubmissionUncertainError,
    Submitted,
    TaskFailedError,
    Timeouts,
    VideoRequest,
    VideoTask,
    WaitTimeoutError,
    __version__,
)
from sora_async.batch import (
    Change,
    Entry,
    Ledger,
    Manifest,
    PostgresLedger,
    Problem,
    SqliteLedger,
    Stage,
    find_folder,
    generate_many_on,
    write_gallery,
)
from sora_async.sandbox import Faults, Sandbox, Scenario, Takes


async def three_lines() -> None:
    async with Client() as client:
        task = await client.generate("a paper boat in the rain")
        await client.download(task, "boat.mp4")


async def every_verb(client: Client, request: VideoRequest) -> None:
    assert_type(await client.create(request), VideoTask)
    assert_type(await client.create("a cat", images=[Path("cat.png"), "https://a.example/b.png"]), VideoTask)
    assert_type(await client.query("id"), VideoTask)
    assert_type(await client.wait("id", timeout=1800.0), VideoTask)
    assert_type(await client.wait(await client.create(request), timeout=None), VideoTask)
    assert_type(await client.generate(request, timeout=60), VideoTask)
    assert_type(
        await client.generate("a cat", model="veo3.1", orientation=None, extra={"aspect_ratio": "16:9"}), VideoTask
    )
    async for task in client.watch("id"):
        assert_type(task.progress, float | None)
        assert_type(task.state, State)
        assert_type(task.state.is_final, bool)
    assert_type(await client.download("id", "cat.mp4", on_progress=lambda received, total: None), Path)
    assert_type(await client.create_character(timestamps="1,3", from_task="id"), Character)
    assert_type(client.base_url, str)
    await client.close()


def told(event: Event) -> None:
    match event:
        case Submitted(task=task, abandoned=abandoned, remaining_s=remaining_s):
            assert_type(remaining_s, float | None)
            assert_type(abandoned, bool)
        case Polled(task=task) | StatusChanged(task=task):
            assert_type(task, VideoTask)
        case Retrying(operation=operation, delay_s=delay_s):
            assert_type(operation, str)
            assert_type(delay_s, float)
        case Downloaded(total=total):
            assert_type(total, int | None)


class Hourly:
    """A pacing of the user's own."""

    def delays(self) -> Generator[float, VideoTask | None, None]:
        while True:
            yield 3600.0


async def configured(session: aiohttp.ClientSession) -> None:
    informed: InformedPacing = Adaptive(aim_s=10, limit_s=120, learned=Adaptive().learned())
    assert_type(informed.remaining_s(VideoRequest("a cat"), 60.0, progress=0.5), float)
    pacings: list[Pacing] = [Adaptive(), informed, Fixed(10), Growing(5, 1.5, 20), Hourly()]
    client = Client(
        "key",
        "https://api.chainhub.tech/v1",
        session=session,
        pacing=pacings[0],
        retry=Retry(tries=3),
        timeouts=Timeouts(connect=5, create=None),
        on_event=told,
    )
    await client.close()


async def handled(client: Client) -> str | None:
    try:
        await client.generate("a cat")
    except SubmissionUncertainError as error:
        assert_type(error.reason, str)
    except TaskFailedError as error:
        return error.task.error_message
    except MissingVideoError as error:
        assert_type(error.task, VideoTask)
    except WaitTimeoutError as error:
        assert_type(error.last, VideoTask | None)
    except APIError as error:
        assert_type(error.status, int)
        assert_type(error.retry_after, float | None)
    except SoraError as error:
        assert_type(error.task_id, str | None)
        assert_type(error.retryable, bool)
        return error.billed
    return __version__


class PostcardLedger:
    """A ledger of one's own fulfils the Protocol."""

    async def open(self, account: str) -> None: ...

    async def enter(self, key: str, request: Mapping[str, Any], *, intend: bool) -> Entry | None:
        return Entry(key=key, stage=Stage.INTENDED if intend else Stage.PLANNED, request=request)

    async def record(self, change: Change) -> None:
        assert_type(change.task_id, str | None)

    async def entries(self, *stages: Stage) -> AsyncIterator[Entry]:
        yield Entry(key="a", stage=Stage.DONE, request={})

    async def remember(self, name: str, text: str) -> None: ...

    async def recall(self, name: str) -> str | None:
        return None

    async def close(self) -> None: ...


async def endless() -> AsyncIterator[VideoRequest]:
    while True:
        yield VideoRequest("a cat")


async def many(client: Client) -> None:
    ledger: Ledger = PostcardLedger()
    policy = BatchPolicy(creates=5, downloads=2, max_tasks=100, on_uncertain="retry", max_resends=3)
    prompts = ["a cat", "a dog"]
    try:
        async for outcome in client.generate_many(prompts, concurrency=20, ledger="a.ledger", directory=Path("cats")):
            assert_type(outcome, Outcome)
            assert_type(outcome.path, Path | None)
            assert_type(outcome.error, Exception | None)
            assert_type(outcome.task, VideoTask | None)
    except BatchStoppedError as error:
        assert_type(error.retryable, bool)
    items = [BatchItem("a cat", key="cat", output="cat.mp4"), BatchItem(VideoRequest("a dog"))]
    async for outcome in client.generate_many(items, ledger=ledger, policy=policy):
        assert_type(outcome.key, str)
    async for _ in client.generate_many(endless(), ledger=SqliteLedger("cats.ledger")):
        break
    assert_type(find_folder("s3://bucket/cats"), Path | None)
    assert_type(await write_gallery(SqliteLedger("cats.ledger"), "cats", title="Cats"), Path)
    with Manifest("cats.jsonl") as manifest:
        problems: list[Problem] = manifest.check()
        for problem in problems:
            assert_type(problem.line, int | None)
        async for outcome in client.generate_many(manifest.items()):
            assert_type(outcome.request, VideoRequest)


async def ask_vault() -> str:
    return "postgresql://user:secret@host/database"


async def shared(client: Client) -> None:
    ledgers: list[Ledger] = [
        PostgresLedger("postgresql://user@host/database?sslmode=verify-full", name="cats"),
        PostgresLedger("LEDGER_DSN", lease_s=10, patience_s=30),
        PostgresLedger(ask_vault),
        PostgresLedger(lambda: "postgresql://host/database"),
    ]
    async for _ in client.generate_many(["a cat"], ledger=ledgers[0]):
        break
    ledger = PostgresLedger("LEDGER_DSN")
    await ledger.migrate()
    assert_type(await ledger.entry("cat"), Entry | None)
    assert_type(await ledger.exists(), bool)
    assert_type(await ledger.account(), str)
    assert_type((await ledger.events("cat"))[0].stage, Stage)


async def on_a_fleet() -> None:
    def entered(entry: Entry, is_new: bool) -> None:
        assert_type(entry.task_id, str | None)

    def told(stages: Mapping[Stage, int]) -> None:
        assert_type(stages[Stage.SUBMITTED], int)

    outcomes = generate_many_on(
        "tcp://scheduler:8786",
        ["a cat", "a dog"],
        ledger=PostgresLedger("LEDGER_DSN"),
        directory="s3://cats/small",
        concurrency=500,
        policy=BatchPolicy(max_tasks=10),
        client=lambda: Client("k"),
        on_entry=entered,
        on_stages=told,
    )
    async for outcome in outcomes:
        assert_type(outcome.url, str | None)


async def against_the_sandbox() -> None:
    faults = Faults(create=["429+1", None], query={"503": 0.1})
    async with Sandbox(Scenario(takes_s=Takes.uniform(1, 2)), faults=faults, seed=7) as sandbox:
        assert_type(sandbox.url, str)
        async with Client("any", sandbox.url) as client:
            await client.generate("a cat")
        for create in sandbox.creates:
            assert_type(create.id, str)


if __name__ == "__main__":
    asyncio.run(three_lines())
