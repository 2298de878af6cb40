"""How fast calls may leave, and whether at all: pure, told the time.

Until the relay first says "too much" nothing limits the rate; only the number of calls under way grows from a small
window, so that little is refused when it does. Then calls leave evenly, at a rate that is cut below where it was too
much, comes back to just below that in RECOVERY_S, stays around it for as long, and only then looks further up (the
curve of TCP's CUBIC, made free of scale). While the host fails, one call at a time tries it, and when it is back, those
who waited leave as fast as calls usually did, not all at once.
"""

from __future__ import annotations

import math

CUT = 0.85
RECOVERY_S = 20.0
FIRST_WINDOW = 32
# For creates and for queries each: with the downloads this stays below the 1,024 files that a process may usually open.
LAST_WINDOW = 250
# A first "too much" may come by bad luck: the relay is believed to bear this many calls in a pause, until it says more.
LEAST_CALLS_IN_A_PAUSE = 10
# So many answers between two refusals make the second one a rare thing.
RARE = 40
# How many seconds of answers make up the usual rate, and the least that it is taken for after an outage.
MEMORY_S = 30.0
LEAST_USUAL = 20.0
# How much of a pause that the loop slept too long may be made up for by calls at once.
CATCH_UP_S = 0.05

# A crowd fails this often in a moment; a single wait, which its pacing already spares the host, in minutes.
LEAST_OUTCOMES = 20
OUTCOMES = 40
FAILING_SHARE = 0.5


class Rate:
    """How fast and how many at once.

    Args:
        pause_s: seconds without calls after a "too much" that names no time; 0 leaves the rate alone.

    Attributes:
        next_at: when the next call may leave.
        window: how many calls of a kind may be under way.
    """

    def __init__(self, pause_s: float) -> None:
        self.next_at = -math.inf
        self.window = FIRST_WINDOW
        self._pause_s = pause_s
        self._peak: float | None = None
        self._cut_at = -math.inf
        self._since_cut = 0
        self._recovery_from = 0.0
        # Whether the peak is no limit of the relay's, but the rate at which calls come back after an outage.
        self._is_resuming = False
        # Answers in this second and in the one before, for the first estimate of what the relay bears; and the mean of
        # all seconds, in which old ones fade, with the weight that they have together.
        self._second, self._answers, self._answers_before = 0.0, 0, 0
        self._mean, self._weight = 0.0, 0.0

    def per_second(self, now: float) -> float:
        """Calls per second that may leave, infinite as long as it was never too much."""
        if self._peak is None:
            return math.inf
        position = max(-1.0, (now - self._recovery_from) / RECOVERY_S - 1)
        # Bounded, as time passes also while nobody calls, and that proves nothing.
        return self._peak * min(2.0, 1 + (1 - CUT) * position**3)

    def left(self, now: float) -> None:
        """A call leaves."""
        if self._peak is not None:
            self.next_at = max(self.next_at, now - CATCH_UP_S) + 1 / self.per_second(now)

    def answered(self, now: float) -> None:
        """A call was answered, and it was not too much."""
        if now - self._second >= 1:
            self._fold(now)
        self._answers += 1
        self._since_cut += 1
        if self._peak is None:
            if self.window < LAST_WINDOW:
                self.window += 1
        elif self.per_second(now) >= 2 * self._peak:
            self._peak *= 2
            self._recovery_from = now - RECOVERY_S

    def _fold(self, now: float) -> None:
        """Begin a new second; the ones that passed go into the mean."""
        passed_s = now - self._second
        fading = 0.5 ** (passed_s / MEMORY_S)
        self._mean = self._mean * fading + self._answers / passed_s * (1 - fading)
        self._weight = self._weight * fading + 1 - fading
        self._answers_before = self._answers if passed_s < 2 else 0
        self._second, self._answers = now, 0

    def resume(self, now: float) -> None:
        """The host is back after an outage: until nobody waits any more, calls leave about as fast as they usually did.

        A crowd that left all at once would also come back all at once, poll after poll.
        """
        if self._peak is None:
            self._is_resuming = True
            self._peak = max(LEAST_USUAL, self._mean / self._weight if self._weight else 0.0)
            # The flat part of the curve, which then looks further up.
            self._recovery_from = now - RECOVERY_S

    def nobody_waits(self) -> None:
        """All who waited have left."""
        if self._is_resuming:
            self._is_resuming, self._peak = False, None

    def too_much(self, left_at: float, now: float, retry_after: float | None) -> None:
        """A call that left at `left_at` was refused as one too many. Calls that left before a cut cut no further."""
        pause_s = self._pause_s if retry_after is None else retry_after
        self._is_resuming = False
        if left_at >= self._cut_at:
            if self._pause_s:
                self._cut(now)
            self._since_cut = 0
            self._cut_at, self._recovery_from = now, now + pause_s
        self.next_at = max(self.next_at, self._cut_at + pause_s)

    def _cut(self, now: float) -> None:
        if self._peak is None:
            seen = max(self._answers, self._answers_before)
            self._peak = max(seen, LEAST_CALLS_IN_A_PAUSE / self._pause_s)
            return
        rate = self.per_second(now)
        if rate >= self._peak:
            self._peak = rate
        elif self._since_cut < RARE:
            # Too much below the old peak: others take their share, so the new one is sought lower still. One refusal
            # among many answers says nothing of the rate: some relays refuse at random.
            self._peak = rate * (1 + CUT) / 2


class Breaker:
    """Whether the host fails: then one call after a growing time tries it, instead of all of them.

    Args:
        first_s: seconds until the first try.
        limit_s: the longest time between two tries; each is twice the one before.

    Attributes:
        next_at: when the next call may leave.
    """

    def __init__(self, first_s: float, limit_s: float) -> None:
        self.next_at = -math.inf
        self._first_s = first_s
        self._limit_s = limit_s
        self._hold_s: float | None = None
        # Since a first failure; health before it is not counted, for it is the usual case and must cost nothing.
        self._failures, self._outcomes = 0, 0

    def left(self, now: float) -> None:
        """A call leaves: while the host fails it is a try, and the next one is held for a limited time."""
        if self._hold_s is not None:
            self.next_at = now + self._hold_s

    def ended(self, now: float, *, failed: bool) -> bool:
        """A call ended; answers whether this was the end of an outage."""
        if not failed:
            return self._succeeded()
        self._failures += 1
        self._outcomes += 1
        if self._hold_s is not None:
            self._hold_s = min(self._limit_s, self._hold_s * 2)
        elif self._outcomes >= LEAST_OUTCOMES and self._failures >= FAILING_SHARE * self._outcomes:
            self._hold_s = min(self._limit_s, self._first_s)
        else:
            return False
        self.next_at = now + self._hold_s
        return False

    def _succeeded(self) -> bool:
        if not self._failures:
            return False
        was_down = self._hold_s is not None
        self._outcomes += 1
        if was_down or self._outcomes >= OUTCOMES:
            self._failures = self._outcomes = 0
            self._hold_s, self.next_at = None, -math.inf
        return was_down
