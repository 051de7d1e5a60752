"""Events and prices as they travel from a bookmaker's body to the cache, the database and the wire.

Prices are kept packed, because a full scrape holds about 1.6 million of them: a price is a `key` (market, line and
outcome: see `domain.catalogue`) and a `value` (the odds and whether they can be taken), two unsigned 32-bit integers.
"""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from quart_odds.domain.platforms import Platform

MAX_ODDS = 1_000_000.0
"""Odds above this are nonsense, and would not fit a packed value."""


@dataclass(frozen=True, slots=True)
class Competition:
    """A tournament as one bookmaker lists it."""

    external_id: str
    name: str
    country: str


@dataclass(frozen=True, slots=True)
class ListedCompetition:
    """A competition in a bookmaker's tree; `expected` is how many events the tree counts in it, None if it does not."""

    competition: Competition
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class EventHeader:
    """An event as one bookmaker names it, without its prices. `kickoff` is aware UTC.

    `genius_id` is Genius Sports' id of the match, the second key where there is no SportRadar id.
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
        """ "Home - Away"."""
        return f"{self.home_team} - {self.away_team}"


@dataclass(frozen=True, slots=True)
class UnmappedMarket:
    """A market that a bookmaker offers and the catalogue does not know, by the bookmaker's own id and name."""

    market_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Prices:
    """All prices of one event at one bookmaker: `keys` ascending and unique, `values` beside them, both array('I')."""

    keys: "array[int]" = field(default_factory=lambda: array("I"))
    values: "array[int]" = field(default_factory=lambda: array("I"))

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[int, int]]) -> "Prices":
        """Prices from (key, value) pairs in any order; where a key comes twice the last one stands."""
        ordered = sorted(dict(pairs).items())
        return cls(array("I", [key for key, _ in ordered]), array("I", [value for _, value in ordered]))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.keys, self.values, strict=True)

    def __len__(self) -> int:
        return len(self.keys)


def pack_value(odds: float, is_active: bool) -> int:
    """Decimal odds in thousandths, shifted left, with the lowest bit set when the price can be taken.

    Raises ValueError for odds that are negative, not finite or above MAX_ODDS.
    """
    if not 0 <= odds <= MAX_ODDS:
        raise ValueError(f"odds {odds!r} are not between 0 and {MAX_ODDS:.0f}")
    return round(odds * 1000) << 1 | is_active


def unpack_value(value: int) -> tuple[float, bool]:
    """The decimal odds and whether they can be taken."""
    return (value >> 1) / 1000, bool(value & 1)


@dataclass(frozen=True, slots=True)
class MappedEvent:
    """One bookmaker's event, decoded: its header, its prices, and the count of what was not understood.

    `dropped` counts prices that had to be left out (an outcome that the catalogue does not know, a line that is no
    quarter, odds that are no number); `unmapped` names the markets that the catalogue does not know.

    `promotions` are the bookmaker's own words for promotions that the prices' keys refer to: see `domain.promotions`.
    `is_in_play` says that the match has begun and these are no pre-match prices.
    """

    header: EventHeader
    prices: Prices
    unmapped: tuple[UnmappedMarket, ...] = ()
    mapped_markets: int = 0
    dropped: int = 0
    promotions: tuple[str, ...] = ()
    is_in_play: bool = False


@dataclass(frozen=True, slots=True)
class ListedCompetitions:
    """What a discovery listed whole, by the bookmaker's ids of competitions.

    `whole` competitions were listed with all their events, those in `broken` were not. A complete tree
    (`is_tree_whole`) names every competition there is: one that it lacks has no events any more.
    """

    whole: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()
    is_tree_whole: bool = False

    def covers(self, competition_id: str) -> bool:
        """Whether an event of this competition would have been listed if the bookmaker still had it."""
        if competition_id in self.broken:
            return False
        return competition_id in self.whole or self.is_tree_whole
