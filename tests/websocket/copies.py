"""A copy of odds that is kept by the messages of the topic `odds` alone, as docs/protocol.md tells clients to."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

JSON = dict[str, Any]


class Place(NamedTuple):
    """What identifies a price of an event."""

    source: str
    market_id: str
    line: float | None
    market_promotion: str | None
    outcome: str


class Price(NamedTuple):
    """What a copy knows of a price."""

    odds: float
    is_active: bool
    available: bool
    promotion: str | None


@dataclass
class CopiedEvent:
    """An event of a copy: its own fields, the bookmakers' entries by slug, and the prices."""

    fields: JSON = field(default_factory=dict)
    bookmakers: dict[str, JSON] = field(default_factory=dict)
    prices: dict[Place, Price] = field(default_factory=dict)


class OddsCopy:
    """Events by id. Pass every message of the stream to `apply`; those of other topics change nothing.

    `unknown` counts the messages about prices of an event or a bookmaker that the copy does not have.
    """

    def __init__(self) -> None:
        self.events: dict[int, CopiedEvent] = {}
        self.unknown = 0
        self._paged: set[int] = set()

    def apply(self, message: JSON) -> None:
        """Apply a message."""
        data = message["data"]
        match message["type"]:
            case "odds_image":
                self._image(data)
            case "odds_change":
                self._prices(data)
            case "event_change":
                self._event(data)
            case "connection_ack" | "subscription_update":
                # The rest of an image that had begun does not come any more.
                self._paged = set()

    def prices(self, event_id: int) -> dict[Place, Price]:
        """Return the prices of an event. Raises KeyError if the copy does not have it."""
        return self.events[event_id].prices

    def _image(self, data: JSON) -> None:
        for event in data["events"]:
            self.events[event["id"]] = CopiedEvent(
                {name: value for name, value in event.items() if name not in ("bookmakers", "markets_by_bookmaker")},
                {each["bookmaker_slug"]: each for each in event["bookmakers"]},
                prices_of(event["markets_by_bookmaker"]),
            )
        for event_id in data["removed"]:
            self.events.pop(event_id, None)
        if data["scope"] == "all":
            self._paged |= {event["id"] for event in data["events"]}
            if data["final"]:
                self.events = {event_id: each for event_id, each in self.events.items() if event_id in self._paged}
                self._paged = set()

    def _prices(self, data: JSON) -> None:
        event = self.events.get(data["event_id"])
        if event is None or data["source"] not in event.bookmakers:
            self.unknown += 1
            return
        for row in data["changes"]:
            place = Place(data["source"], row["market_id"], row["line"], row["market_promotion"], row["outcome"])
            if row["available"] or row["market_promotion"] is None:
                event.prices[place] = Price(row["odds"], row["is_active"], row["available"], row["promotion"])
            else:
                event.prices.pop(place, None)

    def _event(self, data: JSON) -> None:
        event_id = data["event_id"]
        if data["change"] == "removed":
            self.events.pop(event_id, None)
        elif data["change"] == "new" or event_id in self.events:
            event = self.events.setdefault(event_id, CopiedEvent())
            event.fields = data["event"]
            event.bookmakers |= {each["bookmaker_slug"]: each for each in data["bookmakers"]}


def prices_of(markets_by_bookmaker: list[JSON]) -> dict[Place, Price]:
    """Return the prices in the `markets_by_bookmaker` of an event."""
    return {
        Place(
            here["bookmaker_slug"], market["betpawa_market_id"], market["line"], market["promotion"], outcome["name"]
        ): Price(outcome["odds"], outcome["is_active"], outcome["available"], outcome["promotion"])
        for here in markets_by_bookmaker
        for market in here["markets"]
        for outcome in market["outcomes"]
    }
