"""Odds as pages show them: rows of events with one market side by side, and one event with all its markets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from quart_odds.domain.catalogue import CATALOGUE, Market, line_code, pack_key
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import BookedEvent
from quart_odds.odds.margin import is_takeable, margin_of, market_margin
from quart_odds.odds.quote import GONE, Quote
from quart_odds.routes.odds_query import EventsQuery
from quart_odds.routes.odds_views import MarketPrices, markets_of
from quart_odds.routes.page_run import MARKS

MarketName = Literal["1x2", "ou", "btts", "dc"]

MARKETS: dict[MarketName, Market] = {
    "1x2": CATALOGUE.by_slug["1x2_ft"],
    "ou": CATALOGUE.by_slug["over_under_ft"],
    "btts": CATALOGUE.by_slug["btts_ft"],
    "dc": CATALOGUE.by_slug["double_chance_ft"],
}
LINES = (0.5, 1.5, 2.5, 3.5, 4.5, 5.5)

GROUP_NAMES = {
    "main": "Main",
    "goals": "Goals",
    "handicaps": "Handicaps",
    "halves": "Halves",
    "teams": "Teams",
    "scores": "Scores",
    "combos": "Combinations",
    "corners": "Corners",
    "cards": "Cards",
    "specials": "Specials",
    "players": "Players",
}


def _quarter(value: object) -> object:
    line_code(float(str(value)))
    return value


class OddsPageQuery(EventsQuery):
    """What the odds page may be asked: the list's own query, and which market it shows."""

    market: MarketName = "1x2"
    line: Annotated[float, BeforeValidator(_quarter)] = 2.5
    page_size: Annotated[int, Field(ge=1, le=100)] = 50

    @property
    def shown_line(self) -> float | None:
        """The line of the market that is shown; None for one that has no lines."""
        return self.line if MARKETS[self.market].has_line else None


@dataclass(frozen=True, slots=True)
class Price:
    """One price in a cell. `state` is active, suspended, gone or none; `since` when it became what it is."""

    name: str
    odds: str
    thousandths: int
    state: str
    is_best: bool
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Cell:
    """A bookmaker's part of a row. `state` is listed, gone or absent; `margin` is percent."""

    slug: str
    name: str
    mark: str
    state: str
    prices: tuple[Price, ...]
    margin: float | None = None
    seen_at: datetime | None = None
    gone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """An event, or one line of a market, side by side; `best_margin` is that of the best prices together."""

    event: BookedEvent
    cells: tuple[Cell, ...]
    best_margin: float | None


def event_row(event: BookedEvent, market: Market, line: float | None) -> Row:
    """An event with one market at all three bookmakers. About 15 µs."""
    keys = [pack_key(market.number, outcome.index, line) for outcome in market.outcomes]
    found = {platform: _prices_at(quote, keys) for platform, quote in event.quotes.items()}
    best = _best(market, {p: each for p, each in found.items() if event.quotes[p].gone_at is None})
    cells = tuple(
        _cell(market, platform, event.quotes.get(platform), found.get(platform), best) for platform in Platform
    )
    return Row(event, cells, _best_margin(market, best))


Packed = Sequence[tuple[int, int] | None]
"""(packed value, epoch second of its last change) by outcome; None for a price that never was."""


def _prices_at(quote: Quote, keys: Iterable[int]) -> Packed:
    places = [quote.place_of(key) for key in keys]
    return [None if place is None else (quote.values[place], quote.changed[place]) for place in places]


def _best(market: Market, found: dict[Platform, Packed]) -> dict[int, int]:
    """The best takeable value of each outcome that two bookmakers or more offer: one alone is not the best of any."""
    if not market.is_comparable:
        return {}
    best: dict[int, int] = {}
    for outcome in market.outcomes:
        offered = [
            price[0]
            for prices in found.values()
            if (price := prices[outcome.index]) is not None and is_takeable(price[0])
        ]
        if len(offered) > 1:
            best[outcome.index] = max(offered)
    return best


def _best_margin(market: Market, best: dict[int, int]) -> float | None:
    is_whole = len(best) == len(market.outcomes) > 1
    return margin_of(market, best.values()) if is_whole else None


def _cell(market: Market, platform: Platform, quote: Quote | None, found: Packed | None, best: dict[int, int]) -> Cell:
    slug, name, mark = platform.value, platform.display_name, MARKS[platform]
    if quote is None or found is None:
        return Cell(slug, name, mark, "absent", tuple(_price(each.name, None, False, None) for each in market.outcomes))
    is_gone = quote.gone_at is not None
    prices = tuple(
        _price(outcome.name, found[outcome.index], is_gone, None if is_gone else best.get(outcome.index))
        for outcome in market.outcomes
    )
    values = {index: price[0] for index, price in enumerate(found) if price is not None}
    margin = None if is_gone else market_margin(market, values)
    return Cell(slug, name, mark, "gone" if is_gone else "listed", prices, margin, quote.seen_at, quote.gone_at)


def _price(name: str, packed: tuple[int, int] | None, is_gone: bool, best: int | None) -> Price:
    if packed is None:
        return Price(name, "–", 0, "none", is_best=False, since=None)
    value, changed = packed
    thousandths = (value & ~GONE) >> 1
    is_missing = is_gone or bool(value & GONE)
    state = "gone" if is_missing else "active" if is_takeable(value) else "suspended"
    since = datetime.fromtimestamp(changed, UTC)
    return Price(name, odds_text(thousandths), thousandths, state, value == best, since)


def odds_text(thousandths: int) -> str:
    """`2.41`; a third decimal only where there is one."""
    text = f"{thousandths / 1000:.3f}"
    return text[:-1] if text.endswith("0") else text


@dataclass(frozen=True, slots=True)
class MarketTable:
    """A market of an event: its lines, each with its outcomes at the three bookmakers."""

    market: Market
    lines: tuple["LineTable", ...]


@dataclass(frozen=True, slots=True)
class LineTable:
    """One line of a market (None for a market without): for each outcome its prices, and the margins below."""

    line: float | None
    cells: tuple[Cell, ...]
    best_margin: float | None

    @property
    def outcomes(self) -> tuple[tuple[str, tuple[Price, ...]], ...]:
        """(outcome, its price at each bookmaker)."""
        columns = [cell.prices for cell in self.cells]
        return tuple((prices[0].name, prices) for prices in zip(*columns, strict=True))


def market_groups(event: BookedEvent) -> list[tuple[str, list[MarketTable]]]:
    """All markets of an event by group, in the catalogue's order. Some milliseconds for a full event."""
    found: dict[int, dict[float | None, dict[Platform, MarketPrices]]] = {}
    for platform, quote in event.quotes.items():
        for prices in markets_of(quote):
            found.setdefault(prices.market.number, {}).setdefault(prices.line, {})[platform] = prices
    groups: dict[str, list[MarketTable]] = {}
    for market in CATALOGUE.markets:
        lines = found.get(market.number)
        if lines:
            tables = tuple(
                _line(event, market, line, lines[line]) for line in sorted(lines, key=lambda line: line or 0.0)
            )
            groups.setdefault(GROUP_NAMES[market.group], []).append(MarketTable(market, tables))
    return list(groups.items())


def _line(
    event: BookedEvent, market: Market, line: float | None, by_platform: dict[Platform, MarketPrices]
) -> LineTable:
    found: dict[Platform, Packed] = {
        platform: [
            (prices.values[each.index], prices.changed[each.index]) if each.index in prices.values else None
            for each in market.outcomes
        ]
        for platform, prices in by_platform.items()
    }
    best = _best(market, {p: each for p, each in found.items() if event.quotes[p].gone_at is None})
    cells = tuple(
        _cell(market, platform, event.quotes.get(platform), found.get(platform), best) for platform in Platform
    )
    return LineTable(line, cells, _best_margin(market, best))


def line_text(line: float | None) -> str:
    """`2.5`, `-1`, nothing for none."""
    return "" if line is None else f"{line:g}"
