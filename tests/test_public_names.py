"""The public surface: what is promised is there, and nothing else shows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import sora_async


def test_all_is_sorted_and_complete() -> None:
    """`__all__` and the visible names are the same."""
    assert sora_async.__all__ == sorted(sora_async.__all__)
    assert dir(sora_async) == sora_async.__all__


@pytest.mark.parametrize("name", sora_async.__all__)
def test_public_name_resolves(name: str) -> None:
    """Each name brings its module."""
    assert getattr(sora_async, name) is not None


def test_type_checker_sees_the_same_names() -> None:
    """The names imported for type checkers are those of `__all__`."""
    assert sora_async.__file__ is not None
    tree = ast.parse(Path(sora_async.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen | {"__version__"} == set(sora_async.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match="has no attribute 'Klient'"):
        sora_async.Klient  # noqa: B018


def test_version_is_the_installed_one() -> None:
    """It comes from the package's metadata."""
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", sora_async.__version__)
