"""How long tasks take before any was seen, by model family."""

from __future__ import annotations

import math

from sora_async.pacing.curve import BINS, STEP

_STRANGE = 0.1
"""Share that is spread over all longer durations: queues, and relays that are not like the others."""


def prior_masses(model: str, duration: int | None) -> list[float]:
    """The probability of an end in each bin: log-normal, with room for surprises."""
    median_s, spread = _family(model.lower(), duration)
    heights = [math.exp(-0.5 * ((STEP * (place + 0.5) - math.log(median_s)) / spread) ** 2) for place in range(BINS)]
    first = int(math.log(median_s / 3) / STEP)
    odd, fair = _STRANGE / (BINS - first), (1 - _STRANGE) / sum(heights)
    return [fair * height + (odd if place >= first else 0.0) for place, height in enumerate(heights)]


def _family(model: str, duration: int | None) -> tuple[float, float]:
    """The median in seconds, and the spread of its logarithm."""
    if "sora" in model:
        # Clips of 10 s were seen to take 153 s, those of 15 s 225 s.
        return 9 + 14.4 * min(duration or 10, 60), 0.5
    if "veo" in model:
        return 247.0, 0.5  # with an upscale
    if "grok" in model:
        return 240.0, 0.5  # 2 to 8 minutes
    return 200.0, 0.8
