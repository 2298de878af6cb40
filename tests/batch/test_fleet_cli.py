"""The command with a ledger in a database, by this process alone and by a fleet."""

import asyncio
import contextlib
import json
import sys
import threading

import pytest
from fleet_play import QUICK, cluster_of

from sora_async.batch import Stage
from sora_async.cli import main
from sora_async.sandbox import Faults, Sandbox, Scenario

LINES = "".join(
    json.dumps({"prompt": f"a paper boat, take {number}", "key": f"boat {number}"}) + "\n" for number in range(3)
)
DONE_AT_ONCE = Scenario(takes_s=0.0, finished_at_create=True, clip=QUICK.clip)


@pytest.fixture
def cli(monkeypatch, capfd, tmp_path):
    """Run the command in an empty folder with a manifest; answers its code, what it wrote, and what it said."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "boats.jsonl").write_text(LINES)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["sora-async", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capfd.readouterr()

    return run


@contextlib.asynccontextmanager
async def around(workers, faults):
    async with contextlib.AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(DONE_AT_ONCE, faults=faults))
        address = ""
        if workers:
            cluster, _ = await stack.enter_async_context(cluster_of(workers))
            address = cluster.scheduler.address
        yield sandbox, address


@contextlib.contextmanager
def world(workers=0, faults=None):
    """A relay, and a cluster if there are to be workers, in a thread of their own."""
    ready, over = threading.Event(), []

    async def live():
        over.append((asyncio.get_running_loop(), asyncio.Event()))
        async with around(workers, faults) as found:
            over.append(found)
            ready.set()
            await over[0][1].wait()

    thread = threading.Thread(target=asyncio.run, args=(live(),))
    thread.start()
    assert ready.wait(30)
    try:
        yield over[1]
    finally:
        over[0][0].call_soon_threadsafe(over[0][1].set)
        thread.join()


@pytest.fixture
def place(postgres, store, monkeypatch):
    """The ledger as the command line has it."""
    monkeypatch.setenv("LEDGER_DSN", postgres)
    monkeypatch.setenv("SORA_API_KEY", "any")
    return f"LEDGER_DSN#{store.name}"


def stages(cli, place):
    return json.loads(cli("ledger", "show", place, "--json")[1].splitlines()[0])["stages"]


def test_batch_keeps_its_account_in_a_database(cli, place, monkeypatch):
    """And a dry run, the page and the other commands read it there."""
    with world() as (sandbox, _):
        monkeypatch.setenv("SORA_BASE_URL", sandbox.url)
        order = ("batch", "boats.jsonl", "-o", "boats", "--ledger", place)
        assert "to buy in this run: 3 of 3" in cli(*order, "--dry-run")[1]
        assert "127.0.0.1:1" in cli(*order[:-1], "postgresql://127.0.0.1:1/gone", "--dry-run")[2]
        code, out, err = cli(*order)
        assert (code, len(out.splitlines())) == (0, 3), err
        assert "3 done; 3 bought in this run" in err
        assert "known to the ledger: 3 done" in cli(*order, "--dry-run")[1]
        assert cli("gallery", "boats", "--ledger", place)[0] == 0
        assert len(cli("ledger", "export", place)[1].splitlines()) == 4
        assert stages(cli, place) == {"done": 3}


def test_batch_on_a_fleet_tells_its_exact_account(cli, place, monkeypatch):
    """What was bought in this run, what is in doubt, and how that is settled."""
    with world(2, Faults(create=["reset_after"])) as (sandbox, address):
        monkeypatch.setenv("SORA_BASE_URL", sandbox.url)
        order = ("batch", "boats.jsonl", "-o", "boats", "--dask", address, "--ledger", place)
        code, _, err = cli(*order)
        assert code == 5, err
        assert "3 inputs: 2 done, 1 uncertain; 3 bought in this run" in err
        key = json.loads(cli("ledger", "show", place, "--state", "uncertain", "--json")[1].splitlines()[1])["key"]
        lost = next(created.id for created in sandbox.creates if created.body["prompt"].endswith(key[-1]))
        assert f"--ledger '{place}'" in cli("ledger", "show", place)[2]
        assert cli("ledger", "resolve", key, "--id", lost, "--ledger", place)[0] == 0
        code, out, err = cli(*order)
        assert (code, len(out.splitlines()), len(sandbox.creates)) == (0, 3, 3), err
        assert "3 done; 0 bought in this run" in err
    assert stages(cli, place) == {Stage.DONE.value: 3}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--dask", "tcp://127.0.0.1:1"), "--dask needs a ledger that all workers can write"),
        (("--dask", "tcp://127.0.0.1:1", "--ledger", "X", "--sandbox"), "--sandbox is within this process"),
        (("--dask", "tcp://127.0.0.1:1", "--base-url", "http://x", "--ledger", "postgresql://h/d"), "SORA_BASE_URL"),
        (("--ledger", "postgresql://me:secret@h/d"), "holds a password"),
    ],
)
def test_batch_refuses_what_a_fleet_cannot_do(cli, options, text):
    """It says what to give instead, and tells no password."""
    code, _, err = cli("batch", "boats.jsonl", "-o", "boats", *options)
    assert code == 2
    assert text in err
    assert "secret" not in err


def test_extras_that_are_missing_are_named(cli, place, monkeypatch):
    """A ledger in a database needs one, a fleet another."""
    monkeypatch.setitem(sys.modules, "sora_async.batch.postgres", None)
    assert "sora_async[postgres]" in cli("ledger", "show", place)[2]
    monkeypatch.undo()


def test_dask_that_is_missing_is_named(cli, place, monkeypatch):
    """Before anything is begun."""
    monkeypatch.setitem(sys.modules, "sora_async.batch.fleet", None)
    err = cli("batch", "boats.jsonl", "-o", "boats", "--dask", "tcp://127.0.0.1:1", "--ledger", place)[2]
    assert "sora_async[dask]" in err
