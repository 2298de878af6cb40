"""A token bucket on a clock that is handed in."""

from collections.abc import Callable


class Bucket:
    """Lets a number of calls per second through, with a burst of one second but at least one call."""

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._size = max(1.0, rate)
        self._clock = clock
        self._tokens = self._size
        self._filled_at = clock()

    def take(self) -> bool:
        """Take one call's token, or say that there is none."""
        now = self._clock()
        self._tokens = min(self._size, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
