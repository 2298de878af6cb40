"""What is sent: values to method, path and JSON."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from functools import partial
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from sora_async.models import VideoRequest, check_timestamps
from sora_async.wire.reading import is_task_id

DEFAULT_BASE_URL = "https://api.chainhub.tech"
"""The provider that published the format's create operation."""

_NAMES = tuple(field.name for field in attrs.fields(VideoRequest) if field.name != "extra")
_read_fields = attrgetter(*_NAMES)
# json.dumps with arguments of its own would make a new encoder each time.
_encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_EXAMPLE = VideoRequest("any")
_ENDPOINT = re.compile(r"/+(?:sora/+v1/+characters|v1)(?:/.*)?$", re.IGNORECASE)
_NUMERIC_HOST = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)")
_HOST = re.compile(r"[^\s\x00-\x1f\x7f/\\%?#@<>\"'`{}|^]+")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@attrs.frozen(kw_only=True)
class Call:
    """One call of an operation; the base URL goes in front of its path."""

    operation: Literal["create", "query", "character"]
    """Which of the relay's operations it is."""
    method: Literal["GET", "POST"]
    """The HTTP method."""
    path: str
    """The path below the base URL, from `/`."""
    params: Mapping[str, str] = MappingProxyType({})
    """The query, not yet percent-encoded."""
    body: bytes | None = None
    """JSON in UTF-8, None for a call without a body."""


def build_create(request: VideoRequest) -> Call:
    """Build the paid call.

    Raises:
        ValueError: an image is still a Path; local files must be read into `data:` URIs first.
    """
    return Call(operation="create", method="POST", path="/v1/video/create", body=_dump(request_to_body(request)))


def build_query(task_id: str) -> Call:
    """Build one poll.

    Raises:
        ValueError: that is no id.
    """
    if not is_task_id(task_id):
        raise ValueError(f"{task_id!r:.80} is not a task id")
    return Call(operation="query", method="GET", path="/v1/video/query", params={"id": task_id})


def build_character(*, timestamps: str, url: str | None = None, from_task: str | None = None) -> Call:
    """Build the call that makes a character.

    Args:
        timestamps: where it is seen, `"start,end"` in seconds, a span of 1 to 3.
        url: the video that shows it; exactly one of `url` and `from_task` must be given.
        from_task: the id of the finished task whose video shows it.

    Raises:
        ValueError: an argument is unusable.
    """
    if (url is None) == (from_task is None):
        raise ValueError("a character comes from exactly one of url and from_task")
    if from_task is not None and not is_task_id(from_task):
        raise ValueError(f"{from_task!r:.80} is not a task id")
    if url is not None and not re.match(r"https?://\S+$", url, re.IGNORECASE):
        raise ValueError("url must be the http(s) address of a video")
    source = {"url": url} if url is not None else {"from_task": from_task}
    body = _dump({"timestamps": check_timestamps(timestamps), **source})
    return Call(operation="character", method="POST", path="/sora/v1/characters", body=body)


def _dump(body: Mapping[str, Any]) -> bytes:
    return _encoder.encode(body).encode()


def request_to_body(request: VideoRequest) -> dict[str, Any]:
    """Answer the JSON object of a create: fields that are None are left out, extra fields stand beside the others.

    Raises:
        ValueError: an image is still a Path.
    """
    named = zip(_NAMES, _read_fields(request), strict=True)
    body: dict[str, Any] = {name: value for name, value in named if value is not None}
    if request.images is not None:
        body["images"] = list(request.images)
        if not all(isinstance(image, str) for image in request.images):
            raise ValueError("an image that is a Path must be read into a data: URI before it is sent")
    body.update(request.extra)
    return body


def _structure_field(name: str, value: Any, _: Any) -> Any:
    if name == "images" and not isinstance(value, list | tuple | None):
        raise ValueError(f"images must be a list, not {value!r:.60}")
    if name == "watermark" and isinstance(value, str):
        value = {"true": True, "false": False}.get(value, value)
    # The field's own converter and validator, which coerce nothing, judge it: so each bad field is named.
    attrs.evolve(_EXAMPLE, **{name: value})
    return value


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    rules: dict[str, Any] = {name: override(struct_hook=partial(_structure_field, name)) for name in _NAMES}
    converter.register_structure_hook(VideoRequest, make_dict_structure_fn(VideoRequest, converter, **rules))
    return converter


_converter = _make_converter()


def body_to_request(body: Mapping[str, Any]) -> VideoRequest:
    """Answer the request whose JSON object this is, without converting any value but `"true"` and `"false"`.

    A field that is missing is None, and unknown ones go to `extra`.

    Raises:
        ValueError: something is wrong; every bad field is named.
    """
    extra = {name: value for name, value in body.items() if name not in _NAMES}
    try:
        return _converter.structure({**{name: body.get(name) for name in _NAMES}, "extra": extra}, VideoRequest)
    except cattrs.BaseValidationError as error:
        raise ValueError("; ".join(_name_problems(error))) from None


def _name_problems(error: BaseException) -> list[str]:
    if isinstance(error, BaseExceptionGroup):
        return [problem for part in error.exceptions for problem in _name_problems(part)]
    return [str(error)]


def normalise_base(url: str) -> str:
    """Answer the base URL that was meant: without `/v1`, an endpoint, a query, quotes or a `/` at the end.

    Raises:
        ValueError: no such address can be used; the message never repeats it, for it may hold a secret.
    """
    text = url.strip(" \t\r\n\"'`<>")
    if not text:
        raise ValueError("the base URL is empty")
    if "://" not in text:
        text = f"https://{text.lstrip('/')}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("the base URL has a bad host or port") from None
    host = _check_address(parts, port)
    authority = f"[{host}]" if ":" in host else host
    if port is not None and port != _DEFAULT_PORTS[parts.scheme]:
        authority = f"{authority}:{port}"
    prefix = re.sub("/+", "/", _ENDPOINT.sub("", parts.path)).rstrip("/")
    return f"{parts.scheme}://{authority}{prefix}"


def _check_address(parts: SplitResult, port: int | None) -> str:
    host = parts.hostname
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("the base URL must begin with https://")
    if "@" in parts.netloc:
        raise ValueError("the base URL must not hold a user name or a password: give the key as api_key")
    if not host or not _HOST.fullmatch(host):
        raise ValueError("the base URL has no host name that could be used")
    if port == 0 or re.search(r"[\s\x00-\x1f\x7f<>\"'`]", parts.path):
        raise ValueError("the base URL has a bad port, or a space or quote in its path")
    if parts.scheme == "http" and not _is_local_host(host):
        raise ValueError("the base URL is http, and the key would travel in clear text: use https")
    return host


def is_local_base(base: str) -> bool:
    """Whether the base URL names this machine or a private network, by its literal address or kind of name."""
    return _is_local_host(urlsplit(base).hostname or "")


def _is_local_host(host: str) -> bool:
    try:
        # Loopback and link-local addresses are private too, and an IPv4 address in IPv6 clothes is what it leads to.
        return ipaddress.ip_address(host).is_private
    except ValueError:
        name = host.removesuffix(".")
        is_single_label = "." not in name and _NUMERIC_HOST.fullmatch(name) is None
        return bool(name) and (is_single_label or name.endswith((".localhost", ".local", ".internal")))
