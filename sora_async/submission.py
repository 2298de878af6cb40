"""One paid POST, from the request to exactly one class: not sent, refused, accepted or uncertain."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from sora_async.connector import Attempt
from sora_async.errors import APIError, DecodeError, SoraError, SubmissionUncertainError, TransportError
from sora_async.events import OnEvent, Retrying
from sora_async.models import Character, State, VideoRequest, VideoTask
from sora_async.retry import Retry, may_repeat_submission, repeating
from sora_async.session import Reply, Session
from sora_async.wire.failure import parse_retry_after, proves_refused, read_answer
from sora_async.wire.raw_answer import read_raw_answer
from sora_async.wire.reading import keep_raw, parse_json, salvage_id
from sora_async.wire.task import find_healthy_id, parse_character, parse_created

if TYPE_CHECKING:
    from sora_async.throttle import Throttle
    from sora_async.wire.request import Call

logger = logging.getLogger("sora_async")

_TAKEN = Attempt()
"""Stands for all attempts that were accepted: their callers may live on for long."""
_TAKEN.sent = True

T = TypeVar("T", VideoTask, Character)
Noting = Callable[[], AbstractAsyncContextManager[None]]
OnAccepted = Callable[[VideoTask, VideoRequest, bool], None]
"""Hears of each new task, of what was asked for, and whether nobody awaits it any more."""

LAST_READ_S = 0.05
"""What the drain adds for answers that are here and not yet read: a loop that stalled is late for its own limits."""


@attrs.frozen
class Submission(Generic[T]):
    """What is to be submitted, and how its answer is read."""

    call: Call
    """What to send."""
    subject: VideoRequest | Mapping[str, str]
    """What the user asked for, for an uncertain end."""
    read: Callable[[Any], T]
    """From the parsed body to the value; DecodeError if there is no id in it."""
    salvage: Callable[[bytes], T | None]
    """From a body that cannot be parsed to the value, if its id arrived."""
    noting: Noting | None = None
    """Entered just before each POST and left with its end; what it raises at first keeps the POST from being sent."""


class Submitter:
    """Sends the POSTs that cost money.

    Args:
        session: sends them.
        throttle: says when.
        retry: how those that were proven not to be taken are repeated.
        drain_s: seconds that answers may still take when all is closed.
        accepted: hears of each new task.
        tell: hears of each event; None for none.
    """

    def __init__(
        self,
        session: Session,
        throttle: Throttle,
        *,
        retry: Retry,
        drain_s: float,
        accepted: OnAccepted,
        tell: OnEvent | None,
    ) -> None:
        self._session = session
        self._throttle = throttle
        self._drain_s = drain_s
        self._on_accepted = accepted
        self._tell = tell
        self._submit_video: Callable[[Submission[VideoTask]], Awaitable[VideoTask]]
        self._submit_video = repeating(self._post, retry, may_repeat_submission, self._heard)
        self._submit_character: Callable[[Submission[Character]], Awaitable[Character]]
        self._submit_character = repeating(self._post, retry, may_repeat_submission, self._heard)
        self._under_way: set[asyncio.Task[Any]] = set()
        # For each caller its POST that was not proven to be without effect.
        self._attempts: weakref.WeakKeyDictionary[asyncio.Task[Any], Attempt] = weakref.WeakKeyDictionary()
        self._is_closing = False

    async def create(self, call: Call, request: VideoRequest, noting: Noting | None = None) -> VideoTask:
        """Submit a video; the errors are those of `Client.create`, and those of `noting`."""
        return await self._submit_video(Submission(call, request, parse_created, _salvage_created, noting))

    async def create_character(self, call: Call, wanted: Mapping[str, str]) -> Character:
        """Submit a character; the errors are those of `Client.create_character`."""
        return await self._submit_character(Submission(call, wanted, parse_character, _salvage_nothing))

    def may_have_sent(self, caller: asyncio.Task[Any]) -> bool:
        """Whether a POST of this task has left, and no answer has proven that it was without effect."""
        attempt = self._attempts.get(caller)
        return attempt is not None and attempt.sent

    async def close(self) -> None:
        """Let the answers of all POSTs under way come home, for a while."""
        self._is_closing = True
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=self._drain_s)
            if late:
                _, late = await asyncio.wait(late, timeout=LAST_READ_S)
            for exchange in late:
                exchange.cancel()
            if late:
                await asyncio.wait(late)

    def _heard(self, submission: Submission[Any], error: SoraError, delay_s: float) -> None:
        operation = submission.call.operation
        if self._tell is not None:
            self._tell(Retrying(operation=operation, task_id=None, error=str(error), delay_s=delay_s))

    async def _post(self, submission: Submission[T]) -> T:
        left_at = await self._throttle.turn("create")
        if submission.noting is None:
            return await self._send(submission, left_at)
        may_leave = False
        try:
            async with submission.noting():
                may_leave = True
                return await self._send(submission, left_at)
        finally:
            if not may_leave:
                self._throttle.done("create", left_at, asyncio.CancelledError())

    async def _send(self, submission: Submission[T], left_at: float) -> T:
        """One POST. Cancelled after it left, it goes on in the background until its id is home."""
        attempt = Attempt()
        caller = asyncio.current_task()
        assert caller is not None  # noqa: S101 a coroutine runs in one
        self._attempts[caller] = attempt
        exchange = asyncio.create_task(self._exchange(submission, attempt))
        self._under_way.add(exchange)
        # Awaiting this instead of the exchange shields it from a cancel, at less cost than asyncio.shield.
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        exchange.add_done_callback(lambda done: self._ended(done, left_at, ended))
        try:
            await ended
            value = exchange.result()
        except asyncio.CancelledError:
            if not attempt.sent:
                exchange.cancel()
            exchange.add_done_callback(lambda done: self._abandoned(done, submission, attempt))
            raise
        except SubmissionUncertainError:
            raise
        except SoraError:
            del self._attempts[caller]
            raise
        self._attempts[caller] = _TAKEN
        self._accepted(submission, value, abandoned=False)
        return value

    async def _exchange(self, submission: Submission[T], attempt: Attempt) -> T:
        try:
            reply = await self._session.send(submission.call, attempt)
        except TransportError as error:
            if not error.sent:
                raise
            if (value := _read_remains(bytes(attempt.came), submission, error)) is not None:
                return value
            raise SubmissionUncertainError(submission.subject, str(error), keep_raw(bytes(attempt.came))) from None
        except asyncio.CancelledError:
            if self._is_closing and attempt.sent:
                # Whoever still awaits it was not cancelled, and must hear what it means for the money.
                raise SubmissionUncertainError(
                    submission.subject, "the client was closed before its answer came"
                ) from None
            raise
        try:
            return judge(reply, submission, datetime.now(UTC))
        except SoraError as error:
            # Without the frames that read the answer, whose variables hold all of it, its signed links too.
            raise error.with_traceback(None) from None

    def _ended(self, exchange: asyncio.Task[Any], left_at: float, ended: asyncio.Future[None]) -> None:
        self._under_way.discard(exchange)
        end = asyncio.CancelledError() if exchange.cancelled() else exchange.exception()
        self._throttle.done("create", left_at, end)
        if not ended.done():
            ended.set_result(None)

    def _accepted(self, submission: Submission[Any], value: VideoTask | Character, *, abandoned: bool) -> None:
        logger.info("accepted %s%s", value.id, " (nobody awaits it any more)" if abandoned else "")
        if isinstance(value, VideoTask) and isinstance(submission.subject, VideoRequest):
            self._on_accepted(value, submission.subject, abandoned)

    def _abandoned(self, exchange: asyncio.Task[Any], submission: Submission[Any], attempt: Attempt) -> None:
        """Report the end of a POST whose caller was cancelled."""
        if exchange.cancelled():
            if attempt.sent:
                logger.warning("a POST was cut off before its answer came: it may have been accepted and billed")
        elif (error := exchange.exception()) is None:
            self._accepted(submission, exchange.result(), abandoned=True)
        else:
            logger.warning("a POST that nobody awaits any more failed: %s", error)


def judge(reply: Reply, submission: Submission[T], now: datetime) -> T:
    """Put an answer to a paid POST into its class.

    Args:
        reply: the answer, as far as it came.
        submission: what was asked for.
        now: aware time, for a Retry-After that is a date.

    Returns:
        The value with its id: accepted.

    Raises:
        APIError: refused.
        SubmissionUncertainError: everything else.
    """
    retry_after = parse_retry_after(reply.retry_after, now, reply.date)
    named: str | None = None
    try:
        return submission.read(read_answer(reply.status, reply.body, retry_after))
    except APIError as error:
        named = _name_task(reply.body)
        if named is None and proves_refused(error):
            raise
        reason = str(error)
    except DecodeError as error:
        if 200 <= reply.status < 300 and (salvaged := submission.salvage(reply.body)) is not None:
            return salvaged
        reason = str(reply.cut or error)
    # An answer that refuses and shows a healthy task contradicts itself: what it names can be looked at.
    raise _doubt(submission, reason, reply.body, named)


def _read_remains(came: bytes, submission: Submission[T], error: TransportError) -> T | None:
    """The value in an answer that aiohttp gave up, if its id arrived; whatever else it says proves nothing."""
    body = read_raw_answer(came)
    if body is None:
        return None
    try:
        return judge(Reply(status=200, body=body, cut=error), submission, datetime.now(UTC))
    except SoraError:
        return None


def _doubt(submission: Submission[Any], reason: str, body: bytes, named: str | None) -> SubmissionUncertainError:
    error = SubmissionUncertainError(submission.subject, reason, keep_raw(body))
    return error if named is None else error.about(named)


def _name_task(body: bytes) -> str | None:
    try:
        return find_healthy_id(parse_json(body))
    except DecodeError:
        return None


def _salvage_created(body: bytes) -> VideoTask | None:
    task_id = salvage_id(body)
    return None if task_id is None else VideoTask(id=task_id, status="", state=State.QUEUED)


def _salvage_nothing(_: bytes) -> None:
    """A character is known by its id and its name, which a cut body does not both hold."""
