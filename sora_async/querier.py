"""One query of one task, by one request."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sora_async.errors import SoraError
from sora_async.turn_queue import Urgency, certain
from sora_async.wire.failure import parse_retry_after, read_answer
from sora_async.wire.request import build_query
from sora_async.wire.task import parse_task

if TYPE_CHECKING:
    from sora_async.models import VideoTask
    from sora_async.session import Reply, Session
    from sora_async.throttle import Throttle


class Querier:
    """Asks for tasks.

    Args:
        session: sends the calls.
        throttle: says when.
    """

    def __init__(self, session: Session, throttle: Throttle) -> None:
        self._session = session
        self._throttle = throttle

    async def query(self, task_id: str, urgency: Urgency = certain) -> VideoTask:
        """Ask once.

        Args:
            task_id: the task.
            urgency: answers the chance that this brings news; asked now and then if it must wait for its turn.

        Raises:
            ValueError: the id cannot be one.
            APIError, TransportError, DecodeError: no task came; each carries the id.
        """
        call = build_query(task_id)
        left_at = await self._throttle.turn("query", urgency)
        try:
            task = _read(await self._session.send(call), task_id)
        except BaseException as error:
            self._throttle.done("query", left_at, error)
            if isinstance(error, SoraError):
                # Without the frames that read the answer, whose variables hold all of it, its signed links too.
                raise error.about(task_id).with_traceback(None) from None
            raise
        self._throttle.done("query", left_at, None)
        return task


def _read(reply: Reply, task_id: str) -> VideoTask:
    if reply.cut is not None:
        raise reply.cut
    retry_after = parse_retry_after(reply.retry_after, datetime.now(UTC), reply.date)
    return parse_task(read_answer(reply.status, reply.body, retry_after), task_id)
