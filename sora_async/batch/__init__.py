"""Many videos at once, with an exact account of what was bought.

The names here are what `Client.generate_many` takes and gives, what a ledger of your own fulfils, and what brings a
manifest in and a page out.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sora_async.batch.item import BatchItem
from sora_async.batch.ledger import Change, Entry, Ledger, Stage, TakenOverError
from sora_async.batch.outcome import Outcome
from sora_async.batch.policy import BatchPolicy

if TYPE_CHECKING:
    from sora_async.batch.fleet import generate_many_on
    from sora_async.batch.gallery import write_gallery
    from sora_async.batch.manifest import Manifest, Problem
    from sora_async.batch.memory import Forgetful
    from sora_async.batch.postgres import PostgresLedger
    from sora_async.batch.sqlite import SqliteLedger
    from sora_async.batch.storage import find_folder

__all__ = [
    "BatchItem",
    "BatchPolicy",
    "Change",
    "Entry",
    "Forgetful",
    "Ledger",
    "Manifest",
    "Outcome",
    "PostgresLedger",
    "Problem",
    "SqliteLedger",
    "Stage",
    "TakenOverError",
    "find_folder",
    "generate_many_on",
    "write_gallery",
]

# Not every batch needs a database, a manifest or a page.
_MODULES = {
    "Forgetful": "memory",
    "Manifest": "manifest",
    "PostgresLedger": "postgres",
    "Problem": "manifest",
    "SqliteLedger": "sqlite",
    "find_folder": "storage",
    "generate_many_on": "fleet",
    "write_gallery": "gallery",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
