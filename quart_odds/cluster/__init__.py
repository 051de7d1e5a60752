"""Several processes as one server: the connection to Redis, which they share, and commands for the writer."""

from quart_odds.cluster.commands import CommandReceiver, CommandSender
from quart_odds.cluster.connection import RedisServer, open_redis

__all__ = ["CommandReceiver", "CommandSender", "RedisServer", "open_redis"]
