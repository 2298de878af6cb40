"""Ctrl-C, SIGTERM and a closed terminal: nothing that was paid for is lost."""

import asyncio
import contextlib
import http.server
import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from sora_async.cli.signals import Signals


class Relay(http.server.ThreadingHTTPServer):
    """Answers a create only when told to, and never finishes a task."""

    # Joined at the end, so that no thread closes its connection in the midst of a later test.
    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.arrived = threading.Event()
        self.may_answer = threading.Event()
        self.polled = threading.Event()

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that have gone."""


class Answer(http.server.BaseHTTPRequestHandler):
    """One request to the relay."""

    server: Relay

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.arrived.set()
        self.server.may_answer.wait(20)
        self.reply({"id": "task_1", "status": "queued"})

    def do_GET(self) -> None:
        self.reply({"id": "task_1", "status": "processing"})
        self.server.polled.set()

    def reply(self, body: dict[str, str]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def slow_relay() -> Iterator[Relay]:
    with Relay() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.may_answer.set()
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def hangups(handler: signal.Handlers) -> Iterator[None]:
    """What processes that are started meanwhile do on SIGHUP, unless they know better."""
    before = signal.signal(signal.SIGHUP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def environment(relay: Relay) -> dict[str, str]:
    url = f"http://127.0.0.1:{relay.server_address[1]}"
    return {**os.environ, "SORA_API_KEY": "key", "SORA_BASE_URL": url}


def start(relay: Relay, *arguments: str, hangup: signal.Handlers = signal.SIG_DFL) -> subprocess.Popen[str]:
    with hangups(hangup):
        return subprocess.Popen(
            [sys.executable, "-m", "sora_async.cli", *arguments],
            env=environment(relay),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


ENDINGS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.mark.parametrize(("number", "code"), ENDINGS)
def test_signal_during_a_wait_prints_the_command_that_goes_on(slow_relay, number, code):
    """The wait ends at once, and can be gone on with."""
    process = start(slow_relay, "wait", "task_1")
    assert slow_relay.polled.wait(20)
    assert process.stderr.readline() == "processing\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, "")
    assert err == "error: Interrupted, but task task_1 goes on at the relay; go on with: sora-async wait task_1\n"


def test_hangup_that_is_ignored_stays_ignored(slow_relay):
    """Whoever says nohup wants the run to go on."""
    process = start(slow_relay, "wait", "task_1", hangup=signal.SIG_IGN)
    assert slow_relay.polled.wait(20)
    assert process.stderr.readline() == "processing\n"
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 143


def test_ctrl_c_during_a_create_brings_its_id_home(slow_relay):
    """What is being bought is waited for, and its id is told."""
    process = start(slow_relay, "generate", "a cat", "-o", "my cat.mp4", "--json")
    assert slow_relay.arrived.wait(20)
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline().startswith("Stopping as soon as the id")
    slow_relay.may_answer.set()
    out, err = process.communicate(timeout=20)
    events = [json.loads(line) for line in out.splitlines()]
    assert events[0] == {"event": "submitted", "id": "task_1", "abandoned": True}
    assert (events[1]["error"], events[1]["exit_code"], events[1]["billed"]) == ("Interrupted", 130, "yes")
    assert err.endswith("go on with: sora-async download -o 'my cat.mp4' task_1\n")


def test_ctrl_c_between_refused_connections_costs_nothing(slow_relay):
    """While it is proven that nothing was taken, nobody is frightened about money."""
    slow_relay.socket.close()
    process = start(slow_relay, "create", "a cat")
    assert process.stderr.readline().startswith("create failed, again in 1.")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "error: Interrupted; nothing was bought\n")


def test_second_ctrl_c_ends_at_once(slow_relay):
    """Who insists gets out, and is told what may have been bought; nothing else is said."""
    process = start(slow_relay, "create", "a cat")
    assert slow_relay.arrived.wait(20)
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline().startswith("Stopping as soon as the id")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert "may have been accepted and billed" in err
    assert "Traceback" not in err
    assert "Unclosed" not in err


def test_reader_that_leaves_early_is_no_error(slow_relay):
    """A closed pipe stops the talk, not the run, and leaves no traceback."""
    process = start(slow_relay, "create", "a cat", "--json")
    process.stdout.close()
    slow_relay.may_answer.set()
    assert process.stderr.read() == "Submitted task_1\n"
    assert process.wait(20) == 0
    process.stderr.close()


class LoopOfWindows(asyncio.SelectorEventLoop):
    """A loop that takes no signal handlers."""

    def add_signal_handler(self, *_: object) -> None:
        raise NotImplementedError


def test_signal_is_caught_where_the_loop_takes_no_handlers():
    """Windows has another way to hear of Ctrl-C."""
    signals = Signals(lambda: None)

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=LoopOfWindows) as runner, pytest.raises(asyncio.CancelledError):
        runner.run(signals.guard(work()))
    assert signals.number == signal.SIGINT


def test_hangup_that_is_sent_by_hand_leaves_the_terminal_alone(monkeypatch):
    """Whoever sits there is told how it ended."""
    ours, theirs = pty.openpty()

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.Event().wait()

    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        with hangups(signal.SIG_DFL), pytest.raises(asyncio.CancelledError):
            asyncio.run(Signals(lambda: None).guard(work()))
        print("the end", file=terminal, flush=True)
        assert os.read(ours, 100) == b"the end\r\n"
    os.close(ours)
