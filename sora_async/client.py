"""The client: ties the parts together and holds no protocol knowledge."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self, Unpack

import attrs

from sora_async.apikey import ApiKey
from sora_async.delivery import Delivery
from sora_async.errors import SoraError
from sora_async.events import Event, OnEvent, Polled, Retrying, Submitted
from sora_async.images import with_data_uris
from sora_async.models import Character, RequestFields, VideoRequest, VideoTask, to_request
from sora_async.naming import file_name
from sora_async.pacing import Adaptive, Pacing
from sora_async.querier import Querier
from sora_async.retry import Retry, may_repeat_query, repeating
from sora_async.session import Session
from sora_async.submission import Noting, Submitter
from sora_async.throttle import Throttle
from sora_async.timeouts import Timeouts
from sora_async.waiter import DEFAULT_TIMEOUT_S, Waiter
from sora_async.wire.request import (
    DEFAULT_BASE_URL,
    build_character,
    build_create,
    build_query,
    is_local_base,
    normalise_base,
)

if TYPE_CHECKING:
    from types import TracebackType

    import aiohttp

    from sora_async.batch.ledger import Ledger
    from sora_async.batch.outcome import Outcome
    from sora_async.batch.policy import BatchPolicy
    from sora_async.batch.runner import Runner
    from sora_async.batch.sources import Requests
    from sora_async.download import Destination

logger = logging.getLogger("sora_async")


class Client:
    """A client of one relay, for one event loop.

    ```python
    async with Client() as client:
        task = await client.generate("a paper boat in the rain")
        await client.download(task, "boat.mp4")
    ```

    Args:
        api_key: the relay's key; None reads SORA_API_KEY.
        base_url: the relay's address, with or without `/v1` or the whole path of a call; None reads SORA_BASE_URL,
            then takes https://api.chainhub.tech. Plain http is for this machine and private networks only.
        session: an aiohttp session of your own, for proxies and the like; it is not closed here. Unless
            its connector is a `sora_async.connector.ProofConnector`, a create that fails on it is uncertain more often.
        pacing: when to poll; None is Adaptive(): with few polls, and 5 s after a task's end on the mean.
        retry: how calls that may be repeated are repeated; None is Retry().
        timeouts: limits of the phases of a call; None is Timeouts().
        on_event: called in the loop with each event, so keep it short; None costs nothing.

    Raises:
        ValueError: there is no key, or the key or the address is unusable.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        session: aiohttp.ClientSession | None = None,
        pacing: Pacing | None = None,
        retry: Retry | None = None,
        timeouts: Timeouts | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        self._key = _find_key(api_key)
        self._base = normalise_base(base_url or os.environ.get("SORA_BASE_URL") or DEFAULT_BASE_URL)
        self._tell = None if on_event is None else partial(_tell_safely, on_event)
        self._retry = retry or Retry()
        timeouts = timeouts or Timeouts()
        self._session = Session(self._base, self._key, timeouts=timeouts, borrowed=session)
        self._throttle = Throttle(pause_s=self._retry.first, limit_s=self._retry.limit)
        self._submitter = Submitter(
            self._session,
            self._throttle,
            retry=self._retry,
            drain_s=timeouts.drain,
            accepted=self._accepted,
            tell=self._tell,
        )
        self._querier = Querier(self._session, self._throttle)
        self._repeated_query = repeating(self._querier.query, self._retry, may_repeat_query, self._heard)
        self._waiter = Waiter(self._querier, pacing=pacing or Adaptive(), retry=self._retry, tell=self._tell)
        is_local = is_local_base(self._base)
        self._delivery = Delivery(self._waiter, local=is_local, retry=self._retry, tell=self._tell)
        self._batches: set[Runner] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Client of {self._base}{', closed' if self._closed else ''}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client cannot be pickled: make a new one where it is needed")

    @property
    def base_url(self) -> str:
        """The relay's address, as normalised from what was given."""
        return self._base

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop polling, bring home the ids of creates under way (for `Timeouts.drain`), close the connections."""
        self._closed = True
        for runner in tuple(self._batches):
            await runner.stop(RuntimeError("the client was closed amid this batch; run it again with the same ledger"))
        await self._waiter.close()
        await self._submitter.close()
        await self._delivery.close()
        await self._session.close()

    async def create(self, request: VideoRequest | str, **fields: Unpack[RequestFields]) -> VideoTask:
        """Submit one video, by one accepted POST at the most.

        It is sent again only while it is proven that it was not taken. If this is cancelled after the request left,
        the answer is still awaited in the background, and the id goes to `on_event` and the log.

        Args:
            request: what to create, or the prompt alone.
            **fields: with a prompt alone, the other arguments of VideoRequest.

        Raises:
            ValueError: the request is unusable; nothing was sent.
            APIError: the relay refused it; nothing was bought.
            TransportError: it could not be sent; nothing was bought.
            SubmissionUncertainError: it was sent and its outcome is unknown; it may have been bought.
        """
        self._check_open()
        return await self._create(to_request(request, **fields))

    async def _create(self, wanted: VideoRequest, noting: Noting | None = None) -> VideoTask:
        call = build_create(await with_data_uris(wanted) if wanted.images else wanted)
        return await self._submitter.create(call, wanted, noting)

    def _accepted(self, task: VideoTask, wanted: VideoRequest, abandoned: bool) -> None:
        if not task.state.is_final:
            self._waiter.expect(task.id, wanted)
        if self._tell is not None:
            self._tell(Submitted(task=task, abandoned=abandoned, remaining_s=self._waiter.remaining_s(task)))

    async def query(self, task_id: str) -> VideoTask:
        """Answer a task as it is now. Free, repeated by `retry`; cancelling it changes nothing.

        Raises:
            ValueError: the id cannot be one.
            APIError, TransportError, DecodeError: as the last try ended.
        """
        self._check_open()
        task = await self._repeated_query(task_id)
        if self._tell is not None:
            self._tell(Polled(task=task, remaining_s=self._waiter.remaining_s(task)))
        return task

    async def wait(self, task: VideoTask | str, timeout: float | None = DEFAULT_TIMEOUT_S) -> VideoTask:
        """Wait until a task has succeeded and shows its video.

        Failing polls never end it, only the deadline does. Cancelling it stops the polls and leaves the task at the
        relay as it is.

        Args:
            task: a task or its id; an id is looked at at once.
            timeout: seconds until the deadline; one last poll is made at it. 0 polls once, None waits for ever.

        Raises:
            TaskFailedError: the task failed or was cancelled.
            MissingVideoError: it succeeded, but its video's address does not come.
            WaitTimeoutError: the deadline passed; the task goes on.
            APIError: the relay refuses to show the task.
        """
        self._check_task(task)
        return await self._waiter.wait(task, timeout)

    def watch(
        self, task: VideoTask | str, timeout: float | None = DEFAULT_TIMEOUT_S
    ) -> AsyncGenerator[VideoTask, None]:
        """Yield a task at first sight and at each change of status or progress, up to its final state.

        Args:
            task: a task or its id.
            timeout: seconds until the deadline, None for none.

        Raises:
            MissingVideoError, WaitTimeoutError, APIError: as for `wait`; a failed task is yielded, not raised.
        """
        self._check_task(task)
        return self._waiter.watch(task, timeout)

    async def generate(
        self,
        request: VideoRequest | str,
        *,
        timeout: float | None = DEFAULT_TIMEOUT_S,
        **fields: Unpack[RequestFields],
    ) -> VideoTask:
        """Create a video and wait for it: `create`, then `wait`, with the errors of both.

        Every error after the create carries `task_id`: go on with `wait(task_id)`, never with another generate.

        Args:
            request: what to create, or the prompt alone.
            timeout: seconds from the accepted create to the deadline, None for none.
            **fields: with a prompt alone, the other arguments of VideoRequest.
        """
        return await self.wait(await self.create(request, **fields), timeout)

    async def download(
        self,
        task: VideoTask | str,
        path: str | os.PathLike[str] | None = None,
        *,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> Path:
        """Fetch the video of a task into a file: whole, or not at all. Waits for the task if it is not finished.

        A file of that name is replaced at the end. What arrived before an error or a cancel stays in a `.part` file
        beside it, and the next call goes on from there.

        Args:
            task: a task or its id.
            path: the file, or a folder that exists; None makes a name from the id, in the current folder.
            on_progress: called with the bytes that came and the bytes in all (None if unknown).

        Raises:
            DownloadError: the file could not be fetched whole, or not be written.
            TaskFailedError, MissingVideoError, WaitTimeoutError, APIError: as for `wait`.
        """
        self._check_task(task)
        target = _target(path, task if isinstance(task, str) else task.id)
        return await self._delivery.fetch(task, target, timeout_s=DEFAULT_TIMEOUT_S, on_progress=on_progress)

    async def _fetch(self, task: VideoTask | str, target: Path | Destination) -> None:
        self._check_task(task)
        await self._delivery.fetch(task, target, timeout_s=DEFAULT_TIMEOUT_S, on_progress=None)

    def generate_many(
        self,
        requests: Requests,
        *,
        concurrency: int = 50,
        ledger: Ledger | str | os.PathLike[str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        policy: BatchPolicy | None = None,
    ) -> AsyncGenerator[Outcome, None]:
        """Create many videos, wait for them and fetch them; yield an outcome for each input as it comes.

        With a ledger each input is bought once, whatever happens in between: run the same inputs again, and what was
        accepted is waited for, what is missing is fetched, and what is in doubt is reported, not sent again. Leave the
        loop early, or cancel it, and the creates under way come home first.

        ```python
        async for outcome in client.generate_many(prompts, ledger="boats.ledger", directory="boats"):
            print(outcome.path or outcome.error)
        ```

        Args:
            requests: requests, prompts or BatchItems: a list, a generator, an asynchronous one, of any length. It is
                read only as fast as slots are free.
            concurrency: tasks in flight, from the create to the file, from 1.
            ledger: keeps the account: the path of a SqliteLedger, or another Ledger; None keeps none.
            directory: where the files go: a folder, made if missing, or the URL of a store that fsspec knows, such as
                s3://bucket/folder; None fetches none.
            policy: more limits, such as `BatchPolicy(max_tasks=100)`; its concurrency is the one given here.

        Raises:
            ValueError: an argument is unusable; in the loop, an input is.
            LedgerError: the ledger cannot be used, is in use by another process, or belongs to another account.
            BatchStoppedError: after the last outcome: the buying was stopped, since it made no sense to go on.
        """
        self._check_open()
        from sora_async.batch import BatchPolicy, Forgetful, SqliteLedger  # noqa: PLC0415 loaded for batches only
        from sora_async.batch.runner import Runner  # noqa: PLC0415
        from sora_async.batch.worker import Verbs  # noqa: PLC0415

        if isinstance(ledger, str | os.PathLike):
            ledger = SqliteLedger(ledger)
        runner = Runner(
            Verbs(
                create=self._create,
                expect=self._waiter.expect,
                learn=self._waiter.learn,
                learned=self._waiter.learned,
                watch=self.watch,
                download=self._fetch,
                may_have_sent=self.may_have_sent,
            ),
            ledger=Forgetful() if ledger is None else ledger,
            account=f"{self._key.fingerprint}@{self._base}",
            directory=directory,
            policy=attrs.evolve(policy or BatchPolicy(), concurrency=concurrency),
            folder=ledger.path.absolute().parent if isinstance(ledger, SqliteLedger) else None,
        )
        return self._follow(runner, requests)

    async def _follow(self, runner: Runner, requests: Requests) -> AsyncGenerator[Outcome, None]:
        self._check_open()
        self._batches.add(runner)
        try:
            async with aclosing(runner.run(requests)) as outcomes:
                async for outcome in outcomes:
                    yield outcome
        finally:
            self._batches.discard(runner)

    async def create_character(
        self, *, timestamps: str, url: str | None = None, from_task: str | None = None
    ) -> Character:
        """Make a character from a stretch of a video, to be named as `@username` in prompts.

        Args:
            timestamps: `"start,end"` in seconds, a span of 1 to 3.
            url: the video; or
            from_task: the id of a finished task.

        Raises:
            ValueError: not exactly one of url and from_task, or a bad span.
            APIError, TransportError, SubmissionUncertainError: as for `create`.
        """
        self._check_open()
        wanted = {"timestamps": timestamps, "url": url, "from_task": from_task}
        call = build_character(timestamps=timestamps, url=url, from_task=from_task)
        return await self._submitter.create_character(call, {name: text for name, text in wanted.items() if text})

    def may_have_sent(self, caller: asyncio.Task[Any]) -> bool:
        """Whether a create of this asyncio task has left, and no answer has proven that it bought nothing.

        Of use after a create was cancelled: if it is False, nothing was bought.
        """
        return self._submitter.may_have_sent(caller)

    def _heard(self, task_id: str, error: SoraError, delay_s: float) -> None:
        if self._tell is not None:
            self._tell(Retrying(operation="query", task_id=task_id, error=str(error), delay_s=delay_s))

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the client is closed: make a new one")
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError("the client belongs to another event loop: make one client in each loop")

    def _check_task(self, task: VideoTask | str) -> None:
        self._check_open()
        build_query(task if isinstance(task, str) else task.id)  # an id that cannot be one is told now


def _tell_safely(on_event: OnEvent, event: Event) -> None:
    try:
        on_event(event)
    except Exception:  # the user's own code must not cost the id of a paid task
        logger.exception("on_event failed for %s", type(event).__name__)


def _find_key(api_key: str | None) -> ApiKey:
    key = api_key or os.environ.get("SORA_API_KEY")
    if not key:
        raise ValueError(
            "no API key: pass api_key=... or set SORA_API_KEY. To try without one, use the sandbox: "
            "`sora-async generate PROMPT --sandbox`"
        )
    return ApiKey(key)


def _target(path: str | os.PathLike[str] | None, task_id: str) -> Path:
    target = Path.cwd() if path is None else Path(path)
    return target / file_name(task_id) if target.is_dir() else target
