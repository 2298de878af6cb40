"""Where the files of a batch are kept: a folder of this machine, or a store that fsspec knows by a URL."""

from sora_async.batch.storage.choice import find_folder, make_storage
from sora_async.batch.storage.kind import Bring, Place, Storage

__all__ = ["Bring", "Place", "Storage", "find_folder", "make_storage"]
