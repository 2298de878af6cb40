"""Where a ledger is: in a file, or in a database."""

from __future__ import annotations

import asyncio
import os
import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import attrs

from sora_async.batch import SqliteLedger

if TYPE_CHECKING:
    from sora_async.batch import PostgresLedger

    AnyLedger: TypeAlias = SqliteLedger | PostgresLedger

LEDGER_NAME = "batch.ledger"
"""What the ledger of a folder is called."""

_DSN = re.compile(r"postgres(?:ql)?://")
_USUAL = "default"


def postgres_ledger() -> type[PostgresLedger]:
    """Answer the class of ledgers in databases."""
    try:
        from sora_async.batch import PostgresLedger  # noqa: PLC0415 it needs an extra
    except ModuleNotFoundError:
        raise ImportError("a ledger in a database needs asyncpg: pip install 'sora_async[postgres]'") from None
    return PostgresLedger


def _find_file(text: str) -> str:
    """In place of a batch's folder the ledger in it, which is what was meant."""
    return str(Path(text, LEDGER_NAME)) if Path(text).is_dir() else text


def _check_place(_: object, __: object, text: str) -> None:
    place, _, name = text.partition("#")
    if not _DSN.match(place):
        return
    try:
        pickle.dumps(postgres_ledger()(place, name=name or _USUAL))
    except TypeError:  # it holds what must not be written down
        raise ValueError(
            "--ledger holds a password, which other users of this machine can see: put it all into an environment "
            "variable, and give the name of that"
        ) from None


@attrs.frozen
class Place:
    """A ledger by the words of a command line.

    Raises:
        ValueError: it names a database as it must not be.
    """

    text: str = attrs.field(converter=_find_file, validator=_check_place)
    """A file, or a batch's folder; or `postgresql://...`, or an environment variable that holds one, and `#name` behind
    it for another ledger of the database than the usual one."""

    def __str__(self) -> str:
        return self.text

    @property
    def dsn(self) -> str | None:
        """The address of the database, or the variable that holds it; None if it is a file."""
        place = self.text.partition("#")[0]
        return place if _DSN.match(place) or _DSN.match(os.environ.get(place, "")) else None

    @property
    def name(self) -> str:
        """Which ledger of the database."""
        return self.text.partition("#")[2] or _USUAL

    @property
    def pictures(self) -> Path:
        """The folder from which the ledger names local pictures."""
        return Path.cwd() if self.dsn else Path(self.text).absolute().parent

    async def exists(self) -> bool:
        """Whether it is there, and not yet to be made by its first run.

        Raises:
            LedgerError: a database does not tell.
        """
        if self.dsn is None:
            return await asyncio.to_thread(Path(self.text).exists)
        return await postgres_ledger()(self.dsn, name=self.name).exists()

    def ledger(self) -> AnyLedger:
        """Make the ledger, not open."""
        return SqliteLedger(self.text) if self.dsn is None else postgres_ledger()(self.dsn, name=self.name)
