"""Brings one file from a URL into a store, to be killed amid it."""

import asyncio
import sys

from sora_async.batch.storage import make_storage
from sora_async.download import Downloader


async def main(url: str, directory: str) -> None:
    storage = make_storage(directory, threads=1)
    await storage.open()
    await storage.receive("boat.mp4", lambda target: Downloader(local=True).fetch(url, target))


asyncio.run(main(*sys.argv[1:]))
