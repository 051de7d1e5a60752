"""Imports go in one direction, so that a reader can start anywhere and never goes in circles.

A room is a folder of the package, or a top-level module. Every module is in a room, and each room lists the rooms that
it may import from ("know").
"""

import ast
import re
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import quart_odds

PACKAGE = Path(quart_odds.__file__).parent
SPLIT = ("routes", "sandbox")
"""Folders whose subfolders are rooms as well."""

BASE = {"domain", "errors"}
SCRAPED = {*BASE, "odds", "scraping", "broadcast"}

MAY_KNOW: dict[str, set[str]] = {
    "domain": set(),
    "errors": {"domain"},
    "tracing": {"errors"},
    "garbage": set(),
    "addresses": {"domain"},
    "settings": {*BASE, "addresses"},
    "setting_values": {"domain", "addresses", "settings"},
    "logs": {"domain", "settings"},
    "bookmakers": {*BASE, "settings", "tracing", "garbage"},
    "odds": {*BASE, "bookmakers"},
    "alerts": {*BASE, "odds"},
    "access": BASE,
    "storage": {*BASE, "odds", "alerts", "access", "tracing"},
    "export": {*BASE, "odds"},
    "broadcast": {*BASE},
    "scraping": {*BASE, "settings", "bookmakers", "odds", "broadcast", "tracing"},
    "websocket": {"domain", "odds", "broadcast", "scraping"},
    "cluster": {*SCRAPED, "settings", "websocket"},
    "services": set(),
    "readiness": {"errors", "services"},
    "routes": set(),
    "routes.access": {*BASE, "settings", "services", "cluster", "access"},
    "routes.api": {*SCRAPED, "alerts", "export", "services", "routes.access"},
    "routes.live": {*SCRAPED, "access", "websocket", "services", "routes.access", "routes.api"},
    "routes.operations": {*SCRAPED, "websocket", "services", "readiness", "routes.access", "routes.api", "routes.live"},
    "routes.pages": {
        *SCRAPED,
        "access",
        "alerts",
        "settings",
        "setting_values",
        "services",
        "routes.access",
        "routes.api",
        "routes.operations",
    },
    "server": {*BASE, "garbage", "settings", "broadcast", "services", "readiness", "routes.access"},
    "assembly": {
        *SCRAPED,
        "settings",
        "bookmakers",
        "alerts",
        "access",
        "cluster",
        "websocket",
        "services",
        "tracing",
        "routes.api",
        "routes.pages",
    },
    "app": {
        *SCRAPED,
        "settings",
        "logs",
        "bookmakers",
        "access",
        "storage",
        "cluster",
        "websocket",
        "assembly",
        "services",
        "tracing",
        "server",
        "routes.access",
        "routes.api",
        "routes.live",
        "routes.operations",
        "routes.pages",
    },
    "embedding": {"errors", "addresses", "settings", "logs", "broadcast", "services", "routes.access", "app"},
    "sandbox.world": {"domain"},
    "sandbox.sites": {"domain", "sandbox.world"},
    "sandbox.replay": {"domain", "sandbox.world", "sandbox.sites"},
    "sandbox.faults": {"domain", "sandbox.world"},
    "sandbox": {"domain", "sandbox.world", "sandbox.sites", "sandbox.replay", "sandbox.faults"},
    "doctor": {*BASE, "settings", "bookmakers", "storage", "cluster", "server"},
    "mcp": {
        *SCRAPED,
        "settings",
        "storage",
        "websocket",
        "cluster",
        "services",
        "routes.access",
        "routes.api",
        "server",
    },
    "cli": {
        *SCRAPED,
        "addresses",
        "settings",
        "setting_values",
        "logs",
        "bookmakers",
        "alerts",
        "access",
        "storage",
        "export",
        "services",
        "routes.api",
        "routes.operations",
        "app",
        "server",
        "sandbox",
        "doctor",
        "mcp",
    },
    "__main__": {"garbage", "domain", "cli"},
    "__init__": {"app", "settings", "embedding"},
}
"""The rooms that each room may know, besides itself and the version.

Imports of `services` that are only for types do not count: it names every part of an app.
"""


def modules() -> dict[str, Path]:
    """Return each module of the package by its dotted name without the package's. Migrations are excluded."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if "migrations" not in path.parts:
            parts = path.relative_to(PACKAGE).with_suffix("").parts
            found[".".join(parts)] = path
    return found


MODULES = modules()


def room_of(module: str) -> str:
    """Return the room of a module: `routes.api.schemas.odds` is in `routes.api`."""
    parts = module.split(".")
    if parts[0] in SPLIT and len(parts) > 2:
        return ".".join(parts[:2])
    return parts[0]


def imported(module: str, *, with_types: bool = True) -> Iterator[str]:
    """Yield the modules of the package that a module imports, at any level of the code."""
    tree = ast.parse(MODULES[module].read_text())
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only and not with_types:
            continue
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.startswith("quart_odds.") and name != "quart_odds.__version__":
                yield resolved(name.removeprefix("quart_odds."))


def resolved(name: str) -> str:
    """Return the module that a dotted name belongs to: a module, a package, or something defined in one of them."""
    for known in (name, f"{name}.__init__", name.rpartition(".")[0], f"{name.rpartition('.')[0]}.__init__"):
        if known in MODULES:
            return known
    return "__init__"


def test_every_module_has_a_room_and_every_room_a_module() -> None:
    """A new folder or top-level module has to be listed with what it may import."""
    assert {room_of(module) for module in MODULES} == MAY_KNOW.keys()


@pytest.mark.parametrize("room", MAY_KNOW)
def test_each_room_knows_only_what_it_may(room: str) -> None:
    """No module of a room imports from a room that its own may not know."""
    for module in MODULES:
        if room_of(module) == room:
            rooms = {room_of(each) for each in imported(module, with_types=room != "services")}
            extra = rooms - MAY_KNOW[room] - {room}
            assert not extra, f"{module} imports from {', '.join(sorted(extra))}"


def test_rooms_are_in_order() -> None:
    """A room may know only rooms listed before it, so no two rooms know each other, directly or indirectly."""
    before: set[str] = set()
    for room, known in MAY_KNOW.items():
        assert known <= before, f"{room} may know {', '.join(sorted(known - before))}, which come later"
        before.add(room)


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports for types count, too."""
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " → ".join((*way[way.index(module) :], module))
        if module in done:
            return
        for each in sorted(set(imported(module, with_types=module != "services"))):
            if each != module:
                visit(each, (*way, module))
        done.add(module)

    for module in MODULES:
        visit(module, ())


def test_the_domain_uses_the_standard_library_alone() -> None:
    """The domain imports no third-party package."""
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


DOCUMENT = PACKAGE.parent / "docs" / "architecture.md"


def test_names_in_the_architecture_document_exist() -> None:
    """Each `path.py::name` is a class, function or method of that module, and each `path.py` a module."""
    text = DOCUMENT.read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_/]+\.py)::([\w.]+)`", text)
    assert len(named) > 30
    for path, name in named:
        nodes: list[ast.stmt] = ast.parse((PACKAGE / path).read_text()).body
        for part in name.split("."):
            found = [
                node
                for node in nodes
                if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == part
            ]
            assert found, f"{path} has no {name}"
            nodes = found[0].body
    for path in re.findall(r"`((?:\w+/)+\w+\.py)`", text):
        assert (PACKAGE / path).is_file() or (PACKAGE.parent / path).is_file(), path


def test_every_room_is_in_the_architecture_document() -> None:
    """The table of rooms has a row for each of them."""
    rows = [line.split("|")[1] for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    for room in MAY_KNOW.keys() - {"__init__", "__main__", "routes"}:
        name = room.replace(".", "/")
        assert any(f"{name}/" in row or f"{name}.py" in row or name.rpartition("/")[0] + "/" in row for row in rows), (
            room
        )


def test_tests_have_the_same_rooms() -> None:
    """The tests of a module are found from its path."""
    tests = PACKAGE.parent / "tests"
    for room in MAY_KNOW.keys() - {"__init__", "__main__", "routes"}:
        path = tests.joinpath(*room.split("."))
        is_folder = PACKAGE.joinpath(*room.split(".")).is_dir()
        assert not is_folder or any(path.rglob("test_*.py")), f"no tests in {path}"


def test_modules_are_short() -> None:
    """None has more than 400 lines, and half of them at most 150."""
    lengths = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert max(lengths.values()) <= 400, max(lengths, key=lengths.__getitem__)
    assert statistics.median(lengths.values()) <= 150


NAMED = {
    f"quart_odds/bookmakers/{slug}.{ending}"
    for slug in ("betpawa", "sportybet", "bet9ja", "msport", "betking")
    for ending in ("py", "toml")
} | {"quart_odds/bookmakers/biz_envelope.py"}
"""The modules of the bookmakers, what two of them share, and their columns of the catalogue."""

WIRE = {
    "quart_odds/cli/export.py",
    "quart_odds/mcp/tools.py",
    "quart_odds/odds/views.py",
    "quart_odds/routes/api/coverage.py",
    "quart_odds/routes/api/query.py",
    "quart_odds/routes/api/schemas/coverage.py",
    "quart_odds/routes/api/schemas/live.py",
    "quart_odds/routes/api/schemas/odds.py",
    "static/copy.d.ts",
    "static/copy.js",
    "static/event.js",
    "static/messages.d.ts",
}
"""Where the wire's own words are: `betpawa_market_id`, `availability=betpawa`, and the coverage against BetPawa."""


def test_bookmakers_are_named_in_their_modules_alone() -> None:
    """Everything else derives from the registry. The sandbox stands in for them, and migrations are history."""
    found: set[str] = set()
    for names in (r"betpawa\|sportybet\|bet9ja", r"msport\|betking"):
        command = ["git", "grep", "-il", names, "quart_odds", "templates", "static"]
        told = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, check=True).stdout
        found |= set(told.split())
    others = {path for path in found if not path.startswith(("quart_odds/sandbox/", "quart_odds/storage/migrations/"))}
    assert others == NAMED | WIRE
