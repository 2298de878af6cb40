"""Names of result files: made from the task's id alone, never from what a server says."""

from __future__ import annotations

import hashlib
import re

_SLUG_LENGTH = 40


def file_name(task_id: str, suffix: str = ".mp4", *, label: str | None = None) -> str:
    """Name the file of a task.

    Args:
        task_id: any text that is the task's alone.
        suffix: the ending with its dot.
        label: any text; the readable part keeps what it can of it. None takes the id.

    Returns:
        `<slug>-<16 hex digits><suffix>` with a slug of 1 to 40 of `a-z0-9-`: legal on every file system, and distinct
        for distinct ids also where letter case does not count.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", (task_id if label is None else label).lower())[:_SLUG_LENGTH].strip("-") or "task"
    # The slug drops characters, so only the digest keeps two ids apart. Ids from JSON may hold lone surrogates.
    digest = hashlib.sha256(task_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{slug}-{digest}{suffix}"
