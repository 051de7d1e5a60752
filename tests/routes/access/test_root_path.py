"""Below a root path, the server answers with and without it, and every address that it writes begins with it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from quart_odds.app import create_app
from quart_odds.routes.access.root_path import RootPath, own_path
from quart_odds.settings import load_settings
from tests.apps import RunningApp, Sandbox, running_app, running_sandbox

ADDRESS = re.compile(r"""(?:href|src|action)="([^"]*)\"""")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Stand-in bookmakers with a few events."""
    with running_sandbox("--events", "4", "--latency-ms", "1") as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("root", "path", "own"),
    [
        ("", "/odds", "/odds"),
        ("/live", "/live/odds", "/odds"),
        ("/live", "/odds", "/odds"),
        ("/live", "/live", "/"),
        ("/live", "/live/", "/"),
        ("/live", "/", "/"),
        ("/live", "/lively", "/lively"),
        ("/live", "/live/live/odds", "/live/odds"),
        ("/live", "/live/nowhere", "/nowhere"),
        ("/a/b", "/a/b/runs/5", "/runs/5"),
        ("/a/b", "/a/runs/5", "/a/runs/5"),
        # The root path is the name of a page too.
        ("/odds", "/odds/", "/"),
        ("/odds", "/odds", "/odds"),
        ("/odds", "/odds/odds", "/odds"),
        ("/odds", "/odds/odds/5", "/odds/5"),
        ("/odds", "/odds/5", "/odds/5"),
        ("/odds", "/odds/rows", "/odds/rows"),
        ("/odds", "/odds/runs/5/cancel", "/runs/5/cancel"),
        ("/odds", "/odds/nowhere", "/nowhere"),
        ("/api", "/api/events", "/api/events"),
        ("/api", "/api/api/events", "/api/events"),
        ("/api", "/api/", "/"),
        ("/runs", "/runs/5/retry", "/runs/5/retry"),
        ("/runs", "/runs/runs/5/retry", "/runs/5/retry"),
    ],
)
def test_the_own_path_is_found_whether_or_not_the_proxy_kept_the_root_path(root: str, path: str, own: str) -> None:
    """The scope then has both, as ASGI wants it."""
    place = RootPath(create_app(load_settings({}, root_path=root)), root)
    scope = {"type": "http", "path": path, "root_path": ""}
    place.place(scope)
    assert (own_path(scope), scope["path"], scope["root_path"]) == (own, root + own, root)


def test_a_websocket_has_a_root_path_too() -> None:
    """Its route is found among those of WebSockets."""
    place = RootPath(create_app(load_settings({}, root_path="/api")), "/api")
    for path in ("/api/ws", "/api/api/ws"):
        scope = {"type": "websocket", "path": path, "root_path": ""}
        place.place(scope)
        assert scope["path"] == "/api/api/ws"


async def test_every_address_of_every_page_is_below_the_root_path(sandbox: Sandbox, tmp_path: Path) -> None:
    """Each of them answers, with the root path and without it."""
    async with running_app(tmp_path, sandbox.url, root_path="/odds", scrape_interval_minutes=60) as app:
        await app.scrape()
        seen: set[str] = set()
        unread = {"/odds/", "/odds/nowhere"}
        while unread:
            address = unread.pop()
            seen.add(address)
            for path in (address, address.removeprefix("/odds")):
                response = await app.client.get(path, headers={"Accept": "text/html"})
                if response.status_code == 302:
                    unread |= {response.headers["Location"].partition("#")[0]} - seen
                else:
                    assert response.status_code == (404 if "nowhere" in path else 200), path
            if response.status_code == 302 or response.mimetype != "text/html":
                continue
            text = await response.get_data(as_text=True)
            # An event links to its pages at the bookmakers, which are elsewhere.
            found = {each for each in ADDRESS.findall(text) if not each.startswith(("#", "?", "https://"))}
            assert all(each.startswith("/odds/") for each in found), found
            unread |= {each.replace("&amp;", "&").partition("#")[0] for each in found if is_read(each)} - seen
        pages = {re.sub(r"\d+", "N", each.partition("?")[0]) for each in seen}
        assert pages >= {"/odds/", "/odds/odds", "/odds/odds/N", "/odds/runs", "/odds/runs/N", "/odds/docs"}
        assert any(each.endswith("/style.css") for each in seen)


async def test_redirects_links_and_descriptions_are_below_the_root_path(sandbox: Sandbox, tmp_path: Path) -> None:
    """Whatever the server answers, a client that follows it stays below the root path."""
    async with running_app(tmp_path, sandbox.url, root_path="/odds") as app:
        started = await app.client.post("/odds/api/scrape", json={})
        assert started.status_code == 202
        links = (await started.get_json())["links"]
        assert started.headers["Location"] == links["self"]
        assert all(each.startswith("/odds/api/scrape/") for each in links.values())
        assert (await app.client.get(links["self"])).status_code == 200
        assert (await app.client.get(links["progress"])).status_code == 200
        moved = [
            await app.ask("GET", "/odds/favicon.ico"),
            await app.ask("POST", "/odds/runs"),
            await app.ask("POST", "/odds/schedule/pause"),
        ]
        assert all(each.headers["Location"].startswith("/odds/") for each in moved)
        await assert_described(app)


async def assert_described(app: RunningApp) -> None:
    """Assert that errors and the machine-readable descriptions have the root path."""
    missing = await app.client.get("/odds/api/events/99999")
    assert (await missing.get_json())["instance"] == "/odds/api/events/99999"
    assert (await app.get("/odds/openapi.json"))["servers"] == [{"url": "/odds"}]
    channels = (await app.get("/odds/asyncapi.json"))["channels"]
    assert {each["address"] for each in channels.values()} == {
        "/odds/api/ws",
        "/odds/api/sse",
        "/odds/api/scrape/stream",
        "/odds/api/scrape/runs/{scrape_run_id}/progress",
    }
    async with app.client.websocket("/odds/api/ws") as websocket:
        assert "connection_ack" in await websocket.receive()


async def test_the_root_path_lets_no_other_host_in(sandbox: Sandbox, tmp_path: Path) -> None:
    """Only the paths of monitors answer under any name, and a name after the root path is no such path."""
    async with running_app(tmp_path, sandbox.url, root_path="/odds") as app:
        for path, status in (
            ("/odds/healthz", 200),
            ("/healthz", 200),
            ("/odds/api/health", 421),
            ("/odds/odds", 421),
            ("/odds/odds/healthz", 421),
            ("/healthz/odds", 421),
        ):
            response = await app.client.get(path, headers={"Host": "evil.example"})
            assert response.status_code == status, path
        browser = {"Origin": "http://evil.example", "Host": "localhost"}
        assert (await app.ask("POST", "/odds/runs", browser)).status_code == 403


def is_read(address: str) -> bool:
    """Whether a link is to be followed: forms are not, because they change something."""
    return not address.endswith(("/cancel", "/retry", "/pause", "/resume", "/revoke"))
