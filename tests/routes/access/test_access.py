"""Access: requests from other sites are refused before anything happens, and errors say what is wrong."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from quart import request
from quart.testing import WebsocketResponseError
from quart.testing.connections import TestHTTPConnection as HTTPConnection
from structlog.testing import capture_logs
from werkzeug.datastructures import Headers

from quart_odds.errors import StorageError
from quart_odds.routes.access.limits import Client, ConnectionLimits, TooManyConnectionsError
from quart_odds.routes.access.same_origin import client_of
from quart_odds.settings import load_settings
from tests.apps import RunningApp, running_app

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app that allows one other origin, and two connections."""
    async with running_app(tmp_path, NOWHERE, allowed_origins="https://friend.example", max_connections=2) as opened:
        yield opened


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost"},
        {"Origin": "https://localhost"},
        {"Origin": "https://friend.example"},
        {"Origin": "HTTPS://Friend.Example:443"},
        {"Origin": "http://localhost:8000", "Host": "LOCALHOST:8000"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://friend.example", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
async def test_programs_our_own_pages_and_friends_may_connect_and_act(
    headers: dict[str, str], running: RunningApp
) -> None:
    """They can open a WebSocket and send a request that changes something."""
    async with running.client.websocket("/api/ws", headers=headers) as websocket:
        assert (await websocket.receive_json())["type"] == "connection_ack"
    assert (await running.client.post("/api/scheduler/pause", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "https://localhost.evil.example"},
        {"Origin": "http://localhost:81"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://[::1"},
        {"Origin": "https://friend.example:port"},
        {"Origin": "http://friend.example"},
        {"Origin": "https://friend.example/"},
        {"Origin": "https://friend.example, https://localhost"},
        {"Origin": "http://localhost/evil"},
        {"Origin": "http://localhost@evil.example"},
        {"Origin": "//localhost"},
        {"Origin": "ftp://localhost"},
        {"Origin": "https://friend.example.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "SAME-ORIGIN"},
        {"Sec-Fetch-Mode": "no-cors"},
        {"Sec-CH-UA": "x"},
        {"Accept-Language": "en"},
        {"User-Agent": "Mozilla/5.0"},
        {"Cookie": "a=b"},
        {"Upgrade-Insecure-Requests": "1"},
        {"Referer": "https://evil.example/page"},
        {"Referer": "http://["},
    ],
    ids=str,
)
async def test_pages_of_strangers_are_refused_before_the_handshake(
    headers: dict[str, str], running: RunningApp
) -> None:
    """They get a real status and a problem, and are not counted as connected."""
    with pytest.raises(WebsocketResponseError) as refused:
        async with running.client.websocket("/api/ws", headers=headers) as websocket:
            await websocket.receive()
    assert refused.value.response.status_code == 403
    assert refused.value.response.content_type == "application/problem+json"
    assert running.parts.registry.active_count == running.parts.limits.count == 0
    assert (await running.client.post("/api/scheduler/pause", headers=headers)).status_code == 403


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.1", ["198.51.100.7"], "203.0.113.1"),
        ("10.0.0.9", [], "10.0.0.9"),
        ("10.0.0.9", ["198.51.100.7"], "198.51.100.7"),
        ("::ffff:10.0.0.9", ["198.51.100.7"], "198.51.100.7"),
        ("172.16.3.4", ["198.51.100.7, 10.0.0.9"], "198.51.100.7"),
        ("172.16.3.4", ["203.0.113.9, 198.51.100.7", "10.0.0.9"], "198.51.100.7"),
        ("172.16.3.4", ["10.0.0.9"], "10.0.0.9"),
        ("172.16.3.4", ["127.0.0.1"], "127.0.0.1"),
        ("172.16.3.4", ["[::1]:80"], "::1"),
        ("172.16.3.4", ["::ffff:127.0.0.1, 10.0.0.9"], "127.0.0.1"),
        ("172.16.3.4", ["", ""], "unknown"),
        ("172.16.3.4", ["198.51.100.7,"], "unknown"),
        ("172.16.3.4", ["x" * 5000], "unknown"),
        ("fd00::7", ["2001:DB8::1"], "2001:db8::1"),
        ("10.0.0.9", ["198.51.100.7:40112"], "198.51.100.7"),
        ("10.0.0.9", ["[2001:db8::1]:40112"], "2001:db8::1"),
        ("10.0.0.9", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("10.0.0.9", ["unknown"], "unknown"),
        ("10.0.0.10", ["198.51.100.7"], "10.0.0.10"),
        ("", ["198.51.100.7"], ""),
    ],
)
async def test_the_client_is_the_last_address_that_no_trusted_proxy_has(
    peer: str, forwarded: list[str], address: str, running: RunningApp
) -> None:
    """Addresses come in any form and on any number of header lines. A proxy is named by its address or its network.

    Only the address of the connection itself can exempt a client from limits, as loopback or a proxy. A header never
    does.
    """
    trusted = load_settings({}, trusted_proxies="10.0.0.9, 172.16.0.0/12, fd00::/8").trusted_proxies
    headers = Headers([("X-Forwarded-For", each) for each in forwarded])
    scope = {"client": (peer, 4711) if peer else None}
    async with running.app.test_request_context("/", headers=headers, scope_base=scope):
        client = client_of(request, trusted)
    is_proxy = peer not in ("203.0.113.1", "10.0.0.10", "")
    assert client == Client(address, is_forwarded=is_proxy and bool(forwarded))
    limits = ConnectionLimits(0, 1, trusted=trusted)
    with limits.admit(client):
        if client.is_forwarded or address in ("203.0.113.1", "10.0.0.10"):
            with pytest.raises(TooManyConnectionsError):
                limits.check(client)
        else:
            limits.check(client)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Referer": "http://localhost/", "Accept": "text/event-stream"}, 200),
        ({"Referer": "http://localhost/runs/1?x=1", "Accept": "text/event-stream", "User-Agent": "Mozilla/5.0"}, 200),
        ({"Referer": "http://LOCALHOST:80", "Accept": "text/event-stream", "Accept-Language": "en"}, 200),
        ({"Referer": "http://localhost/", "Accept": "*/*", "User-Agent": "Mozilla/5.0"}, 403),
        ({"Referer": "http://localhost/", "Accept": "text/event-stream", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Referer": "http://localhost/", "Accept": "text/event-stream", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Referer": "http://localhost.evil.example/", "Accept": "text/event-stream"}, 403),
        ({"Referer": "http://localhost:81/", "Accept": "text/event-stream"}, 403),
        ({"Referer": "http://localhost/"}, 200),
    ],
    ids=str,
)
async def test_an_event_source_of_our_own_page_is_known_by_its_referer(
    headers: dict[str, str], status: int, running: RunningApp
) -> None:
    """Over plain HTTP a browser sends neither Origin nor Sec-Fetch-Site with an EventSource."""
    async with running.client.request("/api/scrape/stream", headers={"User-Agent": "Quart", **headers}) as connection:
        await connection.send_complete()
        await connection.receive()
        assert isinstance(connection, HTTPConnection)
        assert connection.status_code == status
        await connection.disconnect()


@pytest.mark.parametrize(
    ("peer", "proto", "host", "origin", "status"),
    [
        ("10.0.0.9", "https", "odds.example", "https://odds.example", 200),
        ("10.0.0.9", "https", "odds.example:443", "https://odds.example", 200),
        ("10.0.0.9", "http, https", "Odds.Example", "https://odds.example:443", 200),
        ("10.0.0.9", "https", "odds.example", "http://odds.example", 403),
        ("10.0.0.9", "http", "odds.example", "https://odds.example", 403),
        ("10.0.0.9", "gopher", "odds.example", "https://odds.example", 403),
        ("10.0.0.9", None, "odds.example", "https://odds.example", 200),
        ("10.0.0.9", None, "odds.example", "http://odds.example", 200),
        ("10.9.9.9", "https", "odds.example", "http://odds.example", 200),
        ("10.9.9.9", "gopher", "odds.example", "http://odds.example", 200),
        ("10.0.0.9", "https", "odds.example", "https://odds.example:8443", 403),
        ("10.0.0.9", "https", "odds.example:8443", "https://odds.example:8443", 200),
        ("10.0.0.9", "https", "odds.example", "https://odds.example.evil.example", 403),
    ],
)
async def test_our_own_origin_is_scheme_host_and_port(
    peer: str, proto: str | None, host: str, origin: str, status: int, tmp_path: Path
) -> None:
    """The scheme is what a trusted proxy says. If a proxy dropped the port, the error shows both values."""
    names = {"allowed_hosts": "odds.example", "trusted_proxies": "10.0.0.9"}
    headers = {"Host": host, "Origin": origin} | ({"X-Forwarded-Proto": proto} if proto else {})
    async with running_app(tmp_path, NOWHERE, **names) as running:
        response = await running.client.post(
            "/api/scheduler/pause", headers=headers, scope_base={"client": (peer, 4711)}
        )
        assert response.status_code == status
        if origin == "https://odds.example:8443" and status == 403:
            detail = (await response.get_json())["detail"]
            assert "'https://odds.example:8443'" in detail
            assert "Host header is 'odds.example'" in detail
            assert "$http_host" in detail


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("localhost.", 200),
        ("127.0.0.1:8000", 200),
        ("192.168.1.7", 200),
        ("[::1]:8000", 200),
        ("odds.example", 200),
        ("Odds.Example.:8443", 200),
        ("a.odds.test", 200),
        ("b.a.odds.test", 200),
        ("odds.test", 421),
        ("evil.example", 421),
        ("evil.example:8000", 421),
        ("odds.example.evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("xodds.test", 421),
        ("localhost:99999", 421),
        ("localhost/", 421),
        ("evil.example@localhost", 421),
        ("127.1", 421),
        ("", 421),
        ("a" * 300, 421),
        ("löcalhost", 421),
    ],
)
async def test_only_our_own_names_are_answered(host: str, status: int, tmp_path: Path) -> None:
    """With DNS rebinding another site's name can resolve to this server. Monitors are answered under any name."""
    async with running_app(tmp_path, NOWHERE, allowed_hosts="odds.example, *.odds.test") as running:
        for path in ("/api/scheduler/status", "/", "/static/live.js", "/nowhere"):
            response = await running.client.get(path, headers={"Host": host})
            assert (response.status_code == 421) == (status == 421)
        assert (await running.client.get("/healthz", headers={"Host": host})).status_code == 200
        assert (await running.client.get("/api/health", headers={"Host": host})).status_code == status
        if status == 421:
            body = await (await running.client.get("/api/events", headers={"Host": host})).get_json()
            assert "QUART_ODDS_ALLOWED_HOSTS" in body["detail"]
            with pytest.raises(WebsocketResponseError) as refused:
                async with running.client.websocket("/api/ws", headers={"Host": host}) as websocket:
                    await websocket.receive()
            assert refused.value.response.status_code == 421


def test_a_proxy_and_this_machine_may_hold_any_number() -> None:
    """They are exempt in any form of their addresses; all other clients are limited."""
    limits = ConnectionLimits(0, 1, trusted=load_settings({}, trusted_proxies="10.0.0.0/8").trusted_proxies)
    with contextlib.ExitStack() as stack:
        for address in ("10.1.2.3", "::ffff:10.1.2.3", "127.0.0.1", "::1", "::ffff:127.0.0.1", ""):
            for _ in range(3):
                stack.enter_context(limits.admit(Client(address)))
        stack.enter_context(limits.admit(Client("11.0.0.1")))
        with pytest.raises(TooManyConnectionsError):
            limits.check(Client("11.0.0.1"))


def test_addresses_that_a_client_may_choose_itself_are_one() -> None:
    """An IPv6 client has 2^64 addresses, which count as one. Those of another network belong to another client."""
    limits = ConnectionLimits(0, 2)
    with limits.admit(Client("2001:db8::1")), limits.admit(Client("2001:db8::ffff:2")):
        with pytest.raises(TooManyConnectionsError, match=r"2001:db8::/64 holds 2"):
            limits.check(Client("2001:db8:0:0:1::3", is_forwarded=True))
        limits.check(Client("2001:db8:0:1::1"))
    limits.check(Client("2001:db8::1"))
    assert not limits._addresses


async def test_one_connection_too_many_is_refused_before_the_handshake(running: RunningApp) -> None:
    """The answer is 503 with Retry-After. When a client leaves, there is room again."""
    async with running.client.websocket("/api/ws") as first:
        await first.receive()
        async with running.client.websocket("/api/ws") as second:
            await second.receive()
            with pytest.raises(WebsocketResponseError) as refused:
                async with running.client.websocket("/api/ws") as third:
                    await third.receive()
            assert refused.value.response.status_code == 503
            assert refused.value.response.headers["Retry-After"]
    async with running.client.websocket("/api/ws") as fourth:
        await fourth.receive()


@pytest.mark.parametrize("path", ["/nowhere", "/api/nowhere", "/api/scrape/x", "/static/nothing.js", "/api/scrape/-1"])
async def test_an_unknown_route_is_a_problem(path: str, running: RunningApp) -> None:
    """The answer is 404 as problem+json, at least for the API, and names the path."""
    response = await running.client.get(path, headers={"Accept": "application/json"})
    assert (response.status_code, response.content_type) == (404, "application/problem+json")
    body = await response.get_json()
    assert (body["status"], body["title"], body["instance"]) == (404, "Not Found", path)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/scrape/runs", {"GET", "HEAD", "OPTIONS"}),
        ("GET", "/api/scrape/1/cancel", {"POST", "OPTIONS"}),
        ("PUT", "/api/events", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/api/settings", {"GET", "HEAD", "OPTIONS", "PUT"}),
    ],
)
async def test_a_method_that_is_not_allowed_says_which_are(
    method: str, path: str, allowed: set[str], running: RunningApp
) -> None:
    """The answer is 405 with Allow."""
    response = await running.ask(method, path)
    assert (response.status_code, response.content_type) == (405, "application/problem+json")
    assert set(response.headers["Allow"].split(", ")) == allowed


async def test_an_error_of_ours_says_nothing_of_our_insides(
    running: RunningApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is 500 as a problem, without the text of the exception."""

    async def broken(*_: object) -> None:
        raise ValueError("the password is secret")

    monkeypatch.setattr(running.parts.store, "run_stats", broken)
    response = await running.client.get("/api/scrape/stats")
    assert (response.status_code, response.content_type) == (500, "application/problem+json")
    assert "secret" not in await response.get_data(as_text=True)


async def test_a_refusal_of_ours_is_one_line_in_the_log(running: RunningApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds for drains, pages and an unavailable database. A client's own mistake is not logged."""

    async def away(*_: object, **__: object) -> None:
        raise StorageError("the database is locked")

    monkeypatch.setattr(running.parts.store, "list_runs", away)
    with capture_logs() as logs:
        assert (await running.client.get("/nowhere")).status_code == 404
        assert (await running.client.get("/api/scrape/runs")).status_code == 503
        assert (await running.client.get("/runs", headers={"Accept": "text/html"})).status_code == 503
        running.parts.is_draining = True
        with pytest.raises(WebsocketResponseError):
            async with running.client.websocket("/api/ws") as websocket:
                await websocket.receive()
        running.parts.is_draining = False
    assert [(each["event"], each["path"], each["status"]) for each in logs] == [
        ("request.refused", "/api/scrape/runs", 503),
        ("request.refused", "/runs", 503),
        ("request.refused", "/api/ws", 503),
    ]
    assert not any("exc_info" in each for each in logs)


async def test_what_nobody_foresaw_is_logged_with_its_traceback(
    running: RunningApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected error is logged as an error, with its exception."""

    async def broken(*_: object, **__: object) -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(running.parts.store, "list_runs", broken)
    with capture_logs() as logs:
        assert (await running.client.get("/api/scrape/runs")).status_code == 500
    assert [each["event"] for each in logs] == ["request.failed"]
    assert isinstance(logs[0]["exc_info"], ValueError)
