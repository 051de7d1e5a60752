"""What carries the log between processes: nothing for one process, a Redis stream for several."""

from quart_odds.broadcast.engines.keys import LogKeys
from quart_odds.broadcast.engines.publisher import StreamPublisher
from quart_odds.broadcast.engines.records import MESSAGE, OPERATION, RELOAD, Record
from quart_odds.broadcast.engines.tail import LogTail, ReplicatedState

__all__ = ["MESSAGE", "OPERATION", "RELOAD", "LogKeys", "LogTail", "Record", "ReplicatedState", "StreamPublisher"]
