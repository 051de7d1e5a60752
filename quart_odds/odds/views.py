"""Events as the API and the topic `odds` show them: plain dictionaries made from the cache.

The shapes are those of `routes/api/schemas`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from quart_odds.bookmakers.registry import event_url
from quart_odds.domain.catalogue import CATALOGUE, Market, pack_key
from quart_odds.domain.clock import iso_z
from quart_odds.domain.fair import Chance, unpack_chance
from quart_odds.domain.odds import unpack_value
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import promotion_name
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import GONE, EventOdds
from quart_odds.odds.fair_prices import FairMarket, FairPrices, fair_odds_of, value_percent_of
from quart_odds.odds.margin import BestMarket, BestPrice, best_markets, market_margin
from quart_odds.odds.offers import Offer, effective_key, offers_at, offers_of, place_of, promotion_word

SPORT = "Football"
JSON = dict[str, object]

INLINE: tuple[tuple[Market, float | None], ...] = (
    (CATALOGUE.by_slug["1x2_ft"], None),
    (CATALOGUE.by_slug["over_under_ft"], 2.5),
    (CATALOGUE.by_slug["btts_ft"], None),
    (CATALOGUE.by_slug["double_chance_ft"], None),
)
"""The markets that lists of events show."""

_INLINE_KEYS = [
    (market, line, [pack_key(market.number, outcome.index, line) for outcome in market.outcomes])
    for market, line in INLINE
]


@lru_cache(maxsize=8192)
def second_z(epoch: int) -> str:
    """Format epoch seconds as on the wire."""
    return iso_z(datetime.fromtimestamp(epoch, UTC))


def list_item(event: CachedEvent) -> JSON:
    """Return an event as lists show it, with the markets of INLINE at each bookmaker."""
    return {
        **event_fields(event),
        "bookmakers": [bookmaker_fields(event, event_odds) for event_odds in event.odds.values()],
    }


def image_event(
    event: CachedEvent, *, markets: Collection[int] | None = None, platforms: Collection[Platform] | None = None
) -> JSON:
    """Return an event as an `odds_image` has it, with nothing in it twice.

    `markets` are numbers of the catalogue. None stands for all markets, and for all bookmakers. Takes some 50 µs a
    bookmaker for the main markets, 2 ms for all of them.
    """
    shown = [each for platform, each in event.odds.items() if platforms is None or platform in platforms]
    return {
        **event_fields(event),
        "bookmakers": [listed_bookmaker(event, event_odds) for event_odds in shown],
        "markets_by_bookmaker": [bookmaker_markets(event, event_odds, markets, is_live=True) for event_odds in shown],
    }


def bookmaker_markets(
    event: CachedEvent, event_odds: EventOdds, markets: Collection[int] | None = None, *, is_live: bool = False
) -> JSON:
    """Return the markets of an event at one bookmaker: those with these numbers, by default all.

    If `is_live`, they are as live messages have them: without probabilities, which no `odds_change` renews, and with
    null for a margin that there is not. In responses that margin is 0.0, and `margin_complete` is false.
    """
    chances = None if is_live else event_odds.chances()
    return {
        **bookmaker_name_fields(event_odds.header.platform),
        "event_url": url_of(event_odds),
        **_market_state(event, event_odds),
        "markets": [_market(event_odds, offer, chances) for offer in offers_of(event_odds, markets)],
    }


def best_prices(event: CachedEvent, fair: FairPrices) -> Iterator[tuple[JSON, datetime | None]]:
    """Yield the best price of each outcome, for every market that can be compared, and until when it is worth so much.

    The time is None if nothing is known of the worth.
    """
    for best in sorted(best_markets(event), key=_best_order):
        worth = fair.of(best)
        yield _best(best, worth, fair), None if worth is None else worth.fresh_until


def event_fields(event: CachedEvent) -> JSON:
    """Return the fields of an event that every response has."""
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


def listed_bookmaker(event: CachedEvent, event_odds: EventOdds) -> JSON:
    """Return a bookmaker's entry for an event, without prices."""
    return {
        **bookmaker_name_fields(event_odds.header.platform),
        "external_event_id": event_odds.header.external_id,
        "event_url": url_of(event_odds),
        "has_odds": event_odds.gone_at is None and event_odds.price_count > 0,
        **_market_state(event, event_odds),
    }


def bookmaker_fields(event: CachedEvent, event_odds: EventOdds) -> JSON:
    """Return a bookmaker's entry for an event in a list."""
    return {
        **listed_bookmaker(event, event_odds),
        "inline_odds": [
            _inline(event_odds, offer)
            for market, line, keys in _INLINE_KEYS
            for offer in offers_at(event_odds, market, line, keys)
        ],
    }


def margin_of_offer(event_odds: EventOdds, offer: Offer) -> float | None:
    """Return the margin of an offer, None for a further offer, boosted prices, or an event that is not listed."""
    return None if event_odds.gone_at is not None else market_margin(offer.market, offer.comparable_values())


def price_state(value: int, *, is_listed: bool) -> tuple[float, bool, bool]:
    """Return the odds of a packed value, whether the price is active, and whether it is available.

    `is_listed` tells whether the bookmaker lists the event.
    """
    odds, is_active = unpack_value(value & ~GONE)
    is_available = is_listed and not value & GONE
    return odds, is_active and is_available, is_available


def last_seen_at(event_odds: EventOdds, key: int, value: int) -> str:
    """Return when a price was last seen. For a price that is gone this is earlier than for the others."""
    return second_z(event_odds.last_seen[key]) if value & GONE else iso_z(event_odds.seen_at_of(key))


def bookmaker_name_fields(platform: Platform) -> JSON:
    """Return a bookmaker's slug and name."""
    return {"bookmaker_slug": platform.value, "bookmaker_name": platform.display_name}


def url_of(event_odds: EventOdds) -> str | None:
    """Return the address of the page of an event at its bookmaker; None if it has none."""
    header = event_odds.header
    return event_url(header.platform, header.external_id)


def _market_state(event: CachedEvent, event_odds: EventOdds) -> JSON:
    """Return when an event was fetched, whether the bookmaker lists it, and what prevents a comparison."""
    return {
        "snapshot_time": iso_z(event_odds.seen_at),
        "available": event_odds.gone_at is None,
        "unavailable_since": iso_z(event_odds.gone_at) if event_odds.gone_at else None,
        "reversed": event.is_reversed(event_odds.header.platform),
        "late": event_odds.is_late,
    }


def _inline(event_odds: EventOdds, offer: Offer) -> JSON:
    market = offer.market
    is_listed = event_odds.gone_at is None
    since = unavailable_since(event_odds, offer)
    outcomes = []
    for index, value in sorted(offer.values.items()):
        odds, is_active, _ = price_state(value, is_listed=is_listed)
        promotion = promotion_word(event_odds, offer.keys[index])
        name = market.outcomes[index].name
        outcomes.append({"name": name, "odds": odds, "is_active": is_active, "promotion": promotion})
    return {
        "market_id": market.id,
        "market_name": market.name,
        "line": offer.line,
        "promotion": offer_word(event_odds, offer),
        "outcomes": outcomes,
        "margin": margin_of_offer(event_odds, offer),
        "available": since is None,
        "unavailable_since": since,
        **_offer_times(event_odds, offer),
    }


def _market(event_odds: EventOdds, offer: Offer, chances: Mapping[int, int] | None) -> JSON:
    market = offer.market
    is_listed = event_odds.gone_at is None
    since = unavailable_since(event_odds, offer)
    outcomes = []
    for index, value in sorted(offer.values.items()):
        odds, is_active, is_available = price_state(value, is_listed=is_listed)
        key = offer.keys[index]
        outcomes.append(
            {
                "name": market.outcomes[index].name,
                "odds": odds,
                "is_active": is_active,
                "available": is_available,
                "promotion": promotion_word(event_odds, key),
                **({} if chances is None else _chance(chances.get(key) if is_available else None)),
                "changed_at": second_z(offer.changed[index]),
                "last_seen_at": last_seen_at(event_odds, key, value),
            }
        )
    return {
        "betpawa_market_id": market.id,
        "betpawa_market_name": market.name,
        "line": offer.line,
        "promotion": offer_word(event_odds, offer),
        "outcomes": outcomes,
        **_margin_fields(margin_of_offer(event_odds, offer), is_live=chances is None),
        "market_groups": [market.group],
        "available": since is None,
        "unavailable_since": since,
        **_offer_times(event_odds, offer),
    }


def _margin_fields(margin: float | None, *, is_live: bool) -> JSON:
    """Return a margin. In responses it is always a number: there are clients that calculate with it unseen."""
    if is_live:
        return {"margin": margin}
    return {"margin": 0.0 if margin is None else margin, "margin_complete": margin is not None}


def _chance(packed: int | None) -> JSON:
    chance = None if packed is None else unpack_chance(packed)
    return {
        "probability": None if chance is None else chance.win,
        "refund_probability": None if chance is None else chance.refund,
    }


def _offer_times(event_odds: EventOdds, offer: Offer) -> JSON:
    """Return when a market and line was last seen, or looked for, and when the bookmaker says that it changed it."""
    key = next(iter(offer.keys.values()))
    source_changed_at = event_odds.source_changed_at(key)
    return {
        "last_seen_at": iso_z(event_odds.seen_at_of(key)),
        "source_changed_at": None if source_changed_at is None else iso_z(source_changed_at),
    }


def offer_word(event_odds: EventOdds, offer: Offer) -> str | None:
    """Return the promotion that distinguishes a further offer, None for a market's own offer."""
    return promotion_name(offer.promotion, event_odds.promotions) if offer.promotion else None


def unavailable_since(event_odds: EventOdds, offer: Offer) -> str | None:
    """Return since when no outcome of an offer is available, None while one is."""
    if event_odds.gone_at is not None:
        return iso_z(event_odds.gone_at)
    if all(value & GONE for value in offer.values.values()):
        return second_z(max(offer.changed.values()))
    return None


def held_under(event_odds: EventOdds, price: BestPrice) -> str | None:
    """Return the perk on a bookmaker's best price, None for a plain price."""
    return promotion_word(event_odds, effective_key(event_odds, price.key))


def _best(best: BestMarket, worth: FairMarket | None, fair: FairPrices) -> JSON:
    chances: Sequence[Chance | None] = [None] * len(best.prices) if worth is None else worth.chances
    return {
        "betpawa_market_id": best.market.id,
        "betpawa_market_name": best.market.name,
        "line": best.line,
        "margin": best.margin,
        "outcomes": [
            {
                "name": outcome.name,
                "odds": unpack_value(price.value)[0],
                "bookmakers": [event_odds.header.platform.value for event_odds in price.odds],
                "promotion": _perk_of_all(price),
                "fair_odds": None if chance is None else fair_odds_of(chance),
                "fair_source": None if worth is None else worth.source,
                "value_percent": None if chance is None else value_percent_of(chance, price.value),
                "margins": {} if chance is None else _margins(chance, fair.prices_of(price.key)),
            }
            for outcome, price, chance in zip(best.market.outcomes, best.prices, chances, strict=True)
        ],
    }


def _margins(chance: Chance, prices: Mapping[Platform, int]) -> JSON:
    """Return what each bookmaker keeps of a stake on the outcome, in percent: where it shades its prices."""
    # Subtracted, because minus zero would be shown as -0.0.
    return {platform.value: 0.0 - value_percent_of(chance, value) for platform, value in prices.items()}


def _perk_of_all(price: BestPrice) -> str | None:
    """Return the perk on a best price, None if a bookmaker has that price without one."""
    words = [held_under(event_odds, price) for event_odds in price.odds]
    return None if None in words else words[0]


def _best_order(best: BestMarket) -> tuple[int, float]:
    return place_of(best.market), best.line or 0.0
