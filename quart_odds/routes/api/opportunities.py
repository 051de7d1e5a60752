"""Opportunities: prices of several bookmakers that together, or beside what is fair, are worth more than they cost."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema
from quart import Blueprint, Response, request
from quart_schema import document_response

from quart_odds.domain.clock import utc_now
from quart_odds.domain.opportunities import Kind, Stakes, arbitrage_stakes, kelly_stakes, middle_stakes
from quart_odds.odds.opportunities import Track
from quart_odds.odds.opportunity import Opportunity
from quart_odds.odds.opportunity_views import opportunity_fields, past_fields
from quart_odds.odds.past_opportunities import PastFilter
from quart_odds.odds.views import JSON, event_fields
from quart_odds.routes.api.encoded import Body
from quart_odds.routes.api.query import Instant, PageQuery, Slugs, StartedQuery
from quart_odds.routes.api.requests import takes_query
from quart_odds.routes.api.schemas.odds import ProblemBody
from quart_odds.routes.api.schemas.opportunities import OpportunitiesPage, PastOpportunitiesPage
from quart_odds.services import services

Money = Annotated[
    Decimal,
    Field(gt=0, le=10**12, decimal_places=6, allow_inf_nan=False),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": 10**12},
                {"type": "string", "pattern": r"^[0-9]{1,13}(\.[0-9]{1,6})?$"},
            ]
        }
    ),
]


class OpportunitiesQuery(StartedQuery, PageQuery):
    """Which opportunities to return, and the bank to share among their prices."""

    kind: Annotated[Kind | Literal["all"], Field(description="arbitrage, value, middle or all")] = "arbitrage"
    min_margin: Annotated[
        float | None, Field(ge=0, allow_inf_nan=False, description="least worth in percent of the stake")
    ] = None
    max_age_seconds: Annotated[
        float | None,
        Field(gt=0, allow_inf_nan=False, description="of the oldest price; QUART_ODDS_STALE_AFTER_SECONDS by default"),
    ] = None
    bookmakers: Annotated[
        Slugs, Field(description="the bookmakers whose prices to back; comma-separated; default: all")
    ] = Field(default=[])
    suspicious: Annotated[bool, Field(description="those that are listed apart instead, with the reasons")] = False
    bank: Annotated[Money | None, Field(description="what to share among the prices")] = None
    rounding: Annotated[Money, Field(description="stakes are multiples of this")] = Decimal(1)


class PastQuery(PageQuery):
    """Which opportunities that are over to return."""

    kind: Annotated[Kind | Literal["all"], Field(description="arbitrage, value, middle or all")] = "all"
    event_id: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    min_margin: Annotated[
        float | None, Field(ge=0, le=1e6, allow_inf_nan=False, description="least worth at best, in percent")
    ] = None
    ended_from: Instant | None = None
    ended_to: Instant | None = None


def add_routes(blueprint: Blueprint) -> None:
    """Add the routes of this module."""
    blueprint.add_url_rule("/api/opportunities", view_func=opportunities)
    blueprint.add_url_rule("/api/opportunities/history", view_func=past_opportunities)


@takes_query(OpportunitiesQuery)
@document_response(OpportunitiesPage)
async def opportunities(query: OpportunitiesQuery) -> Response:
    """List opportunities, the greatest worth first, with the age of each price and how long they have been there."""
    now = await opportunities_now(query)
    # No await below: events, prices and ages are all of this moment.
    found = now.apart if query.suspicious else now.clean
    shown = [_shown(track, query, now.at) for track in query.cut(found)]
    body = {
        "opportunities": shown,
        "total": len(found),
        "left_out_count": now.left_out,
        "page": query.page,
        "page_size": query.page_size,
    }
    return Body.of(body).answer(request)


@takes_query(PastQuery)
@document_response(PastOpportunitiesPage)
@document_response(ProblemBody, 503)
async def past_opportunities(query: PastQuery) -> Response:
    """List opportunities that are over, with how long they were there and what they were worth at best."""
    wanted = PastFilter(
        None if query.kind == "all" else query.kind, query.event_id, query.min_margin, query.ended_from, query.ended_to
    )
    past, total = await services().store.list_past_opportunities(
        wanted, limit=query.page_size, offset=(query.page - 1) * query.page_size
    )
    shown = [past_fields(each) for each in past]
    body = {"opportunities": shown, "total": total, "page": query.page, "page_size": query.page_size}
    return Body.of(body).answer(request)


@dataclass(frozen=True, slots=True)
class Moment:
    """The opportunities of a query at one moment, the greatest worth first: those to list, and those to list apart.

    `left_out` is how many there are that are not kept. The tracks are current until the next await.
    """

    at: datetime
    clean: list[Track]
    apart: list[Track]
    left_out: int


async def opportunities_now(query: OpportunitiesQuery) -> Moment:
    """Return what a query selects, of all pages.

    Who names an age decides what is too old. Then those that are only too old by default are listed with the others.
    """
    source = services().opportunity_choices.of(query.bookmakers)
    await source.refresh(include_started=query.include_started)
    now, most = utc_now(), query.max_age_seconds
    found = [
        track
        for track in source.current(include_started=query.include_started)
        if query.kind in ("all", track.opportunity.kind)
        and (query.min_margin is None or track.opportunity.margin >= query.min_margin)
        and (most is None or (now - track.opportunity.seen_at).total_seconds() <= most)
    ]
    found.sort(key=lambda track: (-track.opportunity.margin, track.event.id))
    clean = [track for track in found if not track.opportunity.reasons]
    apart = [track for track in found if track.opportunity.reasons]
    if most is not None:
        places = {(track.event.id, track.opportunity.identity[:2]) for track in clean}
        clean = [
            track
            for track in found
            if not track.opportunity.reasons
            or (
                track.opportunity.reasons == ("stale",)
                and (track.event.id, track.opportunity.identity[:2]) not in places
            )
        ]
    return Moment(now, clean, apart, source.left_out)


def _shown(track: Track, query: OpportunitiesQuery, now: datetime) -> JSON:
    stakes = None if query.bank is None else stakes_of(track.opportunity, query.bank, query.rounding)
    return {
        **event_fields(track.event),
        **opportunity_fields(track, now),
        "stakes": None
        if stakes is None
        else {
            "rounding": float(query.rounding),
            "stakes": list(map(float, stakes.stakes)),
            "total": float(stakes.total),
            "worst_profit": float(stakes.worst_profit),
            "best_profit": float(stakes.best_profit),
            "is_profitable": stakes.is_profitable,
        },
    }


def stakes_of(found: Opportunity, bank: Decimal, unit: Decimal) -> Stakes:
    """Share a bank among the prices of an opportunity: of a value bet, Kelly's fraction of it is staked."""
    odds = [leg.odds for leg in found.legs]
    if found.fair is not None:
        return kelly_stakes(found.fair.chance, odds[0], bank, unit)
    if found.kind == "middle":
        low, high = (leg.line or 0.0 for leg in found.legs)
        return middle_stakes((odds[0], odds[1]), (low, high), bank, unit)
    return arbitrage_stakes(odds, bank, unit, winners=found.market.winning_outcomes)
