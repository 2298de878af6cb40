"""A user, a client that can crash, and a relay that does everything wrong: at any moment the money must be in order."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from money_judge import FAULTS, Fault, Judge

from sora_async import Client, Event, Fixed, Retry, SoraError, State, Submitted, Timeouts, VideoTask, submission


class Money(RuleBasedStateMachine):
    """One user who makes videos. A crash leaves nothing but their notes of what they were told."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.judge = Judge()
        self.run(self.judge.open())
        self.videos = 0
        self.said = Counter[str]()
        self.creating: dict[str, asyncio.Task[VideoTask]] = {}
        self.posts_at_end: dict[str, int] = {}
        self.known: set[str] = set()
        self.uncertain: list[str] = []
        self.accepted_unbilled: list[str] = []
        self.run(self.open())

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    async def open(self) -> None:
        def hear(event: Event) -> None:
            if isinstance(event, Submitted) and self.client is client:  # of a dead process nothing is heard
                self.known.add(event.task.id)

        retry, timeouts = Retry(tries=3, first=0), Timeouts(drain=20)
        client = Client("k", self.judge.url, pacing=Fixed(0), retry=retry, timeouts=timeouts, on_event=hear)
        self.client: Client | None = client

    def clients_tasks(self) -> set[asyncio.Task[Any]]:
        return asyncio.all_tasks() - self.judge.tasks - {asyncio.current_task()}

    async def until(self, fact: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not fact():  # noqa: ASYNC110 what is waited for happens in sockets
                await asyncio.sleep(0)

    async def settle(self) -> None:
        """Let everything happen that can: each create has ended, or its answer stalls at the relay."""
        stalled, creating = self.judge.stalled, self.creating
        await self.until(
            lambda: creating.keys() <= stalled and len(self.clients_tasks()) == len(creating) + len(stalled)
        )
        for marker in self.said.keys() - creating.keys():
            self.posts_at_end.setdefault(marker, self.judge.posts[marker])

    def submit(self, marker: str) -> asyncio.Task[VideoTask]:
        assert self.client is not None
        self.said[marker] += 1
        self.posts_at_end.pop(marker, None)
        before = self.judge.accepted[marker]
        creating = self.creating[marker] = asyncio.create_task(self.client.create(marker))
        creating.add_done_callback(lambda _: self.ended(marker, creating, before))
        return creating

    def ended(self, marker: str, creating: asyncio.Task[VideoTask], accepted_before: int) -> None:
        del self.creating[marker]
        if creating.cancelled() or self.client is None:
            return
        error = creating.exception()
        if error is None:
            self.known.add(creating.result().id)
        elif isinstance(error, SoraError) and error.billed == "no":
            if self.judge.accepted[marker] > accepted_before:
                self.accepted_unbilled.append(marker)
        else:
            self.uncertain.append(marker)

    @rule(kind=st.sampled_from(FAULTS), cut_at=st.integers(0, 220))
    def fault(self, kind: str, cut_at: int) -> None:
        self.judge.faults.append(Fault(kind, cut_at))

    @precondition(lambda self: self.client)
    @rule(count=st.integers(1, 4))
    def create(self, count: int) -> None:
        async def create() -> None:
            for _ in range(count):
                self.videos += 1
                self.submit(f"video {self.videos}")
            await self.settle()

        self.run(create())

    @precondition(lambda self: self.client)
    @rule(steps=st.integers(0, 30))
    def create_and_cancel(self, steps: int) -> None:
        async def create() -> None:
            self.videos += 1
            creating = self.submit(f"video {self.videos}")
            for _ in range(steps):
                await asyncio.sleep(0)
            creating.cancel()
            await self.settle()

        self.run(create())

    @precondition(lambda self: self.creating)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        async def cancel(creating: asyncio.Task[VideoTask]) -> None:
            creating.cancel()
            await self.settle()

        self.run(cancel(self.creating[data.draw(st.sampled_from(sorted(self.creating)))]))

    @precondition(lambda self: self.judge.stalled)
    @rule()
    def go_on(self) -> None:
        async def go_on() -> None:
            self.judge.release()
            await self.settle()

        self.run(go_on())

    @precondition(lambda self: self.client and self.uncertain)
    @rule(data=st.data())
    def say_again(self, data: st.DataObject) -> None:
        marker = data.draw(st.sampled_from(sorted(self.uncertain)))

        async def again() -> None:
            self.uncertain.remove(marker)
            self.submit(marker)
            await self.settle()

        self.run(again())

    @precondition(lambda self: self.client)
    @rule()
    def crash(self) -> None:
        """The process is killed in the midst of it, and the relay goes on with what it has."""

        async def crash() -> None:
            client, self.client = self.client, None
            assert client is not None
            self.uncertain += self.creating
            dying = self.clients_tasks()
            for task in dying:
                task.cancel()
            await asyncio.gather(*dying, return_exceptions=True)
            await client.close()
            self.judge.release()
            await self.until(lambda: not self.judge.tasks)
            await self.settle()
            self.judge.handed_out &= self.known  # nobody was there to take the others

        self.run(crash())

    @precondition(lambda self: self.client)
    @rule()
    def close(self) -> None:
        """Closing waits for the ids of what is under way."""

        async def close() -> None:
            assert self.client is not None
            closing = asyncio.create_task(self.client.close())
            await asyncio.sleep(0)
            self.judge.release()
            await closing
            await self.settle()
            self.client = None

        self.run(close())

    @precondition(lambda self: self.client is None)
    @rule()
    def resume(self) -> None:
        """A new process goes on from the notes, and buys nothing."""

        async def resume() -> list[VideoTask]:
            await self.open()
            assert self.client is not None
            return await asyncio.gather(*map(self.client.wait, self.known))

        assert all(task.state is State.SUCCEEDED for task in self.run(resume()))

    @invariant()
    def nothing_is_bought_twice(self) -> None:
        assert self.judge.accepted <= self.said

    @invariant()
    def no_id_is_lost(self) -> None:
        assert self.judge.handed_out <= self.known

    @invariant()
    def what_was_called_unbilled_was_not_accepted(self) -> None:
        assert self.accepted_unbilled == []

    @invariant()
    def what_has_ended_is_not_sent_again(self) -> None:
        assert {marker: self.judge.posts[marker] for marker in self.posts_at_end} == self.posts_at_end

    def teardown(self) -> None:
        if self.client is not None:
            self.close()
        self.run(self.judge.close())
        self.runner.close()


MANY = settings(max_examples=60, stateful_step_count=30)


@pytest.mark.unmeasured
def test_money_is_in_order_whatever_happens() -> None:
    """At most one paid task for each time that the user said so, no lost id, and no false word about the bill."""
    run_state_machine_as_test(Money, settings=MANY)


PLANTED = {
    "sends a doubtful create again": ("may_repeat_submission", lambda error: True),
    "takes a doubt for a refusal": ("proves_refused", lambda error: True),
    "forgets what was salvaged": ("salvage_id", lambda body: None),
}


@pytest.mark.unmeasured
@pytest.mark.parametrize(("name", "wrong"), PLANTED.values(), ids=PLANTED)
def test_machine_finds_a_client_that_is_careless(
    name: str, wrong: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The invariants bite."""
    monkeypatch.setattr(submission, name, wrong)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Money, settings=settings(MANY, phases=[Phase.generate], report_multiple_bugs=False))


@pytest.mark.unmeasured
def test_machine_finds_a_client_that_drops_an_abandoned_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """The id of a cancelled create counts as much as any other."""
    monkeypatch.setattr(submission.Submitter, "_abandoned", lambda *_: None)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Money, settings=settings(MANY, phases=[Phase.generate], report_multiple_bugs=False))
