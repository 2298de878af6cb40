"""A key and signed links that must show up nowhere: not in errors, events, logs or files."""

from __future__ import annotations

import asyncio
import logging
import pickle
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import tiny_mp4
from raw_server import CLOSE, http, raw_server

from sora_async import Client, Event, Fixed, Retry, SoraError, Timeouts
from sora_async.sandbox import KINDS, Faults, Sandbox, Scenario

KEY = "sk-canary-5f2b"
SIGNED = re.compile(r"Signature=|Expires=")
# Those that would only wait for a limit show nothing more than the ones that break at once.
FAULTS = [(operation, kind) for operation, kinds in KINDS.items() for kind in kinds if operation != "character"]


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that hang on it, those that its text does not show included."""
    while error is not None:
        yield error
        yield from chain_of(error.__cause__)
        error = error.__context__


def texts_of(error: BaseException) -> str:
    """All that a user's program may print or store of an error, as talkative tools do with the values of variables."""
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    chain = " ".join(f"{part} {part!r} {part.args!r} {vars(part)!r}" for part in chain_of(error))
    return f"{shown} {chain} {pickle.dumps(error)!r}"


def contents_of(folder: Path) -> str:
    """The names and bytes of all files, the hidden ones of broken downloads included."""
    return "".join(path.name + path.read_bytes().decode("latin-1") for path in folder.iterdir())


@pytest.mark.parametrize(("operation", "kind"), FAULTS, ids=str)
async def test_nothing_secret_shows(
    operation: str, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong, and with logging at its most talkative."""
    caplog.set_level(logging.DEBUG)
    events: list[Event] = []
    shown = ""
    faults = Faults(**{operation: {kind: 1.0}})
    settings = {"pacing": Fixed(0), "retry": Retry(tries=2, first=0), "timeouts": Timeouts(create=0.04, query=0.04)}
    async with (
        Sandbox(Scenario(takes_s=0, clip=tiny_mp4()), faults=faults) as sandbox,
        Client(KEY, sandbox.url, on_event=events.append, **settings) as client,  # type: ignore[arg-type]
    ):
        try:
            if operation == "query":
                await client.query((await client.create("a cat")).id)
            else:
                task = await client.generate("a cat", timeout=1)
                if kind not in {"stall", "slow"}:  # those take real time, and add no text of their own
                    await client.download(task, tmp_path / "cat.mp4")
        except SoraError as error:
            shown = texts_of(error)
    shown += repr(events) + repr(client) + caplog.text
    shown += contents_of(tmp_path)
    assert KEY not in shown
    assert not SIGNED.search(shown)


SIGNED_ANSWERS = {
    "page": b"<html>see https://cdn.example/v.mp4?Expires=1&amp;Signature=s for it</html>",
    "task without an id": b'{"status":"completed","video_url":"https://cdn.example/v.mp4?Expires=1&Signature=s"}',
    "escaped": b'{"video_url":"https:\\/\\/cdn.example\\/v.mp4\\u003fExpires=1\\u0026Signature=s"',
    "refusal": b'{"error":{"message":"cannot fetch https://cdn.example/v.mp4?Expires=1&Signature=s now"}}',
}


@pytest.mark.parametrize("status", [200, 400, 502])
@pytest.mark.parametrize("body", SIGNED_ANSWERS.values(), ids=SIGNED_ANSWERS)
async def test_no_error_shows_the_signature_of_a_link_in_an_answer(body: bytes, status: int) -> None:
    """Errors keep some of the answer, for the relay's support, and are printed; links stay readable without it."""
    async with raw_server(http(status, body)) as server, Client(KEY, server.url, retry=Retry(tries=1)) as client:
        ends = await asyncio.gather(client.create("a cat"), client.query("t-1"), return_exceptions=True)
    errors = [end for end in ends if isinstance(end, SoraError)]
    assert ends[0] in errors
    for error in errors:
        assert not SIGNED.search(texts_of(error))


ECHOES = {
    "refusal": http(401, f'{{"error":{{"message":"Incorrect API key provided: {KEY}","code":"invalid_api_key"}}}}'),
    "page": http(200, f"<html>{KEY}</html>"),
    "failure": http(500, KEY),
    "malformed": (f"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{KEY}".encode(), CLOSE),
}


@pytest.mark.parametrize("answer", ECHOES)
async def test_key_that_a_relay_repeats_is_not_shown(answer: str) -> None:
    """Some say which key was wrong."""
    async with raw_server(ECHOES[answer]) as server, Client(KEY, server.url, retry=Retry(tries=1)) as client:
        ends = await asyncio.gather(client.create("a cat"), client.query("t-1"), return_exceptions=True)
    for end in ends:
        assert isinstance(end, SoraError)
        assert KEY not in texts_of(end)
