"""Ctrl-C, SIGTERM and a closed terminal while a batch runs: the account stays exact."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_cli_signals import ENDINGS, Relay, environment, hangups, slow_relay, start  # noqa: F401 a fixture

from sora_async.batch import SqliteLedger

WAITING = "Stopping: nothing more is bought, waiting for 1 create under way; Ctrl-C again stops at once\n"


# Makes its standard input the terminal whose end it is told.
ON_A_TERMINAL = """
import fcntl, runpy, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
runpy.run_module("sora_async.cli", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """A batch of two inputs, one at a time."""
    manifest = tmp_path / "m.jsonl"
    manifest.write_text('{"prompt": "a", "key": "a"}\n{"prompt": "b", "key": "b"}\n')
    return ["batch", str(manifest), "-o", str(tmp_path / "my out"), "--concurrency", "1"]


@pytest.fixture
def batch(slow_relay: Relay, command: list[str]) -> Iterator[subprocess.Popen[str]]:  # noqa: F811
    """It, with its first create under way."""
    process = start(slow_relay, *command, "--json")
    assert slow_relay.arrived.wait(20)
    yield process
    process.kill()
    process.communicate()


def stages(tmp_path: Path) -> dict[str, tuple[str, str | None]]:
    async def read() -> dict[str, tuple[str, str | None]]:
        entries = SqliteLedger(tmp_path / "my out" / "batch.ledger").entries()
        return {entry.key: (entry.stage.value, entry.task_id) async for entry in entries}

    return asyncio.run(read())


def last_object(out: str) -> dict[str, Any]:
    return json.loads(out.splitlines()[-1])


@pytest.mark.parametrize(("number", "code"), ENDINGS)
def test_signal_lets_creates_come_home_and_buys_no_more(slow_relay, batch, tmp_path, number, code):  # noqa: F811
    """What is being bought is noted with its id, and the same command is printed to go on with it."""
    batch.send_signal(number)
    assert batch.stderr.readline() == WAITING
    slow_relay.may_answer.set()
    out, err = batch.communicate(timeout=20)
    assert (batch.returncode, stages(tmp_path)) == (code, {"a": ("submitted", "task_1")})
    summary = last_object(out)
    assert (summary["under_way"], summary["unbought"], summary["bought"]) == (1, 1, 1)
    command = f"sora-async batch {tmp_path}/m.jsonl -o '{tmp_path}/my out' --concurrency 1 --json"
    assert (summary["exit_code"], summary["resume"], summary["page"]) == (code, command, None)
    assert err.splitlines()[0] == "Interrupted; no create was cut off"
    assert err.endswith(f"go on with: {command}\n")


def test_second_ctrl_c_leaves_creates_in_doubt(batch, tmp_path):
    """Who insists gets out at once; the ledger says what may have been bought, and so does the command."""
    batch.send_signal(signal.SIGINT)
    assert batch.stderr.readline() == WAITING
    batch.send_signal(signal.SIGINT)
    out, err = batch.communicate(timeout=20)
    assert (batch.returncode, stages(tmp_path)) == (130, {"a": ("uncertain", None)})
    assert last_object(out)["uncertain"] == 1
    assert "Interrupted at once: what became of the creates under way is not known" in err
    assert "Traceback" not in err


def test_second_hangup_changes_nothing(slow_relay, batch, tmp_path):  # noqa: F811
    """A terminal that is closed may say so more than once."""
    batch.send_signal(signal.SIGHUP)
    assert batch.stderr.readline() == WAITING
    batch.send_signal(signal.SIGHUP)
    slow_relay.may_answer.set()
    batch.communicate(timeout=20)
    assert (batch.returncode, stages(tmp_path)) == (129, {"a": ("submitted", "task_1")})


def test_closed_terminal_lets_creates_come_home(slow_relay, command, tmp_path):  # noqa: F811
    """Nobody can be told any more, and writing to what is gone ends nothing."""
    ours, theirs = pty.openpty()
    with hangups(signal.SIG_DFL):
        process = subprocess.Popen(
            [sys.executable, "-c", ON_A_TERMINAL, *command],
            **dict.fromkeys(("stdin", "stdout", "stderr"), theirs),
            env={**environment(slow_relay), "TERM": "xterm"},
            start_new_session=True,
        )
    os.close(theirs)
    assert slow_relay.arrived.wait(20)
    os.close(ours)
    slow_relay.may_answer.set()
    assert (process.wait(20), stages(tmp_path)) == (129, {"a": ("submitted", "task_1")})


def test_ctrl_c_during_the_wait_ends_at_once(slow_relay, batch, tmp_path):  # noqa: F811
    """No create is under way then, so nobody is kept waiting."""
    slow_relay.may_answer.set()
    while stages(tmp_path) != {"a": ("submitted", "task_1")}:
        time.sleep(0.01)
    batch.send_signal(signal.SIGINT)
    out, err = batch.communicate(timeout=20)
    assert (batch.returncode, stages(tmp_path)) == (130, {"a": ("submitted", "task_1")})
    assert last_object(out)["under_way"] == 1
    assert err.startswith("Stopping: nothing more is bought, the rest is put down; Ctrl-C again stops at once\n")


def test_ctrl_c_before_anything_has_begun_says_so(tmp_path):
    """A manifest that is still read costs nothing."""
    os.mkfifo(tmp_path / "m")
    process = subprocess.Popen(
        [sys.executable, "-m", "sora_async.cli", "batch", str(tmp_path / "m"), "-o", str(tmp_path), "--sandbox"],
        stderr=subprocess.PIPE,
        text=True,
    )
    with (tmp_path / "m").open("w"):  # it is opened as soon as the other side reads
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "error: Interrupted; nothing was bought\n")
