"""The commands for one task: create, status, wait, download, character."""

import json
from pathlib import Path

import pytest

from sora_async import sandbox
from sora_async.sandbox import Faults, Sandbox


def test_create_prints_only_the_id(cli, relay):
    """A script takes the id from stdout."""
    ran = cli("create", "a cat")
    assert (ran.code, ran.out) == (0, f"{relay.creates[0].id}\n")


def test_create_in_the_sandbox_is_a_rehearsal(cli, sora_scenario, monkeypatch):
    """It says that the id leads nowhere after this command."""
    monkeypatch.setattr(sandbox, "Sandbox", lambda **options: Sandbox(sora_scenario, **options))
    ran = cli("create", "a cat", "--sandbox")
    assert ran.code == 0
    assert "ended with this command" in ran.err


def test_status_shows_the_task_as_a_table(cli, relay):
    """Each known fact has its line, unknown ones have none."""
    task_id = cli("create", "a cat").out.strip()
    ran = cli("status", task_id)
    assert ran.code == 0
    assert ran.out.splitlines()[0].split() == ["id", task_id]
    assert "completed" in ran.out
    assert "None" not in ran.out


def test_status_json_is_one_object(cli, relay):
    """Facts that are not known are null."""
    task_id = cli("create", "a cat").out.strip()
    facts = json.loads(cli("status", task_id, "--json").out)
    assert (facts["event"], facts["id"], facts["state"]) == ("done", task_id, "succeeded")
    assert facts["error_message"] is None


def test_status_of_an_unknown_task_ends_with_1(cli, relay):
    """The sentence names the id and what to check."""
    ran = cli("status", "nope")
    assert ran.code == 1
    assert "nope" in ran.err
    assert "check the id" in ran.err


@pytest.mark.parametrize("command", ["status", "wait", "download"])
def test_commands_with_an_id_need_a_key_as_well(cli, command):
    """A missing key is misuse, also where an id is known."""
    ran = cli(command, "some-id")
    assert ran.code == 2
    assert "go on with" not in ran.err


def test_wait_shows_the_finished_task(cli, relay):
    """An id is looked at at once."""
    task_id = cli("create", "a cat").out.strip()
    ran = cli("wait", task_id)
    assert ran.code == 0
    assert "video_url" in ran.out
    assert ran.err == "completed 100%\n"


def test_wait_json_tells_each_status(cli, relay):
    """A status event holds the relay's word and what it means."""
    task_id = cli("create", "a cat").out.strip()
    first = json.loads(cli("wait", task_id, "--json").out.splitlines()[0])
    assert first == {"event": "status", "id": task_id, "status": "completed", "state": "succeeded", "progress": 1.0}


def test_wait_refuses_a_deadline_that_is_no_number(cli, relay):
    """Not a number is neither a deadline nor none."""
    assert cli("wait", "some-id", "--timeout", "nan").code == 2


def test_download_fetches_a_task_by_its_id(cli, relay):
    """It is what the printed command after an interruption does."""
    task_id = cli("create", "a cat").out.strip()
    ran = cli("download", task_id, "-o", "cat.mp4")
    assert (ran.code, ran.out) == (0, "cat.mp4\n")
    assert Path("cat.mp4").is_file()


def test_printed_command_takes_an_id_that_looks_like_an_option(cli, relay):
    """An id that looks like an option goes behind two dashes."""
    ran = cli("wait", "--timeout", "0", "--", "-odd")
    assert ran.code == 4
    assert ran.err.endswith("go on with: sora-async wait -- -odd\n")


def test_character_shows_its_name(cli, relay):
    """The name for prompts is what one wants of a character."""
    ran = cli("character", "--timestamps", "1,3", "--url", "https://x.y/z.mp4")
    assert ran.code == 0
    name = ran.out.splitlines()[1].split()[1]
    assert ran.err == f"Name it in prompts as @{name}\n"


def test_character_needs_one_source(cli, relay):
    """Neither url nor task is misuse."""
    assert cli("character", "--timestamps", "1,3").code == 2


class TestEmptyAccount:
    """The relay refuses a query for want of money."""

    @pytest.fixture
    def sora_faults(self) -> Faults:
        return Faults(query=["no_quota"])

    def test_status_ends_with_1(self, cli, relay):
        """A refusal of a query names the next step, and the command that asks again."""
        ran = cli("status", "some-id")
        assert ran.code == 1
        assert ran.err.endswith("; top up the account at the relay; go on with: sora-async status some-id\n")
