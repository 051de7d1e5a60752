"""How old the prices of upcoming events are, by bookmaker.

What counts is a market and line of an event at a bookmaker: its prices are seen together. It counts while it has a
price, the bookmaker lists the event and the event has not kicked off. The main markets are those that lists carry.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import accumulate

from quart_odds.domain.catalogue import CATALOGUE, market_number_of, offer_code
from quart_odds.domain.platforms import Platform
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import EventOdds

MAIN_MARKETS = ("1x2_ft", "double_chance_ft", "over_under_ft", "btts_ft")
"""The slugs of the main markets."""

_MAIN_NUMBERS = frozenset(CATALOGUE.by_slug[slug].number for slug in MAIN_MARKETS)


@dataclass(slots=True)
class Ages:
    """Ages in seconds, each with the number of markets and lines that have it."""

    counts: dict[float, int] = field(default_factory=dict)

    def add(self, age: float, count: int) -> None:
        """Add `count` markets and lines of this age. An age below zero, of a clock that was set back, counts as 0."""
        if count > 0:
            age = max(age, 0.0)
            self.counts[age] = self.counts.get(age, 0) + count

    @property
    def total(self) -> int:
        """The number of markets and lines."""
        return sum(self.counts.values())

    @property
    def sum(self) -> float:
        """The sum of all ages, in seconds."""
        return sum(age * count for age, count in self.counts.items())

    @property
    def oldest(self) -> float | None:
        """The greatest age, None if there is none."""
        return max(self.counts, default=None)

    def quantile(self, share: float) -> float | None:
        """Return the least age that this share of all is not above, None if there is none."""
        wanted = share * self.total
        so_far = 0
        for age, count in sorted(self.counts.items()):
            so_far += count
            if so_far >= wanted:
                return age
        return None

    def at_most(self, bounds: Sequence[float]) -> list[int]:
        """Return how many are at most as old as each bound. The bounds ascend."""
        counts = [0] * (len(bounds) + 1)
        for age, count in self.counts.items():
            counts[bisect_left(bounds, age)] += count
        return list(accumulate(counts[:-1]))


@dataclass(slots=True)
class BookmakerAges:
    """The ages of a bookmaker's prices: of the main markets, and of all."""

    main: Ages = field(default_factory=Ages)
    all: Ages = field(default_factory=Ages)


class Freshness:
    """Measures the ages in a cache. How many markets an event has is counted once per change of the event.

    The counts are kept by revision. The cache uses each revision once, even after it was cleared and refilled.
    """

    def __init__(self, cache: OddsCache) -> None:
        self._cache = cache
        self._counts: dict[int, tuple[int, dict[Platform, tuple[int, int]]]] = {}

    def add(self, ages: dict[Platform, BookmakerAges], event: CachedEvent, now: datetime) -> None:
        """Add the ages of an event's prices to those of each bookmaker. Takes 5 µs, and 100 µs after a change."""
        if event.header.kickoff <= now:
            return
        counts = self._counts_of(event)
        for platform, event_odds in event.odds.items():
            if event_odds.gone_at is None and platform in counts:
                _add(ages[platform], event_odds, *counts[platform], now)

    def forget_others(self) -> None:
        """Drop the counts of events that are no longer in the cache."""
        events = self._cache.events
        if len(self._counts) > 2 * len(events) + 100:
            self._counts = {event_id: kept for event_id, kept in self._counts.items() if event_id in events}

    def _counts_of(self, event: CachedEvent) -> dict[Platform, tuple[int, int]]:
        kept = self._counts.get(event.id)
        if kept is None or kept[0] != event.revision:
            found = {platform: _count(event_odds) for platform, event_odds in event.odds.items()}
            kept = self._counts[event.id] = (event.revision, found)
        return kept[1]


def no_ages() -> dict[Platform, BookmakerAges]:
    """Return empty ages for each bookmaker."""
    return {platform: BookmakerAges() for platform in Platform}


def _add(ages: BookmakerAges, event_odds: EventOdds, main: int, every: int, now: datetime) -> None:
    for each in event_odds.listed:
        age = (now - each.seen_at).total_seconds()
        listed_main = _main_of(each.codes)
        ages.main.add(age, listed_main)
        ages.all.add(age, len(each.codes))
        main -= listed_main
        every -= len(each.codes)
    age = (now - event_odds.seen_at).total_seconds()
    ages.main.add(age, main)
    ages.all.add(age, every)


def _count(event_odds: EventOdds) -> tuple[int, int]:
    """Return how many main markets and lines, and how many of all, have a price."""
    codes = set(map(offer_code, event_odds.prices().keys))
    return sum(map(_is_main, codes)), len(codes)


def _is_main(code: int) -> bool:
    return market_number_of(code) in _MAIN_NUMBERS


@lru_cache(maxsize=4096)
def _main_of(codes: frozenset[int]) -> int:
    return sum(map(_is_main, codes))
