"""What kind of relay a sandbox plays, as one frozen value."""

import math

import attrs

from sora_async.sandbox.dialects import DIALECTS
from sora_async.sandbox.takes import Takes, to_takes

DEFAULT_TAKES = Takes.log_normal(median_s=3.0, sigma=0.4)
DEFAULT_FAILURE_TEXT = "The sandbox let this task fail: content may violate our guardrails"


def _check_dialect(_scenario: "Scenario", _field: object, name: str) -> None:
    if name not in DIALECTS:
        raise ValueError(f"unknown dialect {name!r}; there are: {', '.join(sorted(DIALECTS))}")


def _check_words(_scenario: "Scenario", _field: object, words: tuple[str, ...] | None) -> None:
    if words is not None and not words:
        raise ValueError("words must hold at least one status word, or be None")


def _check_rate_limit(_scenario: "Scenario", _field: object, rate: float | None) -> None:
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"rate_limit must be more than 0 calls per second, or None, not {rate!r}")


@attrs.frozen(kw_only=True)
class Scenario:
    """How a sandbox behaves while nothing goes wrong; the defaults suit trying it out.

    Raises:
        ValueError: A field is outside of its range, or the dialect is unknown.
    """

    takes_s: Takes = attrs.field(default=DEFAULT_TAKES, converter=to_takes)
    """Seconds from create to the end of a task: a number, or a distribution; log-normal around 3 s."""
    dialect: str = attrs.field(default="sora", validator=_check_dialect)
    """Whose answer shapes, ids and status words are used: a key of `DIALECTS`."""
    words: tuple[str, ...] | None = attrs.field(
        default=None, converter=attrs.converters.optional(tuple[str, ...]), validator=_check_words
    )
    """Status words shown in this order while a task is not finished; None uses the dialect's."""
    reports_progress: bool = True
    """Whether answers carry a progress."""
    rate_limit: float | None = attrs.field(default=None, validator=_check_rate_limit)
    """API calls per second, with a burst of one second; above it calls are answered 429. None: no limit."""
    retry_after_s: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.ge(0.0))
    )
    """Seconds in the `Retry-After` of a call above the rate limit; None sends no such header."""
    failure_rate: float = attrs.field(default=0.0, validator=[attrs.validators.ge(0.0), attrs.validators.le(1.0)])
    """Share of the tasks that end failed, 0 to 1."""
    failure_text: str = DEFAULT_FAILURE_TEXT
    """What a failed task gives as its reason."""
    clip: bytes | None = attrs.field(default=None, repr=False)
    """The MP4 that every task results in; None renders a preview for each (needs the `sandbox` extra)."""
    link_lifetime_s: float = attrs.field(default=3600.0, validator=attrs.validators.ge(0.0))
    """Seconds for which a result link works; each query of a finished task gives a fresh one."""
    api_key: str | None = attrs.field(default=None, repr=False)
    """The only key that is let in; None lets in any key that is not empty."""
    missing_url_polls: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    """How many of the first completed answers for each task come without a link."""
    not_found_polls: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    """How many of the first queries for each task are answered as if it did not exist."""
    finished_at_create: bool = False
    """Whether tasks that take 0 s are answered finished, with their link, by the create call itself."""
    strict: bool = False
    """Whether a create must carry all seven published fields; else only model and prompt are required."""
