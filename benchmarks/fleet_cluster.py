"""A scheduler and workers of Dask in processes of their own, started by Dask's own commands, as a user would."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

START_S = 60.0


class Processes:
    """Processes that write into logs, and that are ended at the end, each by its id.

    Args:
        folder: where the logs go.
        environment: what is added to the environment of this process.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = {**os.environ, **environment}
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._running:
            kill(process)

    def start(self, name: str, *arguments: str, output: int | None = None) -> subprocess.Popen[bytes]:
        """Start Python with these arguments; what it says is appended to a log of this name.

        Args:
            name: of the log.
            arguments: of Python.
            output: where its output goes; None for the log, too.
        """
        with (self._folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log if output is None else output,
                stderr=log,
                env=self._environment,
                cwd=self._folder,
                # A group of its own, so that a worker and its nanny end together.
                start_new_session=True,
            )
        self._running.append(process)
        return process


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children as the loss of power would."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Cluster:
    """One scheduler and some workers.

    Args:
        processes: starts them.
    """

    def __init__(self, processes: Processes) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self._port}"
        self._processes = processes
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    def start_scheduler(self) -> None:
        """Start it, and wait until it listens."""
        options = ("--host", "127.0.0.1", "--port", str(self._port), "--no-dashboard", "--no-show")
        self.scheduler = self._processes.start("scheduler", "-m", "dask", "scheduler", *options)
        ends_at = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                if time.monotonic() > ends_at or self.scheduler.poll() is not None:
                    raise
                time.sleep(0.05)
            else:
                return

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start one; it joins when it is up."""
        options = ("--nthreads", "1", "--no-dashboard", "--no-nanny", "--host", "127.0.0.1")
        worker = self._processes.start("worker", "-m", "dask", "worker", self.address, *options)
        self.workers.append(worker)
        return worker

    def keep_workers(self, count: int) -> None:
        """Start so many that there are this many of them."""
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < count:
            self.start_worker()
