"""Stores in memory, as fsspec sees them: one that takes pieces and shows an object at the end, and one that cannot."""

from __future__ import annotations

from typing import Any, ClassVar

import fsspec
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem


class EarlyFile(AbstractBufferedFile):
    """Knows of no commit: closed, it is shown."""

    def _upload_chunk(self, final: bool = False) -> bool:
        self.fs.act("piece", self.path)
        self.fs.uploads.setdefault(self.path, []).append(self.buffer.getvalue())
        self.fs.sizes.append(self.buffer.tell())
        if final and self.is_due():
            self.show()
        return True

    def is_due(self) -> bool:
        return True

    def show(self) -> None:
        self.fs.act("show", self.path)
        self.fs.objects[self.path] = b"".join(self.fs.uploads.pop(self.path, []))


class HeldFile(EarlyFile):
    """Waits for its commit."""

    def is_due(self) -> bool:
        return self.autocommit

    def _initiate_upload(self) -> None:
        self.fs.act("begin", self.path)

    def commit(self) -> None:
        self.show()

    def discard(self) -> None:
        self.fs.act("discard", self.path)
        self.fs.uploads.pop(self.path, None)


class PieceStore(AbstractFileSystem):
    """Shared by all instances. `refusals` says what to raise at which step; `log` has the steps, `sizes` the pieces."""

    protocol = "pieces"
    file_class: type[EarlyFile] = HeldFile
    objects: ClassVar[dict[str, bytes]] = {}
    uploads: ClassVar[dict[str, list[bytes]]] = {}
    refusals: ClassVar[dict[str, Exception]] = {}
    log: ClassVar[list[str]] = []
    sizes: ClassVar[list[int]] = []

    @classmethod
    def clear(cls) -> None:
        for what in (cls.objects, cls.uploads, cls.refusals, cls.log, cls.sizes):
            what.clear()

    def act(self, step: str, path: str) -> None:
        if step != "info":
            self.log.append(step)
        if step in self.refusals:
            raise self.refusals[step]

    def _open(self, path: str, mode: str = "rb", **options: Any) -> EarlyFile:
        return self.file_class(self, path, mode, options["block_size"], autocommit=options["autocommit"])

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        self.act("info", path)
        if path in self.objects:
            return {"name": path, "size": len(self.objects[path]), "type": "file"}
        if any(name.startswith(path + "/") for name in self.objects):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def rm_file(self, path: str) -> None:
        del self.objects[path]


class EarlyStore(PieceStore):
    protocol = "early"
    file_class = EarlyFile


fsspec.register_implementation("pieces", PieceStore, clobber=True)
fsspec.register_implementation("early", EarlyStore, clobber=True)
