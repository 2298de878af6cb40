"""The files of a batch in a store that fsspec knows by a URL, such as a bucket."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, TypeVarTuple

import fsspec

from sora_async.batch.storage.kind import TAKEN, Bring, Place
from sora_async.download.disk import Disk
from sora_async.download.upload import Upload, drop, is_held_back, open_held_back, translated
from sora_async.errors import DownloadError

_PROBE = ".sora_async"
_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


class ObjectStore:
    """A Storage in a store. How to reach it, and with which credentials, is known to fsspec alone.

    Args:
        url: the folder in the store, without anything secret.
        threads: how many calls of the store may be under way.
    """

    _store: fsspec.AbstractFileSystem

    def __init__(self, url: str, *, threads: int) -> None:
        self._url = url.rstrip("/")
        self._root = ""
        # Of its own, so that a store that is slow holds up nothing else.
        self._threads = ThreadPoolExecutor(threads, "sora_async-store")

    async def open(self) -> None:
        """As Storage has it: an upload is begun, and broken off."""
        try:
            await self._run(self._connect)
        except DownloadError as error:
            raise ValueError(f"{error}; nothing was bought: check its name and what fsspec knows of it") from None

    def locate(self, name: str) -> Place:
        """As Storage has it."""
        return {"url": f"{self._url}/{name}"}

    async def check_free(self, name: str) -> None:
        """As Storage has it."""
        if await self._run(self._find, name) is not None:
            raise ValueError(f"{self._url}/{name} {TAKEN}")

    async def has(self, name: str, size: int | None) -> bool:
        """As Storage has it."""
        found = await self._run(self._find, name)
        return found is not None and found["type"] == "file" and found["size"] == size

    async def receive(self, name: str, bring: Bring) -> tuple[int, str]:
        """As Storage has it; what did not come whole is taken back, also when cancelled."""
        shown = f"{self._url}/{name}"
        upload = Upload(self._store, f"{self._root}/{name}", shown=shown, threads=self._threads)
        try:
            await bring(upload)
            return upload.size, upload.sha256
        finally:
            await upload.disk.run(upload.discard)

    def close(self) -> None:
        """As Storage has it."""
        self._threads.shutdown(wait=False)

    async def _run(self, function: Callable[[*_Arguments], _Result], *args: *_Arguments) -> _Result:
        disk = Disk(lambda error: f"cannot use {self._url}: {error.strerror or error}", self._threads)
        return await disk.run(function, *args)

    def _connect(self) -> None:
        fsspec.get_filesystem_class(self._url.partition("://")[0])  # tells which package is missing
        with translated():
            # An instance of its own, within a transaction that never ends, so that each file waits for its commit.
            self._store, self._root = fsspec.url_to_fs(self._url, skip_instance_cache=True)
            self._store.start_transaction()
        self._find(_PROBE)
        probe = f"{self._root}/{_PROBE}"
        with translated():
            file = open_held_back(self._store, probe)
            if is_held_back(file):
                try:
                    file.write(b"?")
                    file.close()
                finally:
                    drop(file)
                return
            file.close()
            self._store.rm_file(probe)
        raise ValueError(f"{self._url}: this kind of store shows files before they are whole; nothing was bought")

    def _find(self, name: str) -> dict[str, Any] | None:
        """What the store knows of an object, None if there is none."""
        with translated():
            self._store.invalidate_cache()
            try:
                found: dict[str, Any] = self._store.info(f"{self._root}/{name}")
            except FileNotFoundError:
                return None
            return found
