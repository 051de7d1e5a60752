"""A copy of the client library in the terms of tests/websocket/copies.py, so that both are audited alike."""

from typing import Any

from quart_odds_client import Event, OddsCopy
from quart_odds_client.messages import message_of
from tests.websocket import copies
from tests.websocket.copies import Place, Price

JSON = dict[str, Any]
AT = "2026-11-22T10:00:00.000Z"


def prices_of(event: Event) -> dict[Place, Price]:
    """Return the prices of an event."""
    return {
        Place(*place): Price(price.odds, price.is_active, price.available, price.promotion)
        for place, price in event.prices()
    }


class AuditedCopy(copies.OddsCopy):
    """The copy of a client library, given the messages as they are on the wire."""

    def __init__(self) -> None:
        self.copied = OddsCopy()
        super().__init__()

    def apply(self, message: JSON) -> None:
        """Apply a message."""
        data = message["data"]
        if message["type"] == "odds_change":
            known = self.copied.events.get(data["event_id"])
            self.unknown += known is None or data["source"] not in known.bookmakers
        self.copied.apply(message_of(message | {"timestamp": message["timestamp"] or AT}))
        self.events = {event_id: shown(event) for event_id, event in self.copied.events.items()}


def shown(event: Event) -> copies.CopiedEvent:
    """Return an event as the audit compares it."""
    bookmakers = {slug: here.entry.model_dump(mode="json") for slug, here in event.bookmakers.items()}
    fields = event.fields.model_dump(mode="json")
    # With milliseconds, as on the wire.
    fields["kickoff"] = f"{event.kickoff.isoformat(timespec='milliseconds')[:-6]}Z"
    return copies.CopiedEvent(fields, bookmakers, prices_of(event))
