"""Connections to Redis."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NoConnectionError

from quart_odds.app import create_app
from quart_odds.cluster import open_redis
from quart_odds.errors import SettingsError
from quart_odds.settings import load_settings
from tests.redis_servers import running_redis
from tests.sentinels import WatchedRedis, watched_redis


@pytest.fixture(scope="module")
def watched() -> Iterator[WatchedRedis]:
    """Return a Redis that sentinels watch, for the tests of this module."""
    with watched_redis() as servers:
        yield servers


async def test_a_connection_answers() -> None:
    """With the number of the database and without."""
    with running_redis() as server:
        for url in (server.url, f"redis://127.0.0.1:{server.port}"):
            client: Redis = open_redis(url)
            assert await client.ping()
            await client.aclose()


async def test_a_sentinel_that_does_not_answer_is_passed_by(watched: WatchedRedis) -> None:
    """It accepts connections and says nothing. The one after it is asked within a second."""
    os.kill(watched.sentinels[0].pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        client: Redis = open_redis(watched.url)
        assert await client.ping()
        assert time.monotonic() - began < 2
        await client.aclose()
    finally:
        os.kill(watched.sentinels[0].pid, signal.SIGCONT)


async def test_without_any_sentinel_a_connection_fails_soon_and_works_again_with_one(watched: WatchedRedis) -> None:
    """The client need not be made anew."""
    client: Redis = open_redis(watched.url)
    for each in watched.sentinels:
        each.kill()
    try:
        async with asyncio.timeout(5):
            with pytest.raises(NoConnectionError, match="No master found"):
                await client.ping()
        await asyncio.to_thread(watched.sentinels[-1].start)
        assert await client.ping()
    finally:
        await client.aclose()
        for each in watched.sentinels[:-1]:
            await asyncio.to_thread(each.start)


async def test_a_client_that_is_closed_leaves_no_connection_to_a_sentinel(watched: WatchedRedis) -> None:
    """However often a process connects anew."""
    with watched.sentinels[0].client() as looking:

        def ours() -> int:
            return sum(each["addr"].startswith("127.0.0.1") and each["cmd"].startswith("sentinel")
                       for each in looking.client_list())  # fmt: skip

        before = ours()
        for _ in range(10):
            client: Redis = open_redis(watched.url)
            await client.ping()
            await client.aclose()
        async with asyncio.timeout(5):
            while ours() > before:
                await asyncio.sleep(0.02)


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
