"""The command that runs a sandbox."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest

from sora_async.sandbox import serve


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def create(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    body = json.dumps({"model": "m", "prompt": "p", "duration": 1, "size": "160x90"})
    connection.request("POST", "/v1/video/create", body, {"Authorization": "Bearer sandbox"})
    status = connection.getresponse().status
    connection.close()
    return status


def stop_when_open(port: int, number: int) -> threading.Thread:
    """Send this process a signal as soon as the sandbox listens, which is after it handles signals."""

    def watch() -> None:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                continue
            os.kill(os.getpid(), number)
            return

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_runs_until_it_is_told_to_stop(capsys, number):
    """Ctrl-C and SIGTERM end it cleanly, after it has said how to use it."""
    pytest.importorskip("av")
    port = free_port()
    thread = stop_when_open(port, number)
    options = ["--takes", "0", "--no-progress", "--dialect", "veo", "--fault", "create=502_html:0.1"]
    assert serve(["--port", str(port), *options]) == 0
    thread.join()
    assert f"SORA_BASE_URL=http://127.0.0.1:{port} SORA_API_KEY=sandbox" in capsys.readouterr().out


def test_command_as_a_module_serves():
    """`python -m` prints its address, takes a create, and exits with 0."""
    pytest.importorskip("av")
    arguments = [sys.executable, "-m", "sora_async.sandbox", "--fault", "create=503:1", "--seed", "3"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        port = int(re.search(r":(\d+) ", process.stdout.readline())[1])
        assert create(port) == 503
        process.terminate()
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "loopback"),
        (["--fault", "create"], "OPERATION=KIND:PROBABILITY"),
        (["--fault", "delete=500:1"], "OPERATION=KIND:PROBABILITY"),
        (["--fault", "create=nonsense:1"], "unknown create fault"),
        (["--takes", "-1"], "takes"),
        (["--dialect", "klingon"], "invalid choice"),
    ],
)
def test_command_with_wrong_arguments_says_so(capsys, arguments, message):
    """A wrong argument is a usage error."""
    with pytest.raises(SystemExit) as stopped:
        serve(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_command_that_cannot_start_says_why(capsys):
    """A taken port is an exit status and a sentence."""
    pytest.importorskip("av")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert serve(["--port", str(taken.getsockname()[1])]) == 1
    assert "could not start" in capsys.readouterr().err
