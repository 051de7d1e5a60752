"""The cache-first API of odds: events side by side, from the book in memory. Its other parts are in `odds_*.py`."""

from datetime import datetime

from quart import Blueprint, Response, request
from quart_schema import document_querystring, document_response

from quart_odds.domain.clock import utc_now
from quart_odds.odds.book import BookedEvent
from quart_odds.routes import odds_coverage, odds_csv, odds_history, odds_opportunities
from quart_odds.routes.odds_answers import Body, bodies_of, book_cursor
from quart_odds.routes.odds_models import EventDetail, EventsPage, ProblemBody
from quart_odds.routes.odds_query import EventsQuery
from quart_odds.routes.odds_views import detail
from quart_odds.routes.problems import Problem
from quart_odds.services import services


def odds_blueprint() -> Blueprint:
    """Every route of the odds API, with full paths."""
    blueprint = Blueprint("odds", __name__)
    blueprint.add_url_rule("/api/events", view_func=events)
    blueprint.add_url_rule("/api/events/<int:event_id>", view_func=event)
    for part in (odds_csv, odds_history, odds_opportunities, odds_coverage):
        part.add_routes(blueprint)
    return blueprint


@document_querystring(EventsQuery)
@document_response(EventsPage)
@document_response(ProblemBody, 400)
async def events() -> Response:
    """Events with each bookmaker's main odds, a page of them."""
    book = services().desk.book
    query_string = request.query_string.decode("latin-1")
    body = bodies_of(book).page(book, query_string, request.args)
    return body.answer(request, odds_cursor=book_cursor(book))


@document_response(EventDetail)
@document_response(ProblemBody, 404)
@document_response(ProblemBody, 503)
async def event(event_id: int) -> Response:
    """One event with all markets side by side, margins and best prices."""
    book = services().desk.book
    found = book.get(event_id)
    if found is not None:
        return bodies_of(book).detail(found).answer(request)
    return Body.of(detail(await find_event(event_id))).answer(request)


async def find_event(event_id: int) -> BookedEvent:
    """An event of the book, or one that is long over, from the database. Raises a 404."""
    found = await services().desk.find(event_id)
    if found is None:
        raise Problem(404, "No such event", f"there is no event {event_id}")
    return found


def now() -> datetime:
    """The time that decides what has started."""
    return utc_now()
