"""The broadcast: one log, many cursors. Each message is serialised once, and clients read it at their own pace."""

from quart_odds.broadcast.context import broadcast_registry, current_registry, use_registry
from quart_odds.broadcast.event_log import EventLog, LogBounds, ResumePosition
from quart_odds.broadcast.flush import Flusher
from quart_odds.broadcast.framing import Entry
from quart_odds.broadcast.registry import (
    ALERTS,
    DEFAULT_TOPICS,
    ODDS,
    ODDS_UPDATES,
    OPPORTUNITIES,
    SCRAPE_PROGRESS,
    TOPICS,
    BroadcastRegistry,
)
from quart_odds.broadcast.sink import Sink
from quart_odds.broadcast.subscriber import Subscriber

__all__ = [
    "ALERTS",
    "DEFAULT_TOPICS",
    "ODDS",
    "ODDS_UPDATES",
    "OPPORTUNITIES",
    "SCRAPE_PROGRESS",
    "TOPICS",
    "BroadcastRegistry",
    "Entry",
    "EventLog",
    "Flusher",
    "LogBounds",
    "ResumePosition",
    "Sink",
    "Subscriber",
    "broadcast_registry",
    "current_registry",
    "use_registry",
]
