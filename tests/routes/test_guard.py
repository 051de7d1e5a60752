"""Who is asking: strangers are refused before anything happens, and errors are problems that say what is wrong."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from quart.testing import WebsocketResponseError

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
