"""Publishes what happens to opportunities to everyone who listens to the topic `opportunities`."""

from collections.abc import Callable
from datetime import datetime

from quart_odds.broadcast import OPPORTUNITIES, BroadcastRegistry
from quart_odds.odds.opportunities import Track, What
from quart_odds.odds.opportunity_views import identity_fields, opportunity_fields
from quart_odds.odds.views import event_fields
from quart_odds.websocket.messages import opportunity_message


class OpportunityFeed:
    """Publishes `opportunity` messages: what an OpportunityEngine tells.

    `is_publisher` says whether this process does so. Of several processes that share a log, all search the same odds,
    and one publishes.
    """

    def __init__(self, registry: BroadcastRegistry, is_publisher: Callable[[], bool]) -> None:
        self._registry = registry
        self._is_publisher = is_publisher

    def __call__(self, what: What, track: Track, at: datetime) -> None:
        """Publish that an opportunity appeared, changed or is gone."""
        if not self._is_publisher():
            return
        event = track.event
        # The prices of what is gone may be gone, too.
        shown = None if what == "gone" else {**event_fields(event), **opportunity_fields(track, at), "stakes": None}
        message = opportunity_message(
            what,
            event_id=event.id,
            sportradar_id=event.sportradar_id,
            opportunity=identity_fields(track, at),
            shown=shown,
            at=at,
        )
        self._registry.broadcast(message, OPPORTUNITIES)
