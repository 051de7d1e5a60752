"""Live connections of those who have a token: tickets, and the end when the token is over."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from quart.testing import WebsocketResponseError
from quart.testing.connections import WebsocketDisconnectError
from structlog.testing import capture_logs

from quart_odds.access import ties
from quart_odds.access.tokens import AccessTokens
from quart_odds.domain.scopes import Scope
from tests.apps import RunningApp, running_app
from tests.tokens import HEADERS, add_token

NOWHERE = "http://127.0.0.1:9"
ELSEWHERE = {"client": ("192.0.2.9", 50_000)}


@pytest.fixture
async def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningApp]:
    """An app that looks after tokens all the time, with one."""
    monkeypatch.setattr(ties.Ties.__init__, "__defaults__", (0.02,))
    async with running_app(tmp_path, NOWHERE) as opened:
        await add_token(opened.parts.store, scope=Scope.RUN)
        yield opened


async def ticket(running: RunningApp) -> str:
    """Return a new ticket of the token's."""
    response = await running.client.post("/api/tickets", headers=HEADERS, scope_base=ELSEWHERE)
    assert response.status_code == 201
    body = await response.get_json()
    assert set(body) == {"ticket", "expires_at"}
    return str(body["ticket"])


async def refused_handshake(running: RunningApp, query: str) -> int:
    """Return the status that refuses a WebSocket."""
    with pytest.raises(WebsocketResponseError) as refused:
        async with running.client.websocket(f"/api/ws?{query}", scope_base=ELSEWHERE) as websocket:
            await websocket.receive()
    return int(refused.value.response.status_code)


async def test_a_ticket_opens_one_live_connection(running: RunningApp) -> None:
    """On each of the three paths, and on no other. A second use is refused."""
    text = await ticket(running)
    async with running.client.websocket(f"/api/ws?ticket={text}&cursor=1", scope_base=ELSEWHERE) as websocket:
        assert (await websocket.receive_json())["type"] == "connection_ack"
    assert await refused_handshake(running, f"ticket={text}") == 401
    assert await refused_handshake(running, "ticket=nonsense") == 401
    assert await refused_handshake(running, "ticket=") == 401
    for path in ("/api/sse", "/api/scrape/stream"):
        text = await ticket(running)
        for status in (200, 401):
            response = await running.client.head(f"{path}?ticket={text}", scope_base=ELSEWHERE)
            assert response.status_code == status, path
    text = await ticket(running)
    response = await running.client.get(f"/api/settings?ticket={text}", scope_base=ELSEWHERE)
    assert response.status_code == 401


async def test_a_ticket_is_in_no_log_line(running: RunningApp, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in ours, nor in what a server logs of the scope of a request."""
    text = await ticket(running)
    scope = dict(ELSEWHERE)
    with capture_logs() as logs, caplog.at_level(logging.DEBUG):
        for status in (200, 401):
            async with running.client.request(
                f"/api/sse?topics=odds&ticket={text}&since=0-0", scope_base=scope
            ) as connection:
                await connection.send_complete()
                await connection.receive()
                assert connection.status_code == status
                seen = connection.scope["query_string"]
                assert seen == b"topics=odds&ticket=***&since=0-0"
                await connection.disconnect()
    assert text not in str(logs) + caplog.text


async def test_a_websocket_is_closed_with_4401_when_its_token_is_revoked(running: RunningApp) -> None:
    """Within the time of a look. Those of others, and of this machine, stay."""
    other = await add_token(running.parts.store, f"qo_{'3' * 12}_{'3' * 64}", Scope.READ)
    own = {"Authorization": f"Bearer qo_{'3' * 12}_{'3' * 64}"}
    async with (
        running.client.websocket("/api/ws", headers=HEADERS, scope_base=ELSEWHERE) as websocket,
        running.client.websocket("/api/ws", headers=own, scope_base=ELSEWHERE) as kept,
        running.client.websocket("/api/ws") as local,
    ):
        for each in (websocket, kept, local):
            assert (await each.receive_json())["type"] == "connection_ack"
        assert len(running.parts.ties) == 2
        await AccessTokens(running.parts.store).revoke("0" * 12)
        with pytest.raises(WebsocketDisconnectError) as closed:
            async with asyncio.timeout(10):
                await websocket.receive()
        assert closed.value.args[0] == 4401
        for each in (kept, local):
            await each.send_json({"type": "ping"})
            assert (await each.receive_json())["type"] == "pong"
    async with asyncio.timeout(10):
        while running.parts.limits.count or len(running.parts.ties):
            await asyncio.sleep(0.01)
    assert other.end_reason(other.created_at) is None
    assert running.parts.ties.ended == 1


@pytest.mark.parametrize("how", ["revoked", "logged out"])
async def test_an_event_stream_ends_in_order_when_what_it_rests_on_is_over(how: str, running: RunningApp) -> None:
    """A token, or a session: its end says that the stream is complete."""
    headers = dict(HEADERS)
    secret = ""
    if how == "logged out":
        secret, _ = await running.parts.credentials.log_in(HEADERS["Authorization"].removeprefix("Bearer "), None)
        headers = {"Cookie": f"quart_odds_session={secret}", "Origin": "http://localhost"}
    async with running.client.request("/api/sse", headers=headers, scope_base=ELSEWHERE) as connection:
        await connection.send_complete()
        said = b""
        async with asyncio.timeout(10):
            while b"connection_ack" not in said:
                said += await connection.receive()
            if how == "revoked":
                await AccessTokens(running.parts.store).revoke("0" * 12)
            else:
                await running.parts.credentials.log_out(secret)
            while await connection.receive():
                pass
    assert running.parts.limits.count == 0


async def test_who_may_only_read_watches_nothing(running: RunningApp) -> None:
    """Neither by `watch`, nor by a filter: that would cost requests to bookmakers."""
    await add_token(running.parts.store, f"qo_{'3' * 12}_{'3' * 64}", Scope.READ)
    reader = {"Authorization": f"Bearer qo_{'3' * 12}_{'3' * 64}"}
    for headers, watched in ((reader, ()), (HEADERS, (7, 8))):
        path = "/api/ws?watch=7&topics=odds&event_id=8"
        async with running.client.websocket(path, headers=headers, scope_base=ELSEWHERE) as websocket:
            assert (await websocket.receive_json())["type"] == "connection_ack"
            assert running.parts.watched.here((7, 8)) == watched
