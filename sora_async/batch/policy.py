"""How much of a batch is done at once, and what it may spend."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from sora_async.waiter import DEFAULT_TIMEOUT_S


def _check_count(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{attribute.name} must be a whole number from 1, not {value!r}")


def _check_number_of_resends(policy: BatchPolicy, _: object, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"max_resends must be a whole number from 0, not {value!r}")
    if (policy.on_uncertain == "retry") != (value > 0):
        raise ValueError(
            "on_uncertain='retry' may pay twice, so it needs a max_resends from 1; 'keep' sends nothing again"
        )


@attrs.frozen(kw_only=True)
class BatchPolicy:
    """The limits of one run."""

    concurrency: int = attrs.field(default=50, validator=_check_count)
    """Tasks in flight, from the create to the file."""
    creates: int = attrs.field(default=50, validator=_check_count)
    """Creates under way at once: so many may end in doubt when the network breaks."""
    downloads: int = attrs.field(default=8, validator=_check_count)
    """Files that are fetched at once."""
    timeout: float | None = attrs.field(default=DEFAULT_TIMEOUT_S)
    """Seconds that each task may take from its create, or from where a later run goes on; None for any time."""
    max_tasks: int | None = attrs.field(default=None, validator=attrs.validators.optional(_check_count))
    """Creates that this run may have accepted, those in doubt included; the inputs behind them stay unread."""
    on_uncertain: Literal["keep", "retry"] = attrs.field(
        default="keep", validator=attrs.validators.in_(("keep", "retry"))
    )
    """What becomes of a create in doubt: it is kept for you to settle, or sent again, which may pay twice."""
    max_resends: int = attrs.field(default=0, validator=_check_number_of_resends)
    """How many creates this run may send again so; needed with "retry"."""
