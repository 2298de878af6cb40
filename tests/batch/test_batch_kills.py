"""Batches that are killed with SIGKILL, over three hundred times: bought once, never lost, every doubt told.

The rules themselves are in benchmarks.batch_trial, which holds the relay's count, the ledger, the folder and the
outcomes against each other after each run.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator

import pytest

from benchmarks.batch_child import POINTS
from benchmarks.batch_trial import PROMPTS, Tally, Zygote
from benchmarks.kills import kill_at_answer, kill_at_boundary, kill_at_random

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other processes")
TIMES = {"enter": 2 * PROMPTS, "record": 3 * PROMPTS, "commit": 5, "create": PROMPTS, "download": PROMPTS}
"""How often a batch at least comes to each point; commits are shared by what waits together."""


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with pytest.MonkeyPatch.context() as patch:
        # A process that is killed tells no coverage: to measure it would only slow it down.
        patch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        with Zygote() as zygote:
            yield zygote


@pytest.mark.parametrize("point", POINTS)
async def test_batch_killed_at_every_boundary_buys_once_and_loses_nothing(zygote: Zygote, point: str) -> None:
    """Before and after each step; it is killed again when it goes on, and ends with an outcome for each input."""
    tally = Tally()
    boundaries = await kill_at_boundary(zygote, tally, point, random.Random(point))
    assert boundaries >= TIMES[point.split()[1]]
    assert tally.kills >= boundaries


async def test_batch_killed_before_the_answer_came_tells_the_doubt(zygote: Zygote) -> None:
    """The relay has accepted it, and nobody here has heard so: it is not sent again."""
    tally = Tally()
    await kill_at_answer(zygote, tally)
    assert tally.kills == PROMPTS
    assert tally.doubtful_accepted >= PROMPTS


async def test_batch_killed_at_random_buys_once_and_loses_nothing(zygote: Zygote) -> None:
    """At any moment, also while it starts or fetches, and again and again."""
    tally = Tally()
    await kill_at_random(zygote, tally, 250, random.Random(4))
    assert tally.kills == 250
    assert tally.doubtful_accepted > 0
