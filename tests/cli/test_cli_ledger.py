"""`sora-async ledger`: what is in it, how it is settled, how it is taken elsewhere."""

from __future__ import annotations

import asyncio
import csv
import json
import shlex
from pathlib import Path
from typing import Any

import attrs
import pytest

from sora_async.batch import Change, SqliteLedger, Stage
from sora_async.sandbox import Scenario

FILE = "my.ledger"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


@pytest.fixture
def file(cli) -> str:
    """A ledger with an entry in each stage, whose keys begin with the stage."""
    asyncio.run(fill())
    return FILE


async def fill() -> None:
    ledger = SqliteLedger(FILE)
    await ledger.open("me@relay")
    for key in ("planned", "-uncertain", "submitted", "ready", "done", "failed", "resolved"):
        await ledger.enter(key, {"prompt": f"a {key} boat", "model": "m", "seed": 7}, intend=key != "planned")

    async def step(key: str, stage: Stage, **facts: Any) -> None:
        await ledger.record(Change(key=key, stage=stage, **facts))

    await step("-uncertain", Stage.UNCERTAIN, reason="\x1b[31mcut", raw=b"half")
    for key in ("submitted", "ready", "done", "failed", "resolved"):
        await step(key, Stage.SUBMITTED, task_id=f"task {key}")
    await step("ready", Stage.READY)
    await step("done", Stage.DONE, path="a/b.mp4", size=5, sha256="00", facts={"started_at": 1.5, "status": "ok"})
    await step("failed", Stage.FAILED, reason="=1+1")
    await step("resolved", Stage.RESOLVED, reason="given up")
    await ledger.close()


def stages() -> dict[str, tuple[str, str | None]]:
    async def read() -> dict[str, tuple[str, str | None]]:
        return {entry.key: (entry.stage.value, entry.task_id) async for entry in SqliteLedger(FILE).entries()}

    return asyncio.run(read())


def test_show_counts_and_lists(cli, file):
    """A line for each entry, and the command for those in doubt."""
    ran = cli("ledger", "show", file)
    head, *lines = ran.out.splitlines()
    assert head == "7 entries: 1 planned, 1 submitted, 1 ready, 1 done, 1 failed, 1 uncertain, 1 resolved"
    assert lines[0] == "planned    planned     -               a planned boat"
    assert lines[1] == "uncertain  -uncertain  -               [31mcut"
    assert lines[4] == "done       done        task done       a/b.mp4"
    assert ran.err.endswith("each with: sora-async ledger resolve KEY --id ID|--lost|--retry --ledger my.ledger\n")


def test_show_finds_the_ledger_in_the_folder_of_a_batch(cli, file):
    """The folder is what people remember."""
    Path("boats").mkdir()
    Path(file).rename("boats/batch.ledger")
    ran = cli("ledger", "show", "boats")
    assert ran.out.startswith("7 entries: ")
    assert ran.err.endswith("--ledger boats/batch.ledger\n")


def test_show_lists_the_states_that_are_asked_for(cli, file):
    """--state may be given more than once; the counts are of all."""
    lines = cli("ledger", "show", file, "--state", "done", "--state", "failed").out.splitlines()
    assert lines[0].startswith("7 entries")
    assert [line.split()[0] for line in lines[1:]] == ["done", "failed"]


def test_show_json_writes_an_object_for_each_entry(cli, file):
    """Programs find all of it."""
    head, entry = map(json.loads, cli("ledger", "show", file, "--state", "done", "--json").out.splitlines())
    assert (head["event"], head["entries"], head["stages"]["failed"]) == ("ledger", 7, 1)
    assert (entry["event"], entry["key"], entry["bytes"], entry["facts"]) == ("entry", "done", 5, {"status": "ok"})
    assert entry["started_at"] == "1970-01-01T00:00:01.500+00:00"


def test_show_key_tells_all_of_one(cli, file):
    """Its request and each of its steps too."""
    out = cli("ledger", "show", file, "--key", "-uncertain").out
    assert "prompt      a -uncertain boat\n" in out
    assert "raw         half\n" in out
    assert [line.split()[1:] for line in out.splitlines()[-2:]] == [["intended"], ["uncertain", "[31mcut"]]
    facts = json.loads(cli("ledger", "show", file, "--key", "done", "--json").out)
    assert [event["stage"] for event in facts["events"]] == ["intended", "submitted", "done"]


def test_show_of_an_unknown_key_is_misuse(cli, file):
    """It is said how to see those that there are."""
    ran = cli("ledger", "show", file, "--key", "x")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "error: 'x' is no key in this ledger; see them with: sora-async ledger show my.ledger\n"


def test_show_of_an_empty_ledger(cli):
    """Nothing was entered yet."""

    async def make() -> None:
        ledger = SqliteLedger(FILE)
        await ledger.open("me")
        await ledger.close()

    asyncio.run(make())
    assert cli("ledger", "show", FILE) == (0, "0 entries\n", "")


@pytest.mark.parametrize("command", [["show"], ["export"], ["resolve", "a", "--lost", "--ledger"]])
def test_ledger_that_is_not_there_is_an_error_and_not_made(cli, command):
    """A wrong name must not leave an empty ledger behind."""
    ran = cli("ledger", *command, "nowhere")
    assert (ran.code, ran.out, Path("nowhere").exists()) == (1, "", False)
    assert ran.err.startswith("error: cannot use the ledger nowhere: ")


@pytest.mark.parametrize(
    ("key", "options", "after"),
    [
        ("-uncertain", ["--id", "task 9"], ("submitted", "task 9")),
        ("-uncertain", ["--lost"], ("resolved", None)),
        ("-uncertain", ["--retry"], ("planned", None)),
        ("submitted", ["--id", "task 9"], ("submitted", "task 9")),
        ("submitted", ["--id", "task submitted"], ("submitted", "task submitted")),
        ("submitted", ["--lost"], ("resolved", "task submitted")),
        ("ready", ["--lost"], ("resolved", "task ready")),
        ("failed", ["--lost"], ("resolved", "task failed")),
        ("failed", ["--retry"], ("planned", None)),
        ("resolved", ["--retry"], ("planned", None)),
    ],
)
def test_resolve_settles(cli, file, key, options, after):
    """Whatever the user knows better; the account stays whose it was."""
    ran = cli("ledger", "resolve", *options, "--ledger", file, "--", key)
    assert (ran.code, ran.out, stages()[key]) == (0, f"{key} is {after[0]} now\n", after)
    asyncio.run(open_as("me@relay"))


async def open_as(account: str) -> None:
    ledger = SqliteLedger(FILE)
    await ledger.open(account)
    await ledger.close()


@pytest.mark.parametrize(
    ("key", "options", "text"),
    [
        ("planned", ["--retry"], "'planned' is planned in the ledger, which --retry does not fit: there is nothing to"),
        (
            "ready",
            ["--retry"],
            "'ready' is ready in the ledger, which --retry does not fit: it can be settled with --lost",
        ),
        ("failed", ["--id", "x"], "it can be settled with --lost, --retry"),
        ("-uncertain", ["--id", " x"], "--id: 'x' is not a task id"),
        ("-uncertain", ["--id", "task done"], "--id: 'task done' is the task of 'done' already"),
        ("-uncertain", ["--lost", "--retry"], "give exactly one of --id, --lost and --retry"),
        ("-uncertain", [], "give exactly one of"),
        ("x", ["--lost"], "'x' is no key in this ledger"),
    ],
)
def test_resolve_refuses_what_does_not_fit(cli, file, key, options, text):
    """It says what can be done, and changes nothing."""
    before = stages()
    ran = cli("ledger", "resolve", *options, "--ledger", file, "--", key)
    assert (ran.code, ran.out, stages()) == (2, "", before)
    assert text in ran.err


def test_resolve_waits_for_no_batch(cli, file):
    """While a batch writes the ledger, nobody else does."""

    async def hold() -> Any:
        ledger = SqliteLedger(file)
        await ledger.open("me@relay")
        try:
            return await asyncio.to_thread(cli, "ledger", "resolve", "failed", "--lost", "--ledger", file)
        finally:
            await ledger.close()

    ran = asyncio.run(hold())
    assert (ran.code, ran.out) == (1, "")
    assert "is writing it: wait for it or stop it" in ran.err


def test_resolve_json_is_one_object(cli, file):
    """For programs."""
    ran = cli("ledger", "resolve", "failed", "--lost", "--ledger", file, "--json")
    assert json.loads(ran.out) == {"event": "done", "key": "failed", "stage": "resolved", "task_id": None}


def test_export_csv_has_the_whole_account(cli, file):
    """A row for each entry; what a spreadsheet would take for a formula is a text."""
    rows = {row["key"]: row for row in csv.DictReader(cli("ledger", "export", file).out.splitlines())}
    assert rows["done"]["path"] == "a/b.mp4"
    assert (rows["done"]["bytes"], rows["done"]["started_at"]) == ("5", "1970-01-01T00:00:01.500+00:00")
    assert (rows["done"]["prompt"], rows["done"]["extra"]) == ("a done boat", '{"seed": 7}')
    assert rows["failed"]["reason"] == "'=1+1"
    assert "'-uncertain" in rows


def test_export_replaces_a_file_only_by_force(cli, file):
    """--force is the word for replacing what is there."""
    Path("out.csv").write_text("mine")
    assert cli("ledger", "export", file, "-o", "out.csv").code == 2
    assert Path("out.csv").read_text() == "mine"
    assert cli("ledger", "export", file, "-o", "out.csv", "--force") == (0, "", "")
    assert len(Path("out.csv").read_text().splitlines()) == 8
    assert not Path("out.csv.part").exists()


class TestExportedManifest:
    """A manifest of what a ledger has."""

    @pytest.fixture
    def sora_scenario(self, sora_scenario: Scenario) -> Scenario:
        return attrs.evolve(sora_scenario, failure_rate=0.5)

    @pytest.mark.parametrize("target", ["elsewhere/e.jsonl", None])
    def test_manifest_buys_nothing_again(self, cli, relay, target):
        """Fields that were left out stay so, keys and files stay, local pictures are found from anywhere."""
        for folder in ("pictures", "elsewhere"):
            Path(folder).mkdir()
        Path("pictures/a.png").write_bytes(PNG)
        lines = [
            {"prompt": "a", "images": ["pictures/a.png", "https://x.y/b.png"], "seed": 7},
            {"prompt": "b", "size": None, "images": None, "duration": None, "output": "sub/b.mp4"},
            {"prompt": "b", "key": "b", "private": False},
        ]
        Path("m.jsonl").write_text("\n".join(map(json.dumps, lines)))
        first = cli("batch", "m.jsonl", "-o", "out")
        options = [] if target is None else ["-o", target]
        out = cli("ledger", "export", "out/batch.ledger", "--format", "jsonl", *options).out
        Path("e.jsonl").write_text(out)
        again = cli("batch", target or "e.jsonl", "-o", "out")
        assert (again.code, results(again.out)) == (first.code, results(first.out))
        assert len(relay.creates) == 3


@pytest.mark.parametrize(("form", "is_said"), [("jsonl", True), ("csv", False)])
def test_export_says_which_lines_are_no_inputs(cli, relay, form, is_said):
    """A picture that was given as a data: URI is not in the ledger."""
    line = {"prompt": "a", "images": ["data:image/png;base64,iVBORw0KGgo="]}
    Path("m.jsonl").write_text(json.dumps(line))
    cli("batch", "m.jsonl", "-o", "out")
    ran = cli("ledger", "export", "out/batch.ledger", "--format", form)
    assert (ran.code, ran.err.startswith("1 line cannot be run again: ")) == (0, is_said)


def results(text: str) -> list[str]:
    """What came of each input, without the relay's words."""
    return sorted(line.partition(" ended")[0] for line in text.splitlines())


def test_commands_of_the_page_are_taken(cli, file):
    """What the page prints can be typed."""
    assert cli("gallery", ".", "--ledger", file).code == 0
    page = Path("index.html").read_text()
    for command in (
        "sora-async ledger resolve --lost --ledger my.ledger -- -uncertain",
        "sora-async ledger resolve failed --retry --ledger my.ledger",
    ):
        assert command in page
        assert cli(*shlex.split(command)[1:]).code == 0
