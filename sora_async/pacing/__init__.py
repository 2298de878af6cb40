"""When to poll next: pure generators that know no clock and no loop."""

from sora_async.pacing.adaptive import Adaptive
from sora_async.pacing.steady import Delays, Fixed, Growing, InformedPacing, Pacing

__all__ = ["Adaptive", "Delays", "Fixed", "Growing", "InformedPacing", "Pacing"]
