"""A client of the Redis that Sentinel names as the primary. Imported only where the package redis is there."""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

SENTINEL_SECONDS = 0.5
"""How long one sentinel may take to connect, and to answer. They are asked in turn, so all of them add up."""


class SentinelRedis(Redis):
    """A client that closes its connections to the sentinels with those to the primary, which redis-py does not."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close all connections."""
        try:
            await super().aclose(close_connection_pool)
        finally:
            await self.connection_pool.sentinel_manager.aclose()  # type: ignore[attr-defined]


def open_through_sentinels(addresses: Sequence[tuple[str, int]], name: str, options: dict[str, Any]) -> SentinelRedis:
    """Return a client whose every new connection asks the sentinels where the primary is."""
    asking = {
        "socket_timeout": SENTINEL_SECONDS,
        "socket_connect_timeout": SENTINEL_SECONDS,
        "protocol": 2,
        # A sentinel that does not answer is not asked again: the next one is.
        "retry": Retry(NoBackoff(), 0),
    }
    sentinel = Sentinel(addresses, sentinel_kwargs=asking, **options)  # type: ignore[no-untyped-call]
    client: SentinelRedis = sentinel.master_for(name, redis_class=SentinelRedis)
    return client
