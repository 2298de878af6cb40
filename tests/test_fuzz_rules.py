"""The rules of the fuzzing bite: readers that are wrong in a subtle way are found out."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from benchmarks.fuzzing import answers, films, requests, values
from benchmarks.fuzzing.readers import READERS, Reader
from benchmarks.fuzzing.rules import BrokenRuleError
from sora_async import APIError, DecodeError, State, VideoTask
from sora_async.wire.failure import read_answer
from sora_async.wire.reading import parse_json
from sora_async.wire.task import parse_task


def _last_id_wins(body: bytes) -> Any:
    value = parse_json(body)
    if isinstance(value, dict) and "id" in value and value["id"] is None:
        value["id"] = "second"
    return value


def _any_id(body: bytes) -> str | None:
    found = re.search(rb'"id": ?"([!-~]+?)"?', body)
    return found[1].decode() if found else None


def _inner_status(body: Any, task_id: str) -> VideoTask:
    task = parse_task(body, task_id)
    is_done = "succe" in str(body).lower()
    return attrs.evolve(task, state=State.SUCCEEDED, error_message=None) if is_done else task


def _errors_pass(status: int, body: bytes, retry_after: float | None = None) -> Any:
    try:
        return read_answer(status, body, retry_after)
    except APIError:
        return None


def _refuses_in_doubt(reply: Any, submission: Any, now: Any) -> VideoTask:
    try:
        return submission.read(read_answer(reply.status, reply.body))
    except DecodeError:
        raise APIError(reply.status, "", "no") from None


def _is_global(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_global
    except ValueError:
        return False


PLANTED: dict[str, tuple[str, Any, str, Callable[..., Any]]] = {
    "an id of two": ("JSON of an answer", answers, "parse_json", _last_id_wins),
    "a part of an id": ("id of a broken answer", answers, "salvage_id", _any_id),
    "an inner status": ("task", answers, "parse_task", _inner_status),
    "an error that passes": ("answer", answers, "read_answer", _errors_pass),
    "a doubt that is a refusal": ("judge", answers, "judge", _refuses_in_doubt),
    "any file is a video": ("video file", films, "check_video", lambda file, size: None),
    "what Python calls global": ("address", values, "is_public", _is_global),
    "a text as it came": (
        "single values",
        values,
        "read_text",
        lambda value: value if isinstance(value, str) else None,
    ),
    "a base as it came": ("base URL", requests, "normalise_base", str.strip),
    "an id as it came": (
        "id of a query",
        requests,
        "build_query",
        lambda text: SimpleNamespace(params={"id": text}, body=None),
    ),
}


def _check_thousands(reader: Reader) -> None:
    for number in range(3000):
        reader.check(reader.make(Random(number)))


@pytest.mark.unmeasured
@pytest.mark.parametrize(("name", "module", "reader", "wrong"), PLANTED.values(), ids=PLANTED)
def test_wrong_reader_breaks_a_rule(
    name: str, module: Any, reader: str, wrong: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each mistake is seen within some thousand inputs."""
    monkeypatch.setattr(module, reader, wrong)
    (guarded,) = (each for each in READERS if each.name == name)
    with pytest.raises(BrokenRuleError):
        _check_thousands(guarded)
