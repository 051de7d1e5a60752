"""Odds as pages show them: rows of events with one market each, and one event with all its markets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from quart_odds.domain import outcomes
from quart_odds.domain.catalogue import CATALOGUE, FIRST_PROMOTED_KEY, Market, pack_key
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import GONE, EventOdds
from quart_odds.odds.margin import best_values, is_active_price, market_margin
from quart_odds.odds.offers import Offer, offer_of, offers_of, promotion_word
from quart_odds.odds.views import margin_of_offer, offer_word

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


PROMOTION_WORDS = {
    "one_up": ("1UP", "one goal up pays early"),
    "two_up": ("2UP", "two goals up pays early"),
    "boosted": ("boost", "boosted price, not compared"),
}
"""Mark and description of each known promotion."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """A promotion for display: its name, a short mark, and a description."""

    name: str
    mark: str
    words: str

    @classmethod
    def named(cls, name: str | None) -> "Promotion | None":
        """Return the promotion with this name, or None for a plain price."""
        if name is None:
            return None
        mark, words = PROMOTION_WORDS.get(name, ("promo", f"the bookmaker’s “{name.replace('_', ' ')}”, not compared"))
        return cls(name, mark, words)


@dataclass(frozen=True, slots=True)
class Price:
    """One price in a cell. `state` is active, suspended, gone or none; `since` is the time of its last change."""

    name: str
    odds: str
    thousandths: int
    state: str
    is_best: bool
    since: datetime | None
    promotion: Promotion | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """A bookmaker's part of a row. `state` is listed, gone or absent; `margin` is a percentage.

    `sides` are the teams as the bookmaker names them, if it has home and away the other way round. `is_late`: its
    prices were fetched after kick-off. `seen_at` is when these prices were last seen; `can_age` is False if there are
    none, or if the bookmaker no longer lists the event.
    """

    slug: str
    name: str
    mark: str
    state: str
    prices: tuple[Price, ...]
    margin: float | None = None
    seen_at: datetime | None = None
    gone_at: datetime | None = None
    sides: str | None = None
    is_late: bool = False
    can_age: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """An event with one market and line. `best_margin` is the combined margin of the best prices, in percent."""

    event: CachedEvent
    cells: tuple[Cell, ...]
    best_margin: float | None

    @property
    def profit(self) -> float | None:
        """The profit from backing every outcome at its best price, in percent of the stake; None if there is none."""
        margin = self.best_margin
        return -100 * margin / (100 + margin) if margin is not None and margin < 0 else None

    def old_after(self, now: datetime, stale_after: timedelta) -> datetime | None:
        """Return the next moment after which more of these prices are old, None if all that can age are old."""
        moments = [cell.seen_at + stale_after for cell in self.cells if cell.can_age and cell.seen_at is not None]
        return min((moment for moment in moments if moment >= now), default=None)


def event_row(event: CachedEvent, market: Market, line: float | None, platforms: Iterable[Platform] = Platform) -> Row:
    """Return the row of an event with one market, with a cell for each of these bookmakers. Takes about 15 µs.

    The event should have no others (`CachedEvent.among`): all that it has are compared.
    """
    keys = [pack_key(market.number, outcome.index, line) for outcome in market.outcomes]
    offers = {platform: offer_of(event_odds, market, line, keys) for platform, event_odds in event.odds.items()}
    return Row(event, *_cells(event, market, offers, event.comparable_odds, platforms))


def sides_of(event: CachedEvent, event_odds: EventOdds) -> str | None:
    """Return the teams as the bookmaker names them, if it has home and away the other way round; otherwise None."""
    if not event.is_reversed(event_odds.header.platform):
        return None
    return f"{event_odds.header.home_team} – {event_odds.header.away_team}"


def _cells(
    event: CachedEvent,
    market: Market,
    offers: Mapping[Platform, Offer],
    comparable: Sequence[EventOdds],
    platforms: Iterable[Platform],
) -> tuple[tuple[Cell, ...], float | None]:
    """Return the cell of each bookmaker for a market and line, and the combined margin of the best prices."""
    compared = [platform for event_odds in comparable if (platform := event_odds.header.platform) in offers]
    best = best_values(market, [offers[platform] for platform in compared])
    cells = tuple(
        _cell(event, market, platform, offers.get(platform), best if platform in compared else {})
        for platform in platforms
    )
    return cells, market_margin(market, best)


def _cell(event: CachedEvent, market: Market, platform: Platform, offer: Offer | None, best: Mapping[int, int]) -> Cell:
    slug, name, mark = platform.value, platform.display_name, platform.letters
    event_odds = event.odds.get(platform)
    if event_odds is None or offer is None:
        return Cell(slug, name, mark, "absent", tuple(_no_price(each.name) for each in market.outcomes))
    is_gone = event_odds.gone_at is not None
    compared = offer.comparable_values() if best else {}
    prices = tuple(
        _price(event_odds, offer, each.name, each.index, is_best=compared.get(each.index, 0) == best.get(each.index))
        for each in market.outcomes
    )
    return Cell(
        slug,
        name,
        mark,
        "gone" if is_gone else "listed",
        prices,
        margin_of_offer(event_odds, offer),
        event_odds.seen_at_of(next(iter(offer.keys.values()))) if offer.keys else event_odds.seen_at,
        event_odds.gone_at,
        sides_of(event, event_odds),
        event_odds.is_late,
        can_age=not is_gone and not all(value & GONE for value in offer.values.values()),
    )


def _no_price(name: str) -> Price:
    return Price(name, "–", 0, "none", is_best=False, since=None)


def _price(event_odds: EventOdds, offer: Offer, name: str, index: int, *, is_best: bool) -> Price:
    value = offer.values.get(index)
    if value is None:
        return _no_price(name)
    thousandths = (value & ~GONE) >> 1
    is_missing = event_odds.gone_at is not None or bool(value & GONE)
    state = "gone" if is_missing else "active" if is_active_price(value) else "suspended"
    since = datetime.fromtimestamp(offer.changed[index], UTC)
    key = offer.keys[index]
    promotion = Promotion.named(promotion_word(event_odds, key)) if key >= FIRST_PROMOTED_KEY else None
    return Price(name, price_text(thousandths), thousandths, state, is_best, since, promotion)


def price_text(thousandths: int) -> str:
    """Format the odds of a price, a dash for odds that pay nothing: bookmakers suspend prices as `0` or `1`."""
    return odds_text(thousandths) if thousandths > 1000 else "–"


def odds_text(thousandths: int) -> str:
    """Format odds: `2.41`. A third decimal is shown only if it is not zero."""
    return outcomes.odds_text(thousandths / 1000)


@dataclass(frozen=True, slots=True)
class Source:
    """What one bookmaker has of an event. `state` is listed, gone or absent; `sides` and `is_late` as in `Cell`.

    `listed_at` is set if a list had some of its prices after `seen_at`, when it was last fetched itself.
    """

    slug: str
    name: str
    mark: str
    state: str
    price_count: int = 0
    seen_at: datetime | None = None
    gone_at: datetime | None = None
    sides: str | None = None
    is_late: bool = False
    listed_at: datetime | None = None


def sources(event: CachedEvent, platforms: Iterable[Platform] = Platform) -> list[Source]:
    """Return what each of these bookmakers has of an event."""
    return [_source(event, platform, event.odds.get(platform)) for platform in platforms]


def _source(event: CachedEvent, platform: Platform, event_odds: EventOdds | None) -> Source:
    slug, name, mark = platform.value, platform.display_name, platform.letters
    if event_odds is None:
        return Source(slug, name, mark, "absent")
    return Source(
        slug,
        name,
        mark,
        "listed" if event_odds.gone_at is None else "gone",
        event_odds.price_count,
        event_odds.seen_at,
        event_odds.gone_at,
        sides_of(event, event_odds),
        event_odds.is_late,
        event_odds.listed_at if event_odds.listed else None,
    )


@dataclass(frozen=True, slots=True)
class MarketTable:
    """A market of an event with its lines."""

    market: Market
    lines: tuple["LineTable", ...]


@dataclass(frozen=True, slots=True)
class LineTable:
    """One line of a market (None for a market without lines): the prices of each outcome, and the margins.

    `promotion` is set if these are promoted prices shown beside the plain ones.
    """

    line: float | None
    cells: tuple[Cell, ...]
    best_margin: float | None
    promotion: Promotion | None = None

    @property
    def outcomes(self) -> tuple[tuple[str, tuple[Price, ...]], ...]:
        """(outcome name, its price at each bookmaker). For promoted prices, only outcomes that somebody offers."""
        columns = [cell.prices for cell in self.cells]
        rows = ((prices[0].name, prices) for prices in zip(*columns, strict=True))
        return tuple(
            (name, prices)
            for name, prices in rows
            if self.promotion is None or any(price.state != "none" for price in prices)
        )


_Place = tuple[float | None, str | None]
"""A line and, for a separate promoted offer, its promotion."""


def market_groups(event: CachedEvent, platforms: Iterable[Platform] = Platform) -> list[tuple[str, list[MarketTable]]]:
    """Return all markets of an event by group, in catalogue order, with a cell for each of these bookmakers.

    Takes some milliseconds for a full event. As in `event_row`, the event should have no other bookmakers.
    """
    found: dict[int, dict[_Place, dict[Platform, Offer]]] = {}
    for platform, event_odds in event.odds.items():
        for offer in offers_of(event_odds):
            place = offer.line, offer_word(event_odds, offer)
            found.setdefault(offer.market.number, {}).setdefault(place, {})[platform] = offer
    groups: dict[str, list[MarketTable]] = {}
    comparable = event.comparable_odds
    for market in CATALOGUE.markets:
        places = found.get(market.number)
        if places:
            tables = tuple(
                _line(event, market, place, places[place], comparable, platforms)
                for place in sorted(places, key=_order)
            )
            groups.setdefault(GROUP_NAMES[market.group], []).append(MarketTable(market, tables))
    return list(groups.items())


def _order(place: _Place) -> tuple[float, str]:
    line, promotion = place
    return line or 0.0, promotion or ""


def _line(
    event: CachedEvent,
    market: Market,
    place: _Place,
    offers: Mapping[Platform, Offer],
    comparable: Sequence[EventOdds],
    platforms: Iterable[Platform],
) -> LineTable:
    line, promotion = place
    cells, best_margin = _cells(event, market, offers, comparable, platforms)
    return LineTable(line, cells, best_margin, Promotion.named(promotion))


def line_text(line: float | None) -> str:
    """Format a line: `2.5`, `-1`, or an empty string for None."""
    return "" if line is None else f"{line:g}"
