"""What the tests of manifests share: reading one, as right or as wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from sora_async.batch.item import BatchItem
from sora_async.batch.manifest import Manifest

DIGEST = f"data:image/png;sha256,{'0f' * 32}"
"""What a manifest that was exported has in the place of a data: URI."""
PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
Write = Callable[..., Path]


def writer(folder: Path) -> Write:
    """What writes a manifest into a folder, from lines or from bytes."""

    def write(*lines: str | bytes, name: str = "batch.jsonl") -> Path:
        path = folder / name
        path.write_bytes(b"\n".join(line.encode() if isinstance(line, str) else line for line in lines))
        return path

    return write


def read(path: Path) -> list[BatchItem]:
    """The items of a manifest that is right."""
    with Manifest(path) as manifest:
        assert manifest.check() == []
        items = list(manifest.items())
        assert (len(items), items) == (manifest.count, list(manifest.items()))
        return items


def problems(path: Path) -> list[tuple[int | None, int | None, str]]:
    """Where and what is wrong with a manifest."""
    with Manifest(path) as manifest:
        found = manifest.check()
        with pytest.raises(ValueError, match="settle what is wrong"):
            manifest.items()
    return [attrs.astuple(problem) for problem in found]
