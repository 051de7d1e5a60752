"""A server that asks everybody for a token, as it may be behind a proxy: with one, without, and when it ends."""

import asyncio
import json
from pathlib import Path

import pytest

from quart_odds_client import AccessError, Client, ConnectionAck, ConnectionRefused, Options, connect
from tests.server.serving import served, token_command


async def test_a_token_opens_the_api_and_streams_until_it_is_revoked(tmp_path: Path) -> None:
    """Without it, both are refused with what to do. When it ends, so do streams, on both transports."""
    quick = Options(least_wait_seconds=0.05, most_wait_seconds=0.2)
    async with served(tmp_path, {"root_path": "/odds"}) as server, asyncio.timeout(90):
        url = f"{server.url}/odds"
        async with Client(url) as client:
            with pytest.raises(AccessError, match=r"answers 401: .*token"):
                await anext(client.events())
        for transport in ("websocket", "sse", "auto"):
            with pytest.raises(ConnectionRefused, match=r"status 401: .*token"):
                await connect(url, transport=transport).__aenter__()
        token = await token_command(tmp_path, "create", "--name", "mine", "--scope", "read")
        async with Client(url, token=token) as client:
            assert [event async for event in client.events()] == []
            with pytest.raises(AccessError, match="answers 403"):
                await client.start_scrape()
        streams = [
            connect(url, transport="websocket", token=token, options=quick),
            connect(url, transport="sse", token=token, options=quick),
        ]
        async with streams[0], streams[1]:
            for stream in streams:
                assert isinstance(await anext(stream), ConnectionAck)
            rows = map(json.loads, (await token_command(tmp_path, "list", "--json")).splitlines())
            [mine] = [row["id"] for row in rows if row["name"] == "mine"]
            await token_command(tmp_path, "revoke", mine)
            with pytest.raises(ConnectionRefused, match="close code 4401"):
                await anext(streams[0])
            with pytest.raises(ConnectionRefused, match="status 401"):
                await anext(streams[1])
