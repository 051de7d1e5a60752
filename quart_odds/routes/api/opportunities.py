"""Opportunities: best prices across the bookmakers that guarantee a gain."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field
from quart import Blueprint, Response, request
from quart_schema import document_response

from quart_odds.domain.clock import iso_z, utc_now
from quart_odds.domain.odds import unpack_value
from quart_odds.domain.platforms import Platform
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import EventOdds
from quart_odds.odds.margin import BestMarket, BestPrice, best_markets
from quart_odds.odds.offers import effective_key
from quart_odds.odds.views import JSON, event_fields, held_under, second_z
from quart_odds.routes.api.cooperative_yield import CooperativeYield
from quart_odds.routes.api.encoded import Body
from quart_odds.routes.api.query import PageQuery, StartedQuery, upcoming
from quart_odds.routes.api.requests import takes_query
from quart_odds.routes.api.schemas.odds import OpportunitiesPage
from quart_odds.services import services


class OpportunitiesQuery(StartedQuery, PageQuery):
    """The least gain of an opportunity, and the greatest age of its prices."""

    min_margin: Annotated[float, Field(ge=0, allow_inf_nan=False, description="percent of the stake")] = 0
    max_age_seconds: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None


class OpportunityFinder:
    """The opportunities in each event of a cache, computed once per change of the event.

    They are kept by revision, and only for the same event odds: a cache that was refilled may use revisions again.
    """

    def __init__(self, cache: OddsCache) -> None:
        self._cache = cache
        self._found: dict[int, tuple[int, Mapping[Platform, EventOdds], list[BestMarket]]] = {}

    async def prepare(self, events: list[CachedEvent]) -> None:
        """Examine the events that changed, about 0.2 ms each, yielding to the event loop in between."""
        self._forget_others()
        turn = CooperativeYield()
        for event in events:
            if not self._is_kept(event):
                self._of(event)
                if turn.is_due:
                    await asyncio.sleep(0)

    def found(self, events: list[CachedEvent]) -> list[tuple[CachedEvent, BestMarket]]:
        """Return every opportunity in these events as they are now. Fast for prepared events."""
        return [(event, best) for event in events for best in self._of(event)]

    def _is_kept(self, event: CachedEvent) -> bool:
        kept = self._found.get(event.id)
        return kept is not None and kept[0] == event.revision and kept[1] is event.odds

    def _of(self, event: CachedEvent) -> list[BestMarket]:
        if not self._is_kept(event):
            self._found[event.id] = (event.revision, event.odds, _opportunities(event))
        return self._found[event.id][2]

    def _forget_others(self) -> None:
        """Drop the entries of events that are no longer in the cache."""
        events = self._cache.events
        if len(self._found) > 2 * len(events) + 100:
            self._found = {event_id: kept for event_id, kept in self._found.items() if event_id in events}


def add_routes(blueprint: Blueprint) -> None:
    """Add the routes of this module."""
    blueprint.add_url_rule("/api/opportunities", view_func=opportunities)


@takes_query(OpportunitiesQuery)
@document_response(OpportunitiesPage)
async def opportunities(query: OpportunitiesQuery) -> Response:
    """List sets of best prices whose inverses sum to less than one, greatest gain first, with the age of each price."""
    parts = services()
    cache, finder = parts.served.cache, parts.opportunity_finder
    await finder.prepare(upcoming(cache, query, utc_now()))
    # No await below: events, prices and ages are all of this moment.
    now = utc_now()
    every = finder.found(upcoming(cache, query, now))
    found = sorted(
        (
            (best.gain, event, best)
            for event, best in every
            if best.gain >= query.min_margin and _is_fresh(best, query.max_age_seconds, now)
        ),
        key=lambda each: (-each[0], each[1].id),
    )
    shown = [_shown(*each, now) for each in query.cut(found)]
    body = {"opportunities": shown, "total": len(found), "page": query.page, "page_size": query.page_size}
    return Body.of(body).answer(request)


def _opportunities(event: CachedEvent) -> list[BestMarket]:
    if len(event.odds) < 2:
        return []
    return best_markets(event, only_gaining=True)


def _freshest(price: BestPrice) -> EventOdds:
    return max(price.odds, key=lambda event_odds: event_odds.seen_at_of(price.key))


def _is_fresh(best: BestMarket, max_age_seconds: float | None, now: datetime) -> bool:
    if max_age_seconds is None:
        return True
    oldest = min(_freshest(price).seen_at_of(price.key) for price in best.prices)
    return (now - oldest).total_seconds() <= max_age_seconds


def _shown(margin: float, event: CachedEvent, best: BestMarket, now: datetime) -> JSON:
    return {
        **event_fields(event),
        "market_id": best.market.id,
        "market_name": best.market.name,
        "line": best.line,
        "margin": margin,
        "outcomes": [
            _outcome(outcome.name, price, now) for outcome, price in zip(best.market.outcomes, best.prices, strict=True)
        ],
    }


def _outcome(name: str, price: BestPrice, now: datetime) -> JSON:
    event_odds = _freshest(price)
    place = event_odds.place_of(effective_key(event_odds, price.key))
    assert place is not None, "a best price is one that its bookmaker has"
    seen_at = event_odds.seen_at_of(price.key)
    return {
        "name": name,
        "odds": unpack_value(price.value)[0],
        "promotion": held_under(event_odds, price),
        "bookmaker_slug": event_odds.header.platform.value,
        "bookmaker_name": event_odds.header.platform.display_name,
        "changed_at": second_z(event_odds.changed[place]),
        "last_seen_at": iso_z(seen_at.astimezone(UTC)),
        "age_seconds": round(max((now - seen_at).total_seconds(), 0.0), 3),
    }
