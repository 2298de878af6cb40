"""The house plan: a file imports only from the floors above it, and each third-party package has its place."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "sora_async"

FLOORS = [
    "errors",
    "models",
    "images",
    "events",
    "wire",
    "pacing",
    "retry",
    "turn_queue",
    "rate",
    "throttle",
    "apikey",
    "connector",
    "timeouts",
    "session",
    "submission",
    "querier",
    "poller",
    "waiter",
    "addresses",
    "mp4",
    "naming",
    "download",
    "delivery",
    "batch",
    "client",
    "sandbox",
    "cli",
    "pytest_plugin",
]
NOTHING_OF_OURS = {"errors", "models", "sandbox", "addresses", "mp4", "naming"}
HOMES = {
    "cattrs": {"wire"},
    "backoff": {"retry"},
    "aiohttp": {"connector", "session", "download", "sandbox", "client"},
    "yarl": {"session", "download", "sandbox"},
    "typer": {"cli"},
    "rich": {"cli"},
    "av": {"sandbox"},
    "PIL": {"sandbox"},
    "jinja2": {"batch"},
    "asyncpg": {"batch"},
    "distributed": {"batch"},
    "fsspec": {"batch", "download"},
    "pytest": {"pytest_plugin"},
}


def floor_of(file: Path) -> str:
    """The floor a file stands on: its module, or its folder inside the package."""
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(file: Path) -> Iterator[tuple[str, bool]]:
    """Each imported module, and whether only the type checker sees it."""
    tree = ast.parse(file.read_text())
    checked = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in checked) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            if node.module == "sora_async":
                yield from ((f"sora_async.{alias.name}", id(node) in checked) for alias in node.names)
            else:
                yield node.module or "", id(node) in checked


FILES = [file for file in sorted(PACKAGE.rglob("*.py")) if file != PACKAGE / "__init__.py"]


def test_every_file_has_a_floor() -> None:
    """A new module takes its place in the plan before it is used."""
    assert {floor_of(file) for file in FILES} <= set(FLOORS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_file_imports_only_from_above(file: Path) -> None:
    """Imports lead upwards in the plan, or stay on the same floor."""
    floor = floor_of(file)
    for module, only_types in imports_of(file):
        if not module.startswith("sora_async."):
            continue
        above = module.split(".")[1]
        if floor in {"cli", "pytest_plugin"}:
            continue  # those use the public names; the next test holds them to it
        if above == floor:
            continue
        if only_types and floor == "errors":
            continue  # errors carry values, by annotation only
        assert FLOORS.index(above) < FLOORS.index(floor), f"{file} imports {module} from below"
        assert floor not in NOTHING_OF_OURS, f"{file} imports {module}"
        assert above != "sandbox", f"{file} imports the independent judge"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_file_imports_third_party_packages_only_at_home(file: Path) -> None:
    """Each third-party package is imported by the floors that it belongs to only."""
    for module, only_types in imports_of(file):
        homes = HOMES.get(module.split(".")[0])
        assert homes is None or only_types or floor_of(file) in homes, f"{file} imports {module}"
        if module.startswith("aiohttp.web") or module == "aiohttp.web":
            assert floor_of(file) == "sandbox", f"{file} imports {module}"


@pytest.mark.parametrize("floor", ["cli", "pytest_plugin"])
def test_edges_use_only_public_names(floor: str) -> None:
    """The command and the fixtures are users like any other: public names, and those of batches and the sandbox."""
    import sora_async
    from sora_async import batch, sandbox

    public = {f"sora_async.{name}" for name in sora_async.__all__}
    for file in FILES:
        if floor_of(file) != floor:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sora_async"):
                names = {alias.name for alias in node.names}
                if node.module == "sora_async":
                    assert {f"sora_async.{name}" for name in names} <= public | {"sora_async.sandbox"}, file
                elif node.module == "sora_async.sandbox":
                    assert names <= set(sandbox.__all__), file
                elif node.module == "sora_async.batch":
                    assert names <= set(batch.__all__), file
                else:
                    assert node.module.startswith(f"sora_async.{floor}"), f"{file} imports {node.module}"


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after one statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


EXTRAS = {"typer", "rich", "av", "PIL", "jinja2", "asyncpg", "distributed", "fsspec", "pytest", "hypothesis"}


def test_importing_the_package_loads_neither_aiohttp_nor_extras() -> None:
    """`import sora_async` is cheap; aiohttp comes with the client."""
    loaded = loaded_by("import sora_async")
    assert not loaded & {"aiohttp", "backoff", "cattrs", *EXTRAS}


def test_values_and_errors_come_without_aiohttp() -> None:
    """Names that need no network bring no network library."""
    assert "aiohttp" not in loaded_by("from sora_async import VideoRequest, SoraError, Fixed, Retry")


def test_client_loads_neither_the_server_side_nor_extras() -> None:
    """A client brings aiohttp, but no server, no sandbox, no command, no extra."""
    loaded = loaded_by("from sora_async import Client")
    assert "aiohttp" in loaded
    assert not loaded & {"aiohttp.web", "sora_async.sandbox", "sora_async.cli", *EXTRAS}
