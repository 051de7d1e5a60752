"""History of one market of an event, for the event page: the table of changes."""

from dataclasses import dataclass
from datetime import datetime

from quart_odds.domain.catalogue import Market
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import promotion_name
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import GONE, EventOdds
from quart_odds.odds.history import MarketState
from quart_odds.routes.api.history import past_of
from quart_odds.routes.api.markets import check_promotion, keys_of
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
    """Return the past of the market that the query names. Raises a 400 for an unknown line or promotion."""
    market = query.market
    keys = keys_of(market, query.line)
    check_promotion(event, query.promotion)
    changes: list[Change] = []
    for event_odds in event.odds.values():
        past = await past_of(event_odds, keys, promotion=query.promotion)
        changes += [_change(market, event_odds, each) for each in past]
    changes.sort(key=lambda change: change.at, reverse=True)
    return History(market, query.line, Promotion.named(query.promotion), tuple(changes[:MOST_CHANGES]))


def _change(market: Market, event_odds: EventOdds, state: MarketState) -> Change:
    odds: list[tuple[str, Promotion | None]] = []
    for outcome in market.outcomes:
        value = state.values.get(outcome.index, GONE)
        if not state.is_listed or value & GONE:
            odds.append(("gone", None))
        else:
            promotion = Promotion.named(promotion_name(state.promotions[outcome.index], event_odds.promotions))
            odds.append((odds_text(value >> 1) if value & 1 else "suspended", promotion))
    return Change(state.at, event_odds.header.platform, tuple(odds), state.is_confirmed)
