"""The page of a batch: one file that shows all of its videos, and works without a network."""

from sora_async.batch.gallery.writing import write_gallery

__all__ = ["write_gallery"]
