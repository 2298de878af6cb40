"""The command that runs a sandbox."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys

import pytest

from sora_async.sandbox import serve


def create(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    body = json.dumps({"model": "m", "prompt": "p", "duration": 1, "size": "160x90"})
    connection.request("POST", "/v1/video/create", body, {"Authorization": "Bearer sandbox"})
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.fixture
def hangup():
    """Says what SIGHUP does in processes that are started from now on; nothing else, whoever runs the tests."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield lambda handler: signal.signal(signal.SIGHUP, handler)
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_command_serves_until_it_is_told_to_stop(hangup, number):
    """It says how to use it, answers as it was asked to, and exits with 0 on Ctrl-C and the like."""
    pytest.importorskip("av")
    options = ["--takes", "0", "--no-progress", "--dialect", "veo", "--fault", "create=503:1", "--seed", "3"]
    arguments = [sys.executable, "-m", "sora_async.sandbox", *options]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        greeting = process.stdout.readline() + process.stdout.readline()
        port = int(re.search(r"SORA_BASE_URL=http://127.0.0.1:(\d+) SORA_API_KEY=sandbox", greeting)[1])
        assert create(port) == 503
        process.send_signal(number)
        assert process.wait(10) == 0


def test_command_writes_its_address_as_json_and_outlives_its_terminal_under_nohup(hangup):
    """For programs that start it."""
    pytest.importorskip("av")
    hangup(signal.SIG_IGN)
    arguments = [sys.executable, "-m", "sora_async.sandbox", "--json", "--fault", "create=503:1"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        event = json.loads(process.stdout.readline())
        assert event["event"] == "serving"
        process.send_signal(signal.SIGHUP)
        assert create(int(re.fullmatch(r"http://127.0.0.1:(\d+)", event["url"])[1])) == 503
        process.terminate()


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
