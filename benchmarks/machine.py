"""What a number was measured on and with, and which core it ran on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def describe(*packages: str) -> str:
    """One line: Python, the packages' versions, the system and its cores."""
    parts = [f"Python {platform.python_version()}"]
    for package in ("sora_async", "aiohttp", *packages):
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            parts.append(f"{package} not installed")
    return f"{', '.join(parts)}; {platform.system()} {platform.machine()}, {os.cpu_count()} cores{_processor()}"


def _processor() -> str:
    """What the system calls its processor; nothing where it does not tell."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    return next((f" of {line.split(':', 1)[1].strip()}" for line in lines if line.startswith("model name")), "")


def describe_load() -> str:
    """What else the machine has to do."""
    load = f"load {os.getloadavg()[0]:.1f} over the last minute" if hasattr(os, "getloadavg") else "not known here"
    return f"Other programs on this machine: {load}"


def read_memory(field: str, pid: int | str = "self") -> float:
    """MiB that a process uses: `VmRSS` now, `VmHWM` at the most so far; -1 where the system does not tell so."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return -1.0
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines[field].split()[0]) / 1024


@contextmanager
def on_core(place: int) -> Iterator[None]:
    """Keep this process on one of its cores, 0 the first and -1 the last, so that a client and its server never share.

    Processes that are started meanwhile stay there too. It does nothing where the system has no way to.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(cores)[place]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
