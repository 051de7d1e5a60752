"""Under our launcher, on the fast lane: live connections end when their token is revoked."""

import asyncio
from pathlib import Path

import aiohttp
import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from quart_odds.access.tokens import AccessTokens
from quart_odds.storage import open_store
from tests.server.harness import Served, plain_hypercorn, served
from tests.tokens import HEADERS

LISTENERS = 5


async def until_revoked(folder: Path) -> None:
    """Revoke the token of the tests."""
    store = await open_store(f"sqlite:///{folder / 'odds.db'}")
    try:
        await AccessTokens(store).revoke("0" * 12)
    finally:
        await store.aclose()


async def ticket(server: Served, session: aiohttp.ClientSession) -> str:
    """Return a new ticket."""
    async with session.post(f"http://127.0.0.1:{server.port}/api/tickets", headers=HEADERS) as answer:
        assert answer.status == 201
        return str((await answer.json())["ticket"])


async def test_connections_of_a_revoked_token_end_on_the_fast_lane(tmp_path: Path) -> None:
    """WebSockets with 4401, event streams in order, whether they began with the token or with a ticket."""
    with served(tmp_path, allowed_hosts="odds.example") as server:
        async with aiohttp.ClientSession() as session, asyncio.timeout(60):
            sockets = []
            for number in range(LISTENERS):
                query = f"?ticket={await ticket(server, session)}" if number % 2 else ""
                headers = {} if number % 2 else HEADERS
                url = f"ws://127.0.0.1:{server.port}/api/ws{query}"
                socket = await connect(url, compression=None, additional_headers=headers)
                assert orjson.loads(await socket.recv())["type"] == "connection_ack"
                sockets.append(socket)
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://127.0.0.1:{server.port}/api/ws", compression=None)
            assert refused.value.response.status_code == 401
            stream = await session.get(f"http://127.0.0.1:{server.port}/api/sse", headers=HEADERS)
            assert stream.status == 200
            await server.until(listening=LISTENERS + 1)
            await until_revoked(tmp_path)
            for socket in sockets:
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 4401
            # A stream that ended before its last chunk would raise.
            assert b"connection_ack" in await stream.read()
            async with session.get(f"http://127.0.0.1:{server.port}/api/settings", headers=HEADERS) as answer:
                assert answer.status == 401


async def test_a_server_that_logs_whole_addresses_logs_no_ticket(tmp_path: Path) -> None:
    """Plain Hypercorn can be told to log queries. Whether the ticket is good or not, it is masked by then."""
    path = tmp_path / "access.log"
    options = ("--access-logfile", str(path), "--access-logformat", "%(R)s")
    with plain_hypercorn(tmp_path, *options) as server:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session, asyncio.timeout(60):
            while True:
                try:
                    async with session.post("/api/tickets") as answer:
                        text = (await answer.json())["ticket"]
                        break
                except aiohttp.ClientConnectorError:
                    await asyncio.sleep(0.05)
            for status in (200, 401):
                async with session.head(f"/api/sse?ticket={text}&topics=odds") as answer:
                    assert answer.status == status
            while (said := path.read_text()).count("HEAD /api/sse") < 2:
                await asyncio.sleep(0.05)
    assert said.count("?ticket=***&topics=odds") == 2
    assert text not in said
