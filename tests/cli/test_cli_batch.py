"""`sora-async batch`: what is bought, what is said, and how it ends."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from sora_async import sandbox
from sora_async.sandbox import Faults, Sandbox, Scenario


def write_manifest(*lines: str | dict[str, Any]) -> str:
    """Write the inputs, prompts or whole lines; answers the file."""
    bodies = [{"prompt": line, "key": line} if isinstance(line, str) else line for line in lines]
    Path("m.jsonl").write_text("".join(json.dumps(body) + "\n" for body in bodies))
    return "m.jsonl"


def objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects of an output."""
    return [json.loads(line) for line in text.splitlines()]


def test_batch_prints_the_path_of_each_video(cli, relay):
    """stdout is the results alone, and the folder holds them, the ledger and the page."""
    ran = cli("batch", write_manifest("a", "b"), "-o", "out")
    paths = sorted(map(Path, ran.out.splitlines()))
    assert (ran.code, [path.name[:2] for path in paths]) == (0, ["a-", "b-"])
    assert all(path.read_bytes()[4:8] == b"ftyp" for path in paths)
    assert {path.name for path in Path("out").iterdir()} > {"batch.ledger", "index.html"}


def test_batch_tells_people_how_it_went_and_where_all_is(cli, relay):
    """Each input has its line, and the end names what was bought and where it is."""
    err = cli("batch", write_manifest("a", "b"), "-o", "out").err.splitlines()
    assert sorted(line[:11] for line in err[:2]) == ["1 of 2 done", "2 of 2 done"]
    assert err[2].startswith("2 inputs: 2 done; 2 bought in this run, which took ")
    assert err[3:] == ["files:  out", "ledger: out/batch.ledger", "page:   out/index.html"]


def test_batch_run_again_buys_nothing(cli, relay):
    """The same command prints the same results, and says nothing of what was finished before."""
    manifest = write_manifest("a", "b")
    first = cli("batch", manifest, "-o", "out")
    again = cli("batch", manifest, "-o", "out")
    assert (again.code, sorted(again.out.splitlines())) == (0, sorted(first.out.splitlines()))
    assert len(relay.creates) == 2
    assert again.err.startswith("2 inputs: 2 done; 0 bought in this run")


def test_batch_json_writes_an_object_for_each_outcome_and_one_for_all(cli, relay):
    """Programs find everything on stdout."""
    outcome, summary = objects(cli("batch", write_manifest("a"), "-o", "out", "--json").out)
    assert (outcome["event"], outcome["key"], outcome["state"]) == ("outcome", "a", "done")
    assert (outcome["id"], outcome["billed"]) == (relay.creates[0].id, "yes")
    assert Path(outcome["path"]).is_file()
    assert (summary["event"], summary["done"], summary["bought"], summary["exit_code"]) == ("summary", 1, 1, 0)
    assert (summary["page"], summary["resume"]) == ("out/index.html", None)


def test_batch_says_all_that_is_wrong_before_it_buys(cli, relay):
    """Bad lines are named with line and column; nothing is bought and no folder is made."""
    manifest = write_manifest("a", {"prompt": " "}, {"prompt": "b", "duration": "x"})
    ran = cli("batch", manifest, "-o", "out")
    assert (ran.code, ran.out, relay.calls["create"], Path("out").exists()) == (2, "", 0, False)
    assert [line.partition(": ")[2][:18] for line in ran.err.splitlines()[:2]] == [
        "line 2, column 2: ",
        "line 3, column 17:",
    ]
    assert ran.err.endswith("error: nothing was bought, for the manifest has 2 problems\n")


def test_batch_json_writes_an_object_for_each_problem(cli, relay):
    """Programs learn where it is, too."""
    problem, error = objects(cli("batch", write_manifest({"prompt": 1}), "-o", "out", "--json").out)
    assert (problem["event"], problem["line"], problem["column"]) == ("problem", 1, 2)
    assert (error["event"], error["exit_code"]) == ("error", 2)


def test_batch_reads_standard_input(cli, relay, monkeypatch):
    """`-` is what another program writes."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"prompt": "a"}')))
    assert cli("batch", "-", "-o", "out", "--no-page").code == 0
    assert relay.creates[0].body["prompt"] == "a"
    assert not Path("out/index.html").exists()


def test_batch_keeps_the_ledger_where_it_is_told(cli, relay):
    """--ledger names it, and the page's commands name it so."""
    ran = cli("batch", write_manifest("a"), "-o", "out", "--ledger", "my.ledger")
    assert (ran.code, Path("my.ledger").is_file(), Path("out/batch.ledger").exists()) == (0, True, False)


def test_batch_writes_into_a_store(cli, relay):
    """A URL in place of a folder: each file is told by its own, without a page; run again, nothing is bought."""
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory").store
    files.clear()
    order = ("batch", write_manifest("a", "b"), "-o", "memory://boats/wet", "--ledger", "my.ledger")
    assert "to buy in this run: 2 of 2" in cli(*order, "--dry-run").out
    assert not files
    for bought in (2, 0):
        ran = cli(*order)
        assert (ran.code, sorted(ran.out.splitlines())) == (0, sorted(f"memory:/{name}" for name in files))
        assert f"{bought} bought in this run" in ran.err
        assert ran.err.splitlines()[-2:] == ["files:  memory://boats/wet", "ledger: my.ledger"]
    assert [file.getvalue()[4:8] for file in files.values()] == [b"ftyp"] * 2
    outcome, *_ = objects(cli(*order, "--json").out)
    assert outcome["path"] is None
    assert outcome["url"].startswith("memory://boats/wet/")
    files.clear()


def test_batch_writes_into_the_folder_of_a_file_url(cli, relay, tmp_path):
    """It is that folder, with its ledger and its page."""
    ran = cli("batch", write_manifest("a"), "-o", f"file://{tmp_path}/wet")
    assert (ran.code, Path(ran.out.strip()).parent) == (0, tmp_path / "wet")
    assert {path.name for path in (tmp_path / "wet").iterdir()} > {"batch.ledger", "index.html"}


def test_batch_buys_no_more_than_max_tasks(cli, relay):
    """The rest is left for later runs, and the end says how."""
    ran = cli("batch", write_manifest(*"abcde"), "-o", "out", "--max-tasks", "2")
    assert (ran.code, len(relay.creates), len(ran.out.splitlines())) == (0, 2, 2)
    assert "2 done, 3 not bought; 2 bought" in ran.err
    assert ran.err.endswith("go on with: sora-async batch m.jsonl -o out --max-tasks 2\n")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--on-uncertain", "retry"), "--max-resends"),
        (("--max-resends", "2"), "--on-uncertain retry"),
        (("--timeout", "nan"), "--timeout"),
        (("--sandbox", "--base-url", "http://127.0.0.1:1"), "--base-url"),
        (("-o", "m.jsonl"), "is no folder"),
        (("-o", "s3://bucket/boats"), "say by --ledger in which file or database"),
        (("-o", "s3:/bucket/boats"), "lacks a slash"),
        (("-o", "s3://key@bucket/boats", "--ledger", "l"), "leave them out"),
        (("-o", "s3://bucket/boats", "--ledger", "l", "--sandbox"), "previews in a folder"),
    ],
)
def test_batch_refuses_contradictions(cli, relay, options, text):
    """What cannot be meant ends with 2 before anything is bought."""
    ran = cli("batch", write_manifest("a"), "-o", "out", *options)
    assert (ran.code, ran.out, relay.calls["create"]) == (2, "", 0)
    assert text in ran.err


def test_batch_without_a_key_is_misuse(cli):
    """Who has no key is told of the sandbox."""
    ran = cli("batch", write_manifest("a"), "-o", "out")
    assert (ran.code, "--sandbox" in ran.err) == (2, True)


def test_batch_in_another_account_is_an_error(cli, relay, monkeypatch):
    """A ledger belongs to whoever began it."""
    manifest = write_manifest("a")
    cli("batch", manifest, "-o", "out")
    monkeypatch.setenv("SORA_API_KEY", "another")
    ran = cli("batch", manifest, "-o", "out")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: cannot use the ledger out/batch.ledger: it belongs to the account ")


def test_batch_keeps_a_page_that_is_not_its_own(cli, relay):
    """The videos are what was wanted; the page is a gift."""
    Path("out").mkdir()
    Path("out/index.html").write_text("mine")
    ran = cli("batch", write_manifest("a"), "-o", "out")
    assert (ran.code, Path("out/index.html").read_text()) == (0, "mine")
    assert "no page was written: " in ran.err


def test_batch_without_the_extra_of_the_page_succeeds(cli, relay, monkeypatch):
    """It is said what to install."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    ran = cli("batch", write_manifest("a"), "-o", "out")
    assert ran.code == 0
    assert "no page was written: the gallery needs Jinja2: pip install 'sora_async[gallery]'" in ran.err


def test_batch_refuses_a_file_that_the_ledger_does_not_know(cli, relay):
    """What cannot be bought is told, and counts as an error."""
    Path("out").mkdir()
    Path("out/a.mp4").write_text("mine")
    ran = cli("batch", write_manifest({"prompt": "a", "key": "k", "output": "a.mp4"}), "-o", "out")
    assert (ran.code, relay.calls["create"]) == (1, 0)
    assert ran.out.startswith("k: refused: out/a.mp4 exists")


def test_batch_whose_file_does_not_come_ends_with_1_and_the_command_that_goes_on(cli, relay):
    """What is bought and not here is fetched by the same command."""
    Path("out").mkdir()
    Path("out/.a.mp4.part").mkdir()
    ran = cli("batch", write_manifest({"prompt": "a", "output": "a.mp4"}), "-o", "out", "--json")
    outcome, summary = objects(ran.out)
    assert (ran.code, outcome["state"], outcome["billed"]) == (1, "unfetched", "yes")
    assert (outcome["id"], summary["resume"]) == (relay.creates[0].id, "sora-async batch m.jsonl -o out --json")


def test_batch_whose_file_finds_no_place_buys_nothing(cli, relay):
    """It could not be kept."""
    Path("out").mkdir()
    Path("out/sub").write_text("no folder")
    ran = cli("batch", write_manifest({"prompt": "a", "output": "sub/a.mp4"}), "-o", "out", "--json")
    assert (ran.code, objects(ran.out)[0]["state"], len(relay.creates)) == (1, "refused", 0)


def test_batch_stops_where_the_ledger_has_another_request(cli, relay):
    """A key stands for one request for ever; the end of the run is an error with its reason."""
    cli("batch", write_manifest({"prompt": "a", "key": "k"}), "-o", "out")
    ran = cli("batch", write_manifest({"prompt": "b", "key": "k"}), "-o", "out", "--json")
    *_, outcome, error, summary = objects(ran.out)
    assert (ran.code, outcome["error"], error["error"]) == (1, "LedgerError", "LedgerError")
    assert (summary["refused"], summary["exit_code"], len(relay.creates)) == (1, 1, 1)


def test_dry_run_tells_what_would_be_bought(cli):
    """By model and duration; it needs no key and leaves nothing behind."""
    manifest = write_manifest("a", "b", {"prompt": "c", "model": "m", "duration": None})
    ran = cli("batch", manifest, "-o", "out", "--dry-run", "--max-tasks", "2")
    assert (ran.code, Path("out").exists()) == (0, False)
    assert ran.out.splitlines() == [
        "to buy in this run: 2 of 3",
        "  2 x sora-2-all, 10 s",
        "  1 x m",
        "left for later runs: 1",
    ]


def test_dry_run_knows_what_was_bought(cli, relay):
    """The ledger is looked into, and not written."""
    cli("batch", write_manifest("a"), "-o", "out")
    before = Path("out/batch.ledger").read_bytes()
    (plan,) = objects(cli("batch", write_manifest("a", "b"), "-o", "out", "--dry-run", "--json").out)
    assert (plan["to_buy"], plan["known"], plan["conflicts"]) == (1, {"done": 1}, [])
    assert Path("out/batch.ledger").read_bytes() == before
    assert "known to the ledger: 1 done" in cli("batch", "m.jsonl", "-o", "out", "--dry-run").out


def test_dry_run_finds_keys_of_other_requests(cli, relay):
    """They would stop the batch, so they are told before."""
    keys = [f"k{number}" for number in range(7)]
    cli("batch", write_manifest(*({"prompt": "a", "key": key} for key in keys)), "-o", "out")
    ran = cli("batch", write_manifest(*({"prompt": "b", "key": key} for key in keys)), "-o", "out", "--dry-run")
    assert ran.code == 2
    assert ran.out.splitlines()[-1].endswith(" other requests: k0, k1, k2, k3, k4, ...")


def test_dry_run_of_a_bad_manifest_is_misuse(cli):
    """It checks what the real run checks."""
    assert cli("batch", write_manifest({"prompt": " "}), "-o", "out", "--dry-run").code == 2


class TestSandbox:
    """Previews in the embedded sandbox."""

    @pytest.fixture(autouse=True)
    def _quick(self, sora_scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scenario, self.faults = sora_scenario, Faults()
        monkeypatch.setattr(sandbox, "Sandbox", self.open)

    def open(self, scenario: Scenario | None = None, **options: Any) -> Sandbox:
        return Sandbox(scenario or self.scenario, **{"faults": self.faults, **options})

    def test_previews_are_kept_from_run_to_run(self, cli):
        """A second run has nothing to do, though its sandbox is another one."""
        first = cli("batch", write_manifest("a", "b"), "-o", "out", "--sandbox")
        again = cli("batch", write_manifest("a", "b"), "-o", "out", "--sandbox")
        assert (first.code, again.code) == (0, 0)
        assert sorted(first.out.splitlines()) == sorted(again.out.splitlines())
        assert "0 bought in this run" in again.err

    def test_previews_that_were_not_finished_are_made_anew(self, cli):
        """Their sandbox has ended, and they cost nothing."""
        manifest = write_manifest("a")
        self.scenario = attrs.evolve(self.scenario, takes_s=600.0)
        assert cli("batch", manifest, "-o", "out", "--sandbox", "--timeout", "0").code == 4
        self.scenario = attrs.evolve(self.scenario, takes_s=0.0)
        ran = cli("batch", manifest, "-o", "out", "--sandbox")
        assert (ran.code, len(ran.out.splitlines())) == (0, 1)
        assert "1 bought in this run" in ran.err

    def test_previews_in_doubt_are_made_anew(self, cli):
        """Nothing that costs nothing has to be settled."""
        manifest = write_manifest("a")
        self.faults = Faults(create=["close_after"])
        assert cli("batch", manifest, "-o", "out", "--sandbox").code == 5
        self.faults = Faults()
        assert cli("batch", manifest, "-o", "out", "--sandbox").code == 0

    def test_previews_whose_files_are_gone_are_made_anew(self, cli):
        """Nobody else has them."""
        manifest = write_manifest("a")
        path = Path(cli("batch", manifest, "-o", "out", "--sandbox").out.strip())
        path.unlink()
        assert cli("batch", manifest, "-o", "out", "--sandbox").code == 0
        assert path.is_file()

    def test_previews_are_never_taken_for_the_real_ones(self, cli, relay):
        """Their ledger belongs to no relay's account."""
        manifest = write_manifest("a")
        cli("batch", manifest, "-o", "out", "--sandbox")
        ran = cli("batch", manifest, "-o", "out")
        assert (ran.code, relay.calls["create"]) == (1, 0)
        assert "belongs to the account sandbox" in ran.err


class TestFailingTasks:
    """All tasks end without a video."""

    @pytest.fixture
    def sora_scenario(self, sora_scenario: Scenario) -> Scenario:
        return attrs.evolve(sora_scenario, failure_rate=1.0, failure_text="bad \x1b[31mthing")

    def test_batch_ends_with_3(self, cli, relay):
        """A failed task is told with its reason, which cannot drive the terminal."""
        ran = cli("batch", write_manifest("a"), "-o", "out")
        assert ran.code == 3
        assert ran.out.startswith("a: failed: Task ")
        assert "\x1b" not in ran.out + ran.err

    def test_batch_does_not_count_what_was_given_up(self, cli, relay):
        """What its user has settled is no reason for an exit code any more."""
        cli("batch", write_manifest("a"), "-o", "out")
        cli("ledger", "resolve", "a", "--lost", "--ledger", "out/batch.ledger")
        ran = cli("batch", "m.jsonl", "-o", "out")
        assert (ran.code, ran.out) == (0, "a: given up: 'a' was given up in the ledger: given up by its user\n")
        assert "1 inputs" not in ran.err


class TestSlowTasks:
    """No task ends before the deadline."""

    @pytest.fixture
    def sora_scenario(self, sora_scenario: Scenario) -> Scenario:
        return attrs.evolve(sora_scenario, takes_s=600.0)

    def test_batch_ends_with_4_and_the_command_that_goes_on(self, cli, relay):
        """They go on at the relay, and the same command waits for them again."""
        ran = cli("batch", write_manifest("a b"), "-o", "my out", "--timeout", "0")
        assert (ran.code, ran.out[:16]) == (4, "a b: unfinished:")
        assert ran.err.endswith("go on with: sora-async batch m.jsonl -o 'my out' --timeout 0\n")


class TestLostAnswers:
    """The relay takes the first creates, and their answers are lost."""

    @pytest.fixture
    def sora_faults(self) -> Faults:
        return Faults(create=["close_after", "close_after"])

    def test_batch_ends_with_5_and_says_how_to_settle(self, cli, relay):
        """What may have been bought is not bought twice."""
        manifest = write_manifest("a", "b", "c")
        ran = cli("batch", manifest, "-o", "out", "--concurrency", "1")
        assert (ran.code, len(relay.creates)) == (5, 3)
        assert [line.partition(":")[0] for line in ran.out.splitlines()[:2]] == ["a", "b"]
        assert ran.err.endswith("settle them: sora-async ledger show --state uncertain out/batch.ledger\n")
        assert (cli("batch", manifest, "-o", "out").code, len(relay.creates)) == (5, 3)

    def test_batch_sends_again_as_often_as_it_may(self, cli, relay):
        """--on-uncertain retry is for those whom a second payment hurts less."""
        options = ("--on-uncertain", "retry", "--max-resends", "1", "--concurrency", "1")
        assert cli("batch", write_manifest("a"), "-o", "out", *options).code == 5
        assert len(relay.creates) == 2
        assert "  1 sent again, though" in cli("batch", "m.jsonl", "-o", "out", *options, "--dry-run").out


class TestWrongKey:
    """The relay does not know the key."""

    @pytest.fixture
    def sora_scenario(self, sora_scenario: Scenario) -> Scenario:
        return attrs.evolve(sora_scenario, api_key="another")

    def test_batch_stops_buying(self, cli, relay):
        """What would be refused as well is not sent."""
        ran = cli("batch", write_manifest("a", "b", "c"), "-o", "out", "--concurrency", "1")
        assert (ran.code, relay.calls["create"]) == (1, 1)
        assert "error: nothing more is sent" in ran.err
        assert "1 refused, 2 not bought" in ran.err
