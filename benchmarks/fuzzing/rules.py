"""What must hold for every text, value and error that comes out of a reader."""

from __future__ import annotations

import copy
import pickle
import unicodedata
from typing import Any

from sora_async.errors import SoraError

_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LAYOUT = frozenset("\n\r\t")
LONGEST_TEXT = 2000
"""The longest text of an error, in characters."""


class BrokenRuleError(Exception):
    """An input for which something does not hold."""


def hold(fact: object, rule: str) -> None:
    """Raise if the fact is not one."""
    if not fact:
        raise BrokenRuleError(rule)


def check_text(text: str, *, longest: int | None = None, lines: bool = False) -> None:
    """A text that is shown: it can be written as UTF-8, drives no terminal, and is not endless."""
    hold(longest is None or len(text) <= longest, f"a text of {len(text)} characters, {text[:60]!r}...")
    if text.isprintable():
        return
    for character in text:
        kind = unicodedata.category(character)
        is_plain = kind not in {"Cc", "Cs"} and character not in _OVERRIDES
        hold(is_plain or (lines and character in _LAYOUT), f"{character!r} in the text {text[:80]!r}")


def check_error(error: SoraError) -> None:
    """An error that the user sees: a clean text, a known bill, and the same after pickle."""
    check_text(str(error), longest=LONGEST_TEXT)
    hold(str(error), "an error without a text")
    hold(error.billed in {"yes", "no", "unknown"}, f"billed is {error.billed!r}")
    twin = pickle.loads(pickle.dumps(error))
    hold(type(twin) is type(error) and str(twin) == str(error), f"{error!r} does not survive pickle")


def check_value(value: Any) -> None:
    """A frozen value: equal to its copies, also by way of pickle, and hashable."""
    twin = pickle.loads(pickle.dumps(value))
    hold(twin == value and hash(twin) == hash(value), f"{value!r:.200} does not survive pickle")
    hold(copy.copy(value) == value, f"{value!r:.200} is not equal to its copy")
