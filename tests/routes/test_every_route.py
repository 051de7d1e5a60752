"""Requests to every route with a forged Host or from pages of other sites: nothing changes and nothing breaks."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from quart import Quart
from quart.testing import WebsocketResponseError
from werkzeug.routing import Rule

from quart_odds.app import create_app
from quart_odds.errors import TooSoonError
from quart_odds.routes.access.same_origin import ANY_HOST_PATHS, CHECKED
from quart_odds.routes.api import lists
from quart_odds.routes.pages import docs
from quart_odds.settings import load_settings
from tests.apps import RunningApp, running_app

NOWHERE = "http://127.0.0.1:9"
READING = frozenset({"GET", "HEAD", "OPTIONS"})
STARTS_BY_GET = "/api/scrape/stream"
TOURNAMENTS = "/api/events/tournaments"
VALUES = {
    "scrape_run_id": "1",
    "event_id": "1",
    "target_id": "1",
    "rule_id": "1",
    "alert_id": "1",
    "token_id": "0123456789ab",
    "market_id": "1",
    "sportradar_id": "1",
    "change": "pause",
    "version": "x",
    "name": "live.js",
    "filename": "live.js",
}

OTHER_SITES = [
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://localhost:81"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://["},
    {"Origin": "http://[zz]/"},
    {"Origin": "http://localhost/x"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "none"},
    {"User-Agent": "Mozilla/5.0", "Accept-Language": "en", "Accept": "image/*"},
    {"Accept-Language": "en"},
    {"Cookie": "a=b"},
    {"Referer": "http://evil.example/", "Accept": "text/event-stream"},
    {"Referer": "http://[", "Accept": "text/event-stream"},
]


def rules(app: Quart) -> list[Rule]:
    """Return all routes, sorted by path."""
    return sorted(app.url_map.iter_rules(), key=lambda rule: str(rule.rule))


def path_of(rule: Rule) -> str:
    """Return a path that matches the route."""
    return re.sub(r"<(?:[^:<>]+(?:\([^)]*\))?:)?([a-z_]+)>", lambda found: VALUES[found[1]], str(rule.rule))


def changes(rule: Rule) -> bool:
    """Whether a route can change something, or opens a connection on which clients send commands."""
    return bool(rule.websocket or set(rule.methods or ()) - READING or rule.rule == STARTS_BY_GET)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app without data."""
    async with running_app(tmp_path, NOWHERE) as opened:
        yield opened


def test_every_route_that_changes_something_checks_who_sent_it() -> None:
    """Every such route has the decorator `same_origin_only`; a route added without it fails this test."""
    app = create_app(load_settings({}))
    changing = [rule for rule in rules(app) if changes(rule)]
    assert len(changing) >= 15
    for rule in changing:
        assert getattr(app.view_functions[rule.endpoint], CHECKED, False), rule.rule


async def things(running: RunningApp) -> object:
    """Return everything that a request could change."""
    return (
        await running.parts.store.list_runs(limit=10),
        running.parts.runs.active,
        running.parts.preferences.current,
        running.parts.scheduler.is_paused,
        len(running.parts.odds_service.cache.events),
        running.parts.limits.count,
        await running.parts.alerts.targets.all(),
        await running.parts.alerts.rules.all(),
    )


async def test_requests_under_a_forged_host_are_misdirected(running: RunningApp) -> None:
    """Every route answers 421, except those that monitors use."""
    before = await things(running)
    for rule in rules(running.app):
        path = path_of(rule)
        if rule.websocket:
            with pytest.raises(WebsocketResponseError) as refused:
                async with running.client.websocket(path, headers={"Host": "evil.example"}) as websocket:
                    await websocket.receive()
            assert refused.value.response.status_code == 421
            continue
        for method in sorted(rule.methods or ()):
            for headers in ({}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "same-origin"}):
                response = await running.ask(method, path, {"Host": "evil.example", **headers})
                assert response.status_code < 500, (method, path) if path != "/readyz" else ()
                assert (response.status_code == 421) == (path not in ANY_HOST_PATHS), (method, path)
    assert await things(running) == before


@pytest.mark.parametrize("headers", OTHER_SITES, ids=str)
async def test_pages_of_other_sites_change_nothing(headers: dict[str, str], running: RunningApp) -> None:
    """Routes that change something answer 403; the others answer as usual and change nothing."""
    before = await things(running)
    for rule in rules(running.app):
        path = path_of(rule)
        if rule.websocket:
            with pytest.raises(WebsocketResponseError) as refused:
                async with running.client.websocket(path, headers=headers) as websocket:
                    await websocket.receive()
            assert refused.value.response.status_code == 403
            continue
        for method in sorted(rule.methods or ()):
            if changes(rule) and method != "OPTIONS":
                response = await running.ask(method, path, headers)
                assert response.status_code == 403, (method, path)
            elif path != "/api/sse":
                response = await running.ask(method, path, headers)
                assert response.status_code < 500, (method, path)
    assert await things(running) == before


async def test_every_answer_forbids_sniffing(running: RunningApp) -> None:
    """Responses of every kind have the header, so that no browser takes JSON or a stream for a page."""
    for path in ("/", "/healthz", "/api/events", "/api/events.csv", "/openapi.json", "/docs", "/nowhere", "/metrics"):
        response = await running.client.get(path)
        assert response.headers["X-Content-Type-Options"] == "nosniff", path
    response = await running.client.head("/api/sse")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    for path, headers in (
        ("/api/ws", {"Host": "evil.example"}),
        ("/api/ws", {"Origin": "http://evil.example"}),
        ("/nowhere", {}),
    ):
        with pytest.raises(WebsocketResponseError) as refused:
            async with running.client.websocket(path, headers=headers) as websocket:
                await websocket.receive()
        assert refused.value.response.headers["X-Content-Type-Options"] == "nosniff", (path, headers)


async def test_browsers_find_an_icon_beside_answers_that_are_not_pages(running: RunningApp) -> None:
    """Browsers request /favicon.ico there, and would log a 404 to the console."""
    response = await running.client.get("/favicon.ico", follow_redirects=True)
    assert response.status_code == 200
    assert response.content_type == "image/svg+xml"


async def test_descriptions_are_encoded_once(running: RunningApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The OpenAPI document and the docs are built once, the list of tournaments once per state of the cache."""
    first = [await (await running.client.get(path)).get_data() for path in ("/openapi.json", "/docs", TOURNAMENTS)]

    def never(*_: object, **__: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(docs, "rendered", never)
    monkeypatch.setattr(lists, "_tournaments", never)
    monkeypatch.setattr(running.app.extensions["QUART_SCHEMA"].openapi_provider, "schema", never)
    again = [await (await running.client.get(path)).get_data() for path in ("/openapi.json", "/docs", TOURNAMENTS)]
    assert again == first
    etag = (await running.client.get("/openapi.json")).headers["ETag"]
    assert (await running.client.get("/openapi.json", headers={"If-None-Match": etag})).status_code == 304


async def test_refreshes_in_their_cooldown_say_when_to_ask_again(
    running: RunningApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh within the cooldown is answered 429, with Retry-After and an explanation."""

    async def too_soon(*_: object) -> None:
        raise TooSoonError("this event was fetched a moment ago; ask again in 7 s", 6.2)

    monkeypatch.setattr(running.parts.refresher, "refresh", too_soon)
    monkeypatch.setattr(running.parts.odds_service.cache, "get", lambda _: SimpleNamespace(listed=(), odds={}))
    response = await running.client.post("/api/events/1/refresh")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")
    assert "ask again in 7 s" in (await response.get_json())["detail"]


async def test_programs_pass(running: RunningApp) -> None:
    """Requests without headers that only browsers send are served or refused with a reason, never with a 5xx."""
    for rule in rules(running.app):
        if not rule.websocket and changes(rule) and rule.rule != STARTS_BY_GET:
            for method in sorted(set(rule.methods or ()) - READING):
                response = await running.ask(method, path_of(rule), {"User-Agent": "curl/8"})
                assert response.status_code not in (403, 421), (method, rule.rule)
                assert response.status_code < 500, (method, rule.rule)
