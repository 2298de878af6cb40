"""How far the inputs of a fleet are: its workers tell each second, by the events of Dask, counts and nothing else."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from sora_async.batch.ledger import Stage

logger = logging.getLogger("sora_async")

TELL_S = 1.0
"""How often each worker tells."""
SILENT_S = 5.0
"""What a worker told so long ago counts no more: it may be gone."""

OnStages = Callable[[Mapping[Stage, int]], None]


def topic_of(batch: str) -> str:
    """The topic of a batch's events."""
    return f"sora_async-{batch}"


def tell(worker: Any, batch: str, stages: Mapping[Stage, int]) -> None:
    """Tell from a worker how many of its inputs under way are in which stage."""
    counts = {stage.value: count for stage, count in stages.items()}
    worker.log_event(topic_of(batch), {"worker": worker.address, "stages": counts})


class Stages:
    """Adds up what the workers tell.

    Args:
        on_stages: called with how many inputs are under way in each stage, on all workers together.
        clock: gives seconds that never go back.
    """

    def __init__(self, on_stages: OnStages, clock: Callable[[], float] = time.monotonic) -> None:
        self._on_stages = on_stages
        self._clock = clock
        self._told: dict[str, tuple[float, Counter[Stage]]] = {}

    def heard(self, event: tuple[float, Any]) -> None:
        """A worker has told; what the callback raises is logged, as it must not end the batch."""
        _, message = event
        now = self._clock()
        counts = Counter({Stage(stage): count for stage, count in message["stages"].items()})
        self._told[message["worker"]] = now, counts
        self._told = {worker: told for worker, told in self._told.items() if now - told[0] < SILENT_S}
        total: Counter[Stage] = Counter()
        for _, of_one in self._told.values():
            total.update(of_one)
        try:
            self._on_stages(total)
        except Exception:
            logger.exception("on_stages failed")
