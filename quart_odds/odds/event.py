"""One match over all bookmakers, and what a fetch changed of it: what the cache holds and what it tells."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from quart_odds.domain.names import sides_are_crossed
from quart_odds.domain.odds import EventHeader
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event_odds import EventOdds, PriceChange


@dataclass(slots=True, eq=False)
class CachedEvent:
    """One match, with the quotes of the bookmakers that list it, in PLATFORM_ORDER.

    `odds` is replaced and never altered, so a reader may hold it; an event that ceased to be keeps its last ones.
    `revision` is the cache's count at its last real change, `version` at the last touch of any kind (seen again, too).
    """

    id: int
    key: str
    created_at: datetime
    changed_at: datetime
    odds: Mapping[Platform, EventOdds] = field(default_factory=dict)
    revision: int = 0
    version: int = 0

    @property
    def header(self) -> EventHeader:
        """The header that names the event: of the first bookmaker that lists it now, else that ever did."""
        return self.leading.header

    @property
    def leading(self) -> EventOdds:
        """The quote whose bookmaker names the event."""
        odds = self.odds.values()
        for event_odds in odds:  # a generator costs three times as much, and lists ask this often
            if event_odds.gone_at is None:
                return event_odds
        return next(iter(odds))

    @property
    def sportradar_id(self) -> str | None:
        """The SportRadar id; None for an event that stands alone, or that only Genius Sports names."""
        return self.key.removeprefix("sr:") if self.key.startswith("sr:") else None

    @property
    def seen_at(self) -> datetime:
        """When a bookmaker's odds of it were last fetched."""
        return max(event_odds.seen_at for event_odds in self.odds.values())

    @property
    def listed(self) -> list[Platform]:
        """The bookmakers that list it now."""
        return [platform for platform, event_odds in self.odds.items() if event_odds.gone_at is None]

    def is_reversed(self, platform: Platform) -> bool:
        """Whether a bookmaker names the sides the other way round than the event does."""
        header = self.odds[platform].header
        named = self.header
        return header is not named and sides_are_crossed(
            named.home_team, named.away_team, header.home_team, header.away_team
        )

    @property
    def comparable_odds(self) -> list[EventOdds]:
        """The quotes whose prices can be compared: of bookmakers that list the event now, with the same sides.

        Prices fetched before the kick-off are never compared with those fetched after it; the former count, if any.
        """
        here = [
            event_odds
            for platform, event_odds in self.odds.items()
            if event_odds.gone_at is None and not self.is_reversed(platform)
        ]
        return [event_odds for event_odds in here if not event_odds.is_late] or here

    def snapshot(self) -> "CachedEvent":
        """The event as it is matched now, for a reader that lets others run meanwhile."""
        return replace(self)

    def frozen(self) -> "CachedEvent":
        """The event with its prices as they are now, for a reader that lets others run meanwhile. Takes some 10 µs."""
        return replace(self, odds={platform: replace(event_odds) for platform, event_odds in self.odds.items()})


@dataclass(frozen=True, slots=True)
class EventChange:
    """What one fetch, or one discovery, changed at one event and bookmaker.

    `is_new`: the bookmaker's event was not known. `is_available`: True if it came back, False if it left, None if
    neither. `changed` has the prices that moved, came or went. `moved` are ids of other quotes that matching put
    elsewhere because of this one, `also` the other events that concerns, `emptied` those that ceased to be.
    `is_missed`: a complete list lacked the event for the first time. `is_miss_noted`: it did, or has it again.
    `redated_after`: the epoch second after which a clock that was ahead has dated what is stored; 0 for a clock that
    was right.
    """

    event_id: int
    platform: Platform
    odds_id: int
    is_new: bool = False
    changed: tuple[PriceChange, ...] = ()
    is_available: bool | None = None
    is_header_changed: bool = False
    moment: int = 0
    moved: tuple[int, ...] = ()
    also: tuple[int, ...] = ()
    emptied: tuple[int, ...] = ()
    is_missed: bool = False
    is_miss_noted: bool = False
    redated_after: int = 0

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
