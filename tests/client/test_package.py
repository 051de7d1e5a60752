"""The client is a package of its own: it needs little, and nothing of the server."""

import ast
import importlib.metadata
import sys
import tomllib
from pathlib import Path

import quart_odds
import quart_odds_client

PACKAGE = Path(quart_odds_client.__file__).parent
PROJECT = Path(__file__).parents[2] / "client" / "pyproject.toml"
MAY_IMPORT = {"quart_odds_client", "aiohttp", "yarl", "pydantic", "pydantic_core"}
"""yarl comes with aiohttp, and pydantic_core with pydantic."""


def imports(path: Path) -> set[str]:
    """Return the packages that a module imports, at any level of the code."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def test_it_imports_what_it_depends_on_and_nothing_else() -> None:
    """pandas only where a frame is made, and for types."""
    for path in sorted(PACKAGE.rglob("*.py")):
        others = imports(path) - MAY_IMPORT - sys.stdlib_module_names
        assert others <= {"pandas"}, path.name
        top = ast.parse(path.read_text(encoding="utf-8")).body
        assert not any(isinstance(node, ast.Import) and "pandas" in [each.name for each in node.names] for node in top)


def test_it_depends_on_two_packages() -> None:
    """So that it can be installed beside anything."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    assert {each.partition(">")[0] for each in project["dependencies"]} == {"aiohttp", "pydantic"}


def test_both_packages_have_one_version() -> None:
    """It is written once."""
    assert quart_odds_client.__version__ == importlib.metadata.version("quart-odds") == quart_odds.__version__


def test_everything_public_is_there() -> None:
    """All names of `__all__`, in order."""
    assert sorted(quart_odds_client.__all__) == quart_odds_client.__all__
    assert all(hasattr(quart_odds_client, name) for name in quart_odds_client.__all__)


def test_modules_are_short() -> None:
    """None has more than 400 lines."""
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert max(lengths.values()) <= 400, lengths
