"""Passes alerts on to everyone who listens to the topic `alerts`."""

from collections.abc import Mapping
from datetime import datetime

from quart_odds.broadcast import ALERTS, BroadcastRegistry
from quart_odds.websocket.messages import alert_message


class AlertMessages:
    """Publishes `alert` messages: what an AlertEngine calls."""

    def __init__(self, registry: BroadcastRegistry) -> None:
        self._registry = registry

    def __call__(self, alert_id: int, title: str, text: str, data: Mapping[str, object], at: datetime) -> None:
        """Publish one alert. See `alert_message`."""
        self._registry.broadcast(alert_message(alert_id, title=title, text=text, data=data, at=at), ALERTS)
