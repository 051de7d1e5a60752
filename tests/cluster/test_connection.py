"""Connections to Redis."""

import sys

import pytest
from redis.asyncio import Redis

from quart_odds.app import create_app
from quart_odds.cluster import open_redis
from quart_odds.errors import SettingsError
from quart_odds.settings import load_settings
from tests.redis_servers import running_redis


async def test_a_connection_answers() -> None:
    """With the number of the database and without."""
    with running_redis() as server:
        for url in (server.url, f"redis://127.0.0.1:{server.port}"):
            client: Redis = open_redis(url)
            assert await client.ping()
            await client.aclose()


def test_without_the_package_the_app_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason says what to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(SettingsError, match=r"quart-odds\[redis\]"):
        create_app(load_settings({}, engine_url="redis://localhost:6379/0"))


@pytest.mark.parametrize(
    "url", ["http://localhost", "redis://", "unix://socket", "redis+sentinel://localhost", "redis:// x", "localhost"]
)
def test_an_address_that_is_none_is_refused_before_anything_starts(url: str) -> None:
    """With what is allowed."""
    with pytest.raises(SettingsError, match="QUART_ODDS_ENGINE_URL: give redis://"):
        load_settings({"QUART_ODDS_ENGINE_URL": url})
