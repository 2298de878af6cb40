"""Those who wait for their turn: where news is most likely goes first, and nobody is passed over for long.

Chances change while their owners wait, and to ask all of them for each turn would be too dear. So each turn asks a few
anew, those who were not asked for longest: everybody is asked some LOOKS times in an average wait, however many wait.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable

import attrs

Turn = asyncio.Future[float]
Urgency = Callable[[], float]
"""Answers the chance, 0.0 to 1.0, that a call which left now would bring what its caller waits for."""

PATIENCE_S = 120.0
"""Who has waited for so long goes before all who come now, whatever their chances."""
LOOKS = 4
LEVELS = 64
"""So many chances are told apart; who are on one level are served in the order in which they came to it."""


def certain() -> float:
    """The urgency of who knows nothing of chances: somebody waits for the answer right now."""
    return 1.0


@attrs.define(eq=False)
class _Place:
    joined_at: float
    urgency: Urgency
    level: int

    def find_level(self) -> int:
        """The level by the chance and the time of coming; what waiting adds is the same for all, so it is left out."""
        return math.floor((max(0.0, min(1.0, self.urgency())) - self.joined_at / PATIENCE_S) * LEVELS)


class TurnQueue:
    """Those who wait; a turn takes no longer where many wait. Pure, told the time.

    Args:
        looks: how many are asked anew for each turn.
    """

    def __init__(self, looks: int = LOOKS) -> None:
        self._looks = looks
        # Those not asked for longest come first.
        self._places: OrderedDict[Turn, _Place] = OrderedDict()
        self._levels: dict[int, OrderedDict[Turn, None]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def join(self, turn: Turn, urgency: Urgency, now: float) -> None:
        """Take a place."""
        place = _Place(now, urgency, 0)
        place.level = place.find_level()
        self._places[turn] = place
        self._levels.setdefault(place.level, OrderedDict())[turn] = None

    def leave(self, turn: Turn) -> None:
        """Give the place up, if there still is one."""
        place = self._places.pop(turn, None)
        if place is not None:
            self._step_off(turn, place.level)

    def call(self) -> Turn | None:
        """Take out whose turn it is; None if nobody is left."""
        for _ in range(min(self._looks, len(self._places))):
            self._ask_next()
        if not self._levels:
            return None
        turn = next(iter(self._levels[max(self._levels)]))
        self.leave(turn)
        return turn

    def _ask_next(self) -> None:
        turn, place = next(iter(self._places.items()))
        self._places.move_to_end(turn)
        try:
            level = place.find_level()
        except Exception as error:  # noqa: BLE001 it belongs to who waits, not to the one whose turn was looked for
            self.leave(turn)
            if not turn.done():
                turn.set_exception(error)
            return
        if level != place.level:
            self._step_off(turn, place.level)
            place.level = level
            self._levels.setdefault(level, OrderedDict())[turn] = None

    def _step_off(self, turn: Turn, level: int) -> None:
        del self._levels[level][turn]
        if not self._levels[level]:
            del self._levels[level]
