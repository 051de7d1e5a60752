"""The price history of a market, for charts, including the gaps in which a price was gone."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import Field
from quart import Blueprint, Response, request
from quart_schema import document_response

from quart_odds.domain.catalogue import Market
from quart_odds.domain.clock import iso_z, utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import promotion_name, promotion_number
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import EventOdds
from quart_odds.odds.history import MarketState, market_states
from quart_odds.odds.margin import market_margin
from quart_odds.odds.offers import price_keys
from quart_odds.odds.views import JSON, bookmaker_name_fields, price_state
from quart_odds.routes.api.encoded import Body, find_event
from quart_odds.routes.api.markets import Line, Promotion, check_promotion, find_market, keys_of
from quart_odds.routes.api.query import REFERENCE, Instant, Text
from quart_odds.routes.api.requests import Query, takes_query
from quart_odds.routes.api.schemas.odds import EventHistory, MarginHistory, MarketHistory, ProblemBody
from quart_odds.services import services


class EventHistoryQuery(Query):
    """Which market, at which bookmaker (default: all), and which period."""

    market: Annotated[Text, Field(description="the market's id, such as 3743, or its slug")]
    line: Line = None
    promotion: Promotion = None
    platform: Platform | None = None
    from_: Annotated[Instant | None, Field(alias="from")] = None
    to: Instant | None = None


class MarketHistoryQuery(Query):
    """Which bookmaker, and which period."""

    bookmaker_slug: Platform = REFERENCE
    line: Line = None
    promotion: Promotion = None
    from_time: Instant | None = None
    to_time: Instant | None = None


def add_routes(blueprint: Blueprint) -> None:
    """Add the routes of this module."""
    blueprint.add_url_rule("/api/events/<int:event_id>/history", view_func=event_history)
    markets = "/api/events/<int:event_id>/markets/<market_id>"
    blueprint.add_url_rule(f"{markets}/history", view_func=market_history)
    blueprint.add_url_rule(f"{markets}/margin-history", view_func=margin_history)


@takes_query(EventHistoryQuery)
@document_response(EventHistory)
@document_response(ProblemBody, 404)
@document_response(ProblemBody, 503)
async def event_history(event_id: int, query: EventHistoryQuery) -> Response:
    """Return a market's history at each bookmaker."""
    market = find_market(query.market)
    keys = keys_of(market, query.line)
    event = await find_event(event_id)
    check_promotion(event, query.promotion)
    bookmakers = []
    for platform, event_odds in event.odds.items():
        if query.platform in (None, platform):
            found = await past_of(event_odds, keys, query.from_, query.to, promotion=query.promotion)
            bookmakers.append(
                {**bookmaker_name_fields(platform), "history": _points(market, event_odds, found, query.promotion)}
            )
    named = _named(event, market, query.line, query.promotion)
    return Body.of({**named, "bookmakers": bookmakers}).answer(request)


@takes_query(MarketHistoryQuery)
@document_response(MarketHistory)
@document_response(ProblemBody, 404)
@document_response(ProblemBody, 503)
async def market_history(event_id: int, market_id: str, query: MarketHistoryQuery) -> Response:
    """Return a market's history at one bookmaker."""
    named, points = await _asked(event_id, market_id, query)
    return Body.of({**named, "history": points}).answer(request)


@takes_query(MarketHistoryQuery)
@document_response(MarginHistory)
@document_response(ProblemBody, 404)
@document_response(ProblemBody, 503)
async def margin_history(event_id: int, market_id: str, query: MarketHistoryQuery) -> Response:
    """Return a market's margin over time at one bookmaker."""
    named, found = await _asked(event_id, market_id, query)
    points = [{name: value for name, value in point.items() if name != "outcomes"} for point in found]
    return Body.of({**named, "history": points}).answer(request)


async def _asked(event_id: int, market_id: str, query: MarketHistoryQuery) -> tuple[JSON, list[JSON]]:
    market = find_market(market_id)
    keys = keys_of(market, query.line)
    event = await find_event(event_id)
    check_promotion(event, query.promotion)
    named = {**_named(event, market, query.line, query.promotion), **bookmaker_name_fields(query.bookmaker_slug)}
    event_odds: EventOdds | None = event.odds.get(query.bookmaker_slug)
    if event_odds is None:
        return named, []
    found = await past_of(event_odds, keys, query.from_time, query.to_time, promotion=query.promotion)
    return named, _points(market, event_odds, found, query.promotion)


async def past_of(
    event_odds: EventOdds,
    keys: Mapping[int, int],
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    promotion: str | None = None,
) -> list[MarketState]:
    """Return the history of the market with these plain keys at a bookmaker, or of its prices of one promotion.

    The event odds are read together with the stored history: they may be newer than what is committed, and never lack
    what is committed. The history is empty if the window begins in the future.
    """
    if since is not None and since > max(utc_now(), event_odds.fetched_at):
        return []
    number = promotion_number(promotion, event_odds.promotions) if promotion else 0
    if promotion_name(number, event_odds.promotions) != promotion:
        return []
    wanted = price_keys(event_odds, keys)
    past = await services().store.price_history(event_odds.id, wanted)
    return market_states(event_odds, past, wanted, since, until, promotion=number)


def _named(event: CachedEvent, market: Market, line: float | None, promotion: str | None) -> JSON:
    return {
        "event_id": event.id,
        "market_id": market.id,
        "market_name": market.name,
        "line": line,
        "promotion": promotion,
    }


def _points(market: Market, event_odds: EventOdds, found: list[MarketState], promotion: str | None) -> list[JSON]:
    points: list[JSON] = []
    gone_at = None
    for state in found:
        at = iso_z(state.at)
        gone_at = None if state.is_available else gone_at or at
        has_margin = state.is_listed and promotion is None
        points.append(
            {
                "captured_at": at,
                "outcomes": [
                    _outcome(market, event_odds, index, value, state) for index, value in sorted(state.values.items())
                ],
                "margin": market_margin(market, state.comparable_values()) if has_margin else None,
                "available": state.is_available,
                "unavailable_at": gone_at,
                "confirmed": state.is_confirmed,
                "opening": state.is_opening,
            }
        )
    return points


def _outcome(market: Market, event_odds: EventOdds, index: int, value: int, state: MarketState) -> JSON:
    odds, is_active, is_available = price_state(value, is_listed=state.is_listed)
    return {
        "name": market.outcomes[index].name,
        "odds": odds,
        "is_active": is_active,
        "available": is_available,
        "promotion": promotion_name(state.promotions[index], event_odds.promotions),
    }
