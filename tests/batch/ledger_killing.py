"""Kills writers of a ledger, one after the other, and looks at what each left.

Run: `python ledger_killing.py FOLDER random|before|after KILLS SEED`. A writer is forked; it tells each step that was
acknowledged through a pipe. It is killed at a random moment, or ends just before or after its n-th commit. Prints how
many writers, steps and doubts there were; ends with an error if a ledger is not as it must be.
"""

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path

from sora_async.batch import Change, Entry, SqliteLedger, Stage, sqlite_file
from sora_async.batch.ledger import LEFT_BEHIND
from sora_async.batch.sqlite_book import Book

WAY = [Stage.INTENDED, Stage.SUBMITTED, Stage.READY, Stage.DONE]
WRITERS_AT_ONCE = 8
KILLS_OF_A_LEDGER = 25
COMMITS = 12
STEPS = 60


async def write(path: Path, told: int, name: str) -> None:
    """Write until killed, and tell each step that was acknowledged."""
    ledger = SqliteLedger(path)
    await ledger.open("account")

    async def go_on(worker: int) -> None:
        number = 0
        while True:
            number += 1
            key = f"{name}-{worker}-{number}"
            assert await ledger.enter(key, {"prompt": key}, intend=True)
            os.write(told, f"{key} 0\n".encode())
            for step, stage in enumerate(WAY[1 : 1 + number % 4], 1):
                await ledger.record(Change(key=key, stage=stage, task_id=f"task-{key}"))
                os.write(told, f"{key} {step}\n".encode())

    await asyncio.gather(*map(go_on, range(WRITERS_AT_ONCE)))


def end_at_commit(number: int, when: str) -> None:
    """Let this process end at its n-th commit."""

    class Ending(Book):
        left = number

        def commit(self) -> None:
            Ending.left -= 1
            if when == "before" and not Ending.left:
                os._exit(9)
            super().commit()
            if not Ending.left:
                os._exit(9)

    sqlite_file.Book = Ending


def run_writer(path: Path, when: str, name: str, chance: random.Random) -> dict[str, int]:
    """Fork a writer, let it die, and answer the last step of each key that it told."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        if when != "random":
            end_at_commit(chance.randint(1, COMMITS), when)
        asyncio.run(write(path, writing, name))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        lines = []
        if when == "random":
            # Counted in steps and not in seconds: on a busy machine a writer would be killed before it wrote.
            lines = [pipe.readline() for _ in range(chance.randrange(STEPS))]
            time.sleep(chance.uniform(0, 0.005))
            os.kill(child, signal.SIGKILL)
        lines += pipe.readlines()
    os.waitpid(child, 0)
    return {key.decode(): int(step) for key, step in map(bytes.split, lines)}


def is_begun(path: Path) -> bool:
    return path.stat().st_size > 0


async def all_of(path: Path) -> dict[str, Entry]:
    return {entry.key: entry async for entry in SqliteLedger(path).entries()} if is_begun(path) else {}


async def check(path: Path, told: dict[str, int]) -> int:
    """Look at what was left, open it, look again; answers how many entries became uncertain."""
    before = await all_of(path)
    for key, step in told.items():
        # The next step may have been made durable and not told; doubted is only what was last told to be intended.
        allowed = {*WAY[step : step + 2], *([] if step else [Stage.UNCERTAIN])}
        assert before[key].stage in allowed, (key, step, before[key])
    ledger = SqliteLedger(path)
    await ledger.open("account")
    await ledger.close()
    after = await all_of(path)
    assert before.keys() == after.keys()
    for key, entry in after.items():
        if before[key].stage is Stage.INTENDED:
            assert (entry.stage, entry.reason) == (Stage.UNCERTAIN, LEFT_BEHIND), entry
        else:
            assert entry == before[key]
    return sum(entry.stage is Stage.UNCERTAIN for entry in after.values())


def main(folder: str, when: str, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    steps = doubts = 0
    for first in range(0, kills, KILLS_OF_A_LEDGER):
        path, told = Path(folder, f"{first}.db"), {}
        uncertain = 0
        for number in range(first, min(kills, first + KILLS_OF_A_LEDGER)):
            path.touch(0o600)
            last = run_writer(path, when, f"writer-{number}", chance)
            told |= last
            steps += sum(step + 1 for step in last.values())
            uncertain = asyncio.run(check(path, told))
        doubts += uncertain
    sys.stdout.write(f"{kills} {steps} {doubts}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
