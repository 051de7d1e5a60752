"""History of one market of an event, for the event page: the table of changes."""

from dataclasses import dataclass
from datetime import datetime

from quart_odds.domain.catalogue import CATALOGUE, Market
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import promotion_name
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import GONE, EventOdds
from quart_odds.odds.history import MarketState, market_keys
from quart_odds.routes.access.problems import bad_request
from quart_odds.routes.api.history import past_of, refuse_unknown
from quart_odds.routes.pages.odds import Promotion, odds_text
from quart_odds.routes.pages.query import HistoryQuery

MOST_CHANGES = 200
"""Maximum rows of the table, newest first. The chart has no such limit."""


@dataclass(frozen=True, slots=True)
class Change:
    """The state at one bookmaker from `at` on. `odds` has the text ("gone", "suspended") and promotion per outcome."""

    at: datetime
    platform: Platform
    odds: tuple[tuple[str, Promotion | None], ...]
    is_confirmed: bool


@dataclass(frozen=True, slots=True)
class History:
    """History of a market and line, newest change first. If `promotion` is set, only that promotion's prices."""

    market: Market
    line: float | None
    promotion: Promotion | None
    changes: tuple[Change, ...]


async def history_of(event: CachedEvent, query: HistoryQuery) -> History:
    """Return the history of the market that the query names. Raises a 400 for an unknown market."""
    market = CATALOGUE.by_id.get(query.market) or CATALOGUE.by_slug.get(query.market)
    if market is None:
        raise bad_request("There is no such market.", ("market", f"{query.market[:60]!r} is not known"))
    if market.has_line is (query.line is None):
        raise bad_request(
            "line is not as it should be.", ("line", f"{market.name} {'needs one' if market.has_line else 'has none'}")
        )
    try:
        keys = market_keys(market, query.line)
    except ValueError as error:
        raise bad_request("line is not as it should be.", ("line", str(error))) from None
    refuse_unknown(event, query.promotion)
    changes: list[Change] = []
    for event_odds in event.odds.values():
        past = await past_of(event_odds, keys, promotion=query.promotion)
        changes += [_change(market, event_odds, each) for each in past]
    changes.sort(key=lambda change: change.at, reverse=True)
    return History(market, query.line, Promotion.named(query.promotion), tuple(changes[:MOST_CHANGES]))


def _change(market: Market, event_odds: EventOdds, standing: MarketState) -> Change:
    odds: list[tuple[str, Promotion | None]] = []
    for outcome in market.outcomes:
        value = standing.values.get(outcome.index, GONE)
        if not standing.is_listed or value & GONE:
            odds.append(("gone", None))
        else:
            promotion = Promotion.named(promotion_name(standing.promotions[outcome.index], event_odds.promotions))
            odds.append((odds_text(value >> 1) if value & 1 else "suspended", promotion))
    return Change(standing.at, event_odds.header.platform, tuple(odds), standing.is_confirmed)
