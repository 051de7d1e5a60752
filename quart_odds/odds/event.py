"""One match at all bookmakers, and a change of it: what the cache holds and what it reports."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from quart_odds.domain.names import sides_are_crossed
from quart_odds.domain.odds import EventHeader
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event_odds import EventOdds, PriceChange


@dataclass(slots=True, eq=False)
class CachedEvent:
    """One match, with the event odds of the bookmakers that list it or have listed it, in PLATFORM_ORDER.

    `odds` is replaced and never modified, so a reader may keep a reference to it. An event that no longer exists keeps
    its last odds. `revision` is the cache's counter at the event's last real change, `version` at its last update of
    any kind, even if it was only seen again. `named_by` names a copy that has only some of the bookmakers (`among`).
    """

    id: int
    key: str
    created_at: datetime
    changed_at: datetime
    odds: Mapping[Platform, EventOdds] = field(default_factory=dict)
    revision: int = 0
    version: int = 0
    named_by: EventOdds | None = None

    @property
    def header(self) -> EventHeader:
        """The header that names the event: that of the first bookmaker that lists it now, or else ever listed it."""
        return self.leading.header

    @property
    def leading(self) -> EventOdds:
        """The event odds of the bookmaker that names the event."""
        if self.named_by is not None:
            return self.named_by
        odds = self.odds.values()
        for event_odds in odds:  # A generator takes three times as long, and lists use this often.
            if event_odds.gone_at is None:
                return event_odds
        return next(iter(odds))

    @property
    def sportradar_id(self) -> str | None:
        """The SportRadar id; None for an event that stands alone, or that has only a Genius Sports id."""
        return self.key.removeprefix("sr:") if self.key.startswith("sr:") else None

    @property
    def seen_at(self) -> datetime:
        """When any bookmaker's odds of the event were last fetched, from a list or otherwise."""
        return max(event_odds.fetched_at for event_odds in self.odds.values())

    @property
    def listed(self) -> list[Platform]:
        """The bookmakers that list the event now."""
        return [platform for platform, event_odds in self.odds.items() if event_odds.gone_at is None]

    def is_reversed(self, platform: Platform) -> bool:
        """Whether a bookmaker has home and away the other way round from the event's header."""
        header = self.odds[platform].header
        named = self.header
        return header is not named and sides_are_crossed(
            named.home_team, named.away_team, header.home_team, header.away_team
        )

    @property
    def comparable_odds(self) -> list[EventOdds]:
        """The event odds whose prices can be compared: the bookmaker lists the event now, with the sides not reversed.

        Prices fetched before the kick-off are never compared with prices fetched after it. If there are any from
        before, only those count.
        """
        here = [
            event_odds
            for platform, event_odds in self.odds.items()
            if event_odds.gone_at is None and not self.is_reversed(platform)
        ]
        return [event_odds for event_odds in here if not event_odds.is_late] or here

    def among(self, platforms: Iterable[Platform]) -> "CachedEvent":
        """Return a copy with the odds of these bookmakers alone, in this order: only they are counted and compared.

        The event keeps its name, and with it which of them have the sides reversed. Takes some 2 µs.
        """
        odds = {platform: self.odds[platform] for platform in platforms if platform in self.odds}
        return replace(self, odds=odds, named_by=self.leading)

    def snapshot(self) -> "CachedEvent":
        """Return a copy of the event as it is matched now, for a reader that lets other tasks run meanwhile."""
        return replace(self)

    def without_prices(self) -> "CachedEvent":
        """Return a copy that has everything but the prices, for messages about the event itself. Takes some 10 µs."""
        return replace(self, odds={platform: each.without_prices() for platform, each in self.odds.items()})

    def frozen(self) -> "CachedEvent":
        """Return a copy with the current prices, for a reader that lets other tasks run meanwhile. Takes some 10 µs."""
        odds = {platform: replace(event_odds) for platform, event_odds in self.odds.items()}
        return replace(self, odds=odds, named_by=None if self.named_by is None else replace(self.named_by))


@dataclass(frozen=True, slots=True)
class EventChange:
    """What one fetch or one discovery changed in one event at one bookmaker.

    `is_new`: the bookmaker's event was not known before. `is_available`: True if it came back, False if it left, None
    if neither. `changed`: the prices that moved, appeared or disappeared. `moved`: the ids of other event odds that
    matching moved to another event because of this change. `also`: the other events that this concerns. `emptied`: the
    events that no longer exist. `is_missed`: a complete list lacked the event for the first time. `is_miss_noted`: the
    same, or a list has the event again. `redated_after`: if the clock was ahead, the epoch second after which the dates
    of stored data are wrong; otherwise 0. `is_listed`: the fetch was that of a list. `opened`: the keys
    of prices that the event's first body has and no list before had. They are the first prices of their markets.
    `former`: the header before, if it changed, and `former_competition_id` the id of its competition.
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
    is_listed: bool = False
    opened: Collection[int] = ()
    former: EventHeader | None = None
    former_competition_id: int = 0

    @property
    def is_seen_only(self) -> bool:
        """Whether nothing is new but the time."""
        return not (
            self.is_change
            or self.is_header_changed
            or self.moved
            or self.also
            or self.emptied
            or self.is_miss_noted
            or self.redated_after
        )

    @property
    def repriced(self) -> tuple[PriceChange, ...]:
        """The prices that changed, without the first prices of an event or of its first body: those opened."""
        if self.is_new:
            return ()
        return tuple(each for each in self.changed if each[0] not in self.opened) if self.opened else self.changed

    @property
    def is_opening(self) -> bool:
        """Whether only first prices came, so that nothing has changed that was there before."""
        return self.is_new or (bool(self.changed) and not self.repriced and self.is_available is None)

    @property
    def count(self) -> int:
        """The number of prices that changed."""
        return len(self.changed)

    @property
    def is_change(self) -> bool:
        """Whether odds or their availability changed, which is what listeners should receive."""
        return self.is_new or bool(self.changed) or self.is_available is not None

    @property
    def event_ids(self) -> tuple[int, ...]:
        """The ids of all events that the change concerns and that still exist."""
        return (self.event_id, *self.also)
