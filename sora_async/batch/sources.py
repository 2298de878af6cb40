"""The inputs of a batch: iterables of any kind and length, read one at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable

from sora_async.batch.item import BatchItem
from sora_async.models import VideoRequest

Requests = Iterable[VideoRequest | str | BatchItem] | AsyncIterable[VideoRequest | str | BatchItem]


async def read_items(requests: Requests) -> AsyncGenerator[BatchItem, None]:
    """Yield the inputs as items; nothing is read ahead.

    Raises:
        ValueError: an input is neither a request, nor a prompt, nor an item.
    """
    if isinstance(requests, str | VideoRequest | BatchItem):
        raise ValueError("give the inputs of a batch as a list or another iterable, not one alone")  # noqa: TRY004 one class for bad values
    if isinstance(requests, AsyncIterable):
        iterator = aiter(requests)
        try:
            async for request in iterator:
                yield _to_item(request)
        finally:
            if isinstance(iterator, AsyncGenerator):
                await iterator.aclose()
    else:
        for request in requests:
            yield _to_item(request)


def _to_item(request: VideoRequest | str | BatchItem) -> BatchItem:
    return request if isinstance(request, BatchItem) else BatchItem(request)
