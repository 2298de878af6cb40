"""A client and a ledger for tests of batches: both in memory, with one log of all that happens, in its order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import attrs

from sora_async import LedgerError, State, VideoRequest, VideoTask
from sora_async.batch.ledger import Change, Entry, Stage, check_move
from sora_async.batch.worker import Verbs

VIDEO = b"a whole video"
Log = list[tuple[str, str]]


def task_of(prompt: str, state: State = State.SUCCEEDED) -> VideoTask:
    return VideoTask(id=f"id of {prompt}", status=state.value, state=state, video_url="https://cdn.example/v.mp4")


def _write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(VIDEO)
    return path


class Relay:
    """What a batch needs of a client.

    `creates`, `ends` and `files` say what to raise, by prompt, and `refusals` how POSTs end that are then repeated.
    """

    def __init__(self, log: Log) -> None:
        self.log = log
        self.creates: dict[str, list[Exception]] = {}
        self.ends: dict[str, Exception | State] = {}
        self.files: dict[str, Exception] = {}
        self.under_way: dict[str, int] = dict.fromkeys(("create", "watch", "download"), 0)
        self.most = dict(self.under_way)
        self.hold: dict[str, asyncio.Event] = {}
        self.is_sending = True
        self.refusals: dict[str, list[Exception]] = {}
        self.expected: list[tuple[str, str, float]] = []
        self.lessons: list[str] = []
        self.learned: str | None = None

    async def _act(self, verb: str, prompt: str) -> None:
        self.log.append((verb, prompt))
        self.under_way[verb] += 1
        self.most[verb] = max(self.most[verb], self.under_way[verb])
        try:
            for _ in range(3):
                await asyncio.sleep(0)
            if verb in self.hold:
                await self.hold[verb].wait()
        finally:
            self.under_way[verb] -= 1

    async def create(self, request: VideoRequest, noting: Callable[[], AbstractAsyncContextManager[None]]) -> VideoTask:
        for refusal in self.refusals.pop(request.prompt, []):
            with contextlib.suppress(type(refusal)):
                async with noting():
                    raise refusal
            self.log.append(("rest", request.prompt))
        async with noting():
            await self._act("create", request.prompt)
            if self.creates.get(request.prompt):
                raise self.creates[request.prompt].pop(0)
        self.log.append(("accepted", request.prompt))
        return task_of(request.prompt, State.QUEUED)

    def expect(self, task_id: str, request: VideoRequest, age_s: float) -> None:
        self.expected.append((task_id, request.prompt, age_s))

    async def watch(self, task: VideoTask | str, timeout: float | None) -> AsyncGenerator[VideoTask, None]:
        prompt = (task if isinstance(task, str) else task.id).removeprefix("id of ")
        await self._act("watch", prompt)
        yield task_of(prompt, State.RUNNING)
        end = self.ends.get(prompt, State.SUCCEEDED)
        if isinstance(end, Exception):
            raise end
        yield task_of(prompt, end)

    async def download(self, task: VideoTask | str, path: Path) -> Path:
        prompt = (task if isinstance(task, str) else task.id).removeprefix("id of ")
        await self._act("download", prompt)
        if prompt in self.files:
            raise self.files[prompt]
        return _write(path)

    def may_have_sent(self, caller: asyncio.Task[Any]) -> bool:
        return self.is_sending

    def verbs(self) -> Verbs:
        return Verbs(
            create=self.create,
            expect=self.expect,
            learn=self.lessons.append,
            learned=lambda: self.learned,
            watch=self.watch,
            download=self.download,
            may_have_sent=self.may_have_sent,
        )

    def bought(self) -> list[str]:
        return [prompt for verb, prompt in self.log if verb == "accepted"]


class Notebook:
    """A Ledger in a dict; it outlives the runs. `broken` says which stages cannot be written."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.book: dict[str, Entry] = {}
        self.broken: set[Stage] = set()
        self.hints: dict[str, str] = {}
        self.taken: set[str] = set()
        self.on_refusal: Callable[[], None] = lambda: None
        self.account: str | None = None
        self.is_open = False
        self.on_record: Callable[[Change], None] = lambda _: None

    async def open(self, account: str) -> None:
        self.account, self.is_open = account, True

    async def enter(self, key: str, request: Mapping[str, Any], *, intend: bool) -> Entry | None:
        assert self.is_open
        await asyncio.sleep(0)
        if key in self.taken:
            self.on_refusal()
            return None
        entry = self.book.setdefault(key, Entry(key=key, stage=Stage.PLANNED, request=request))
        if intend and entry.stage is Stage.PLANNED:
            self._check(Stage.INTENDED)
            self.log.append(("intended", request["prompt"]))
            entry = attrs.evolve(entry, stage=Stage.INTENDED, attempt=entry.attempt + 1)
            self.book[key] = entry
        return entry

    async def record(self, change: Change) -> None:
        assert self.is_open
        await asyncio.sleep(0)
        self._check(change.stage)
        entry = self.book[change.key]
        check_move(change.key, entry.stage, change.stage)
        self.log.append((change.stage.value, str(entry.request["prompt"])))
        news = {name: value for name, value in attrs.asdict(change).items() if value}
        news["facts"] = {**entry.facts, **change.facts}
        if change.stage is Stage.SUBMITTED:
            news["submitted_at"] = 1.0
        news["stage"], news["reason"] = change.stage, change.reason
        self.book[change.key] = attrs.evolve(entry, **news)
        self.on_record(change)

    async def entries(self, *stages: Stage) -> AsyncIterator[Entry]:
        for entry in self.book.values():
            if not stages or entry.stage in stages:
                yield entry

    async def remember(self, name: str, text: str) -> None:
        assert self.is_open
        self._check(Stage.DONE)
        self.hints[name] = text
        self.log.append(("remembered", text))

    async def recall(self, name: str) -> str | None:
        assert self.is_open
        return self.hints.get(name)

    async def close(self) -> None:
        self.is_open = False

    def _check(self, stage: Stage) -> None:
        if stage in self.broken:
            raise LedgerError(f"the disk is full, so {stage.value} cannot be written")

    def stages(self) -> dict[str, Stage]:
        return {str(entry.request["prompt"]): entry.stage for entry in self.book.values()}
