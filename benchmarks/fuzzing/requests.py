"""Oracles for what reads what a user wrote: only ValueError is raised, and what is accepted can be sent."""

from __future__ import annotations

import base64
import json
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.fuzzing.rules import check_value, hold
from sora_async import VideoRequest
from sora_async.images import read_image, sniff_image
from sora_async.models import check_timestamps
from sora_async.wire.request import (
    body_to_request,
    build_character,
    build_create,
    build_query,
    is_local_base,
    normalise_base,
    request_to_body,
)


def check_fields(fields: dict[str, Any]) -> None:
    """Arguments of any kind make a request that can be sent, or a ValueError."""
    try:
        request = VideoRequest(**fields)
    except ValueError as error:
        hold(str(error), "an error without a text")
        return
    _check_request(request)


def check_body(body: dict[str, Any]) -> None:
    """A JSON object makes a request that says the same again, or a ValueError."""
    try:
        request = body_to_request(body)
    except ValueError as error:
        hold(str(error), "an error without a text")
        return
    said = {name: value for name, value in body.items() if value is not None or name in request.extra}
    if isinstance(word := said.get("watermark"), str):
        said["watermark"] = word == "true"
    hold(
        json.dumps(request_to_body(request), sort_keys=True) == json.dumps(said, sort_keys=True),
        "it says another thing",
    )
    _check_request(request)


def _check_request(request: VideoRequest) -> None:
    check_value(request)
    hold(repr(request), "it cannot be shown")
    if any(isinstance(image, Path) for image in request.images or ()):
        return
    sent = build_create(request).body or b""
    hold(body_to_request(json.loads(sent)) == request, "what is sent is another request")


def check_base(url: str) -> None:
    """A base URL is normalised to one that stays the same, holds no secret, and is not sent in clear text afar."""
    try:
        base = normalise_base(url)
    except ValueError as error:
        hold(url.strip() not in str(error) or len(url.strip()) < 20, "the message repeats the address")
        return
    parts = urlsplit(base)
    hold(normalise_base(base) == base, f"{base!r} becomes {normalise_base(base)!r}")
    hold(parts.scheme == "https" or (parts.scheme == "http" and is_local_base(base)), f"{base!r} is plain http")
    hold("@" not in parts.netloc and not parts.query and not parts.fragment, f"{base!r} holds too much")
    hold(parts.hostname and not base.endswith("/"), f"{base!r} is no base")


def check_query(task_id: str) -> None:
    """An id goes into a query as it is, or is a ValueError."""
    try:
        call = build_query(task_id)
    except ValueError as error:
        hold(len(str(error)) < 200, "the message is endless")
        return
    hold(call.params == {"id": task_id} and call.body is None and task_id.isprintable(), "another id is asked for")


def check_span(case: tuple[str, str, str]) -> None:
    """A character comes from a span of 1 to 3 seconds and a usable source, or it is a ValueError."""
    timestamps, url, task_id = case
    try:
        hold(check_timestamps(timestamps) == timestamps, "the span was changed")
    except ValueError as error:
        hold(str(error), "an error without a text")
    else:
        start, end = map(float, timestamps.split(","))
        hold(start >= 0 and 0.999999 <= end - start <= 3.000001, f"{timestamps!r} passed")
    for source in ({"url": url}, {"from_task": task_id}):
        try:
            call = build_character(timestamps=timestamps, **source)
        except ValueError:
            continue
        hold(json.loads(call.body or b"") == {"timestamps": timestamps, **source}, "another thing is sent")


def check_image(content: bytes) -> None:
    """A file is a picture of a known kind, which makes a request, or a ValueError."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            uri = read_image(Path(file.name))
        except ValueError as error:
            hold(file.name in str(error), "the message does not name the file")
            return
    kind = sniff_image(content[:12])
    hold(kind is not None, f"{content[:12]!r} passed for a picture")
    hold(uri == f"data:{kind};base64,{base64.b64encode(content).decode()}", f"it became {uri[:60]!r}")
    hold(sniff_image(content) == kind, "more bytes change its kind")
    hold(VideoRequest("a cat", images=[uri]).images == (uri,), "the picture cannot be sent")
