"""The odds API, served from memory: events with the bookmakers side by side.

Its other routes are in `coverage`, `events_csv`, `export`, `freshness`, `history`, `lists`, `movement` and
`opportunities`.
"""

from quart import Blueprint, Response, request
from quart_schema import document_response

from quart_odds.domain.clock import utc_now
from quart_odds.routes.api import coverage, events_csv, export, freshness, history, lists, movement, opportunities
from quart_odds.routes.api.encoded import encode_detail, find_event
from quart_odds.routes.api.openapi import answers_header
from quart_odds.routes.api.query import BookmakersQuery, EventsQuery, cursor
from quart_odds.routes.api.requests import takes_query
from quart_odds.routes.api.schemas.odds import EventDetail, EventsPage, ProblemBody
from quart_odds.services import services


def odds_blueprint() -> Blueprint:
    """Create the blueprint with every route of the odds API, under full paths."""
    blueprint = Blueprint("odds", __name__)
    blueprint.add_url_rule("/api/events", view_func=events)
    blueprint.add_url_rule("/api/events/<int:event_id>", view_func=event)
    for part in (lists, events_csv, export, history, movement, opportunities, coverage, freshness):
        part.add_routes(blueprint)
    return blueprint


@takes_query(EventsQuery)
@document_response(EventsPage)
@answers_header("Odds-Cursor", "send it as `changed_since` later")
async def events(query: EventsQuery) -> Response:
    """List events with each bookmaker's main odds, one page at a time."""
    parts = services()
    body = parts.event_bodies.page(request.query_string.decode("latin-1"), query)
    return body.answer(request, odds_cursor=cursor(parts.served.cache, query.changed_since))


@takes_query(BookmakersQuery)
@document_response(EventDetail)
@document_response(ProblemBody, 404)
@document_response(ProblemBody, 503)
async def event(event_id: int, query: BookmakersQuery) -> Response:
    """Return one event with all markets side by side, margins and best prices."""
    parts = services()
    found = parts.served.cache.get(event_id)
    if found is not None and not query.bookmakers:
        return (await parts.event_bodies.detail(found)).answer(request)
    asked = query.narrowed(found or await find_event(event_id))
    return (await encode_detail(asked, utc_now(), parts.event_bodies.stale_after))[0].answer(request)
