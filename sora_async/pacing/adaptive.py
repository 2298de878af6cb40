"""The pacing that learns when tasks end."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sora_async.pacing.curve import EDGES, FLOOR_S
from sora_async.pacing.kind import Kind, Outlook
from sora_async.pacing.watch import Watch

if TYPE_CHECKING:
    from sora_async.models import VideoRequest
    from sora_async.pacing.steady import Delays

LIMIT_S = 60.0
"""Relays advise 10 to 60 s between polls."""
_MOST_KINDS = 64
_MOST_TEXT = 100
_EVERY = 25
"""One task in so many is polled without heeding its progress, so that progress which began to lie is found out."""
_HALVINGS = 24
_OLDEST_S = 1e9
_VERSION = 1

_Key = tuple[str, int | None, str | None]


class Adaptive:
    """Polls when an end is likely: few polls for the mean lag that you want.

    Let `S(t)` be the share of tasks still running at age `t`, `f = -S'` and `h = f / S` the hazard, and let a poll be
    worth `c` seconds of lag. Polls at a density `n(t)` cost `c ∫ n S dt` and a lag of `∫ f / 2n dt`; the sum is least
    for `n = sqrt(h / 2c)` (Barlow and Proschan 1965, Keller 1974), where the lag is `sqrt(c / 2) ∫ sqrt(f S) dt`: that
    gives the `c` that meets the aim, and `V(t) = sqrt(2c) / S(t) ∫ sqrt(f S) dt` from `t` on, the cost of waiting on.
    The rule is for dense polls, so each delay `d` is the one that makes `∫ F dt + (1 - F(d)) V(t + d)` least, with
    `F` the chance of an end within `d`: one step of policy improvement, within some percent of the exact optimum.
    `S` is a smoothed histogram of the ends seen and a prior. With progress `F` becomes a mixture of that and of a
    log-normal bet on the remaining time, whose bias, spread and share are learnt for each level of progress by how
    well it foretold the ends: what lies loses its share. The lags achieved trim `c` where the model errs.

    Ages come from whoever drives it (`delays_for`), so it reads no clock. One instance may serve many clients of one
    event loop.

    Args:
        aim_s: the mean time wanted from a task's end to the poll that sees it, in seconds, from 0.5 to 30.
        limit_s: the longest time between polls in seconds, from 5 to 600; a time is never under 1 s.
        learned: what `learned()` of an earlier one told.

    Raises:
        ValueError: a number is out of its range, or `learned` holds anything else.
    """

    def __init__(
        self, aim_s: float = 5.0, *, limit_s: float = LIMIT_S, learned: Mapping[str, Any] | None = None
    ) -> None:
        if not 0.5 <= aim_s <= 30:
            raise ValueError(f"aim_s must be a number of seconds from 0.5 to 30, not {aim_s!r}")
        if not 5 <= limit_s <= 600:
            raise ValueError(f"limit_s must be a number of seconds from 5 to 600, not {limit_s!r}")
        self._aim_s = aim_s
        self._limit_s = limit_s
        self._kinds: dict[_Key, Kind] = {}
        if learned is not None:
            self.learn(learned)

    def __repr__(self) -> str:
        return f"Adaptive(aim_s={self._aim_s!r}, limit_s={self._limit_s!r})"

    def delays(self) -> Delays:
        """Answer a generator for a task of which neither request nor age is known; it takes its own times as spent."""
        age_s = 0.0
        inner = self.delays_for(None, lambda: age_s)
        next(inner)
        task = yield 0.0
        while True:
            delay_s = inner.send(task)
            age_s += delay_s
            task = yield delay_s

    def delays_for(self, request: VideoRequest | None, age_s: Callable[[], float]) -> Delays:
        """Answer a generator for one task, which teaches this pacing when it ends.

        Args:
            request: what was asked for; None if that is not known, which teaches nothing.
            age_s: answers the seconds since its create was accepted, whenever the generator is sent to.
        """
        task = yield 0.0
        kind, teaches = self._kind(request), request is not None
        del request  # its pictures need not be kept while it is waited for
        kind.begun += 1
        age = _sound(age_s())
        watch = Watch(kind, age, heeds=kind.begun % _EVERY != 0)
        last = task
        while last is None or not last.state.is_final:
            delay_s = max(FLOOR_S, min(self._limit_s, watch.delay(age)))
            watch.due_s = age + delay_s
            task = yield delay_s
            age = max(age, _sound(age_s()))
            # After a poll that failed the same answer comes again: it shows nothing new.
            if task is not None and task is not last:
                if not task.state.is_final:
                    watch.see(task.progress, age)
                elif teaches:
                    watch.end(task, age)
                last = task
        while True:
            # It ended; only its video's address is still missing.
            yield max(FLOOR_S, min(self._limit_s, self._aim_s))

    def remaining_s(self, request: VideoRequest | None, age_s: float, progress: float | None = None) -> float:
        """The seconds after which a task has ended as likely as not.

        Args:
            request: what was asked for.
            age_s: the age at which it was last seen running.
            progress: what it showed then.
        """
        kind = self._kind(request)
        outlook = _outlook(kind, age_s, progress)
        low, high = math.log(1e-3), math.log(EDGES[-1])
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if kind.ended(outlook, math.exp(middle))[0] < 0.5:
                low = middle
            else:
                high = middle
        return math.exp(high)

    def urgency(
        self, request: VideoRequest | None, *, seen_s: float, age_s: float, progress: float | None = None
    ) -> float:
        """The chance, 0.0 to 1.0, that a task ended since it was last seen: of two that are due, the higher goes first.

        Args:
            request: what was asked for.
            seen_s: the age at which it was last seen running.
            age_s: its age now.
            progress: what it showed when it was last seen.
        """
        waited_s = _sound(age_s) - _sound(seen_s)
        if waited_s <= 0:
            return 0.0
        kind = self._kind(request)
        return kind.ended(_outlook(kind, seen_s, progress), waited_s)[0]

    def learned(self) -> dict[str, Any]:
        """What was learnt so far, as a few kilobytes of JSON values for each kind of task."""
        told = ((key, kind.state()) for key, kind in self._kinds.items())
        kinds = [
            {"model": model, "duration": duration, "size": size, **state}
            for (model, duration, size), state in told
            if state["ends"]
        ]
        return {"version": _VERSION, "kinds": kinds}

    def learn(self, learned: Mapping[str, Any]) -> None:
        """Take over what another one told by `learned()`, but of kinds of which more ends have been seen here.

        Raises:
            ValueError: it cannot be that; nothing was taken over.
        """
        try:
            version, kinds = learned["version"], [self._restore(state) for state in learned["kinds"][-_MOST_KINDS:]]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"this is not what an Adaptive learned: {error!r}") from None
        if version != _VERSION:
            raise ValueError(f"this was learned by another version, {version!r}")
        for key, kind in kinds:
            known = self._kinds.get(key)
            if known is None or known.seen < kind.seen:
                self._keep(key, kind)

    def _restore(self, state: Mapping[str, Any]) -> tuple[_Key, Kind]:
        model, duration, size = state["model"], state["duration"], state["size"]
        if not (isinstance(duration, int | None) and isinstance(size, str | None)):
            raise ValueError(f"no kind of task: {duration!r}, {size!r}")  # noqa: TRY004 one class for bad values
        return (model, duration, size), self._make(model, duration, state)

    def _kind(self, request: VideoRequest | None) -> Kind:
        key: _Key = ("", None, None)
        if request is not None:
            key = request.model[:_MOST_TEXT], request.duration, request.size and request.size[:_MOST_TEXT]
        return self._keep(key, self._kinds.get(key) or self._make(key[0], key[1]))

    def _make(self, model: str, duration: int | None, state: Mapping[str, Any] | None = None) -> Kind:
        return Kind(model, duration, aim_s=self._aim_s, limit_s=self._limit_s, state=state)

    def _keep(self, key: _Key, kind: Kind) -> Kind:
        """Keep a kind as the one used last, and forget the one that was not used for longest."""
        self._kinds.pop(key, None)
        self._kinds[key] = kind
        if len(self._kinds) > _MOST_KINDS:
            del self._kinds[next(iter(self._kinds))]
        return kind


def _sound(age_s: float) -> float:
    """An age from a clock that may be of any kind: no number is 0."""
    return max(0.0, min(age_s, _OLDEST_S))


def _outlook(kind: Kind, age_s: float, progress: float | None) -> Outlook:
    age_s = _sound(age_s)
    if progress is None or not 0 < progress <= 1:
        return Outlook(age_s)
    bet = kind.progress.bet(progress, age_s)
    return Outlook(age_s, bet, 1 / (1 + math.exp(-bet.belief)))
