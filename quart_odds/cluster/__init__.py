"""Several processes as one server: what they share through Redis."""

from quart_odds.cluster.commands import CommandReceiver, CommandSender
from quart_odds.cluster.connection import RedisServer, open_redis
from quart_odds.cluster.reports import ProcessReports
from quart_odds.cluster.run_logs import RunLogs
from quart_odds.cluster.shared_log import SharedLog

__all__ = ["CommandReceiver", "CommandSender", "ProcessReports", "RedisServer", "RunLogs", "SharedLog", "open_redis"]
