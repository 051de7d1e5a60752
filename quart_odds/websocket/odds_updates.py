"""Passes notices of changed odds on to everyone who listens to the topic `odds_updates`."""

from quart_odds.broadcast import ODDS_UPDATES, BroadcastRegistry
from quart_odds.domain.platforms import Platform
from quart_odds.websocket.messages import odds_update_message


class OddsUpdates:
    """Publishes `odds_update` messages: what an OddsNotifier calls."""

    def __init__(self, registry: BroadcastRegistry) -> None:
        self._registry = registry

    def __call__(self, event_ids: list[int], platform: Platform, snapshot_count: int, opening_count: int) -> None:
        """Publish one notice. See `odds_update_message`."""
        message = odds_update_message(event_ids, platform, snapshot_count, opening_count)
        self._registry.broadcast(message, ODDS_UPDATES)
