"""One match over all bookmakers, and what a fetch changed of it: what the book holds and what it tells."""

from dataclasses import dataclass, field
from datetime import datetime

from quart_odds.domain.odds import EventHeader
from quart_odds.domain.platforms import Platform
from quart_odds.odds.quote import PriceChange, Quote


@dataclass(slots=True, eq=False)
class BookedEvent:
    """One match, with the quotes of the bookmakers that list it, in PLATFORM_ORDER.

    `revision` is the book's count at its last real change, `version` at the last touch of any kind (seen again, too).
    """

    id: int
    key: str
    created_at: datetime
    changed_at: datetime
    quotes: dict[Platform, Quote] = field(default_factory=dict)
    revision: int = 0
    version: int = 0

    @property
    def header(self) -> EventHeader:
        """The header that names the event: of the first bookmaker that lists it now, else that ever did."""
        return self.leading.header

    @property
    def leading(self) -> Quote:
        """The quote whose bookmaker names the event."""
        quotes = self.quotes.values()
        return next((quote for quote in quotes if quote.gone_at is None), None) or next(iter(quotes))

    @property
    def sportradar_id(self) -> str | None:
        """The SportRadar id; None for an event that stands alone."""
        return self.key.removeprefix("sr:") if self.key.startswith("sr:") else None

    @property
    def seen_at(self) -> datetime:
        """When a bookmaker's odds of it were last fetched."""
        return max(quote.seen_at for quote in self.quotes.values())

    @property
    def listed(self) -> list[Platform]:
        """The bookmakers that list it now."""
        return [platform for platform, quote in self.quotes.items() if quote.gone_at is None]


@dataclass(frozen=True, slots=True)
class EventChange:
    """What one fetch, or one discovery, changed at one event and bookmaker.

    `is_new`: the bookmaker's event was not known. `is_available`: True if it came back, False if it left, None if
    neither. `changed` has the prices that moved, came or went. `moved` are ids of other quotes that matching put
    elsewhere because of this one, `also` the other events that concerns, `emptied` those that ceased to be.
    """

    event_id: int
    platform: Platform
    quote_id: int
    is_new: bool = False
    changed: tuple[PriceChange, ...] = ()
    is_available: bool | None = None
    is_header_changed: bool = False
    moment: int = 0
    moved: tuple[int, ...] = ()
    also: tuple[int, ...] = ()
    emptied: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """How many prices changed."""
        return len(self.changed)

    @property
    def is_change(self) -> bool:
        """Whether odds or their availability changed: what a listener should hear of."""
        return self.is_new or bool(self.changed) or self.is_available is not None

    @property
    def event_ids(self) -> tuple[int, ...]:
        """Every event that the change concerns and that still is."""
        return (self.event_id, *self.also)
