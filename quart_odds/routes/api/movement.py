"""How the prices of an event have moved: opening and closing prices, and the change over an hour and a day."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import Field
from quart import Blueprint, Response, request
from quart_schema import document_response

from quart_odds.domain.catalogue import market_number_of
from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import EventOdds
from quart_odds.odds.history import LISTING_KEY, Change
from quart_odds.odds.movement import CurrentPrices, Movement, Quote, movements
from quart_odds.odds.offers import Offer, offers_of, promotion_word
from quart_odds.odds.views import JSON, bookmaker_name_fields, price_state, second_z
from quart_odds.routes.api.encoded import Body, find_event
from quart_odds.routes.api.markets import find_market
from quart_odds.routes.api.query import Text
from quart_odds.routes.api.requests import Query, takes_query
from quart_odds.routes.api.schemas.movement import EventMovement
from quart_odds.routes.api.schemas.odds import ProblemBody
from quart_odds.services import services

NONE = Movement()


class MovementQuery(Query):
    """Which market, and which bookmaker. The default is all."""

    market: Annotated[Text | None, Field(description="the market's id, such as 3743, or its slug")] = None
    platform: Platform | None = None


def add_routes(blueprint: Blueprint) -> None:
    """Add the routes of this module."""
    blueprint.add_url_rule("/api/events/<int:event_id>/movement", view_func=event_movement)


@takes_query(MovementQuery)
@document_response(EventMovement)
@document_response(ProblemBody, 404)
@document_response(ProblemBody, 503)
async def event_movement(event_id: int, query: MovementQuery) -> Response:
    """Return opening and closing price of each outcome, and by how much it moved in an hour, a day and in all."""
    markets = None if query.market is None else {find_market(query.market).number}
    event = await find_event(event_id)
    bookmakers = [
        await _bookmaker(event, platform, markets)
        for platform in list(event.odds)
        if query.platform in (None, platform)
    ]
    return Body.of({"event_id": event.id, "bookmakers": bookmakers}).answer(request)


async def _bookmaker(event: CachedEvent, platform: Platform, markets: Collection[int] | None) -> JSON:
    odds_id = event.odds[platform].id
    first = [each for each in await services().store.first_prices(odds_id) if _is_of(each, markets)]
    changes: list[Change] = []
    last: Change | None = None
    while page := await services().store.changes_after(odds_id, last):
        last = page[-1]
        changes += [each for each in page if _is_of(each, markets)]
    # Read after the history, so that they never lack what is stored.
    event_odds = event.odds[platform]
    offers = offers_of(event_odds, markets)
    current = CurrentPrices(
        {key: (offer.values[index], offer.changed[index]) for offer in offers for index, key in offer.keys.items()},
        is_listed=event_odds.gone_at is None,
    )
    kickoff, now = int(event.header.kickoff.timestamp()), int(utc_now().timestamp())
    moved = await asyncio.to_thread(movements, first, changes, current, kickoff, now)
    return {
        **bookmaker_name_fields(platform),
        "markets": [_market(event_odds, offer, current, moved) for offer in offers],
    }


def _is_of(change: Change, markets: Collection[int] | None) -> bool:
    return markets is None or change[1] == LISTING_KEY or market_number_of(change[1]) in markets


def _market(event_odds: EventOdds, offer: Offer, current: CurrentPrices, moved: Mapping[int, Movement]) -> JSON:
    return {
        "market_id": offer.market.id,
        "market_name": offer.market.name,
        "line": offer.line,
        "outcomes": [
            _outcome(
                offer.market.outcomes[index].name,
                promotion_word(event_odds, key),
                price_state(offer.values[index], is_listed=current.is_listed),
                moved.get(key, NONE),
            )
            for index, key in sorted(offer.keys.items())
        ],
    }


def _outcome(name: str, promotion: str | None, state: tuple[float, bool, bool], moved: Movement) -> JSON:
    odds, is_active, _ = state
    return {
        "name": name,
        "promotion": promotion,
        "odds": odds,
        "is_active": is_active,
        "opening": _quote(moved.opening),
        "closing": _quote(moved.closing),
        "change_1h_percent": moved.hour_percent,
        "change_24h_percent": moved.day_percent,
        "opening_percent": moved.opening_percent,
    }


def _quote(quote: Quote | None) -> JSON | None:
    return None if quote is None else {"odds": quote.odds, "at": second_z(quote.at)}
