"""The application as a whole: two apps in one process, the API description, the bundled pages, and the public names."""

import asyncio
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from quart import Quart
from werkzeug.exceptions import MethodNotAllowed, NotFound

import quart_odds
from quart_odds import app as application
from quart_odds.app import create_app
from quart_odds.broadcast import ODDS_UPDATES, BroadcastRegistry, broadcast_registry, current_registry, use_registry
from quart_odds.domain.platforms import Platform
from quart_odds.errors import MissingExtraError, SettingsError
from quart_odds.routes.live import handshake
from quart_odds.routes.pages.assets import asset_folder
from quart_odds.services import EXTENSION, Services, services
from quart_odds.settings import load_settings
from quart_odds.websocket import odds_update_message
from tests.apps import running_app
from tests.scraping.fakes import header
from tests.tokens import LocalClient
from tests.traffic import checked

NOWHERE = "http://127.0.0.1:9"
PROTOCOL = Path(__file__).parents[1] / "docs" / "protocol.md"


@pytest.fixture(scope="module")
def app() -> Quart:
    """An app that is never started."""
    return create_app(load_settings({}))


def test_an_app_is_made_without_opening_anything(tmp_path: Path) -> None:
    """An app opens no database before it is served, and its parts belong to it alone."""
    database = tmp_path / "odds.db"
    one, other = (create_app(load_settings({}, database_url=f"sqlite:///{database}")) for _ in range(2))
    assert not database.exists()
    assert one.extensions[EXTENSION].registry is not other.extensions[EXTENSION].registry


def test_the_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`create_app()` reads the environment, as a server calls it, and names a wrong setting in its error."""
    monkeypatch.setenv("QUART_ODDS_MAX_CONNECTIONS", "7")
    parts: Services = quart_odds.create_app().extensions[EXTENSION]
    assert parts.settings.max_connections == 7
    monkeypatch.setenv("QUART_ODDS_MAX_CONNECTION", "7")
    with pytest.raises(SettingsError, match="did you mean QUART_ODDS_MAX_CONNECTIONS"):
        quart_odds.create_app()


async def test_two_apps_in_one_process_never_see_each_others_clients(tmp_path: Path) -> None:
    """A message published in one app's context reaches only that app's clients."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with (
        running_app(tmp_path / "a", NOWHERE) as one,
        running_app(tmp_path / "b", NOWHERE) as other,
        one.client.websocket("/api/ws") as at_one,
        other.client.websocket("/api/ws") as at_other,
    ):
        homes, websockets = (one, other), (at_one, at_other)
        for websocket in websockets:
            await websocket.receive()
        for event_id, running in enumerate(homes, 1):
            async with running.app.app_context():
                assert current_registry() is services().registry is running.parts.registry
                assert broadcast_registry.active_count == 1
                broadcast_registry.broadcast(odds_update_message([event_id], "betpawa", 1), ODDS_UPDATES)
        async with asyncio.timeout(30):
            assert [(await each.receive_json())["data"]["event_ids"] for each in websockets] == [[1], [2]]
            for websocket in websockets:
                await websocket.send('{"type":"ping"}')
                assert (await websocket.receive_json())["type"] == "pong"


async def test_a_background_task_of_an_app_finds_that_apps_registry(tmp_path: Path) -> None:
    """A background task runs in the context of its app."""
    found: asyncio.Future[BroadcastRegistry] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        found.set_result(current_registry())

    async with running_app(tmp_path, NOWHERE) as running:
        async with running.app.app_context():
            running.app.add_background_task(work)
        assert await found is running.parts.registry


async def test_a_registry_can_be_lent_and_there_is_none_elsewhere() -> None:
    """`use_registry` wins within its block; outside of any context a RuntimeError says what to do."""
    with pytest.raises(RuntimeError, match="lend one with `with use_registry"):
        broadcast_registry.active_count  # noqa: B018 - the look is the test
    async with Quart("stranger").app_context():
        with pytest.raises(RuntimeError, match="of an app made by create_app"):
            current_registry()
    lent = BroadcastRegistry(gap_notice=lambda _: ("error", b"{}"))
    with use_registry(lent):
        assert current_registry() is lent
        other = BroadcastRegistry(gap_notice=lambda _: ("error", b"{}"))
        with use_registry(other):
            assert current_registry() is other
        assert current_registry() is lent
    with pytest.raises(RuntimeError):
        current_registry()


def test_the_folders_of_the_page_are_found_beside_the_package_or_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is searched first, as in a wheel; a missing folder is an error that names both places."""
    assert (asset_folder("templates") / "base.html").is_file()
    assert list(asset_folder("static").glob("*.css"))
    package = tmp_path / "site" / "quart_odds"
    (tmp_path / "site" / "static").mkdir(parents=True)
    package.mkdir()
    monkeypatch.setattr(quart_odds, "__file__", str(package / "__init__.py"))
    assert asset_folder("static") == tmp_path / "site" / "static"
    (package / "static").mkdir()
    assert asset_folder("static") == package / "static"
    with pytest.raises(FileNotFoundError, match="no templates/ in"):
        asset_folder("templates")


async def test_the_description_of_the_api_is_whole_and_true(app: Quart) -> None:
    """Every path is a route with that method, every reference resolves, and every path parameter is described."""
    response = await checked(LocalClient(app)).get("/openapi.json")
    assert response.status_code == 200
    described = await response.get_json()
    assert described["openapi"].startswith("3.")
    assert described["info"] == {"title": "Quart Odds", "version": quart_odds.__version__}
    operations = [
        (path, method, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
        if method in ("get", "post", "put", "delete")
    ]
    ids = [operation["operationId"] for _, _, operation in operations if "operationId" in operation]
    assert len(ids) == len(set(ids))
    for path, method, operation in operations:
        assert is_route(app, path, method.upper()), f"{method} {path}"
        named = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path)), path
        assert operation["responses"], path
    for reference in references(described):
        found: Any = described
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    paths = {path for path, _, _ in operations}
    assert {"/api/scrape", "/api/scrape/{scrape_run_id}", "/api/events", "/api/events/{event_id}"} <= paths


def test_every_route_that_the_contract_names_is_there(app: Quart) -> None:
    """The routes in docs/protocol.md exist, with the method if one is given."""
    text = PROTOCOL.read_text()
    named = re.findall(
        r"`(?:(GET|POST|PUT|HEAD) )?(/(?:api/|healthz|readyz|metrics|openapi|asyncapi|docs)[^`\s]*)", text
    )
    assert len(named) > 15
    for method, path in named:
        assert is_route(app, path.partition("?")[0], method or None), f"{method} {path}"
    assert is_route(app, "/api/ws", None, is_websocket=True)


def test_names_that_others_rely_on_stay() -> None:
    """The public imports stay, and so does the shape of their messages."""
    schemas = importlib.import_module("quart_odds.scraping.schemas")
    messages = importlib.import_module("quart_odds.websocket.messages")
    progress = schemas.ScrapeProgress(phase=schemas.ScrapePhase.SCRAPING, current=1, total=3, events_count=50)
    message = messages.scrape_progress_message(progress)
    assert message.keys() == {"type", "timestamp", "data"}
    assert message["data"]["phase"] == "scraping"
    for name in ("odds_update_message", "connection_ack_message", "pong_message", "error_message"):
        assert callable(getattr(messages, name))
    assert callable(importlib.import_module("quart_odds.websocket").bridge_scrape_to_websocket)
    assert callable(importlib.import_module("quart_odds.scraping.broadcaster").ProgressBroadcaster)
    assert handshake.split_topics(None)[1] == []


@pytest.mark.parametrize(
    ("module", "too_heavy"),
    [
        ("quart_odds", ("quart", "aiohttp", "sqlalchemy", "pydantic")),
        ("quart_odds.bookmakers.decoder", ("quart", "aiohttp", "sqlalchemy")),
    ],
)
def test_what_starts_often_imports_little(module: str, too_heavy: tuple[str, ...]) -> None:
    """The package itself, and what a decoding process needs, import no heavy packages."""
    code = f"import sys, {module}; print(*(set({too_heavy!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True, timeout=30)
    assert done.stdout.split() == []


def is_route(app: Quart, path: str, method: str | None, *, is_websocket: bool = False) -> bool:
    """Whether a path with `{parameters}` is a route for this method, or for any method."""
    filled = re.sub(r"{\w+}", "1", path)
    try:
        app.url_map.bind("localhost").match(filled, method=method or "GET", websocket=is_websocket or path == "/api/ws")
    except MethodNotAllowed:
        return method is None
    except NotFound:
        return False
    return True


def references(value: object) -> Iterator[str]:
    """Yield every `$ref` in a JSON value."""
    if isinstance(value, dict):
        for key, member in value.items():
            if key == "$ref":
                yield member
            else:
                yield from references(member)
    elif isinstance(value, list):
        for member in value:
            yield from references(member)


async def test_a_refresh_goes_before_the_requests_of_runs(tmp_path: Path) -> None:
    """It takes the next slot, although a run's request has waited for longer."""
    async with running_app(tmp_path, NOWHERE, betpawa_concurrency=1, request_tries=1) as running:
        throttle = running.parts.clients._throttle(Platform.BETPAWA)
        sent_before: list[int] = []

        async def request_of_a_run() -> None:
            async with throttle.slot():
                sent_before.append(throttle.requests_total - 1)

        async with throttle.slot():
            task = asyncio.create_task(request_of_a_run())
            await asyncio.sleep(0)
            refresh = asyncio.create_task(running.parts.refresher.refresh([header(Platform.BETPAWA, 1)]))
            for _ in range(10):
                await asyncio.sleep(0)
        [result] = await refresh
        await task
        assert result.error is not None
        assert sent_before == [2]


def test_an_issuer_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the packages the start says what to install."""
    monkeypatch.setattr(application, "find_spec", lambda _: None)
    given = {"jwt_issuer": "https://a.example", "jwt_audience": "odds", "jwt_jwks_url": "https://a.example/keys"}
    with pytest.raises(MissingExtraError, match=r"quart-odds\[jwt\]"):
        create_app(load_settings({}, **given))
