"""The runner: what goes in comes out, within the limits, and in the order that keeps the money safe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from stage_play import VIDEO, Log, Notebook, Relay

from sora_async import (
    AuthenticationError,
    BatchStoppedError,
    ContentRejectedError,
    DownloadError,
    InvalidRequestError,
    LedgerError,
    QuotaError,
    RateLimitError,
    State,
    SubmissionUncertainError,
    TaskFailedError,
    VideoRequest,
    WaitTimeoutError,
)
from sora_async.batch import BatchItem, BatchPolicy, Outcome, worker
from sora_async.batch.ledger import Change, Entry, Stage, TakenOverError
from sora_async.batch.runner import LEARNING, Runner
from sora_async.batch.sources import Requests


class Play:
    """A relay, a ledger, and runs of batches on them."""

    def __init__(self, directory: Path | None = None) -> None:
        self.log: Log = []
        self.relay = Relay(self.log)
        self.ledger = Notebook(self.log)
        self.directory = directory

    def runner(self, **policy: Any) -> Runner:
        directory, ledger = self.directory, self.ledger
        limits = BatchPolicy(**policy)
        return Runner(self.relay.verbs(), ledger=ledger, account="me", directory=directory, policy=limits)

    async def run(self, requests: Requests, **policy: Any) -> dict[str, Outcome]:
        return {outcome.request.prompt: outcome async for outcome in self.runner(**policy).run(requests)}

    async def run_until_stopped(self, requests: Requests, **policy: Any) -> tuple[dict[str, Outcome], Exception]:
        outcomes: dict[str, Outcome] = {}
        try:
            async for outcome in self.runner(**policy).run(requests):
                outcomes[outcome.request.prompt] = outcome
        except (BatchStoppedError, LedgerError, ValueError) as error:
            return outcomes, error
        raise AssertionError("the run was not stopped")


def doubt(prompt: str = "x") -> SubmissionUncertainError:
    return SubmissionUncertainError(VideoRequest(prompt), "the line broke", b"half an ans")


async def aprompts(*prompts: str) -> AsyncIterator[str]:
    for prompt in prompts:
        yield prompt


SOURCES = {
    "list of prompts": ["a", "b"],
    "requests": (VideoRequest("a"), VideoRequest("b")),
    "items": [BatchItem("a", key="first"), BatchItem(VideoRequest("b"))],
    "generator": (prompt for prompt in "ab"),
    "asynchronous": aprompts("a", "b"),
}


@pytest.mark.parametrize("requests", SOURCES.values(), ids=SOURCES)
async def test_batch_of_any_source_gives_an_outcome_for_each_input(requests: Requests, tmp_path: Path) -> None:
    """With its file, its task and no error."""
    play = Play(tmp_path)
    outcomes = await play.run(requests)
    assert sorted(outcomes) == ["a", "b"]
    for outcome in outcomes.values():
        assert outcome.error is None
        assert outcome.task is not None
        assert outcome.task.state is State.SUCCEEDED
        assert outcome.path is not None
        assert outcome.path.read_bytes() == VIDEO
    assert not play.ledger.is_open


@pytest.mark.parametrize("requests", ["a prompt", VideoRequest("a"), BatchItem("a"), [1]])
async def test_batch_of_no_iterable_or_of_nonsense_is_refused(requests: Any) -> None:
    """A text is an iterable of letters, and would buy each of them."""
    play = Play()
    _, error = await play.run_until_stopped(requests)
    assert isinstance(error, ValueError)
    assert play.log == []


async def test_steps_are_noted_before_they_are_taken(tmp_path: Path) -> None:
    """Intended before the create leaves, submitted before anything else is done with the id."""
    play = Play(tmp_path)
    await play.run(["a"])
    steps = "intended create accepted submitted watch ready download done"
    assert [verb for verb, _ in play.log] == steps.split()
    (entry,) = play.ledger.book.values()
    assert (entry.task_id, entry.size, len(entry.sha256 or "")) == ("id of a", len(VIDEO), 64)
    assert entry.path is not None
    assert (tmp_path / entry.path).read_bytes() == VIDEO
    assert set(entry.facts) == {"status", "started_at"}


async def test_create_that_is_repeated_is_not_in_doubt_meanwhile() -> None:
    """Between two POSTs that were refused nothing can have been bought, whatever happens to the process."""
    play = Play()
    refusal = RateLimitError(429, "", "slow down")
    play.relay.refusals = {"a": [refusal, refusal]}
    await play.run(["a"])
    tries = ["intended", "planned", "rest"] * 2
    assert [verb for verb, _ in play.log][:7] == [*tries, "intended"]
    (entry,) = play.ledger.book.values()
    assert (entry.stage, entry.attempt) == (Stage.DONE, 3)


async def test_what_was_learnt_of_durations_goes_on_in_the_next_run() -> None:
    """The ledger keeps it, now and then and at the end."""
    play = Play()
    play.relay.learned = "some tasks take long"
    await play.run(map(str, range(LEARNING + 1)))
    assert [verb for verb, _ in play.log].count("remembered") == 2
    assert play.relay.lessons == []
    await play.run(["a"])
    assert play.relay.lessons == ["some tasks take long"]


async def test_hint_that_cannot_be_kept_costs_nothing() -> None:
    """All that counts is noted elsewhere."""
    play = Play()
    play.relay.learned = "some tasks take long"
    await play.run(["a"])
    play.ledger.broken = {Stage.DONE}
    assert (await play.run(["a"]))["a"].error is None


async def test_resumed_task_is_expected_with_its_age() -> None:
    """Its polls go on where the run before left them."""
    play = Play()
    play.relay.ends = {"a": WaitTimeoutError("id of a", None)}
    await play.run(["a"])
    play.relay.ends = {}
    await play.run(["a"])
    ((task_id, prompt, age_s),) = play.relay.expected
    assert (task_id, prompt) == ("id of a", "a")
    assert age_s >= 0


async def test_mistake_in_a_part_of_the_batch_ends_it() -> None:
    """It is not taken for a failure of one input."""
    play = Play()
    play.relay.ends = {"a": ZeroDivisionError("a bug")}
    with pytest.raises(ZeroDivisionError):
        await play.run(["a"])


async def test_batch_without_a_directory_fetches_nothing() -> None:
    """It ends with the task."""
    play = Play()
    outcomes = await play.run(["a"])
    assert outcomes["a"].path is None
    assert [verb for verb, _ in play.log] == ["intended", "create", "accepted", "submitted", "watch", "done"]
    assert await play.run(["a"]) == {"a": Outcome(key=outcomes["a"].key, request=VideoRequest("a"))}


async def test_one_failure_hurts_no_other(tmp_path: Path) -> None:
    """Each kind ends in the outcome of its own input, and in its own stage."""
    play = Play(tmp_path)
    play.relay.creates = {"refused": [InvalidRequestError(400, "", "no")], "doubt": [doubt("doubt")]}
    play.relay.ends = {"failed": State.FAILED, "late": WaitTimeoutError("id of late")}
    play.relay.files = {"lost": DownloadError("gone")}
    outcomes = await play.run(["refused", "doubt", "failed", "late", "lost", "fine"])
    assert {prompt: type(outcome.error) for prompt, outcome in outcomes.items()} == {
        "refused": InvalidRequestError,
        "doubt": SubmissionUncertainError,
        "failed": TaskFailedError,
        "late": WaitTimeoutError,
        "lost": DownloadError,
        "fine": type(None),
    }
    assert play.ledger.stages() == {
        "refused": Stage.PLANNED,
        "doubt": Stage.UNCERTAIN,
        "failed": Stage.FAILED,
        "late": Stage.SUBMITTED,
        "lost": Stage.READY,
        "fine": Stage.DONE,
    }
    assert outcomes["failed"].task is not None


async def test_second_run_buys_nothing_twice_and_goes_on(tmp_path: Path) -> None:
    """What was refused is tried again, what is late is waited for, what is lost is fetched, the rest is told again."""
    play = Play(tmp_path)
    play.relay.creates = {"refused": [InvalidRequestError(400, "", "no")], "doubt": [doubt("doubt")]}
    play.relay.ends = {"failed": State.FAILED, "late": WaitTimeoutError("id of late")}
    play.relay.files = {"lost": DownloadError("gone")}
    prompts = ["refused", "doubt", "failed", "late", "lost", "fine"]
    await play.run(prompts)
    play.relay.ends.pop("late")
    play.relay.files.clear()
    play.log.clear()
    outcomes = await play.run(prompts)
    assert play.relay.bought() == ["refused"]
    errors = {prompt: type(outcome.error) for prompt, outcome in outcomes.items() if outcome.error}
    assert errors == {"doubt": SubmissionUncertainError, "failed": TaskFailedError}
    assert all(outcomes[prompt].path for prompt in ("refused", "late", "lost", "fine"))
    assert outcomes["doubt"].error.args[1:] == ("the line broke", b"half an ans")  # type: ignore[union-attr]
    play.log.clear()
    await play.run(prompts)
    assert play.log == []


async def test_file_that_is_gone_is_fetched_again(tmp_path: Path) -> None:
    """The task is paid; one of another size counts as gone too."""
    play = Play(tmp_path)
    path = (await play.run(["a"]))["a"].path
    assert path is not None
    for spoil in (path.unlink, lambda: path.write_bytes(b"half")):
        spoil()
        play.log.clear()
        outcomes = await play.run(["a"])
        assert [verb for verb, _ in play.log] == ["ready", "watch", "download", "done"]
        assert outcomes["a"].path == path


async def test_same_line_twice_means_two_videos(tmp_path: Path) -> None:
    """And the same file twice means none."""
    play = Play(tmp_path)
    for _ in range(2):
        keys = {outcome.key async for outcome in play.runner().run(["a", "a", "b"])}
        assert len(keys) == 3
    assert sorted(play.relay.bought()) == ["a", "a", "b"]
    assert len({entry.path for entry in play.ledger.book.values()}) == 3


async def test_same_key_is_bought_once(tmp_path: Path) -> None:
    """At the same time the second is refused, later it is told what the first one got."""
    play = Play(tmp_path)
    first, second = [outcome async for outcome in play.runner().run([BatchItem("a", key="k"), BatchItem("a", key="k")])]
    assert isinstance(first.error, ValueError)
    assert second.error is None
    again = await play.run([BatchItem("a", key="k")])
    assert again["a"].path == second.path
    assert play.relay.bought() == ["a"]


async def test_output_of_an_item_is_its_file(tmp_path: Path) -> None:
    """In folders that are made for it."""
    play = Play(tmp_path)
    outcomes = await play.run([BatchItem("a", output="cats/a.mp4")])
    assert outcomes["a"].path == tmp_path / "cats" / "a.mp4"
    assert next(iter(play.ledger.book.values())).path == "cats/a.mp4"


async def test_file_that_the_ledger_does_not_know_stops_the_purchase(tmp_path: Path) -> None:
    """Perhaps the ledger was lost, and all this is bought already."""
    play = Play(tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"from before")
    outcomes = await play.run([BatchItem("a", output="a.mp4")])
    assert "nothing was bought" in str(outcomes["a"].error)
    assert play.log == []


async def test_folder_that_cannot_hold_the_file_stops_the_purchase(tmp_path: Path) -> None:
    """It would be bought and could not be kept."""
    play = Play(tmp_path)
    (tmp_path / "sub").write_bytes(b"a file")
    outcomes = await play.run([BatchItem("a", output="sub/a.mp4")])
    assert "nothing was bought" in str(outcomes["a"].error)
    assert play.log == []


async def test_limits_hold(tmp_path: Path) -> None:
    """Tasks, creates and downloads each have their own."""
    play = Play(tmp_path)
    play.relay.files = {str(number): DownloadError("gone") for number in range(50)}
    await play.run(map(str, range(50)), concurrency=9, creates=3, downloads=2)
    assert play.relay.most == {"create": 3, "watch": play.relay.most["watch"], "download": 2}
    assert play.relay.most["watch"] <= 9


async def test_inputs_are_read_only_as_slots_are_free() -> None:
    """An endless source is read no further than what is in flight; a slow consumer holds it up."""
    drawn = 0

    def endless() -> Iterator[str]:
        nonlocal drawn
        while True:
            drawn += 1
            yield str(drawn)

    play = Play()
    outcomes = play.runner(concurrency=4).run(endless())
    async for _ in outcomes:
        for _ in range(200):
            await asyncio.sleep(0)
        if drawn > 20:
            break
        assert drawn <= 2 * 4 + 2 + len(play.relay.bought())
    await outcomes.aclose()
    assert drawn <= len(play.relay.bought()) + 4


async def test_source_that_raises_ends_the_batch_after_what_is_under_way() -> None:
    """Its own error comes out, once all is accounted for."""

    def broken() -> Iterator[str]:
        yield "a"
        raise ValueError("the file is damaged")

    play = Play()
    outcomes, error = await play.run_until_stopped(broken())
    assert str(error) == "the file is damaged"
    assert list(outcomes) == ["a"]


async def test_refusal_that_may_cost_a_fee_is_not_sent_again() -> None:
    """The next run tells it, and the user settles it."""
    play = Play()
    fee = ContentRejectedError(400, "violation_fee", "no")
    fee.billed = "unknown"
    play.relay.creates = {"a": [fee]}
    assert (await play.run(["a"]))["a"].error is fee
    again = await play.run(["a"])
    assert isinstance(again["a"].error, SubmissionUncertainError)
    assert "violation_fee" in again["a"].error.reason
    assert [verb for verb, _ in play.log].count("create") == 1


async def test_done_without_a_file_is_done_unless_one_is_wanted(tmp_path: Path) -> None:
    """And what was fetched once is done also for who wants no file now."""
    play = Play()
    await play.run(["a"])
    play.directory = tmp_path
    assert (await play.run(["a"]))["a"].path is not None
    play.directory = None
    play.log.clear()
    assert (await play.run(["a"]))["a"].error is None
    assert play.log == []


async def test_max_tasks_caps_what_one_run_buys() -> None:
    """Refused ones do not count, those in doubt do, known ones are free; the rest stays for the next run."""
    play = Play()
    play.relay.creates = {"0": [InvalidRequestError(400, "", "no")], "1": [doubt()]}
    outcomes = await play.run(map(str, range(10)), max_tasks=4, concurrency=8)
    assert len(play.relay.bought()) == 3
    assert set(outcomes) >= {"0", "1"}
    await play.run(map(str, range(10)), max_tasks=2, concurrency=1)
    assert len(play.relay.bought()) == 5
    await play.run(map(str, range(10)))
    assert sorted(play.relay.bought()) == ["0", *map(str, range(2, 10))]


async def test_doubts_in_a_row_stop_the_buying() -> None:
    """Something is broken in between; what is under way is told, and then why."""
    play = Play()
    play.relay.creates = {str(number): [doubt()] for number in range(100)}
    outcomes, error = await play.run_until_stopped(map(str, range(100)), concurrency=3)
    assert isinstance(error, BatchStoppedError)
    assert "uncertain" in str(error)
    assert 5 <= len(outcomes) <= 5 + 3
    assert play.relay.bought() == []


async def test_doubts_now_and_then_do_not() -> None:
    """Each accepted create shows that the way is free."""
    play = Play()
    play.relay.creates = {str(number): [doubt()] for number in range(0, 40, 2)}
    assert len(await play.run(map(str, range(40)), concurrency=1)) == 40


@pytest.mark.parametrize("error", [AuthenticationError(401, "", "bad key"), QuotaError(402, "", "no money")])
async def test_refusal_that_would_meet_every_create_stops_the_buying(error: Exception) -> None:
    """A million lines are not sent into the same wall."""
    play = Play()
    play.relay.creates = {str(number): [error] for number in range(100)}
    outcomes, stopped = await play.run_until_stopped(map(str, range(100)), concurrency=2)
    assert isinstance(stopped, BatchStoppedError)
    assert len(outcomes) <= 3
    assert set(play.ledger.stages().values()) == {Stage.PLANNED}


async def test_ledger_that_cannot_be_written_stops_before_money_is_spent() -> None:
    """A full disk, say."""
    play = Play()
    play.ledger.broken = {Stage.INTENDED}
    _, error = await play.run_until_stopped(map(str, range(100)), concurrency=2)
    assert isinstance(error, LedgerError)
    assert ("create", "0") not in play.log


async def test_id_that_cannot_be_noted_is_told_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The error carries it, and nothing more is bought."""
    play = Play()
    play.ledger.broken = {Stage.SUBMITTED}
    outcomes, error = await play.run_until_stopped(["a", "b"], concurrency=1)
    assert isinstance(error, LedgerError)
    assert error.task_id == "id of a"
    assert outcomes["a"].error is error
    assert "id of a" in caplog.text
    assert play.relay.bought() == ["a"]


async def test_retry_of_doubts_is_capped() -> None:
    """Only for who asked for it; each counts as bought."""
    play = Play()
    play.relay.creates = {"a": [doubt(), doubt(), doubt()], "b": [doubt()]}
    await play.run(["b"])
    outcomes = await play.run(["a", "b"], on_uncertain="retry", max_resends=2, concurrency=1)
    assert isinstance(outcomes["a"].error, SubmissionUncertainError)
    assert isinstance(outcomes["b"].error, SubmissionUncertainError)
    outcomes = await play.run(["b"], on_uncertain="retry", max_resends=1)
    assert outcomes["b"].error is None


NONSENSE: list[dict[str, Any]] = [
    {"on_uncertain": "retry"},
    {"on_uncertain": "lose"},
    {"max_resends": 1},
    {"max_resends": -1},
    {"concurrency": 0},
    {"creates": True},
    {"max_tasks": -1},
]


@pytest.mark.parametrize("policy", NONSENSE, ids=str)
def test_policy_that_makes_no_sense_is_refused(policy: dict[str, Any]) -> None:
    """Before anything is bought."""
    with pytest.raises(ValueError, match=r"must be|max_resends|in \("):
        BatchPolicy(**policy)


SENT_ELSEWHERE = Entry(key="k", stage=Stage.SUBMITTED, request={"prompt": "a"}, task_id="id of a")


async def test_entry_of_another_process_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not bought again: what has come of it when that one lets go is told, and gone on with."""
    monkeypatch.setattr(worker, "BUSY_S", 0)
    play = Play()
    play.ledger.taken = {"k"}
    looks: list[None] = []

    def let_go_at_last() -> None:
        looks.append(None)
        if len(looks) == 3:
            play.ledger.taken.clear()
            play.ledger.book["k"] = SENT_ELSEWHERE

    play.ledger.on_refusal = let_go_at_last
    outcomes = await play.run([BatchItem("a", key="k")])
    assert outcomes["a"].error is None
    assert play.relay.bought() == []


async def test_entry_of_another_process_is_not_waited_for_once_nothing_is_bought(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A batch that has stopped ends."""
    monkeypatch.setattr(worker, "BUSY_S", 0)
    play = Play()
    play.ledger.taken = {"k"}
    play.relay.creates = {"b": [QuotaError(402, "", "no money")]}
    outcomes, error = await play.run_until_stopped([BatchItem("a", key="k"), BatchItem("b", key="b")])
    assert "no money" in str(error)
    assert list(outcomes) == ["b"]


@pytest.mark.parametrize("stage", [Stage.READY, Stage.DONE])
async def test_entry_that_another_process_took_meanwhile_is_left_to_it(tmp_path: Path, stage: Stage) -> None:
    """Taken for dead, this process notes nothing, waits for what comes of it, and buys all the others."""
    play = Play(tmp_path)
    taken = [stage]

    def take(change: Change) -> None:
        if change.key == "k" and change.stage in taken:
            taken.clear()
            play.ledger.book["k"] = attrs.evolve(SENT_ELSEWHERE, stage=Stage.FAILED, reason="moderated")
            raise TakenOverError("another process is at work on 'k'")

    play.ledger.on_record = take
    outcomes = await play.run([BatchItem("a", key="k"), "b"])
    assert "moderated" in str(outcomes["a"].error)
    assert outcomes["b"].error is None
    assert sorted(play.relay.bought()) == ["a", "b"]


class Countdown:
    """An asynchronous iterator that is no generator."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __aiter__(self) -> Countdown:
        return self

    async def __anext__(self) -> str:
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return str(self.left)


async def test_batch_of_an_iterator_that_cannot_be_closed() -> None:
    """It is simply left."""
    assert sorted(await Play().run(Countdown(2))) == ["0", "1"]


async def test_entry_that_somebody_else_changes_before_it_is_sent_is_not_sent() -> None:
    """What was planned a moment ago is looked at again, in the step that makes it ours."""
    play = Play()
    play.ledger.book["k"] = Entry(key="k", stage=Stage.PLANNED, request={"prompt": "a"})
    reserve = asyncio.Event()
    play.relay.hold["create"] = reserve

    async def meddle() -> None:
        while ("create", "first") not in play.log:  # noqa: ASYNC110 the log is a list
            await asyncio.sleep(0)
        play.ledger.book["k"] = SENT_ELSEWHERE
        reserve.set()

    meddling = asyncio.create_task(meddle())
    outcomes = await play.run([BatchItem("first", key="f"), BatchItem("a", key="k")], creates=1)
    await meddling
    assert {outcome.error for outcome in outcomes.values()} == {None}
    assert play.relay.bought() == ["first"]


async def test_entry_that_was_given_up_is_told() -> None:
    """It is not bought again by itself."""
    play = Play()
    play.ledger.book["k"] = Entry(key="k", stage=Stage.RESOLVED, request={"prompt": "a"}, reason="lost")
    outcomes = await play.run([BatchItem("a", key="k")])
    assert "given up" in str(outcomes["a"].error)
    assert play.log == []


async def test_entry_that_another_run_is_sending_stops_this_one() -> None:
    """Two runs on one ledger at once would be a mistake."""
    play = Play()
    play.ledger.book["k"] = Entry(key="k", stage=Stage.INTENDED, request={"prompt": "a"})
    outcomes, error = await play.run_until_stopped([BatchItem("a", key="k")])
    assert "another run" in str(error)
    assert outcomes["a"].error is error
    assert play.log == []
