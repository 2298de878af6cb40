"""Records of a manifest as items: fields converted, defaults filled in, all that is wrong named."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from sora_async.batch.item import BatchItem
from sora_async.batch.records import Record, Report
from sora_async.images import MAX_IMAGE_BYTES, sniff_image
from sora_async.models import VideoRequest
from sora_async.wire.request import body_to_request

_REQUEST_FIELDS = frozenset(field.name for field in attrs.fields(VideoRequest)) - {"extra"}
_ITEM_FIELDS = frozenset({"key", "output"})
_FLAG_FIELDS = ("watermark", "private")
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_SECONDS = re.compile(r"[0-9]{1,9}")
_JSON_SCALAR = re.compile(r"-?(?:0|[1-9][0-9]{0,29})(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,2})?|true|false", re.IGNORECASE)
_NOT_LOCAL = re.compile(r"data:|[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def make_item(record: Record, folder: Path, report: Report) -> BatchItem | None:
    """Answer the item that a record stands for, None if something is wrong with it and was reported.

    A field that is missing has the default of VideoRequest; null leaves it out of what is sent.

    Args:
        record: what was written.
        folder: where the local files are that it names.
        report: takes what is wrong, one problem for each field.
    """
    fields = dict(record.fields)
    if record.is_text:
        fields = {name: _convert(name, text, folder) for name, text in fields.items()}
    if fields.get("watermark") in ("true", "false"):  # as some relays' own pages have it
        fields["watermark"] = _FLAGS[fields["watermark"]]
    if isinstance(images := fields.get("images"), list):
        fields["images"] = [_locate(image, folder) for image in images]
    try:
        return _build(fields)
    except (ValueError, OSError) as error:
        for name, text in list(_name_problems(fields)) or [("prompt", str(error))]:
            report(record.find(name), text)
        return None


def _convert(name: str, text: str, folder: Path) -> Any:
    """Answer the value that the text of a cell stands for; the text itself if that cannot be."""
    if name == "prompt":
        return text
    text = text.strip()
    if name == "duration":
        return int(text) if _SECONDS.fullmatch(text) else text
    if name in _FLAG_FIELDS:
        return _FLAGS.get(text.lower(), text)
    if name == "images":
        return _split_images(text, folder)
    if name in _REQUEST_FIELDS | _ITEM_FIELDS:
        return text
    return json.loads(text.lower()) if _JSON_SCALAR.fullmatch(text) else text


def _split_images(text: str, folder: Path) -> Any:
    if text.startswith("["):
        try:
            images = json.loads(text)
        except (ValueError, RecursionError):
            return text
        return images if all(isinstance(image, str) for image in images) else text
    # Path.is_file raises if a name is too long, as the names of several pictures in a row may be.
    return [text] if os.path.isfile(folder / text) else text.split()  # noqa: PTH113


def _locate(image: Any, folder: Path) -> Any:
    return folder / image if isinstance(image, str) and not _NOT_LOCAL.match(image) else image


def _build(fields: Mapping[str, Any]) -> BatchItem:
    # The quick way for the lines that are right: body_to_request takes ten times as long.
    if "prompt" not in fields or "extra" in fields or not isinstance(fields.get("images"), list | None):
        raise ValueError("the line is no create body")
    request = {name: value for name, value in fields.items() if name in _REQUEST_FIELDS}
    extra = {name: fields[name] for name in fields.keys() - _REQUEST_FIELDS - _ITEM_FIELDS}
    item = {name: fields[name] for name in _ITEM_FIELDS & fields.keys()}
    return BatchItem(VideoRequest(**request, extra=extra), **item)


def _name_problems(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each field that is unusable, with the reason."""
    if "prompt" not in fields:
        yield "prompt", "there is no prompt: say in `prompt` what to show"
    for name, value in fields.items():
        try:
            _check_field(name, value)
        except (ValueError, OSError) as error:
            yield name, str(error)


def _check_field(name: str, value: Any) -> None:
    if name in _ITEM_FIELDS:
        BatchItem("any", **{name: value})
    elif name in _REQUEST_FIELDS:
        body_to_request({"prompt": "any", "model": "any", name: value})
    elif name == "extra":
        raise ValueError("extra is no field of a create body: write what is in it beside the other fields")
    else:
        VideoRequest("any", extra={name: value})


def check_pictures(request: VideoRequest) -> None:
    """Raise ValueError if a local file among the images is no picture, or too large to be sent."""
    for place, image in enumerate(request.images or ()):
        if not isinstance(image, Path):
            continue
        with image.open("rb") as file:
            if sniff_image(file.read(12)) is None:
                raise ValueError(f"images[{place}]: {str(image)!r} is no picture")
            if os.fstat(file.fileno()).st_size > MAX_IMAGE_BYTES:
                raise ValueError(
                    f"images[{place}]: {str(image)!r} is over {MAX_IMAGE_BYTES >> 20} MiB: make it smaller"
                )
