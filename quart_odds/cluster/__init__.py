"""Several processes as one server: the connection to Redis, which they share."""

from quart_odds.cluster.connection import RedisServer, open_redis

__all__ = ["RedisServer", "open_redis"]
