"""What goes wrong in a sandbox, when, and how often."""

import math
from collections.abc import Mapping, Sequence
from random import Random
from types import MappingProxyType

import attrs

Script = Sequence[str | None] | Mapping[str, float]
HEALTHY: Script = ()

API_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "close_unread": "closes the connection without reading the body; nothing is accepted",
        "reset_unread": "resets the connection without reading the body; nothing is accepted",
        "stall_unread": "neither reads the body nor answers; nothing is accepted",
        "close_before": "reads the whole request, then closes; nothing is accepted",
        "reset_before": "reads the whole request, then resets; nothing is accepted",
        "stall_before": "reads the whole request, then never answers; nothing is accepted",
        "close_after": "accepts, then closes without an answer",
        "reset_after": "accepts, then resets without an answer",
        "stall_after": "accepts, then never answers",
        "500": "a 500 that proves nothing; not accepted",
        "502": "a 502 that proves nothing; not accepted",
        "503": "a 503 that proves nothing; not accepted",
        "504": "a 504 that proves nothing; not accepted",
        "502_html": "the 502 page of a proxy; not accepted",
        "502_html_after": "accepts, then the 502 page of a proxy",
        "429": "too many requests, without Retry-After; write 429+N for a Retry-After of N seconds",
        "429_empty": "429 with an empty body",
        "saturated": "500 with the saturation text; not accepted",
        "no_quota": "403, out of money; not accepted",
        "no_quota_429": "429 with the saturation text, but the code says out of money; not accepted",
        "html": "a 200 page of HTML; not accepted",
        "html_after": "accepts, then a 200 page of HTML",
        "empty": "accepts, then a 200 with an empty body",
        "no_id": "accepts, then a 200 object without an id",
        "cut_before_id": "accepts, then an answer cut just before the value of the id",
        "cut_in_id": "accepts, then an answer cut in the middle of the id",
        "cut_after_id": "accepts, then an answer cut just after the closing quote of the id",
        "oversize": "accepts, then an answer behind 8 MiB of white space",
        "redirect": "a 307 to the very same call; not accepted",
    }
)
"""Kinds for create, query and character, and what each does; a query accepts nothing in any case."""

QUERY_KINDS: Mapping[str, str] = MappingProxyType(
    {
        **API_KINDS,
        "not_found": "answers as if the task did not exist",
        "unknown_word": "a healthy answer with a status word that no list has",
        "no_url": "a healthy answer without a link, even if the task is finished",
    }
)
"""Kinds for query."""

DOWNLOAD_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "403": "403, as a CDN that does not have the file yet",
        "404": "404, as a CDN that does not have the file yet",
        "500": "500, as a CDN that does not have the file yet",
        "expired": "403 that says the link has expired",
        "cut": "the right length, closed midway",
        "no_length_cut": "no length, closed midway",
        "reset": "the right length, reset midway",
        "stall": "the right length, silent midway",
        "slow": "whole, in ten pieces 20 ms apart",
        "garble": "the right length and ETag, wrong bytes",
        "html": "a 200 page of HTML",
        "ignore_range": "the whole file even if a range was asked for",
        "wrong_range": "a 206 with another range than asked for",
        "redirect": "a 302 to a fresh link on the same host",
    }
)
"""Kinds for download, and what each does."""

KINDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "create": API_KINDS,
        "query": QUERY_KINDS,
        "character": API_KINDS,
        "download": DOWNLOAD_KINDS,
    }
)
"""The kinds of each operation."""


def split_kind(kind: str) -> tuple[str, float | None]:
    """Split `429+N` into the kind and the seconds of its Retry-After; other kinds have None.

    Raises:
        ValueError: What follows `429+` is not a number of seconds, 0 or more.
    """
    if not kind.startswith("429+"):
        return kind, None
    seconds = float(kind.removeprefix("429+"))
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"Retry-After must be 0 or more seconds, not {seconds!r}")
    return "429", seconds


def _check_kind(operation: str, kind: str) -> None:
    known = KINDS[operation]
    try:
        base, _ = split_kind(kind)
    except ValueError:
        base = kind
    if base not in known:
        raise ValueError(f"unknown {operation} fault {kind!r}; there are: {', '.join(sorted(known))}")


def _check_script(_faults: "Faults", field: "attrs.Attribute[Script]", script: Script) -> None:
    if isinstance(script, str):
        raise ValueError(f"{field.name} takes a sequence of kinds, not the bare string {script!r}")  # noqa: TRY004  (all are ValueError)
    for kind in script:
        if kind is not None:
            _check_kind(field.name, kind)
    if isinstance(script, Mapping):
        chances = script.values()
        if any(not 0 <= chance <= 1 for chance in chances) or sum(chances) > 1 + 1e-9:
            raise ValueError(f"{field.name} needs probabilities of 0 to 1 whose sum is at most 1")


def _copied(script: Script) -> Script:
    if isinstance(script, Mapping):
        return MappingProxyType(dict(script))
    return script if isinstance(script, str) else tuple(script)


@attrs.frozen(kw_only=True)
class Faults:
    """What goes wrong, for each operation.

    Each field is a script for the first, second, ... request of that operation (None is a healthy one, and all
    are healthy after its end), or a mapping from kinds to probabilities, drawn with the sandbox's seed.

    Raises:
        ValueError: A kind does not exist for that operation, or probabilities are out of range.
    """

    create: Script = attrs.field(default=HEALTHY, converter=_copied, validator=_check_script)
    """Kinds of `API_KINDS`."""
    query: Script = attrs.field(default=HEALTHY, converter=_copied, validator=_check_script)
    """Kinds of `QUERY_KINDS`."""
    character: Script = attrs.field(default=HEALTHY, converter=_copied, validator=_check_script)
    """Kinds of `API_KINDS`."""
    download: Script = attrs.field(default=HEALTHY, converter=_copied, validator=_check_script)
    """Kinds of `DOWNLOAD_KINDS`."""


class FaultPlan:
    """Decides, request by request, what goes wrong; each operation has a seeded generator of its own."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self._faults = faults
        self._counts = dict.fromkeys(KINDS, 0)
        # Reproducible on purpose, and one for each, so that polls do not shift what happens to creates.
        self._randoms = {operation: Random(f"{seed}/{operation}") for operation in KINDS}  # noqa: S311  (seeded)

    def next(self, operation: str) -> str | None:
        """Give the kind for the next request of an operation, or None if it is healthy."""
        script: Script = getattr(self._faults, operation)
        if isinstance(script, Mapping):
            return self._draw(script, self._randoms[operation])
        position = self._counts[operation]
        self._counts[operation] += 1
        return script[position] if position < len(script) else None

    @staticmethod
    def _draw(chances: Mapping[str, float], random: Random) -> str | None:
        mark = random.random()
        for kind, chance in chances.items():
            mark -= chance
            if mark < 0:
                return kind
        return None
