"""Short ways to make events and prices in tests."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from quart_odds.domain.catalogue import CATALOGUE, pack_key
from quart_odds.domain.odds import Competition, EventHeader, MappedEvent, Prices, UnmappedMarket, pack_value
from quart_odds.domain.platforms import Platform
from quart_odds.odds import EventOdds, OddsCache

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
KICKOFF = NOW + timedelta(hours=6)
STALE_AFTER = timedelta(minutes=5)
"""How old a price may be that says what another one is worth."""
PREMIER = Competition("17", "Premier League", "England")


def key(slug: str, outcome: str, line: float | None = None) -> int:
    """Return the key of a price, by the market's slug and the outcome's name."""
    market = CATALOGUE.by_slug[slug]
    index = next(each.index for each in market.outcomes if each.name == outcome)
    return pack_key(market.number, index, line)


X1 = {key("1x2_ft", name): value for name, value in (("1", 2.4), ("X", 3.3), ("2", 3.0))}
OVER_UNDER = {key("over_under_ft", "Over", 2.5): 1.98, key("over_under_ft", "Under", 2.5): 1.83}


def header(
    platform: Platform = Platform.BETPAWA,
    external_id: str = "e1",
    sportradar_id: str | None = "68995116",
    *,
    kickoff: datetime = KICKOFF,
    home: str = "Arsenal",
    away: str = "Chelsea",
    competition: Competition = PREMIER,
    genius_id: str | None = None,
) -> EventHeader:
    """Return the header of a bookmaker's event."""
    return EventHeader(platform, external_id, sportradar_id, home, away, kickoff, competition, genius_id)


def mapped(
    event: EventHeader | None = None,
    odds: Mapping[int, float] | None = None,
    *,
    suspended: frozenset[int] = frozenset(),
    unmapped: tuple[UnmappedMarket, ...] = (),
) -> MappedEvent:
    """Return a decoded event with these odds by key, active unless suspended."""
    prices = X1 | OVER_UNDER if odds is None else odds
    pairs = [(each, pack_value(value, each not in suspended)) for each, value in prices.items()]
    return MappedEvent(event or header(), Prices.from_pairs(pairs), unmapped, mapped_markets=2)


def listed(
    event: EventHeader | None = None,
    odds: Mapping[int, float] | None = None,
    *,
    source_changed: Mapping[int, int] | None = None,
) -> MappedEvent:
    """Return what a list has of an event: these odds by key, by default those of the 1X2 market."""
    partial = mapped(event, X1 if odds is None else odds)
    return replace(partial, is_partial=True, source_changed=source_changed or {})


def seconds_on(seconds: float) -> datetime:
    """Return the moment this many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def minutes_on(minutes: float) -> datetime:
    """Return the moment this many minutes after NOW."""
    return NOW + timedelta(minutes=minutes)


def the_odds(cache: OddsCache) -> EventOdds:
    """Return the only event odds of a cache."""
    event_odds = cache.event_odds(1)
    assert event_odds is not None
    return event_odds


def here(event_odds: EventOdds) -> dict[int, float]:
    """Return the odds that are there, by key."""
    return {key: (value >> 1) / 1000 for key, value in event_odds.prices()}


def odds_at(cache: OddsCache, platform: Platform, external_id: str) -> EventOdds | None:
    """Return the event odds of a bookmaker's event; None if the cache does not have it."""
    for event in cache.events.values():
        event_odds = event.odds.get(platform)
        if event_odds is not None and event_odds.header.external_id == external_id:
            return event_odds
    return None
