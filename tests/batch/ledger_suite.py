"""What every implementation of the Ledger must do, whatever it writes to."""

import asyncio
import contextlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_model import Model

from sora_async.batch import Change, Entry, Ledger, Stage
from sora_async.batch.ledger import LEFT_BEHIND, MOVES
from sora_async.errors import LedgerError

Make = Callable[[], Ledger]
ACCOUNT = "4f1a2b3c@relay.example"
CAT = {"model": "sora-2", "prompt": "a cat", "images": ["https://pictures.example/cat.png"]}
# The shortest way from planned to each stage.
WAYS = {
    Stage.PLANNED: [],
    Stage.INTENDED: [Stage.INTENDED],
    Stage.SUBMITTED: [Stage.INTENDED, Stage.SUBMITTED],
    Stage.READY: [Stage.INTENDED, Stage.SUBMITTED, Stage.READY],
    Stage.DONE: [Stage.INTENDED, Stage.SUBMITTED, Stage.DONE],
    Stage.FAILED: [Stage.INTENDED, Stage.SUBMITTED, Stage.FAILED],
    Stage.UNCERTAIN: [Stage.INTENDED, Stage.UNCERTAIN],
    Stage.RESOLVED: [Stage.INTENDED, Stage.UNCERTAIN, Stage.RESOLVED],
}
FACTS = {
    "task_id": st.none() | st.text("abc:", min_size=1),
    "reason": st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
    "raw": st.binary(max_size=20),
    "path": st.none() | st.just("cat.mp4"),
    "size": st.none() | st.integers(0, 2**62),
    "sha256": st.none() | st.just("ab" * 32),
    "facts": st.dictionaries(st.sampled_from(["status", "seen"]), st.text(max_size=5) | st.floats(0, 2e9)),
}
CHANGES = st.builds(Change, key=st.sampled_from("abc"), stage=st.sampled_from(Stage), **FACTS)
ENTERS = st.tuples(st.sampled_from("abc"), st.sampled_from([{"prompt": "x"}, {"prompt": "y"}]), st.booleans())
GROUPS = st.lists(st.lists(CHANGES | ENTERS, max_size=8) | st.just("crash"), max_size=8)


async def all_of(ledger: Ledger, *stages: Stage) -> list[Entry]:
    return [entry async for entry in ledger.entries(*stages)]


async def bring(ledger: Ledger, key: str, stage: Stage) -> None:
    """Lead a new entry to a stage."""
    await ledger.enter(key, CAT, intend=False)
    for step in WAYS[stage]:
        await ledger.record(Change(key=key, stage=step, task_id="task-1" if step is Stage.SUBMITTED else None))


class LedgerSuite(ABC):
    """Inherit this in a class that pytest collects, and tell where the ledgers are."""

    examples = 60
    """How many new ledgers are compared with a plain account."""

    @abstractmethod
    def new_store(self) -> AbstractContextManager[Make]:
        """Give a way to make ledgers that all stand for one and the same, which is new."""

    @pytest.fixture
    def make(self):
        with self.new_store() as make:
            yield make

    @pytest.fixture
    async def ledger(self, make: Make) -> AsyncIterator[Ledger]:
        ledger = make()
        await ledger.open(ACCOUNT)
        yield ledger
        await ledger.close()

    async def test_ledger_new_key_is_planned(self, ledger):
        """An input that is not known is entered as planned, with what it asks for."""
        entry = await ledger.enter("cat", CAT, intend=False)
        assert entry == Entry(key="cat", stage=Stage.PLANNED, request=CAT, planned_at=entry.planned_at)
        assert await all_of(ledger) == [entry]
        assert await ledger.enter("cat", CAT, intend=False) == entry

    @pytest.mark.parametrize("is_known", [False, True])
    async def test_ledger_intends_for_one_caller_only(self, ledger, is_known):
        """Of many that intend one key at once, one may send it."""
        if is_known:
            await ledger.enter("cat", CAT, intend=False)
        entries = await asyncio.gather(*(ledger.enter("cat", CAT, intend=True) for _ in range(20)))
        (entry,) = filter(None, entries)
        assert (entry.stage, entry.attempt) == (Stage.INTENDED, 1)
        assert await all_of(ledger) == [entry]
        assert (await ledger.enter("cat", CAT, intend=False)).stage is Stage.INTENDED

    @pytest.mark.parametrize("stage", [stage for stage in Stage if stage not in {Stage.PLANNED, Stage.INTENDED}])
    async def test_ledger_intends_only_what_is_planned(self, ledger, stage):
        """What was bought, or may have been, is answered as it is."""
        await bring(ledger, "cat", stage)
        before = await all_of(ledger)
        assert [await ledger.enter("cat", CAT, intend=True)] == before == await all_of(ledger)

    async def test_ledger_keeps_hints_beside_the_account(self, make, ledger):
        """Only the last text of a name is kept, by whoever opens it next; entries know nothing of it."""
        assert await ledger.recall("durations") is None
        for text in ("{}", '{"ends": "\u96e8"}'):
            await ledger.remember("durations", text)
        await ledger.close()
        again = make()
        await again.open(ACCOUNT)
        assert await again.recall("durations") == '{"ends": "\u96e8"}'
        assert await again.recall("other") is None
        assert await all_of(again) == []
        await again.close()

    async def test_ledger_key_of_another_request_is_refused(self, ledger):
        """A key that stands for something else buys nothing, and the error tells what differs."""
        await ledger.enter("cat", CAT, intend=False)
        with pytest.raises(LedgerError, match=r"'cat' stands for the request \w{12} .* not for \w{12}, .*in prompt:"):
            await ledger.enter("cat", {**CAT, "prompt": "a dog"}, intend=True)
        assert (await all_of(ledger))[0].stage is Stage.PLANNED

    async def test_ledger_order_of_fields_means_nothing(self, ledger):
        """Equal requests are equal however they are written."""
        await ledger.enter("cat", CAT, intend=False)
        again = await ledger.enter("cat", dict(reversed(CAT.items())), intend=True)
        assert again.stage is Stage.INTENDED

    async def test_ledger_keeps_what_each_step_tells(self, ledger):
        """Facts add up on the way, the reason goes with its stage, and the times tell when."""
        await ledger.enter("cat", CAT, intend=True)
        await ledger.record(Change(key="cat", stage=Stage.UNCERTAIN, reason="cut", raw=b'{"id'))
        await ledger.record(Change(key="cat", stage=Stage.SUBMITTED, task_id="task-1", facts={"status": "queued"}))
        await ledger.record(Change(key="cat", stage=Stage.READY, facts={"status": "completed", "seen": 1.5}))
        await ledger.record(Change(key="cat", stage=Stage.DONE, path="cat.mp4", size=7, sha256="ab" * 32))
        (entry,) = await all_of(ledger)
        assert (entry.attempt, entry.task_id, entry.reason, entry.raw) == (1, "task-1", None, b'{"id')
        assert (entry.path, entry.size, entry.sha256) == ("cat.mp4", 7, "ab" * 32)
        assert entry.facts == {"status": "completed", "seen": 1.5}
        assert 1.7e9 < entry.planned_at <= entry.submitted_at <= entry.ended_at

    async def test_ledger_submitted_at_is_when_the_id_came(self, ledger):
        """A later note on a submitted task does not make it younger."""
        await bring(ledger, "cat", Stage.SUBMITTED)
        (before,) = await all_of(ledger)
        await ledger.record(Change(key="cat", stage=Stage.SUBMITTED, facts={"status": "running"}))
        (after,) = await all_of(ledger)
        assert after == attrs.evolve(before, facts={"status": "running"})

    async def test_ledger_new_attempt_begins_without_the_old_id(self, ledger):
        """What is planned again has no task, and counts how often it was tried."""
        await bring(ledger, "cat", Stage.FAILED)
        await ledger.record(Change(key="cat", stage=Stage.PLANNED, reason="once more"))
        entry = await ledger.enter("cat", CAT, intend=True)
        assert (entry.attempt, entry.task_id, entry.submitted_at, entry.ended_at) == (2, None, None, None)

    @pytest.mark.parametrize("before", Stage)
    async def test_ledger_refuses_every_step_that_is_no_move(self, ledger, before):
        """Only the steps of MOVES are taken, and one that is refused changes nothing."""
        for number, after in enumerate(Stage):
            key = f"cat-{number}"
            await bring(ledger, key, before)
            if after in MOVES[before]:
                await ledger.record(Change(key=key, stage=after, task_id="task-1"))
            else:
                with pytest.raises(LedgerError, match=f"{key}.* is {before.value} .*cannot become {after.value}"):
                    await ledger.record(Change(key=key, stage=after, task_id="task-1"))
        stages = [entry.stage for entry in await all_of(ledger)]
        assert stages == [after if after in MOVES[before] else before for after in Stage]

    async def test_ledger_unknown_key_is_refused(self, ledger):
        """No step leads out of nothing."""
        with pytest.raises(LedgerError, match="'cat' is not in the ledger"):
            await ledger.record(Change(key="cat", stage=Stage.DONE))

    async def test_ledger_submitted_needs_an_id(self, ledger):
        """A task that nobody can ask for is not noted as one."""
        await bring(ledger, "cat", Stage.INTENDED)
        with pytest.raises(LedgerError, match="without an id"):
            await ledger.record(Change(key="cat", stage=Stage.SUBMITTED))

    async def test_ledger_opened_again_doubts_what_was_intended(self, make, ledger):
        """Whoever comes later cannot know how a create ended that was under way; all else stays."""
        for stage in Stage:
            await bring(ledger, stage.value, stage)
        before = {entry.key: entry for entry in await all_of(ledger)}
        await ledger.close()
        later = make()
        await later.open(ACCOUNT)
        after = {entry.key: entry for entry in await all_of(later)}
        await later.close()
        doubted = after.pop("intended")
        assert after == {key: entry for key, entry in before.items() if key != "intended"}
        assert (doubted.stage, doubted.reason, doubted.attempt) == (Stage.UNCERTAIN, LEFT_BEHIND, 1)
        assert doubted.ended_at >= doubted.planned_at

    async def test_ledger_of_another_account_is_refused(self, make, ledger):
        """Ids of one account are unknown to all others, so theirs is another ledger."""
        await bring(ledger, "cat", Stage.INTENDED)
        await ledger.close()
        stranger = make()
        with pytest.raises(LedgerError, match=rf"belongs to the account {ACCOUNT}, .*somebody.*another ledger"):
            await stranger.open("somebody@relay.example")
        await stranger.close()
        assert (await all_of(make()))[0].stage is Stage.INTENDED

    async def test_ledger_lists_in_order_and_by_stage(self, ledger):
        """However many there are, they come in the order in which they were entered."""
        keys = [f"key-{number * 7919 % 2500}" for number in range(2500)]
        await asyncio.gather(*(ledger.enter(key, CAT, intend=index % 3 == 0) for index, key in enumerate(keys)))
        assert [entry.key for entry in await all_of(ledger)] == keys
        assert [entry.key for entry in await all_of(ledger, Stage.INTENDED, Stage.DONE)] == keys[::3]
        assert await all_of(ledger, Stage.DONE) == []

    async def test_ledger_listing_goes_on_while_others_write(self, ledger):
        """Entries that change meanwhile come once, as they are when their page is read."""
        await asyncio.gather(*(ledger.enter(str(number), CAT, intend=False) for number in range(1500)))
        seen = []
        async for entry in ledger.entries(Stage.PLANNED):
            seen.append(entry.key)
            if len(seen) == 1:
                await ledger.enter("1400", CAT, intend=True)
                await ledger.enter("new", CAT, intend=False)
        assert seen == [*(str(number) for number in range(1500) if number != 1400), "new"]

    async def test_ledger_failure_of_one_is_no_other_ones(self, ledger):
        """What cannot be noted fails alone, though it is written together with others."""
        await ledger.enter("cat", CAT, intend=False)
        wrong = [
            ledger.record(Change(key="nobody", stage=Stage.DONE)),
            ledger.record(Change(key="cat", stage=Stage.DONE)),
            ledger.enter("cat", {"prompt": "another"}, intend=False),
            ledger.enter("half a \ud83d", CAT, intend=False),
            ledger.record(Change(key="cat", stage=Stage.INTENDED, size=2**70)),
        ]
        right = [ledger.enter(f"key-{number}", CAT, intend=True) for number in range(5)]
        mixed = itertools.chain.from_iterable(zip(wrong, right, strict=True))
        ends = await asyncio.gather(*mixed, return_exceptions=True)
        assert {type(end) for end in ends[::2]} == {LedgerError}
        assert [end.stage for end in ends[1::2]] == [Stage.INTENDED] * 5
        assert len(await all_of(ledger)) == 6

    async def test_ledger_request_that_is_no_json_is_misuse(self, ledger):
        """A body that could not be sent is not entered."""
        with pytest.raises(TypeError):
            await ledger.enter("cat", {"prompt": object()}, intend=True)
        assert await all_of(ledger) == []

    async def test_ledger_notes_a_reason_with_half_a_character(self, ledger):
        """What a relay says badly is noted as well as can be."""
        await bring(ledger, "cat", Stage.INTENDED)
        await ledger.record(Change(key="cat", stage=Stage.UNCERTAIN, reason="no \ud83d 猫", facts={"said": "\ud83d"}))
        (entry,) = await all_of(ledger)
        assert (entry.reason, entry.facts) == ("no ? 猫", {"said": "\ud83d"})

    async def test_ledger_record_that_is_cancelled_is_noted_all_the_same(self, ledger):
        """An id is not lost for a caller that has no more time."""
        await bring(ledger, "cat", Stage.INTENDED)
        recording = asyncio.create_task(ledger.record(Change(key="cat", stage=Stage.SUBMITTED, task_id="task-1")))
        await asyncio.sleep(0)
        recording.cancel()
        with pytest.raises(asyncio.CancelledError):
            await recording
        await ledger.close()
        assert (await all_of(ledger))[0].task_id == "task-1"

    @pytest.mark.parametrize("stage", [Stage.PLANNED, Stage.SUBMITTED])
    async def test_ledger_enter_that_is_cancelled_leaves_nothing_intended(self, make, ledger, stage):
        """Nobody sends what nobody was told, so there is no doubt about it."""
        await bring(ledger, "cat", stage)
        entering = asyncio.create_task(ledger.enter("cat", CAT, intend=True))
        await asyncio.sleep(0)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        await ledger.close()
        later = make()
        await later.open(ACCOUNT)
        await later.close()
        assert (await all_of(later))[0].stage is stage

    async def test_ledger_close_finishes_what_is_under_way(self, ledger):
        """What was asked for before is written, and what is asked for after is misuse."""
        entering = [asyncio.create_task(ledger.enter(str(number), CAT, intend=True)) for number in range(100)]
        await asyncio.sleep(0)
        await asyncio.gather(ledger.close(), ledger.close())
        assert {entry.stage for entry in await asyncio.gather(*entering)} == {Stage.INTENDED}
        with pytest.raises(RuntimeError, match="not open"):
            await ledger.enter("late", CAT, intend=True)
        with pytest.raises(RuntimeError, match="not open"):
            await ledger.record(Change(key="0", stage=Stage.PLANNED))
        await ledger.close()

    async def test_ledger_opens_again_after_close(self, ledger):
        """One object may be used for one run after the other, but not for two at once."""
        with pytest.raises(RuntimeError, match="open already"):
            await ledger.open(ACCOUNT)
        await ledger.close()
        await ledger.open(ACCOUNT)
        assert await ledger.enter("cat", CAT, intend=True)

    def test_ledger_does_what_a_plain_account_does(self):
        """For any steps, in any groups, with any crashes between, it holds what a dictionary would."""

        @settings(max_examples=self.examples)
        @given(groups=GROUPS)
        def compare_any(groups):
            with self.new_store() as make:
                asyncio.run(compare(make, groups))

        compare_any()


async def compare(make: Make, groups: list[list[Change | tuple[str, dict, bool]] | str]) -> None:
    """Take the same steps in a ledger and in a model."""
    ledger, model = make(), Model()
    await ledger.open(ACCOUNT)
    try:
        for group in groups:
            if group == "crash":
                await ledger.close()
                await ledger.open(ACCOUNT)
                model.crash()
                continue
            steps = [
                ledger.record(step) if isinstance(step, Change) else ledger.enter(step[0], step[1], intend=step[2])
                for step in group
            ]
            ends = await asyncio.gather(*steps, return_exceptions=True)
            for step, end in zip(group, ends, strict=True):
                assert model.agrees(step, end), (step, end)
        assert [model.shown(entry) async for entry in ledger.entries()] == list(model.entries.values())
    finally:
        with contextlib.suppress(RuntimeError):
            await ledger.close()
