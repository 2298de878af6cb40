"""Where a database is: told to the driver with its password, and to all others without."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from sora_async.errors import LedgerError

Dsn: TypeAlias = str | Callable[[], str | Awaitable[str]]
"""A DSN, the name of an environment variable that holds one, or what answers one when it is asked."""

# No part may hold what ends it: a password that is not encoded would be taken for a host, and be told as one.
_FORM = re.compile(r"postgres(?:ql)?://(?:(?P<login>[^@/?#]*)@)?(?P<place>[^@?#]*)(?:\?(?P<query>[^@#]*))?")
_SECRET = re.compile(r"(?:^|&)(?:ssl)?password=")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNREADABLE = (
    "its DSN is not of the form postgresql://user:password@host:port/database?option=value; "
    "special characters in it must be percent-encoded"
)


class Address:
    """The DSN of a database, shown without its user, password and options.

    Args:
        dsn: as PostgresLedger has it.

    Raises:
        ValueError: it is neither a DSN nor the name of a variable.
    """

    def __init__(self, dsn: Dsn) -> None:
        if isinstance(dsn, str) and not _VARIABLE.fullmatch(dsn) and not _FORM.fullmatch(dsn):
            raise ValueError(_UNREADABLE)
        self._dsn = dsn

    async def resolve(self) -> str:
        """Answer the DSN as it is now.

        Raises:
            LedgerError: the variable is not set, or what was to answer it failed or answered something else.
        """
        dsn = self._dsn
        if callable(dsn):
            try:
                answered = dsn()
                dsn = await answered if inspect.isawaitable(answered) else answered
            except Exception as error:  # noqa: BLE001 its text may hold the secret that it could not use
                raise LedgerError(f"{self}: asking for it failed with {type(error).__name__}") from None
        elif _VARIABLE.fullmatch(dsn):
            dsn = os.environ.get(dsn, "")
            if not dsn:
                raise LedgerError(f"{self}: the variable is not set")
        if not (isinstance(dsn, str) and _FORM.fullmatch(dsn)):
            raise LedgerError(f"{self}: {_UNREADABLE}")
        return dsn

    def __str__(self) -> str:
        if callable(self._dsn):
            return f"the DSN of {getattr(self._dsn, '__qualname__', type(self._dsn).__qualname__)}"
        found = _FORM.fullmatch(self._dsn)
        return f"the DSN of ${self._dsn}" if found is None else f"postgresql://{found['place']}"

    def __repr__(self) -> str:
        return f"<{self}>"

    def __getstate__(self) -> dict[str, Any]:
        found = _FORM.fullmatch(self._dsn) if isinstance(self._dsn, str) else None
        if found is not None and (":" in (found["login"] or "").rstrip(":") or _SECRET.search(found["query"] or "")):
            raise TypeError(
                f"the DSN of {self} holds a password, which must not travel in a pickle: "
                "give the name of an environment variable, or a function that answers the DSN"
            )
        return self.__dict__
