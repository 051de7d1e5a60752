"""Connections to Redis, with the options that a server which must not hang needs.

Redis 6.2 and Valkey have every command that is used. Two facts about redis-py shape the options: under RESP3 its pool
hands out connections that the server has closed, so RESP2 is used; and its default retries would repeat a command that
may have been carried out, so there are none, and each caller decides.
"""

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from quart_odds.errors import SettingsError

if TYPE_CHECKING:
    from redis.asyncio import Redis

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 2.0
"""How long Redis may take to answer a command that does not block."""

MISSING = "QUART_ODDS_ENGINE_URL needs the package redis: pip install 'quart-odds[redis]'"


@dataclass(frozen=True, slots=True)
class RedisServer:
    """Where Redis is. `url` is the setting `engine_url`."""

    url: str

    def check(self) -> None:
        """Raise SettingsError if connections cannot be made here, because the package redis is not installed."""
        if importlib.util.find_spec("redis") is None:
            raise SettingsError(MISSING)

    def connect(self, *, answer_seconds: float | None = ANSWER_SECONDS, most: int | None = None) -> "Redis":
        """Return a client of its own pool of at most `most` connections. Nothing is opened before the first command.

        `answer_seconds` limits every command; a command that blocks needs more than it blocks. The caller closes it
        with `aclose()`.
        """
        return open_redis(self.url, answer_seconds=answer_seconds, most=most)


def open_redis(url: str, *, answer_seconds: float | None = ANSWER_SECONDS, most: int | None = None) -> "Redis":
    """Return a client for a `redis://`, `rediss://`, `unix://` or `redis+sentinel://` address.

    Raises SettingsError if the package redis is not installed.
    """
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise SettingsError(MISSING) from None
    options: dict[str, Any] = {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": answer_seconds,
        "health_check_interval": 0,
    }
    if most is not None:
        options["max_connections"] = most
    if "+sentinel://" not in url:
        client: Redis = Redis.from_url(url, **options)
        return client
    return _through_sentinel(url, options)


def _through_sentinel(url: str, options: dict[str, Any]) -> "Redis":
    """Return a client for an address that names sentinels."""
    from quart_odds.cluster.sentinels import open_through_sentinels

    scheme, _, rest = url.partition("://")
    user, _, places = rest.rpartition("@")
    hosts, _, name = places.partition("/")
    name, _, database = name.partition("/")
    addresses = [(found.hostname or "localhost", found.port or 26379) for found in map(_address, hosts.split(","))]
    if user:
        username, _, password = user.rpartition(":")
        options["password"] = unquote(password)
        if username:
            options["username"] = unquote(username)
    if database:
        options["db"] = int(database)
    if scheme.startswith("rediss"):
        options["ssl"] = True
    return open_through_sentinels(addresses, name, options)


def _address(text: str) -> Any:
    return urlsplit(f"redis://{text}")
