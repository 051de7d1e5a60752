"""Events and prices, from a bookmaker's body to the cache, the database and the wire.

Prices are packed because a full scrape holds about 1.6 million of them. A price is a pair of unsigned 32-bit integers:
a `key` (market, outcome and line, see `domain.catalogue`) and a `value` (the odds and whether they are active).
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from quart_odds.domain.pickling import pickled_by_fields
from quart_odds.domain.platforms import Platform

MAX_ODDS = 1_000_000.0
"""Higher odds are implausible and do not fit into a packed value."""


@pickled_by_fields
@dataclass(frozen=True, slots=True)
class Competition:
    """A tournament as one bookmaker lists it."""

    external_id: str
    name: str
    country: str


@pickled_by_fields
@dataclass(frozen=True, slots=True)
class EventHeader:
    """An event as one bookmaker describes it, without prices. `kickoff` is aware and in UTC.

    `genius_id` is the match id of Genius Sports, which identifies matches that have no SportRadar id.
    """

    platform: Platform
    external_id: str
    sportradar_id: str | None
    home_team: str
    away_team: str
    kickoff: datetime
    competition: Competition
    genius_id: str | None = None

    @property
    def name(self) -> str:
        """The event's title: "Home - Away"."""
        return f"{self.home_team} - {self.away_team}"


@pickled_by_fields
@dataclass(frozen=True, slots=True)
class UnmappedMarket:
    """A market that the catalogue does not know, with the bookmaker's own id and name.

    `prices` is the number of its outcomes in this body. `are_players` tells whether these outcomes are players.
    """

    market_id: str
    name: str
    prices: int = field(default=0, compare=False)
    are_players: bool = field(default=False, compare=False)


@pickled_by_fields
@dataclass(frozen=True, slots=True)
class Prices:
    """All prices of one event at one bookmaker.

    `keys` is ascending and unique, and `values` is parallel to it. Both are array('I').
    """

    keys: "array[int]" = field(default_factory=lambda: array("I"))
    values: "array[int]" = field(default_factory=lambda: array("I"))

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[int, int]]) -> "Prices":
        """Build prices from (key, value) pairs in any order. If a key occurs twice, the last pair wins."""
        ordered = sorted(dict(pairs).items())
        return cls(array("I", [key for key, _ in ordered]), array("I", [value for _, value in ordered]))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.keys, self.values, strict=True)

    def __len__(self) -> int:
        return len(self.keys)


def pack_value(odds: float, is_active: bool) -> int:
    """Pack decimal odds: thousandths, shifted left by one bit; the lowest bit is set if the price is active.

    Raises ValueError for odds that are negative, not finite or above MAX_ODDS.
    """
    if not 0 <= odds <= MAX_ODDS:
        raise ValueError(f"odds {odds!r} are not between 0 and {MAX_ODDS:.0f}")
    return round(odds * 1000) << 1 | is_active


def unpack_value(value: int) -> tuple[float, bool]:
    """Return the decimal odds and whether the price is active."""
    return (value >> 1) / 1000, bool(value & 1)


@pickled_by_fields
@dataclass(frozen=True, slots=True)
class MappedEvent:
    """One bookmaker's event after decoding: header, prices, and counts of what was not understood.

    `dropped` counts prices that were left out: an outcome missing from the catalogue, a line that is not a multiple of
    0.25, odds that are not a number. `unmapped` lists markets that the catalogue does not know.

    `promotions` holds the bookmaker's own words for the promotions in the keys, see `domain.promotions`. `is_in_play`
    means that the match has started and the prices are not pre-match prices.

    `total` counts all outcomes in the body: the understood ones, those in `dropped`, and the `unmapped_prices` of
    unmapped markets. Of the latter, `player_prices` belong to markets whose outcomes are players.

    `is_partial` means that the prices come from a list and not from the event's own body: they are complete for each
    market and line that has one, and say nothing about the others. `source_changed` holds when the bookmaker itself
    last changed a market and line, in epoch milliseconds by `catalogue.offer_code`, where it says so.

    `chances` are the bookmaker's own probabilities by the key of the price, each packed (`domain.fair.pack_chance`),
    where it gives them.

    `fetched_at` is when the answer with the body or list arrived, None if that is not known.
    """

    header: EventHeader
    prices: Prices
    unmapped: tuple[UnmappedMarket, ...] = ()
    mapped_markets: int = 0
    dropped: int = 0
    promotions: tuple[str, ...] = ()
    is_in_play: bool = False
    total: int = 0
    unmapped_prices: int = 0
    player_prices: int = 0
    is_partial: bool = False
    source_changed: Mapping[int, int] = field(default_factory=dict)
    chances: Mapping[int, int] = field(default_factory=dict)
    fetched_at: datetime | None = field(default=None, compare=False)

    @property
    def understood(self) -> int:
        """The number of outcomes that are in the catalogue and have a readable price."""
        return self.total - self.dropped - self.unmapped_prices


@pickled_by_fields
@dataclass(frozen=True, slots=True)
class ListedEvent:
    """An event as a list has it. `odds` are the prices that the list carries, None if it carries none.

    `list_name` names the list, so that a later sweep can ask for that list alone. `fetched_at` is when the list
    arrived, None if that is not known. `is_in_play` means that the list says that the match has started; then there are
    no `odds`.
    """

    header: EventHeader
    odds: MappedEvent | None = None
    list_name: str = ""
    fetched_at: datetime | None = field(default=None, compare=False)
    is_in_play: bool = False


@dataclass(frozen=True, slots=True)
class ListedCompetition:
    """A competition in a bookmaker's tree. `expected` is the number of events that the tree announces, None if unknown.

    The number is not a field of Competition because competitions are compared across fetches.
    """

    competition: Competition
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class ListedCompetitions:
    """Which competitions a discovery listed completely, by the bookmaker's ids.

    `whole` competitions were listed with all their events, `broken` ones were not. If `is_tree_whole`, the tree names
    every competition of the bookmaker, so a competition that is missing from it has no events left.
    """

    whole: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()
    is_tree_whole: bool = False

    def covers(self, competition_id: str) -> bool:
        """Return whether an event of this competition would have been listed if the bookmaker still offered it."""
        if competition_id in self.broken:
            return False
        return competition_id in self.whole or self.is_tree_whole
