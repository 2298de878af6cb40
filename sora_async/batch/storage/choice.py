"""Which storage a directory stands for."""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from sora_async.batch.storage.folder import Folder
from sora_async.batch.storage.kind import Storage

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+", re.ASCII)
_SHORTENED = re.compile(r"[a-z][a-z0-9+.-]+:[/\\](?![/\\])", re.ASCII)


def find_folder(directory: str | os.PathLike[str]) -> Path | None:
    """Answer the folder of this machine that a batch's directory stands for; None for a store.

    Args:
        directory: what `generate_many` takes: a folder, or the URL of one (`file:///boats`) or of a store
            (`s3://bucket/boats`).

    Raises:
        ValueError: the URL cannot be used, or may hold what is secret.
        ImportError: a store needs the extra `storage`.
    """
    text = os.fspath(directory)
    scheme, is_url, rest = text.partition("://")
    if not is_url:
        if _SHORTENED.match(text):
            raise ValueError(f"{text!r} lacks a slash, which a Path takes away: give the URL as a text")
        return Path(text)
    if not _SCHEME.fullmatch(scheme) or "::" in rest:
        raise ValueError("directory must be a folder or a plain URL, such as s3://bucket/folder")
    if set(rest) & set("@?#"):
        raise ValueError(
            f"directory is a {scheme} URL with a user name, a key, options or one of @ ? #: leave them out, for fsspec "
            "takes credentials and options from its configuration and the environment"
        )
    if scheme in {"file", "local"}:
        return _to_path(text)
    try:
        import_module("fsspec")
    except ModuleNotFoundError:
        raise ImportError("a directory that is a URL needs fsspec: pip install 'sora_async[storage]'") from None
    return None


def make_storage(directory: str | os.PathLike[str], *, threads: int) -> Storage:
    """Make what keeps the files of a directory.

    Args:
        directory: a folder, or a URL.
        threads: how many calls of a store may be under way, since they block.

    Raises:
        ValueError: the URL cannot be used, or may hold what is secret.
        ImportError: a store needs the extra `storage`.
    """
    folder = find_folder(directory)
    if folder is not None:
        return Folder(folder)
    from sora_async.batch.storage.objects import ObjectStore  # noqa: PLC0415 it needs an extra

    return ObjectStore(os.fspath(directory), threads=threads)


def _to_path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or not parts.path:
        raise ValueError(f"{url!r} names no folder of this machine: write {parts.scheme}:///folder")
    return Path(url2pathname(parts.path))
