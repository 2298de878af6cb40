"""A ledger as a table for spreadsheets, or as a manifest of the same inputs."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import attrs

from sora_async import VideoRequest
from sora_async.batch import Entry
from sora_async.cli.ledger_place import Place
from sora_async.cli.ledger_show import entry_facts
from sora_async.cli.screen import write_line

_FIELDS = tuple(field.name for field in attrs.fields(VideoRequest) if field.name != "extra")
_ACCOUNT = (
    *("key", "stage", "task_id", "attempt", "reason", "path", "bytes", "sha256"),
    *("planned_at", "submitted_at", "started_at", "ended_at"),
)
_REMOTE = re.compile(r"data:|[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_DIGEST = re.compile(r'"data:[\w.+-]+/[\w.+-]+;sha256,[0-9a-f]{64}"')
# Relays choose some of these texts, and spreadsheets would run them.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def export_ledger(place: Place, form: str, target: Path | None) -> int:
    """Write all entries in the order in which they were entered.

    Args:
        place: the ledger.
        form: `csv` or `jsonl`.
        target: the file, which is replaced at the end; None writes to stdout.

    Returns:
        How many have pictures of which the ledger has the digests only.

    Raises:
        LedgerError: the ledger cannot be read.
        OSError: the file cannot be written.
    """
    if target is None:
        return asyncio.run(_write(place, form, Path.cwd(), lambda line: write_line(sys.stdout, line)))
    with _replacing(target) as file:
        return asyncio.run(_write(place, form, target.absolute().parent, lambda line: print(line, file=file)))


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[TextIO]:
    """Give a file that takes the place of the target once it is whole."""
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


async def _write(place: Place, form: str, folder: Path, write: Callable[[str], object]) -> int:
    ledger, pictures = place.ledger(), place.pictures
    await ledger.events("")  # to fail before the first line, if it cannot be read
    if form == "csv":
        write(_join([*_ACCOUNT, *_FIELDS, "extra"]))
    incomplete = 0
    async for entry in ledger.entries():
        line = json.dumps(_manifest_line(entry, pictures, folder))
        incomplete += _DIGEST.search(line) is not None
        write(_join(_row(entry)) if form == "csv" else line)
    return incomplete


def _manifest_line(entry: Entry, pictures: Path, folder: Path) -> dict[str, Any]:
    """The fields of the request, null for those that were left out, for else they would have their defaults."""
    fields = {**dict.fromkeys(_FIELDS), **entry.request, "key": entry.key}
    if entry.path is not None:
        fields["output"] = entry.path
    if fields["images"]:
        fields["images"] = [_locate(image, pictures, folder) for image in fields["images"]]
    return fields


def _locate(image: str, pictures: Path, folder: Path) -> str:
    """Name a local picture, which the ledger names from its own folder, from another one."""
    return image if _REMOTE.match(image) else Path(os.path.relpath(pictures / image, folder)).as_posix()


def _row(entry: Entry) -> list[Any]:
    facts = entry_facts(entry)
    extra = {name: value for name, value in entry.request.items() if name not in _FIELDS}
    return [*(facts[name] for name in _ACCOUNT), *(entry.request.get(name) for name in _FIELDS), extra or None]


def _join(cells: list[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([_cell(value) for value in cells])
    return line.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return value if value is None else json.dumps(value)
