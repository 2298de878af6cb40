"""What a number was measured on and with."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version


def describe(*packages: str) -> str:
    """One line: Python, the packages' versions, the system and its cores."""
    parts = [f"Python {platform.python_version()}"]
    for package in ("sora_async", "aiohttp", *packages):
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            parts.append(f"{package} not installed")
    return f"{', '.join(parts)}; {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
