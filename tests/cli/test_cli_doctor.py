"""`sora-async doctor`: what it finds, and what it says to do."""

import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from sora_async import (
    APIError,
    AuthenticationError,
    DecodeError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaError,
    TransportError,
)
from sora_async.cli import network
from sora_async.cli.doctor import judge_access
from sora_async.cli.network import check_network, judge_certificate, judge_clock

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
DATE_S = 784111777.0


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def test_doctor_finds_nothing_wrong_with_a_healthy_relay(cli, relay):
    """Every check has its line, and nothing is created."""
    ran = cli("doctor")
    assert (ran.code, ran.err) == (0, "No problem found\n")
    assert [line.split("  ")[0].strip() for line in ran.out.splitlines()] == ["ok"] * 9
    assert (relay.calls["create"], relay.calls["query"]) == (0, 1)


def test_doctor_json_is_one_object_for_each_check(cli, relay):
    """Programs read the same."""
    facts = [json.loads(line) for line in cli("doctor", "--json").out.splitlines()]
    assert [fact["check"] for fact in facts[:-1]][:3] == ["versions", "key", "base url"]
    assert facts[-1] == {"event": "done", "problems": 0, "warnings": 0}


def test_doctor_never_shows_the_key(cli, relay, monkeypatch):
    """Nothing of it, in any form."""
    monkeypatch.setenv("SORA_API_KEY", "QQQQ-secret-ZZZZ")
    ran = cli("doctor")
    assert "QQQQ" not in ran.out + ran.err
    assert "ZZZZ" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("key", "code", "line"),
    [
        ("", 1, "problem  key       SORA_API_KEY is not set"),
        ("two words", 1, "problem  key       SORA_API_KEY is not usable"),
        ("'quoted'", 0, "warning  key       SORA_API_KEY has quotation marks"),
    ],
)
@pytest.mark.usefixtures("relay")
def test_doctor_judges_the_shape_of_the_key(cli, monkeypatch, key, code, line):
    """What is wrong with it by itself is found without asking the relay."""
    monkeypatch.setenv("SORA_API_KEY", key)
    ran = cli("doctor")
    assert ran.code == code
    assert ran.out.splitlines()[1].startswith(line)


def test_doctor_stops_at_an_unusable_base_url(cli, relay):
    """Without an address there is nothing to reach."""
    ran = cli("doctor", "--base-url", "ftp://x")
    assert (ran.code, ran.err) == (1, "1 problem found\n")
    assert ran.out.splitlines()[-1].startswith("problem  base url")


def test_doctor_stops_at_a_closed_port(cli, relay):
    """A refused connection is named, and the key is not sent anywhere."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    ran = cli("doctor", "--base-url", f"http://127.0.0.1:{port}")
    assert ran.code == 1
    assert ran.out.splitlines()[-1].startswith("problem  tcp")
    assert relay.calls["query"] == 0


def test_doctor_warns_of_a_proxy_that_is_not_used(cli, relay, monkeypatch):
    """Who needs the proxy learns how to use it."""
    monkeypatch.setenv("https_proxy", "http://user:password@proxy")
    ran = cli("doctor")
    assert ran.code == 0
    assert "https_proxy is set" in ran.out
    assert "password" not in ran.out


class TestWrongKey:
    """The relay does not know the key."""

    @pytest.fixture
    def sora_scenario(self, sora_scenario):
        return attrs.evolve(sora_scenario, api_key="another")

    def test_doctor_finds_it(self, cli, relay):
        """The last line is about the key."""
        ran = cli("doctor")
        assert ran.code == 1
        assert "the relay does not accept the key" in ran.out.splitlines()[-1]


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (None, "ok"),
        (NotFoundError(400, "task_not_exist", "none"), "ok"),
        (NotFoundError(404, "", "Invalid URL; check the base URL"), "problem"),
        (AuthenticationError(401, "", "no"), "problem"),
        (PermissionDeniedError(403, "", "no"), "problem"),
        (QuotaError(402, "", "no"), "warning"),
        (OverloadedError(503, "", "no"), "warning"),
        (APIError(418, "", "no"), "warning"),
        (DecodeError("a page"), "problem"),
        (TransportError("cut"), "problem"),
    ],
)
def test_access_is_judged_by_the_kind_of_refusal(error, level):
    """An id that does not exist must be unknown; everything else has a meaning."""
    assert judge_access(error).level == level


def test_name_that_does_not_resolve_is_a_problem():
    """A label over 63 characters is refused before anybody is asked."""
    (finding,) = check_network(f"https://{'x' * 64}.invalid")
    assert (finding.check, finding.level) == ("dns", "problem")


@pytest.mark.parametrize(
    ("date", "now", "level", "text"),
    [
        (DATE, DATE_S + 59, "ok", "agrees"),
        (DATE, DATE_S + 90, "warning", "90 s ahead"),
        (DATE, DATE_S - 90, "warning", "90 s behind"),
        (None, DATE_S, "ok", "does not tell"),
        ("yesterday", DATE_S, "ok", "does not tell"),
    ],
)
def test_clock_is_judged_by_the_date_of_an_answer(date, now, level, text):
    """A minute off is enough to be told."""
    finding = judge_clock(date, now)
    assert finding.level == level
    assert text in finding.text


@pytest.mark.parametrize(("days", "level"), [(30.5, "ok"), (3.5, "warning")])
def test_certificate_that_ends_soon_is_a_warning(days, level):
    """The issuer and the days left are told."""
    certificate = {"notAfter": "Nov  6 08:49:37 1994 GMT", "issuer": ((("commonName", "Some CA"),),)}
    finding = judge_certificate(certificate, DATE_S - days * 86400)
    assert finding.level == level
    assert f"by Some CA is valid for {int(days)} more days" in finding.text


@pytest.fixture
def plain_server() -> Iterator[int]:
    """A port whose server hangs up on everybody."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        thread = threading.Thread(target=hang_up)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(("scheme", "check"), [("https", "tls"), ("http", "clock")])
def test_server_that_hangs_up_is_a_problem(plain_server, scheme, check):
    """What does not speak the protocol is told from what does not answer."""
    last = list(check_network(f"{scheme}://127.0.0.1:{plain_server}"))[-1]
    assert (last.check, last.level) == (check, "problem")


def test_server_that_never_answers_is_a_problem(monkeypatch):
    """Silence has an end, and a name."""
    monkeypatch.setattr(network, "TIMEOUT_S", 0.02)
    with socket.create_server(("127.0.0.1", 0)) as server:
        last = list(check_network(f"http://127.0.0.1:{server.getsockname()[1]}"))[-1]
    assert (last.check, last.level) == ("clock", "problem")
    assert "no answer within" in last.text


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A port with a certificate of its own making, which is the file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=test -keyout {key}"
    more = f"-out {certificate} -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(["openssl", *made.split(), *more.split()], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            stream, _ = server.accept()
            try:
                with context.wrap_socket(stream, server_side=True) as secure:
                    secure.recv(4096)
                    secure.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            except OSError:
                stream.close()

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1], certificate
        thread.join()


def test_valid_certificate_is_described(tls_server, monkeypatch):
    """One that this machine trusts is told with its days."""
    port, certificate = tls_server
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    findings = {finding.check: finding for finding in check_network(f"https://127.0.0.1:{port}")}
    assert findings["tls"].text == "the certificate by test is valid for 29 more days"
    assert findings["clock"].level == "ok"


def test_certificate_that_is_not_trusted_is_a_problem(tls_server):
    """It is told why, and nothing is sent."""
    port, _ = tls_server
    last = list(check_network(f"https://127.0.0.1:{port}"))[-1]
    assert (last.check, last.level) == ("tls", "problem")
    assert "certificate is not valid" in last.text
