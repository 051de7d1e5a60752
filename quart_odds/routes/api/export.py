"""Exports of odds and their history as CSV, JSON Lines or Parquet, sent while they are made."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from quart import Blueprint, Response
from quart_schema import document_response

from quart_odds.domain.clock import utc_now
from quart_odds.export.formats import FORMATS
from quart_odds.export.stream import Export, chosen_events
from quart_odds.odds.event import CachedEvent
from quart_odds.routes.access.problems import Problem, bad_request
from quart_odds.routes.api.export_query import ServedExportQuery
from quart_odds.routes.api.openapi import answers_text
from quart_odds.routes.api.query import Revision
from quart_odds.routes.api.requests import takes_query
from quart_odds.routes.api.schemas.odds import ProblemBody
from quart_odds.routes.api.streamed import streamed
from quart_odds.services import Services, services

MOST_AT_ONCE = 4
"""Exports of one process at the same time. Each takes some 20 MB, and a share of the time of the one event loop."""

MOST_SECONDS = 3600
"""The history of everything takes long, and a slow client longer."""

_TYPES = [each.content_type for each in FORMATS.values()]
_BINARY = [each.content_type for each in FORMATS.values() if each.is_binary]


def add_routes(blueprint: Blueprint) -> None:
    """Add the routes of this module."""
    blueprint.add_url_rule("/api/export", view_func=export)


@takes_query(ServedExportQuery)
@answers_text(*_TYPES, binary=_BINARY, description="One row per price, or per change of a price, or per price to back.")
@document_response(ProblemBody, 501)
@document_response(ProblemBody, 503)
async def export(query: ServedExportQuery) -> Response:
    """Export the odds of all events that a query selects, their history, or opportunities, one row per price.

    If an error occurs halfway, the connection is cut, so that the export does not look complete. An unknown parameter
    is refused: without it, the export would have other rows than those that were meant.
    """
    parts = services()
    if parts.exports >= MOST_AT_ONCE:
        detail = f"{MOST_AT_ONCE} exports are under way, which is the most at once."
        raise Problem(503, "Too many exports", detail, headers={"Retry-After": "10"})
    kind, shape = query.row_kind, query.shape
    made = Export(kind, shape, query.wanted(parts.event_bodies.stale_after), parts.store)
    sent = _counted(parts, made.parts(await _events(parts, query)))
    return await streamed(sent, shape.content_type, f"{kind.name}.{shape.name}", MOST_SECONDS)


async def _events(parts: Services, query: ServedExportQuery) -> AsyncGenerator[CachedEvent, None]:
    """Return the events that a query selects: those in memory, or for the past, or if they are named, all of them."""
    now, cache, store = utc_now(), parts.served.cache, parts.store
    in_memory: list[CachedEvent] = []
    stored: list[int] = []
    if query.row_kind.is_past:
        if isinstance(query.changed_since, Revision):
            raise bad_request("The query string is not valid.", ("changed_since", "give a time: a cursor has no past"))
        is_wanted = query.filter(now, None, cache.competitions)
        first, last = query.kickoff_range(now)
        stored = await store.event_ids(kickoff_from=first, kickoff_to=last, among=query.event_id or None)
    else:
        is_wanted = query.filter(now, cache.epoch, cache.competitions)
        in_memory = [event.snapshot() for event in cache.by_kickoff() if is_wanted(event)]
        if missing := [each for each in query.event_id if each not in cache.events]:
            stored = await store.event_ids(among=missing)
    return chosen_events(in_memory, store, stored, is_wanted)


async def _counted(parts: Services, sent: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield what is sent, as one of the exports under way."""
    parts.exports += 1
    try:
        async with aclosing(sent):
            async for part in sent:
                yield part
    finally:
        parts.exports -= 1
