"""How late an event loop runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

TICK_S = 0.005


@asynccontextmanager
async def watching(stalls: list[float]) -> AsyncIterator[None]:
    """Note how late a timer is that is due every 5 ms, in seconds, in the meantime."""

    async def tick() -> None:
        while True:
            due = time.perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            stalls.append(time.perf_counter() - due)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(2 * TICK_S)
    try:
        yield
    finally:
        await asyncio.sleep(2 * TICK_S)
        ticking.cancel()
