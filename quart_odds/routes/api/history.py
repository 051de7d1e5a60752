"""The past of a market: for charts, with the gaps in which a price was not there."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import Field
from quart import Blueprint, Response, request
from quart_schema import document_response

from quart_odds.domain.catalogue import CATALOGUE, Market
from quart_odds.domain.clock import iso_z, utc_now
from quart_odds.domain.odds import unpack_value
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import KNOWN, promotion_name, promotion_number
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import GONE, EventOdds
from quart_odds.odds.history import MarketState, market_keys, standings
from quart_odds.odds.margin import market_margin
from quart_odds.odds.offers import price_keys, promotion_word
from quart_odds.routes.access.problems import Problem, bad_request
from quart_odds.routes.api.encoded import Body, find_event
from quart_odds.routes.api.query import Instant
from quart_odds.routes.api.requests import Query, takes_query
from quart_odds.routes.api.schemas.odds import EventHistory, MarginHistory, MarketHistory, ProblemBody
from quart_odds.routes.api.views import JSON
from quart_odds.services import services

Promotion = Annotated[
    str | None,
    Field(
        max_length=64,
        description="one_up, two_up, boosted or the bookmaker's own word: the prices of this promotion alone; "
        "left out: the market's own prices",
    ),
]
Line = Annotated[float | None, Field(allow_inf_nan=False, description="needed for a market that has lines")]


class EventHistoryQuery(Query):
    """Which market, at which bookmaker (all, if none is named), and when."""

    market: Annotated[str, Field(description="the market's id, such as 3743, or its slug")]
    line: Line = None
    promotion: Promotion = None
    platform: Platform | None = None
    from_: Annotated[Instant | None, Field(alias="from")] = None
    to: Instant | None = None


class MarketHistoryQuery(Query):
    """Which bookmaker and when."""

    bookmaker_slug: Platform = Platform.BETPAWA
    line: Line = None
    promotion: Promotion = None
    from_time: Instant | None = None
    to_time: Instant | None = None


def add_routes(blueprint: Blueprint) -> None:
    """Adds the routes of this module."""
    blueprint.add_url_rule("/api/events/<int:event_id>/history", view_func=event_history)
    markets = "/api/events/<int:event_id>/markets/<market_id>"
    blueprint.add_url_rule(f"{markets}/history", view_func=market_history)
    blueprint.add_url_rule(f"{markets}/margin-history", view_func=margin_history)


@takes_query(EventHistoryQuery)
@document_response(EventHistory)
@document_response(ProblemBody, 404)
@document_response(ProblemBody, 503)
async def event_history(event_id: int, query: EventHistoryQuery) -> Response:
    """How a market stood over time at each bookmaker."""
    market = _market(query.market)
    keys = _keys(market, query.line)
    event = await find_event(event_id)
    refuse_unknown(event, query.promotion)
    bookmakers = []
    for platform, event_odds in event.odds.items():
        if query.platform in (None, platform):
            found = await past_of(event_odds, keys, query.from_, query.to, promotion=query.promotion)
            bookmakers.append({**_bookmaker(platform), "history": _points(market, event_odds, found, query.promotion)})
    named = _named(event, market, query.line, query.promotion)
    return Body.of({**named, "bookmakers": bookmakers}).answer(request)


@takes_query(MarketHistoryQuery)
@document_response(MarketHistory)
@document_response(ProblemBody, 404)
@document_response(ProblemBody, 503)
async def market_history(event_id: int, market_id: str, query: MarketHistoryQuery) -> Response:
    """How a market stood over time at one bookmaker."""
    named, points = await _asked(event_id, market_id, query)
    return Body.of({**named, "history": points}).answer(request)


@takes_query(MarketHistoryQuery)
@document_response(MarginHistory)
@document_response(ProblemBody, 404)
@document_response(ProblemBody, 503)
async def margin_history(event_id: int, market_id: str, query: MarketHistoryQuery) -> Response:
    """A market's margin over time at one bookmaker."""
    named, found = await _asked(event_id, market_id, query)
    points = [{name: value for name, value in point.items() if name != "outcomes"} for point in found]
    return Body.of({**named, "history": points}).answer(request)


async def _asked(event_id: int, market_id: str, query: MarketHistoryQuery) -> tuple[JSON, list[JSON]]:
    market = _market(market_id)
    keys = _keys(market, query.line)
    event = await find_event(event_id)
    refuse_unknown(event, query.promotion)
    named = {**_named(event, market, query.line, query.promotion), **_bookmaker(query.bookmaker_slug)}
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
    """How the market with these plain keys stood over time at a bookmaker, or its prices of one promotion.

    The quote is read when the history is: it may be newer than what is committed, and never lacks what is. Of a window
    that begins in the future nothing is known.
    """
    if since is not None and since > max(utc_now(), event_odds.seen_at):
        return []
    number = promotion_number(promotion, event_odds.promotions) if promotion else 0
    if promotion_name(number, event_odds.promotions) != promotion:
        return []
    wanted = price_keys(event_odds, keys)
    past = await services().store.price_history(event_odds.id, wanted)
    return standings(event_odds, past, wanted, since, until, promotion=number)


def known_promotions(event: CachedEvent) -> list[str]:
    """The promotions that may be asked for: those that mean the same everywhere, then the event's own."""
    own = {
        word
        for event_odds in event.odds.values()
        for key in event_odds.promoted_keys
        if (word := promotion_word(event_odds, key)) is not None
    }
    return [*KNOWN[1:], *sorted(own - set(KNOWN))]


def refuse_unknown(event: CachedEvent, promotion: str | None) -> None:
    """Raises a 400 that says what there is for a promotion that there is not."""
    if promotion is not None and promotion not in (known := known_promotions(event)):
        raise bad_request(
            "There is no such promotion.",
            ("promotion", f"{promotion!r} is none of {', '.join(known)}; left out, it is the market's own prices"),
        )


def _market(market_id: str) -> Market:
    market = CATALOGUE.by_id.get(market_id) or CATALOGUE.by_slug.get(market_id)
    if market is None:
        raise Problem(404, "No such market", f"there is no market {market_id!r}")
    return market


def _keys(market: Market, line: float | None) -> dict[int, int]:
    if market.has_line and line is None:
        raise bad_request(
            f"{market.name} has lines: name one.", ("line", "give the total or the handicap, such as 2.5")
        )
    if not market.has_line and line is not None:
        raise bad_request(f"{market.name} has no lines.", ("line", "leave it out"))
    try:
        return market_keys(market, line)
    except ValueError as error:
        raise bad_request("line is not as it should be.", ("line", str(error))) from None


def _named(event: CachedEvent, market: Market, line: float | None, promotion: str | None) -> JSON:
    return {
        "event_id": event.id,
        "market_id": market.id,
        "market_name": market.name,
        "line": line,
        "promotion": promotion,
    }


def _bookmaker(platform: Platform) -> JSON:
    return {"bookmaker_slug": platform.value, "bookmaker_name": platform.display_name}


def _points(market: Market, event_odds: EventOdds, found: list[MarketState], promotion: str | None) -> list[JSON]:
    points: list[JSON] = []
    gone_at = None
    for standing in found:
        at = iso_z(standing.at)
        gone_at = None if standing.is_available else gone_at or at
        has_margin = standing.is_listed and promotion is None
        points.append(
            {
                "captured_at": at,
                "outcomes": [
                    _outcome(market, event_odds, index, value, standing)
                    for index, value in sorted(standing.values.items())
                ],
                "margin": market_margin(market, standing.comparable_values()) if has_margin else None,
                "available": standing.is_available,
                "unavailable_at": gone_at,
                "confirmed": standing.is_confirmed,
            }
        )
    return points


def _outcome(market: Market, event_odds: EventOdds, index: int, value: int, standing: MarketState) -> JSON:
    odds, is_active = unpack_value(value & ~GONE)
    is_here = standing.is_listed and not value & GONE
    return {
        "name": market.outcomes[index].name,
        "odds": odds,
        "is_active": is_active and is_here,
        "available": is_here,
        "promotion": promotion_name(standing.promotions[index], event_odds.promotions),
    }
