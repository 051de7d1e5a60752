"""Several processes as one server: what they share through Redis."""

from quart_odds.cluster.connection import RedisServer, open_redis
from quart_odds.cluster.shared_log import SharedLog

__all__ = ["RedisServer", "SharedLog", "open_redis"]
