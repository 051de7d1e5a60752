"""The columns of exports, and the values that the rows of all kinds begin with."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal

from quart_odds.domain.catalogue import CATALOGUE, unpack_key
from quart_odds.domain.opportunities import Kind
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import GONE, EventOdds
from quart_odds.odds.opportunity import Opportunity
from quart_odds.odds.views import price_state

Value = str | int | float | bool | datetime | None
Row = tuple[Value, ...]
Rows = Sequence[Row]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, and the type of its values, any of which may be None.

    `foreign` text is a bookmaker's own, which a spreadsheet could take for a formula. Times are in UTC.
    """

    name: str
    type: Literal["text", "foreign", "int", "float", "bool", "time"]


EVENT_COLUMNS = (
    Column("event_id", "int"),
    Column("sportradar_id", "text"),
    Column("home_team", "foreign"),
    Column("away_team", "foreign"),
    Column("kickoff", "time"),
    Column("country", "foreign"),
    Column("competition", "foreign"),
    Column("bookmaker", "text"),
    Column("bookmaker_event_id", "foreign"),
    Column("reversed", "bool"),
)
PRICE_COLUMNS = (
    Column("market_id", "text"),
    Column("market", "text"),
    Column("line", "float"),
    Column("outcome", "text"),
    Column("promotion", "text"),
    Column("odds", "float"),
    Column("suspended", "bool"),
    Column("available", "bool"),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The bookmakers, the numbers of the markets and their lines whose prices an export has. None stands for all.

    Markets without a line are not concerned by `lines`. `max_age` is how old a price may be that an opportunity rests
    on, `kinds` are those of opportunities, `min_margin` is what they are worth at least, in percent, and
    `is_suspicious` whether something speaks against them.
    """

    platforms: Collection[Platform] | None = None
    markets: Collection[int] | None = None
    max_age: timedelta = timedelta(minutes=5)
    lines: Collection[float] | None = None
    kinds: Collection[Kind] | None = None
    min_margin: float | None = None
    is_suspicious: bool | None = None

    def has_market(self, number: int) -> bool:
        """Whether the export has prices of the market with this number."""
        return self.markets is None or number in self.markets

    def has_line(self, line: float | None) -> bool:
        """Whether the export has prices with this line; None is a price without one."""
        return self.lines is None or line is None or line in self.lines

    def has_opportunity(self, found: Opportunity) -> bool:
        """Whether the export has this opportunity."""
        return (
            (self.kinds is None or found.kind in self.kinds)
            and (self.min_margin is None or found.margin >= self.min_margin)
            and (self.is_suspicious is None or self.is_suspicious is bool(found.reasons))
            and self.has_market(found.market.number)
            and all(self.has_line(leg.line) for leg in found.legs)
        )

    def odds_of(self, event: CachedEvent) -> list[EventOdds]:
        """Return the event odds of these bookmakers."""
        return [each for platform, each in event.odds.items() if self.platforms is None or platform in self.platforms]


def event_values(event: CachedEvent, event_odds: EventOdds) -> Row:
    """Return the values of EVENT_COLUMNS."""
    header, platform = event.header, event_odds.header.platform
    return (
        event.id,
        event.sportradar_id,
        header.home_team,
        header.away_team,
        header.kickoff,
        header.competition.country,
        header.competition.name,
        platform.value,
        event_odds.header.external_id,
        event.is_reversed(platform),
    )


@lru_cache(maxsize=16_384)
def market_values(key: int) -> Row | None:
    """Return market id, market, line and outcome of a price; None for a market that is not in the catalogue."""
    number, index, line = unpack_key(key)
    market = CATALOGUE.by_number.get(number)
    return None if market is None else (market.id, market.name, line, market.outcomes[index].name)


def state_values(value: int, *, is_listed: bool) -> Row:
    """Return odds, suspended and available of a packed value. Odds are None if they are not known."""
    odds, is_active, is_available = price_state(value, is_listed=is_listed)
    return (odds if value & ~GONE else None, is_available and not is_active, is_available)


@lru_cache(maxsize=16_384)
def moment(epoch: int) -> datetime:
    """Return the time of an epoch second."""
    return datetime.fromtimestamp(epoch, UTC)
