"""Quart Odds in another application: below its path, opened and closed with it, and apart from it otherwise."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from quart import Quart, render_template, render_template_string
from websockets.asyncio.client import connect

from quart_odds import QuartOdds, create_app
from quart_odds.broadcast import SCRAPE_PROGRESS, broadcast_registry, use_registry
from quart_odds.errors import SettingsError, StorageError
from quart_odds.server.serve import parts_of
from quart_odds.services import EXTENSION
from quart_odds.settings import Settings, load_settings
from tests.apps import HASTE
from tests.server.serving import Server, environment, served
from tests.tokens import HEADERS, LocalClient, add_token

SERVER = Path(__file__).parent / "embedded_server.py"
EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
SMALL_WAIT = 20


def settings_in(folder: Path, **given: object) -> Settings:
    """Return settings with a database in this folder."""
    folder.mkdir(exist_ok=True)
    return load_settings({}, **{"database_url": f"sqlite:///{folder / 'odds.db'}", **HASTE, **given})


def make_host(folder: Path) -> Quart:
    """Return an app with routes, a static file, an error handler and a Jinja global of its own."""
    (folder / "static").mkdir(exist_ok=True)
    (folder / "static" / "style.css").write_text("/* the host's */")
    host = Quart("host", root_path=str(folder))
    host.jinja_env.globals["version"] = "the version of the host"

    @host.get("/")
    async def home() -> str:
        return await render_template_string("{{ version }}")

    @host.get("/fails")
    async def fails() -> str:
        raise StorageError("an error of the host")

    @host.errorhandler(404)
    async def not_found(_: Exception) -> tuple[str, int]:
        return "the host has no such page", 404

    @host.errorhandler(StorageError)
    async def failed(error: StorageError) -> tuple[str, int]:
        return f"the host failed: {error}", 500

    return host


async def test_everything_of_ours_is_below_the_prefix(tmp_path: Path) -> None:
    """Pages, their links and files, the API, its description, and its errors."""
    host = make_host(tmp_path)
    QuartOdds(host, url_prefix="/odds", settings=settings_in(tmp_path))
    async with host.test_app():
        client = LocalClient(host)
        for path in ("/odds", "/odds/", "/odds/odds", "/odds/runs", "/odds/docs"):
            response = await client.get(path)
            assert response.status_code == 200, path
            text = await response.get_data(as_text=True)
            assert 'href="/odds/' in text
            assert 'href="/assets' not in text
        [style, *_] = re.findall(r'href="(/odds/assets/[^"]+[.]css)"', text)
        assert (await client.get(style)).content_type.startswith("text/css")
        answer = await (await client.get("/odds/api/events")).get_json()
        assert answer["total"] == 0
        problem = await client.get("/odds/api/nothing")
        assert (problem.status_code, problem.content_type) == (404, "application/problem+json")
        assert (await problem.get_json())["instance"] == "/odds/api/nothing"
        described = await (await client.get("/odds/openapi.json")).get_json()
        assert described["servers"] == [{"url": "/odds"}]
        assert (await client.get("/odds/rows")).status_code == 404, "the list of rows is at /odds/odds/rows"


async def test_the_host_keeps_what_is_its_own(tmp_path: Path) -> None:
    """Its routes, static files, error handlers, Jinja globals and paths that only begin like the prefix."""
    host = make_host(tmp_path)
    QuartOdds(host, settings=settings_in(tmp_path))
    async with host.test_app():
        client = LocalClient(host)
        assert await (await client.get("/")).get_data(as_text=True) == "the version of the host"
        assert await (await client.get("/static/style.css")).get_data(as_text=True) == "/* the host's */"
        for path in ("/api/events", "/healthz", "/oddsmakers", "/odd"):
            response = await client.get(path)
            assert (response.status_code, await response.get_data(as_text=True)) == (404, "the host has no such page")
        failed = await client.get("/fails")
        assert await failed.get_data(as_text=True) == "the host failed: an error of the host"
        ours = await client.get("/odds/static/style.css")
        assert ours.status_code == 200
        assert await ours.get_data() != b"/* the host's */"
        long = await client.post("/", data=b"x" * 100_000)
        assert long.status_code == 405, "no limit of ours applies"


async def test_limits_and_checks_apply_below_the_prefix_alone(tmp_path: Path) -> None:
    """Bodies, host names and origins are checked below it, and the host takes what it likes."""
    host = make_host(tmp_path)
    QuartOdds(host, settings=settings_in(tmp_path))
    async with host.test_app():
        client = LocalClient(host)
        assert (await client.post("/odds/api/scrape", data=b"x" * 100_000)).status_code == 413
        evil = {"Host": "evil.example"}
        assert (await client.get("/odds/api/events", headers=evil)).status_code == 421
        assert (await client.get("/odds/healthz", headers=evil)).status_code == 200
        assert (await client.get("/", headers=evil)).status_code == 200
        foreign = {"Origin": "http://evil.example"}
        assert (await client.post("/odds/api/scrape", headers=foreign)).status_code == 403


async def test_who_gets_in_is_decided_below_the_prefix(tmp_path: Path) -> None:
    """From elsewhere nobody without a token. A page leads to the login below the prefix, and the host is open."""
    host = make_host(tmp_path)
    odds = QuartOdds(host, settings=settings_in(tmp_path))
    async with host.test_app():
        await add_token(odds.services.store)
        client, elsewhere = LocalClient(host), {"scope_base": {"client": ("192.0.2.7", 50_000)}}
        assert (await client.get("/odds/api/events")).status_code == 200, "this machine needs no token"
        assert (await client.get("/odds/api/events", **elsewhere)).status_code == 401
        assert (await client.get("/odds/api/events", headers=HEADERS, **elsewhere)).status_code == 200
        assert (await client.get("/", **elsewhere)).status_code == 200
        page = await client.get("/odds/odds", headers={"Accept": "text/html"}, **elsewhere)
        assert (page.status_code, page.headers["Location"]) == (303, "/odds/login?next=/odds")
        form = {"token": HEADERS["Authorization"].removeprefix("Bearer "), "next": "/odds"}
        entered = await client.post("/odds/login", form=form, **elsewhere)
        assert (entered.status_code, entered.headers["Location"]) == (303, "/odds/odds")
        assert "Path=/odds;" in f"{entered.headers['Set-Cookie']};"


async def test_the_host_publishes_to_those_who_listen_below_the_prefix(tmp_path: Path) -> None:
    """`broadcast_registry` is our registry in the host's views, and `use_registry` lends another one."""
    host = make_host(tmp_path)
    odds = QuartOdds(host, settings=settings_in(tmp_path / "a"))
    other = create_app(settings_in(tmp_path / "b")).extensions["quart_odds.broadcast"]

    @host.post("/publish")
    async def publish() -> str:
        assert broadcast_registry == odds.registry
        broadcast_registry.broadcast({"type": "scrape_progress", "data": 1}, SCRAPE_PROGRESS)
        with use_registry(other):
            assert broadcast_registry == other
        return ""

    async with host.test_app(), LocalClient(host).websocket("/odds/api/ws") as websocket:
        assert orjson.loads(await websocket.receive())["type"] == "connection_ack"
        assert (await LocalClient(host).post("/publish")).status_code == 200
        async with asyncio.timeout(SMALL_WAIT):
            assert orjson.loads(await websocket.receive())["data"] == 1


async def test_it_opens_and_closes_with_the_host(tmp_path: Path) -> None:
    """The database is opened when the host starts. When it has stopped, another process may write at once."""
    host, settings = make_host(tmp_path), settings_in(tmp_path)
    odds = QuartOdds(host, settings=settings)
    assert not (tmp_path / "odds.db").exists()
    async with host.test_app():
        assert odds.services.odds_service.is_writer
        assert odds.services.root_path == "/odds"
    again = create_app(settings)
    async with again.test_app():
        assert again.extensions[EXTENSION].odds_service.is_writer


async def test_an_error_at_the_start_is_the_hosts(tmp_path: Path) -> None:
    """A host whose database cannot be opened does not start, and learns why."""
    host = make_host(tmp_path)
    QuartOdds(host, settings=load_settings({}, database_url=f"sqlite:///{tmp_path / 'no' / 'odds.db'}"))
    with pytest.raises(StorageError, match="folder"):
        await host.startup()


async def test_a_template_of_the_host_replaces_ours(tmp_path: Path) -> None:
    """It may extend ours. Templates of the host outside the folder stay the host's, and other hosts have ours."""
    folder = tmp_path / "templates" / "quart_odds"
    folder.mkdir(parents=True)
    extended = '{% extends "quart_odds/odds.html" %}{% block title %}The odds of the site{% endblock %}'
    (folder / "odds.html").write_text(extended, encoding="utf-8")
    (folder.parent / "odds.html").write_text("the host's own page", encoding="utf-8")
    host = make_host(tmp_path)
    QuartOdds(host, settings=settings_in(tmp_path))
    other = make_host(tmp_path / "static")
    QuartOdds(other, settings=settings_in(tmp_path / "other"))

    @host.get("/own")
    async def own() -> str:
        return await render_template("odds.html")

    async with host.test_app(), other.test_app():
        page = await (await LocalClient(host).get("/odds/odds")).get_data(as_text=True)
        assert "<title>The odds of the site</title>" in page
        assert 'id="odds-title"' in page, "the rest is ours"
        assert "of the site" not in await (await LocalClient(host).get("/odds/runs")).get_data(as_text=True)
        assert await (await LocalClient(host).get("/own")).get_data(as_text=True) == "the host's own page"
        assert "of the site" not in await (await LocalClient(other).get("/odds/odds")).get_data(as_text=True)


async def test_two_prefixes_in_one_host_do_not_hear_each_other(tmp_path: Path) -> None:
    """Each has its own registry and database, and the host says which it means."""
    host = make_host(tmp_path)
    one = QuartOdds(host, url_prefix="/one", settings=settings_in(tmp_path / "one"))
    two = QuartOdds(url_prefix="/two", settings=settings_in(tmp_path / "two"))
    two.init_app(host)

    @host.get("/ambiguous")
    async def ambiguous() -> str:
        with pytest.raises(RuntimeError, match="several"):
            str(broadcast_registry.active_count)
        with use_registry(two.registry):
            return str(broadcast_registry.active_count)

    async with host.test_app():
        client = LocalClient(host)
        assert b'href="/one/' in await (await client.get("/one/")).get_data()
        assert b'href="/two/' in await (await client.get("/two/")).get_data()
        async with client.websocket("/one/api/ws") as first, client.websocket("/two/api/ws") as second:
            await first.receive()
            await second.receive()
            assert await (await client.get("/ambiguous")).get_data() == b"1"
            two.registry.broadcast({"type": "scrape_progress", "data": 2}, SCRAPE_PROGRESS)
            one.registry.broadcast({"type": "scrape_progress", "data": 1}, SCRAPE_PROGRESS)
            async with asyncio.timeout(SMALL_WAIT):
                assert orjson.loads(await first.receive())["data"] == 1
                assert orjson.loads(await second.receive())["data"] == 2
    with pytest.raises(SettingsError, match="Hypercorn"):
        parts_of(host)


async def test_two_hosts_in_one_process_do_not_hear_each_other(tmp_path: Path) -> None:
    """Messages of one reach only its own listeners."""
    hosts = [Quart("one"), Quart("two")]
    mounted = [QuartOdds(each, settings=settings_in(tmp_path / each.name)) for each in hosts]
    async with hosts[0].test_app(), hosts[1].test_app():
        clients = [LocalClient(each) for each in hosts]
        async with clients[0].websocket("/odds/api/ws") as first, clients[1].websocket("/odds/api/ws") as second:
            await first.receive()
            await second.receive()
            for number, odds in enumerate(mounted):
                odds.registry.broadcast({"type": "scrape_progress", "data": number}, SCRAPE_PROGRESS)
            async with asyncio.timeout(SMALL_WAIT):
                assert orjson.loads(await first.receive())["data"] == 0
                assert orjson.loads(await second.receive())["data"] == 1


async def test_the_host_itself_may_be_below_a_path(tmp_path: Path) -> None:
    """Addresses begin with the path of the host, whether its server or its proxy passes that on or not."""
    host = make_host(tmp_path)
    QuartOdds(host, settings=settings_in(tmp_path, root_path="/site", open_to_network="true"))
    async with host.test_app():
        client = LocalClient(host)
        for path, base in (("/odds/", ""), ("/site/odds/", ""), ("/site/odds/", "/site")):
            response = await client.get(path, root_path=base)
            assert response.status_code == 200, (path, base)
            assert b'href="/site/odds/' in await response.get_data()
        assert await (await client.get("/")).get_data(as_text=True) == "the version of the host"


@pytest.mark.parametrize("prefix", ["", "/", "odds", "/odds/", "/o dds", "/../odds"])
def test_a_prefix_that_cannot_be_is_refused(prefix: str) -> None:
    """The message says what one looks like."""
    with pytest.raises(SettingsError, match="such as /odds"):
        QuartOdds(url_prefix=prefix)


async def test_mistakes_are_told(tmp_path: Path) -> None:
    """Overlapping prefixes, a shared database, a second host, routes in the way, and use before there is a host."""
    host, settings = make_host(tmp_path), settings_in(tmp_path)
    odds = QuartOdds(settings=settings)
    with pytest.raises(RuntimeError, match="no app yet"):
        odds.registry  # noqa: B018
    odds.init_app(host)
    with pytest.raises(RuntimeError, match="already"):
        odds.init_app(Quart("other"))
    for prefix in ("/odds", "/odds/two"):
        with pytest.raises(SettingsError, match="this app has already"):
            QuartOdds(host, url_prefix=prefix, settings=settings_in(tmp_path / "two"))
    with pytest.raises(SettingsError, match="database"):
        QuartOdds(host, url_prefix="/two", settings=settings)

    @host.get("/odds/mine")
    async def mine() -> str:
        return ""

    with pytest.raises(SettingsError, match="/odds/mine"):
        await host.startup()


def test_logging_stays_the_hosts(tmp_path: Path) -> None:
    """No handler is added to the standard module: the host may set it up later."""
    program = (
        "import logging, quart; from quart_odds import QuartOdds; QuartOdds(quart.Quart('host')); "
        "assert not logging.getLogger().handlers"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment({}), timeout=60, check=True)


async def read(session: aiohttp.ClientSession, path: str, status: int = 200) -> str:
    """Return the text of a response with this status."""
    async with session.get(path) as response:
        assert response.status == status, path
        return await response.text()


async def listeners(session: aiohttp.ClientSession, count: int) -> list[str]:
    """Return how the listeners are served, once there are so many."""
    async with asyncio.timeout(SMALL_WAIT):
        while len(sinks := orjson.loads(await read(session, "/state"))["sinks"]) != count:
            await asyncio.sleep(0.02)
    return list(sinks)


def socket_at(server: Server, path: str) -> connect:
    """Return a WebSocket client connection to a path, to be opened with `async with`."""
    return connect(f"ws{server.url.removeprefix('http')}{path}", compression=None)


@pytest.mark.parametrize(
    ("how", "sinks"), [("launcher", {"LiveStream", "LiveWebSocket"}), ("hypercorn", {"MailboxSink"})]
)
async def test_over_sockets(tmp_path: Path, how: str, sinks: set[str]) -> None:
    """WebSocket and SSE below the prefix hear the host, on the fast lane under our launcher; the host's own work too.

    A stop tells them to come back, lets the host answer, and stops the host.
    """
    async with (
        served(tmp_path, command=(sys.executable, str(SERVER), how)) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        assert await read(session, "/nothing", 404) == "the host has no such page"
        assert 'href="/odds/' in await read(session, "/odds/")
        async with socket_at(server, "/echo") as echo:
            await echo.send("hello")
            assert await echo.recv() == "hello"
        async with socket_at(server, "/odds/api/ws") as live, session.get("/odds/api/sse") as stream:
            assert orjson.loads(await live.recv())["type"] == "connection_ack"
            assert (stream.status, stream.content_type) == (200, "text/event-stream")
            found = await listeners(session, 2)
            assert set(found) == sinks
            async with session.post("/publish") as published:
                assert published.status == 204
            async with asyncio.timeout(SMALL_WAIT):
                assert orjson.loads(await live.recv())["data"] == "from the host"
                async for line in stream.content:
                    if b"from the host" in line:
                        break
            late = asyncio.create_task(read(session, "/slow"))
            async with asyncio.timeout(SMALL_WAIT):
                while not any("host is slow" in line for line in server.said):
                    await asyncio.sleep(0.02)
            await server.stop()
            if how == "launcher":
                assert await late == "late"
                assert live.close_code == 1012 or (await closed(live)) == 1012
            else:
                await asyncio.wait([late])
                late.exception()
    said = "".join(server.said)
    assert said.index("host starts") < said.index("host stopped")
    # Python 3.11 logs the connections that Hypercorn cancels.
    assert how == "hypercorn" or "Traceback" not in said


async def closed(live: Any) -> int:
    """Return the code with which a WebSocket was closed."""
    async with asyncio.timeout(SMALL_WAIT):
        await live.wait_closed()
    return int(live.close_code)


@pytest.mark.parametrize(
    "command",
    [("embedded.py", "127.0.0.1:0"), ("-m", "hypercorn", "--bind", "127.0.0.1:0", "embedded:app")],
    ids=["launcher", "hypercorn"],
)
async def test_the_example_runs(tmp_path: Path, command: Sequence[str]) -> None:
    """docs/examples/embedded.py is a site with odds below /odds, under the launcher and under Hypercorn."""
    settings = {"database_url": f"sqlite:///{tmp_path / 'odds.db'}"}
    async with (
        served(EXAMPLES, settings, (sys.executable, *command)) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        async with socket_at(server, "/odds/api/ws") as live:
            await live.recv()
            assert "1 watching" in await read(session, "/")
        assert "no such page" in await read(session, "/nothing", 404)
        assert "Quart Odds" in await read(session, "/odds/odds")
