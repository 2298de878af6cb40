"""A server that sends files by sendfile, so that it is never the bottleneck of a download.

Runs in a process of its own: `python -m benchmarks.film_server FOLDER` prints its port, then its CPU seconds and
answers so far for each line that it reads, until its standard input ends. `GET /NAME` answers the file of that name,
with an ETag, and with `?digest` its SHA-256 too.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socketserver
import sys
import threading
import time
from functools import cache
from pathlib import Path

import attrs

from benchmarks.canned_server import Effort
from benchmarks.machine import on_core


@cache
def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return base64.b64encode(hashlib.file_digest(file, "sha256").digest()).decode()


class _Connection(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        while line := self.rfile.readline():
            while self.rfile.readline().strip():
                """The headers say nothing that matters here."""
            name, _, query = line.split()[1].decode().partition("?")
            self._send(Path(sys.argv[1], name.strip("/")), is_digested=query == "digest")

    def _send(self, path: Path, *, is_digested: bool) -> None:
        head = ["HTTP/1.1 200 OK", "Content-Type: video/mp4", f"Content-Length: {path.stat().st_size}", 'ETag: "one"']
        if is_digested:
            head.append(f"Repr-Digest: sha-256=:{_digest(path)}:")
        self.connection.sendall("\r\n".join([*head, "", ""]).encode())
        with path.open("rb") as file:
            self.connection.sendfile(file)
        self.server.answers += 1


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    answers = 0


if __name__ == "__main__":
    with on_core(-1), _Server(("127.0.0.1", 0), _Connection) as server:
        print(server.server_address[1], flush=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for _ in sys.stdin:
            print(json.dumps(attrs.asdict(Effort(time.process_time(), server.answers))), flush=True)
