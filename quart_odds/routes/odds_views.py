"""Events as the API shows them: plain dictionaries, made from the book. Their shapes: `routes.odds_models`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from quart_odds.domain.catalogue import CATALOGUE, Market, pack_key, unpack_key
from quart_odds.domain.clock import iso_z
from quart_odds.domain.odds import unpack_value
from quart_odds.odds.event import BookedEvent
from quart_odds.odds.margin import BestMarket, best_markets, market_margin
from quart_odds.odds.quote import GONE, Quote

SPORT = "Football"
JSON = dict[str, object]

INLINE: tuple[tuple[Market, float | None], ...] = (
    (CATALOGUE.by_slug["1x2_ft"], None),
    (CATALOGUE.by_slug["over_under_ft"], 2.5),
    (CATALOGUE.by_slug["btts_ft"], None),
    (CATALOGUE.by_slug["double_chance_ft"], None),
)
"""The markets that a list of events shows."""

_INLINE_KEYS = [
    (market, line, [pack_key(market.number, outcome.index, line) for outcome in market.outcomes])
    for market, line in INLINE
]
_PLACES = {market.number: place for place, market in enumerate(CATALOGUE.markets)}


@dataclass(slots=True)
class MarketPrices:
    """A market and line at one bookmaker: packed values and times of change by outcome index."""

    market: Market
    line: float | None
    values: dict[int, int] = field(default_factory=dict)
    changed: dict[int, int] = field(default_factory=dict)
    keys: dict[int, int] = field(default_factory=dict)


@lru_cache(maxsize=8192)
def second_z(epoch: int) -> str:
    """An epoch second as the wire has it."""
    return iso_z(datetime.fromtimestamp(epoch, UTC))


def list_item(event: BookedEvent) -> JSON:
    """An event as a list shows it: at each bookmaker, the markets of INLINE."""
    return {**event_fields(event), "bookmakers": [bookmaker_fields(quote) for quote in event.quotes.values()]}


def quote_markets(quote: Quote) -> JSON:
    """Every market of an event at one bookmaker."""
    return {
        **_bookmaker(quote),
        "snapshot_time": iso_z(quote.seen_at),
        "available": quote.gone_at is None,
        "unavailable_since": iso_z(quote.gone_at) if quote.gone_at else None,
        "markets": [_market(quote, prices) for prices in markets_of(quote)],
    }


def best_prices(event: BookedEvent) -> list[JSON]:
    """The best price of each outcome of each market that can be compared."""
    return [_best(best) for best in sorted(best_markets(event), key=_best_order)]


def event_fields(event: BookedEvent) -> JSON:
    """What every answer says of an event."""
    header = event.header
    return {
        "id": event.id,
        "sportradar_id": event.sportradar_id,
        "name": header.name,
        "home_team": header.home_team,
        "away_team": header.away_team,
        "kickoff": iso_z(header.kickoff),
        "tournament_id": event.leading.competition_id,
        "tournament_name": header.competition.name,
        "tournament_country": header.competition.country,
        "sport_name": SPORT,
        "created_at": iso_z(event.created_at),
        "changed_at": iso_z(event.changed_at),
    }


def bookmaker_fields(quote: Quote) -> JSON:
    """A bookmaker's part of an event in a list."""
    inline = [_inline(quote, market, line, keys) for market, line, keys in _INLINE_KEYS]
    return {
        **_bookmaker(quote),
        "external_event_id": quote.header.external_id,
        "event_url": None,
        "has_odds": quote.gone_at is None and quote.price_count > 0,
        "snapshot_time": iso_z(quote.seen_at),
        "available": quote.gone_at is None,
        "unavailable_since": iso_z(quote.gone_at) if quote.gone_at else None,
        "inline_odds": [odds for odds in inline if odds is not None],
    }


def markets_of(quote: Quote) -> list[MarketPrices]:
    """A bookmaker's markets in the order of the catalogue, then of the line. What the catalogue lacks is left out."""
    found: dict[tuple[int, float | None], MarketPrices] = {}
    for key, value, changed in quote:
        number, index, line = unpack_key(key)
        prices = found.get((number, line))
        if prices is None:
            market = CATALOGUE.by_number.get(number)
            if market is None:
                continue
            prices = found[number, line] = MarketPrices(market, line)
        prices.values[index], prices.changed[index], prices.keys[index] = value, changed, key
    return sorted(found.values(), key=lambda prices: (_PLACES[prices.market.number], prices.line or 0.0))


def margin_when(quote_is_gone: bool, market: Market, values: Mapping[int, int]) -> float | None:
    """The margin of a market as it stands; none at a bookmaker that does not list the event."""
    return None if quote_is_gone else market_margin(market, values)


def market_groups(market: Market) -> list[str]:
    """The groups that a market is shown in."""
    return [market.group]


def _bookmaker(quote: Quote) -> JSON:
    platform = quote.header.platform
    return {"bookmaker_slug": platform.value, "bookmaker_name": platform.display_name}


def _inline(quote: Quote, market: Market, line: float | None, keys: Sequence[int]) -> JSON | None:
    prices = MarketPrices(market, line)
    for index, key in enumerate(keys):
        place = quote.place_of(key)
        if place is not None:
            prices.values[index], prices.changed[index] = quote.values[place], quote.changed[place]
    if not prices.values:
        return None
    since = unavailable_since(quote, prices)
    return {
        "market_id": market.id,
        "market_name": market.name,
        "line": line,
        "outcomes": [
            {
                "name": market.outcomes[index].name,
                "odds": unpack_value(value & ~GONE)[0],
                "is_active": bool(value & 1) and not value & GONE and quote.gone_at is None,
            }
            for index, value in sorted(prices.values.items())
        ],
        "margin": margin_when(quote.gone_at is not None, market, prices.values),
        "available": since is None,
        "unavailable_since": since,
    }


def _market(quote: Quote, prices: MarketPrices) -> JSON:
    market = prices.market
    seen = iso_z(quote.seen_at)
    since = unavailable_since(quote, prices)
    outcomes = []
    for index, value in sorted(prices.values.items()):
        is_here = not value & GONE
        odds, is_active = unpack_value(value & ~GONE)
        outcomes.append(
            {
                "name": market.outcomes[index].name,
                "odds": odds,
                "is_active": is_active and is_here and quote.gone_at is None,
                "available": is_here and quote.gone_at is None,
                "changed_at": second_z(prices.changed[index]),
                "last_seen_at": seen if is_here else second_z(quote.last_seen[prices.keys[index]]),
            }
        )
    return {
        "betpawa_market_id": market.id,
        "betpawa_market_name": market.name,
        "line": prices.line,
        "outcomes": outcomes,
        "margin": margin_when(quote.gone_at is not None, market, prices.values),
        "market_groups": market_groups(market),
        "available": since is None,
        "unavailable_since": since,
    }


def unavailable_since(quote: Quote, prices: MarketPrices) -> str | None:
    """Since when no outcome of a market is there; None while one is."""
    if quote.gone_at is not None:
        return iso_z(quote.gone_at)
    if all(value & GONE for value in prices.values.values()):
        return second_z(max(prices.changed.values()))
    return None


def _best(best: BestMarket) -> JSON:
    return {
        "betpawa_market_id": best.market.id,
        "betpawa_market_name": best.market.name,
        "line": best.line,
        "margin": best.margin,
        "outcomes": [
            {
                "name": outcome.name,
                "odds": unpack_value(price.value)[0],
                "bookmakers": [quote.header.platform.value for quote in price.quotes],
            }
            for outcome, price in zip(best.market.outcomes, best.prices, strict=True)
        ],
    }


def _best_order(best: BestMarket) -> tuple[int, float]:
    return _PLACES[best.market.number], best.line or 0.0
