"""Refreshing one event on demand."""

from collections.abc import Sequence

from quart import Blueprint, Response
from quart_schema import document_response

from quart_odds.odds.event import CachedEvent
from quart_odds.routes.access.forwarding import carried_out_by_writer
from quart_odds.routes.access.problems import Problem
from quart_odds.routes.access.same_origin import same_origin_only
from quart_odds.routes.api.openapi import answers_problems
from quart_odds.routes.api.schemas.scrape import Refreshed
from quart_odds.routes.api.scrape import json_response
from quart_odds.scraping.refresh import RefreshResult
from quart_odds.services import services

blueprint = Blueprint("refresh", __name__)


@blueprint.post("/api/events/<int:event_id>/refresh")
@same_origin_only
@carried_out_by_writer
@document_response(Refreshed)
@answers_problems(429)
async def refresh(event_id: int) -> Response:
    """Fetch an event again from every bookmaker that lists it.

    Its odds are stored and published before the response.
    """
    event = services().served.cache.get(event_id)
    if event is None:
        raise Problem(404, "No such event", f"There is no current event {event_id}.")
    return await _refresh(event)


@blueprint.post("/api/scrape/event/<sportradar_id>")
@same_origin_only
@carried_out_by_writer
@document_response(Refreshed)
@answers_problems(429)
async def refresh_by_sportradar_id(sportradar_id: str) -> Response:
    """Fetch an event again, by its SportRadar id."""
    event = services().served.cache.find(sportradar_id)
    if event is None:
        raise Problem(404, "No such event", f"There is no current event with the SportRadar id {sportradar_id!r}.")
    return await _refresh(event)


async def _refresh(event: CachedEvent) -> Response:
    parts = services()
    results = await parts.refresher.refresh([event.odds[platform].header for platform in event.listed])
    return json_response(refresh_row(event, results))


def refresh_row(event: CachedEvent, results: Sequence[RefreshResult]) -> dict[str, object]:
    """Return the result of a refresh as the API shows it."""
    good = [str(each.platform) for each in results if each.error is None]
    bad = [str(each.platform) for each in results if each.error is not None]
    return {
        "event_id": event.id,
        "sportradar_id": event.sportradar_id,
        "status": "failed" if not good else "partial" if bad else "completed",
        "platforms_scraped": good,
        "platforms_failed": bad,
        "platform_results": [
            {
                "platform": str(each.platform),
                "success": each.error is None,
                "timing_ms": each.duration_ms,
                "error": each.error,
                "markets_count": each.markets,
            }
            for each in results
        ],
        "total_timing_ms": max((each.duration_ms for each in results), default=0),
    }
