"""Imports run one way, so that a reader can start anywhere and never go round in a circle."""

import ast
from pathlib import Path

import pytest

import quart_odds

PACKAGE = Path(quart_odds.__file__).parent

MAY_IMPORT = {
    "domain": set(),
    "errors": {"domain"},
    "settings": {"domain", "errors"},
    "limits": {"domain"},
    "bookmakers": {"domain", "errors", "settings"},
    "odds": {"domain", "errors"},
    "storage": {"domain", "errors", "odds"},
    "broadcast": {"errors"},
    "sandbox": {"domain", "errors", "settings"},
    "scraping": {"domain", "errors", "settings", "bookmakers", "odds", "broadcast"},
    "websocket": {"domain", "broadcast", "scraping"},
}
"""What each room may know, besides itself. Those not named here (app, cli, routes, server, services) may know all."""


def imported_rooms(path: Path) -> set[str]:
    """The rooms of the package that a module imports, wherever in it the import stands."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("quart_odds.")}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_each_room_knows_only_what_it_may(room: str) -> None:
    """No module of a room imports from a room above it."""
    paths = sorted((PACKAGE / room).rglob("*.py")) or [PACKAGE / f"{room}.py"]
    for path in paths:
        extra = imported_rooms(path) - MAY_IMPORT[room] - {room, "__version__"}
        assert not extra, f"{path.relative_to(PACKAGE)} imports {', '.join(sorted(extra))}"


def test_the_domain_uses_the_standard_library_alone() -> None:
    """The domain imports no package that has to be installed."""
    third_party = {"aiohttp", "orjson", "pydantic", "quart", "sqlalchemy", "structlog"}
    for path in sorted((PACKAGE / "domain").rglob("*.py")):
        tree = ast.parse(path.read_text())
        imported = {
            name.split(".")[0]
            for node in ast.walk(tree)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert not imported & third_party, path.name
