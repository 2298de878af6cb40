"""`sora-async generate`: what is bought, what is saved, and how it ends."""

import json
import shlex
from pathlib import Path

import attrs
import pytest

from sora_async import sandbox
from sora_async.sandbox import Faults, Sandbox, Scenario

PIXEL = b"\x89PNG\r\n\x1a\n" + bytes(16)


def test_generate_prints_only_the_path(cli, relay):
    """stdout is the result alone, so that a script can take it."""
    ran = cli("generate", "a cat", "-o", "cat.mp4")
    assert (ran.code, ran.out) == (0, "cat.mp4\n")
    assert Path("cat.mp4").read_bytes()[4:8] == b"ftyp"


def test_generate_without_output_names_the_file_by_its_task(cli, relay):
    """Without -o each task has a file of its own in the current folder."""
    ran = cli("generate", "a cat")
    assert Path(ran.out.strip()).parent == Path.cwd()
    assert Path(ran.out.strip()).is_file()


def test_generate_json_writes_one_object_for_each_event(cli, relay):
    """With --json stdout holds objects only, from the id to the path."""
    ran = cli("generate", "a cat", "-o", "cat.mp4", "--json")
    events = [json.loads(line) for line in ran.out.splitlines()]
    assert events[0] == {"event": "submitted", "id": relay.creates[0].id, "abandoned": False}
    assert events[-1] == {"event": "done", "id": relay.creates[0].id, "path": "cat.mp4", "bytes": 156}
    assert {event["event"] for event in events} == {"submitted", "downloaded", "done"}


def test_generate_sends_what_the_options_say(cli, relay):
    """Each option arrives in its field, with the type of the format."""
    options = "--model m --orientation portrait --size large --duration 15 --no-watermark --private"
    cli("generate", "a cat", *options.split(), "--character-url", "https://x.y/z", "--character-timestamps", "1,3")
    assert relay.creates[0].body == {
        "prompt": "a cat",
        "images": [],
        "model": "m",
        "orientation": "portrait",
        "size": "large",
        "duration": 15,
        "watermark": False,
        "private": True,
        "character_url": "https://x.y/z",
        "character_timestamps": "1,3",
    }


def test_generate_takes_images_from_files_and_links(cli, relay):
    """A file is sent as a data URI, a link as it is, in the order given."""
    Path("a.png").write_bytes(PIXEL)
    cli("generate", "a cat", "--image", "a.png", "--image", "https://x.y/b.png")
    first, second = relay.creates[0].body["images"]
    assert first.startswith("data:image/png;base64,")
    assert second == "https://x.y/b.png"


@pytest.mark.parametrize("place", ["missing/cat.mp4", ".", "taken.mp4", "taken.mp4/cat.mp4"])
def test_generate_refuses_an_unusable_output_before_buying(cli, relay, place):
    """A place where the result cannot go costs nothing."""
    Path("taken.mp4").write_text("mine")
    ran = cli("generate", "a cat", "-o", place)
    assert (ran.code, ran.out, relay.calls["create"]) == (2, "", 0)
    assert ran.err.startswith("error: --output")
    assert ran.err.count("\n") == 1
    assert Path("taken.mp4").read_text() == "mine"


def test_generate_replaces_a_file_only_by_force(cli, relay):
    """--force is the word for replacing what is there."""
    Path("cat.mp4").write_text("old")
    assert cli("generate", "a cat", "-o", "cat.mp4", "--force").code == 0
    assert Path("cat.mp4").read_bytes()[4:8] == b"ftyp"


def test_generate_without_a_key_is_misuse(cli, monkeypatch):
    """Who has no key is told of the sandbox."""
    ran = cli("generate", "a cat")
    assert ran.code == 2
    assert ran.err == "error: SORA_API_KEY is not set: export your relay's key, or preview without one with --sandbox\n"


def test_generate_with_an_unusable_request_is_misuse(cli, relay):
    """What the request's own checks refuse ends with 2, and nothing is sent."""
    ran = cli("generate", " ")
    assert (ran.code, relay.calls["create"]) == (2, 0)
    assert ran.err == "error: prompt must be a text that is not empty, not ' '\n"


def test_generate_with_a_file_that_is_no_picture_is_misuse(cli, relay):
    """What is found out only when the picture is read still ends with 2, and nothing is sent."""
    Path("a.txt").write_text("no picture")
    ran = cli("generate", "a cat", "--image", "a.txt")
    assert (ran.code, relay.calls["create"]) == (2, 0)


def test_generate_in_the_embedded_sandbox_needs_no_key(cli, sora_scenario, monkeypatch):
    """--sandbox brings its own relay and says that the result is a preview."""
    monkeypatch.setattr(sandbox, "Sandbox", lambda **options: Sandbox(sora_scenario, **options))
    ran = cli("generate", "a cat", "--sandbox", "-o", "cat.mp4")
    assert (ran.code, ran.out) == (0, "cat.mp4\n")
    assert "a preview" in ran.err


def test_generate_refuses_a_base_url_for_the_embedded_sandbox(cli):
    """Two relays at once is a contradiction."""
    ran = cli("generate", "a cat", "--sandbox", "--base-url", "http://127.0.0.1:1")
    assert ran.code == 2
    assert "--base-url" in ran.err


class TestFailedTask:
    """The task ends without a video."""

    @pytest.fixture
    def sora_scenario(self, sora_scenario: Scenario) -> Scenario:
        return attrs.evolve(sora_scenario, failure_rate=1.0, failure_text="bad \x1b[31mthing")

    def test_wait_ends_with_3_and_no_command(self, cli, relay):
        """A failed task is not gone on with, and its text cannot drive the terminal."""
        task_id = cli("create", "a cat").out.strip()
        ran = cli("wait", task_id)
        assert (ran.code, ran.out) == (3, "")
        assert "bad" in ran.err
        assert "\x1b" not in ran.err
        assert "go on with" not in ran.err

    def test_generate_json_ends_with_the_error(self, cli, relay):
        """The last object says all that a program needs."""
        last = json.loads(cli("generate", "a cat", "--json").out.splitlines()[-1])
        assert last["event"] == "error"
        assert (last["error"], last["id"], last["exit_code"]) == ("TaskFailedError", relay.creates[0].id, 3)
        assert (last["retryable"], last["billed"], last["resume"]) == (False, "unknown", None)


class TestSlowTask:
    """The task takes longer than the deadline."""

    @pytest.fixture
    def sora_scenario(self, sora_scenario: Scenario) -> Scenario:
        return attrs.evolve(sora_scenario, takes_s=600.0)

    def test_generate_ends_with_4_and_the_command_that_goes_on(self, cli, relay):
        """After the deadline the printed command fetches the very task into the very file."""
        ran = cli("generate", "a cat", "-o", "my cat.mp4", "--timeout", "0", "--base-url", relay.url, "--force")
        assert ran.code == 4
        command = shlex.split(ran.err.partition("go on with: ")[2])
        task_id = relay.creates[0].id
        assert command == [*("sora-async", "download", "-o", "my cat.mp4", "--force", "--base-url", relay.url, task_id)]


class TestLostAnswer:
    """The relay takes the create, and its answer is lost."""

    @pytest.fixture
    def sora_faults(self) -> Faults:
        return Faults(create=["close_after"])

    def test_generate_ends_with_5_and_never_sends_again(self, cli, relay):
        """What may have been bought is not bought twice."""
        ran = cli("generate", "a cat")
        assert (ran.code, ran.out, len(relay.creates)) == (5, "", 1)
        assert "may have been billed" in ran.err


class TestWrongKey:
    """The relay does not know the key."""

    @pytest.fixture
    def sora_scenario(self, sora_scenario: Scenario) -> Scenario:
        return attrs.evolve(sora_scenario, api_key="another")

    def test_generate_ends_with_1_and_says_what_to_check(self, cli, relay):
        """The next step is in the sentence; the key is not."""
        ran = cli("generate", "a cat", "-o", "k.mp4")
        assert ran.code == 1
        assert "check SORA_API_KEY" in ran.err
        assert ran.err.count("\n") == 1
