"""Lists derived from the events: tournaments, countries, events that a bookmaker lacks, events that lost odds."""

from collections import Counter
from datetime import datetime
from typing import Literal, cast

from quart import Blueprint, Response, request
from quart_schema import document_response

from quart_odds.domain.clock import utc_now
from quart_odds.domain.names import names_differ
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import EventOdds
from quart_odds.odds.views import JSON, SPORT, list_item
from quart_odds.routes.api.encoded import Body
from quart_odds.routes.api.query import (
    Availability,
    EventsFilter,
    StartedQuery,
    UnmatchedQuery,
    select_events,
    upcoming,
)
from quart_odds.routes.api.requests import takes_query
from quart_odds.routes.api.schemas.coverage import Count, Tournament, UnmatchedPage
from quart_odds.services import services

Reason = Literal["not_listed", "no_sportradar_id", "kickoff_differs"]
"""Why a bookmaker lacks an event."""


class TournamentsQuery(StartedQuery):
    """Which tournaments."""

    availability: Availability | None = None


def add_routes(blueprint: Blueprint) -> None:
    """Add the routes of this module."""
    for path, view in (
        ("/api/events/tournaments", tournaments),
        ("/api/events/countries", countries),
        ("/api/events/unmatched", unmatched),
        ("/api/events/alerts/count", alerts_count),
    ):
        blueprint.add_url_rule(path, view_func=view)


@takes_query(TournamentsQuery)
@document_response(cast("type[Tournament]", list[Tournament]))
async def tournaments(query: TournamentsQuery) -> Response:
    """List the tournaments of the current events, by country and name. Each once, whoever has it."""
    parts = services()
    cache = parts.served.cache
    return parts.event_bodies.tournaments(query, lambda now: _tournaments(cache, query, now)).answer(request)


def _tournaments(cache: OddsCache, query: TournamentsQuery, now: datetime) -> list[dict[str, object]]:
    asked = EventsFilter(include_started=query.include_started, availability=query.availability, sort="tournament")
    competitions = cache.competitions()
    found = Counter(map(competitions.of, select_events(cache, asked, now)))
    return [
        {
            "id": competition.id,
            "name": competition.name,
            "country": competition.country,
            "sport_name": SPORT,
            "event_count": count,
            "ids": competition.ids,
        }
        for competition, count in found.items()
    ]


@takes_query(TournamentsQuery)
@document_response(cast("type[str]", list[str]))
async def countries(query: TournamentsQuery) -> Response:
    """List the countries of the current events, by name. Each once, however the bookmakers spell it."""
    asked = EventsFilter(include_started=query.include_started, availability=query.availability)
    cache = services().served.cache
    found = map(cache.competitions().of, select_events(cache, asked, utc_now()))
    return Body.of(sorted({competition.country for competition in found})).answer(request)


@takes_query(StartedQuery)
@document_response(Count)
async def alerts_count(query: StartedQuery) -> Response:
    """Count the events that lost a price, or that a bookmaker took down."""
    asked = EventsFilter(include_started=query.include_started, availability="alerts")
    return Body.of({"count": len(select_events(services().served.cache, asked, utc_now()))}).answer(request)


@takes_query(UnmatchedQuery)
@document_response(UnmatchedPage)
async def unmatched(query: UnmatchedQuery) -> Response:
    """List the events that a bookmaker with any events lacks, and the reason."""
    cache = services().served.cache
    wanted = {query.missing_platform} if query.missing_platform else set(cache.bookmakers)
    found = [event for event in upcoming(cache, query, utc_now()) if not wanted.issubset(event.listed)]
    shown = [_unmatched(cache, event) for event in query.cut(found)]
    body = {"events": shown, "total": len(found), "page": query.page, "page_size": query.page_size}
    return Body.of(body).answer(request)


def why_lacking(cache: OddsCache, event: CachedEvent) -> tuple[Reason, CachedEvent | None]:
    """Return why bookmakers lack an event, and the event that has its SportRadar id at another time, if one has."""
    claimed = event.header.sportradar_id
    if event.sportradar_id is not None:
        return "not_listed", None
    return ("kickoff_differs", cache.find(claimed)) if claimed else ("no_sportradar_id", None)


def _unmatched(cache: OddsCache, event: CachedEvent) -> JSON:
    reason, other = why_lacking(cache, event)
    return {
        **list_item(event),
        "missing_platforms": [platform.value for platform in cache.bookmakers if platform not in event.listed],
        "reason": reason,
        "claimed_sportradar_id": event.header.sportradar_id,
        "conflicting_event_id": other.id if other else None,
        "names_differ": has_differing_names(event),
    }


def has_differing_names(event: CachedEvent) -> bool:
    """Return whether the names of a team differ so much between bookmakers that a person should check."""
    first = event.header
    return any(
        names_differ(first.home_team, home) or names_differ(first.away_team, away)
        for home, away in (_teams(event, event_odds) for event_odds in event.odds.values())
    )


def _teams(event: CachedEvent, event_odds: EventOdds) -> tuple[str, str]:
    """Return a bookmaker's teams in the order in which the event names them."""
    teams = event_odds.header.home_team, event_odds.header.away_team
    return (teams[1], teams[0]) if event.is_reversed(event_odds.header.platform) else teams
