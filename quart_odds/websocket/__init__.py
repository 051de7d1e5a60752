"""WebSocket: the messages, and the bridge that forwards a run's progress to all listeners."""

from quart_odds.websocket.alert_messages import AlertMessages
from quart_odds.websocket.bridge import bridge_scrape_to_websocket
from quart_odds.websocket.messages import (
    connection_ack_message,
    error_message,
    event_change_message,
    gap_message,
    gap_notice,
    odds_change_message,
    odds_image_message,
    odds_update_message,
    pong_message,
    scrape_progress_message,
    subscription_update_message,
)
from quart_odds.websocket.odds_updates import OddsUpdates

__all__ = [
    "AlertMessages",
    "OddsUpdates",
    "bridge_scrape_to_websocket",
    "connection_ack_message",
    "error_message",
    "event_change_message",
    "gap_message",
    "gap_notice",
    "odds_change_message",
    "odds_image_message",
    "odds_update_message",
    "pong_message",
    "scrape_progress_message",
    "subscription_update_message",
]
