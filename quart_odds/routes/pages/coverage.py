"""`/coverage`: how the bookmakers' events overlap, why some are not matched, and which markets each bookmaker has."""

from collections.abc import Callable
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import Field
from quart import Blueprint, Response
from quart_schema import hide

from quart_odds.domain.catalogue import CATALOGUE
from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.domain.text import plain_letters
from quart_odds.odds.event import CachedEvent
from quart_odds.routes.api.coverage import market_counts
from quart_odds.routes.api.query import BookmakersQuery, EventsFilter, Id, StartedQuery, select_events
from quart_odds.routes.api.requests import takes_query
from quart_odds.routes.pages.overlap import MEANINGS, WORDS, CompetitionOverlap, Overlap, Why, overlap_of
from quart_odds.routes.pages.shell import page
from quart_odds.routes.pages.views import frame, trouble
from quart_odds.services import Services, services

View = Literal["competitions", "events", "markets", "unknown"]
Order = Literal["name", "events", "alone"]

SHOWN = 50
"""Rows on a page."""


def _name(competition: CompetitionOverlap) -> tuple[str, str]:
    return competition.of.country.casefold(), competition.of.name.casefold()


ORDERS: dict[Order, Callable[[CompetitionOverlap], Any]] = {
    "name": lambda each: (_name(each), each.of.id),
    "events": lambda each: (-each.events, _name(each), each.of.id),
    "alone": lambda each: (each.matched - each.events, _name(each), each.of.id),
}

blueprint = Blueprint("coverage_pages", __name__)
blueprint.register_error_handler(Exception, trouble)


class CoveragePageQuery(BookmakersQuery, StartedQuery):
    """What the page of coverage shows. `search` finds events, or markets in the views of markets."""

    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    view: View = "competitions"
    search: str = ""
    why: Why | Literal[""] = ""
    sort: Order = "name"
    tournament_id: Id | None = None

    def address(self, **changes: object) -> str:
        """Return the query string of this page with some values changed, from its first page unless they say so."""
        values = {**dict(self), "page": 1, "bookmakers": ",".join(self.bookmakers), **changes}
        values["include_started"] = int(self.include_started)
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        return urlencode({name: each for name, each in values.items() if each not in (defaults[name], "")})


@blueprint.get("/coverage")
@hide
@takes_query(CoveragePageQuery)
async def coverage(query: CoveragePageQuery) -> Response:
    """Show by bookmaker how many events are matched, and one view in detail."""
    parts = services()
    used = parts.bookmakers()
    platforms = tuple(query.bookmakers) or used
    words = query.search.strip()[:200]
    is_of_events = query.view in ("competitions", "events")
    asked = EventsFilter(
        include_started=query.include_started,
        search=(words or None) if is_of_events else None,
        tournament_id=query.tournament_id,
    )
    events = select_events(parts.served.cache, asked, utc_now())
    found = await overlap_of(parts.served.cache, events, platforms)
    shown = {
        "query": query,
        "words": words,
        "used": used,
        "columns": platforms,
        "overlap": found,
        "why_words": WORDS,
        "meanings": MEANINGS,
        "names": {each.value: each.display_name for each in Platform},
        "is_of_events": is_of_events,
        "has_events": bool(parts.served.cache.events),
        **await _rows(parts, query, found, events, platforms, words),
    }
    return await page("coverage.html", {**frame("", "coverage", ",".join(query.bookmakers)), **shown})


async def _rows(
    parts: Services,
    query: CoveragePageQuery,
    found: Overlap,
    events: list[CachedEvent],
    platforms: tuple[Platform, ...],
    words: str,
) -> dict[str, object]:
    """Return the rows of the chosen view that are on the page, how many there are, and on how many pages."""
    every: list[object]
    size = SHOWN
    match query.view:
        case "competitions":
            ordered = sorted(found.competitions, key=ORDERS[query.sort])
            every = list(ordered)
        case "events":
            every = list(found.because(query.why or None))
        case "markets":
            counts = await market_counts(parts.market_numbers, events)
            every = [
                (market, [counts[market.number, platform] for platform in platforms])
                for market in CATALOGUE.markets
                if _has_words(words, market.name, market.slug)
            ]
            size = len(CATALOGUE.markets)
        case "unknown":
            every = [
                each
                for each in parts.served.cache.unmapped.counts()
                if each[0] in platforms and _has_words(words, each[1].name, each[1].market_id)
            ]
    pages = max(1, -(-len(every) // size))
    start = (query.page - 1) * size
    return {"rows": every[start : start + size], "row_count": len(every), "pages": pages}


def _has_words(words: str, *texts: str) -> bool:
    text = plain_letters(" ".join(texts))
    return all(word in text for word in plain_letters(words).split())
