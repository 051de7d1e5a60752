"""Who is asking: strangers are refused before anything happens, and errors are problems that say what is wrong."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from quart import request
from quart.testing import WebsocketResponseError
from structlog.testing import capture_logs
from werkzeug.datastructures import Headers

from quart_odds.errors import StorageError
from quart_odds.limits import ConnectionLimits, TooManyConnectionsError
from quart_odds.routes.guard import client_address
from quart_odds.settings import load_settings
from tests.houses import House, house

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    """An app with a friend on another site, and room for two."""
    async with house(tmp_path, NOWHERE, allowed_origins="https://friend.example", max_connections=2) as opened:
        yield opened


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost"},
        {"Origin": "https://localhost"},
        {"Origin": "https://friend.example"},
        {"Origin": "https://friend.example/"},
        {"Origin": "HTTPS://Friend.Example:443"},
        {"Origin": "http://localhost:8000", "Host": "LOCALHOST:8000"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://friend.example", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
async def test_programs_our_own_pages_and_friends_may_connect_and_act(headers: dict[str, str], home: House) -> None:
    """A WebSocket, and a request that changes something."""
    async with home.client.websocket("/api/ws", headers=headers) as websocket:
        assert (await websocket.receive_json())["type"] == "connection_ack"
    assert (await home.client.post("/api/scheduler/pause", headers=headers)).status_code == 200


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
        {"Origin": "https://friend.example.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
async def test_pages_of_strangers_are_refused_before_the_handshake(headers: dict[str, str], home: House) -> None:
    """With a real status and a problem; nobody is counted as connected."""
    with pytest.raises(WebsocketResponseError) as refused:
        async with home.client.websocket("/api/ws", headers=headers) as websocket:
            await websocket.receive()
    assert refused.value.response.status_code == 403
    assert refused.value.response.content_type == "application/problem+json"
    assert home.parts.registry.active_count == home.parts.limits.count == 0
    assert (await home.client.post("/api/scheduler/pause", headers=headers)).status_code == 403


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.1", ["198.51.100.7"], "203.0.113.1"),
        ("10.0.0.9", [], "10.0.0.9"),
        ("10.0.0.9", ["198.51.100.7"], "198.51.100.7"),
        ("::ffff:10.0.0.9", ["198.51.100.7"], "198.51.100.7"),
        ("172.16.3.4", ["198.51.100.7, 10.0.0.9"], "198.51.100.7"),
        ("172.16.3.4", ["203.0.113.9, 198.51.100.7", "10.0.0.9"], "198.51.100.7"),
        ("172.16.3.4", ["10.0.0.9"], "10.0.0.9"),
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
    peer: str, forwarded: list[str], client: str, home: House
) -> None:
    """Whatever form addresses come in, on however many lines; a proxy is named by its address or its network."""
    trusted = load_settings({}, trusted_proxies="10.0.0.9, 172.16.0.0/12, fd00::/8").trusted_proxies
    headers = Headers([("Remote-Addr", peer), *(("X-Forwarded-For", each) for each in forwarded)])
    async with home.app.test_request_context("/", headers=headers):
        assert client_address(request, trusted) == client


def test_a_proxy_and_this_machine_may_hold_any_number() -> None:
    """In either form of an address; all others have their limit."""
    limits = ConnectionLimits(0, 1, trusted=load_settings({}, trusted_proxies="10.0.0.0/8").trusted_proxies)
    with contextlib.ExitStack() as stack:
        for address in ("10.1.2.3", "::ffff:10.1.2.3", "127.0.0.1", "::1", "::ffff:127.0.0.1", ""):
            for _ in range(3):
                stack.enter_context(limits.admit(address))
        stack.enter_context(limits.admit("11.0.0.1"))
        with pytest.raises(TooManyConnectionsError):
            limits.check("11.0.0.1")


async def test_one_connection_too_many_is_refused_before_the_handshake(home: House) -> None:
    """503 with Retry-After; when one leaves there is room again."""
    async with home.client.websocket("/api/ws") as first:
        await first.receive()
        async with home.client.websocket("/api/ws") as second:
            await second.receive()
            with pytest.raises(WebsocketResponseError) as refused:
                async with home.client.websocket("/api/ws") as third:
                    await third.receive()
            assert refused.value.response.status_code == 503
            assert refused.value.response.headers["Retry-After"]
    async with home.client.websocket("/api/ws") as fourth:
        await fourth.receive()


@pytest.mark.parametrize("path", ["/nowhere", "/api/nowhere", "/api/scrape/x", "/static/nothing.js", "/api/scrape/-1"])
async def test_an_unknown_route_is_a_problem(path: str, home: House) -> None:
    """404 as problem+json, for the API at least; it names the path."""
    response = await home.client.get(path, headers={"Accept": "application/json"})
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
    method: str, path: str, allowed: set[str], home: House
) -> None:
    """405 with Allow."""
    response = await home.ask(method, path)
    assert (response.status_code, response.content_type) == (405, "application/problem+json")
    assert set(response.headers["Allow"].split(", ")) == allowed


async def test_an_error_of_ours_says_nothing_of_our_insides(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 as a problem, without the exception's text."""

    async def broken(_: object) -> None:
        raise ValueError("the password is secret")

    monkeypatch.setattr(home.parts.store, "run_stats", broken)
    response = await home.client.get("/api/scrape/stats")
    assert (response.status_code, response.content_type) == (500, "application/problem+json")
    assert "secret" not in await response.get_data(as_text=True)


async def test_a_refusal_of_ours_is_one_line_in_the_log(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a client asks in a bad moment, a page does, or the database is away; what is a client's fault is none."""

    async def away(*_: object, **__: object) -> None:
        raise StorageError("the database is locked")

    monkeypatch.setattr(home.parts.store, "list_runs", away)
    with capture_logs() as logs:
        assert (await home.client.get("/nowhere")).status_code == 404
        assert (await home.client.get("/api/scrape/runs")).status_code == 503
        assert (await home.client.get("/runs", headers={"Accept": "text/html"})).status_code == 503
        home.parts.is_draining = True
        with pytest.raises(WebsocketResponseError):
            async with home.client.websocket("/api/ws") as websocket:
                await websocket.receive()
        home.parts.is_draining = False
    assert [(each["event"], each["path"], each["status"]) for each in logs] == [
        ("request.refused", "/api/scrape/runs", 503),
        ("request.refused", "/runs", 503),
        ("request.refused", "/api/ws", 503),
    ]
    assert not any("exc_info" in each for each in logs)


async def test_what_nobody_foresaw_is_logged_with_its_traceback(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is what a traceback is for."""

    async def broken(*_: object, **__: object) -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(home.parts.store, "list_runs", broken)
    with capture_logs() as logs:
        assert (await home.client.get("/api/scrape/runs")).status_code == 500
    assert [each["event"] for each in logs] == ["request.failed"]
    assert isinstance(logs[0]["exc_info"], ValueError)
