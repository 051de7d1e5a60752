"""How the bookmakers' offers overlap: which events several have, which markets are mapped and which are not."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal
from weakref import WeakKeyDictionary

import orjson
from pydantic import Field
from quart import Blueprint, Response, request
from quart_schema import document_querystring, document_response

from quart_odds.domain.catalogue import CATALOGUE
from quart_odds.domain.clock import iso_z, utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.odds.book import OddsBook
from quart_odds.odds.event import BookedEvent
from quart_odds.odds.quote import Quote
from quart_odds.routes.odds_answers import Body, Pause
from quart_odds.routes.odds_coverage_models import Coverage, CoverageEvents, MarketsCoverage
from quart_odds.routes.odds_models import ProblemBody
from quart_odds.routes.odds_query import (
    EventsFilter,
    StartedQuery,
    read_query,
    select_events,
    tournament_order,
    upcoming,
)
from quart_odds.routes.odds_views import JSON, SPORT
from quart_odds.services import services

Overlap = Literal["matched", "betpawa-only", "competitor-only"]


class CoverageQuery(StartedQuery):
    """Which events."""

    availability: Literal["all", "matched", "betpawa-only", "competitor-only"] = "all"
    platforms: list[Platform] = Field(default_factory=list, max_length=3, description="events at any of these")
    search: Annotated[str | None, Field(max_length=200)] = None
    sort: Literal["kickoff", "alphabetical", "tournament"] = "kickoff"


def add_routes(blueprint: Blueprint) -> None:
    """Adds the routes of this module."""
    for path, view in (
        ("/api/coverage/markets", markets_coverage),
        ("/api/palimpsest/coverage", coverage),
        ("/api/palimpsest/events", coverage_events),
    ):
        blueprint.add_url_rule(path, view_func=view)


@document_response(MarketsCoverage)
async def markets_coverage() -> Response:
    """How many current events have each market, by bookmaker, and the markets that the catalogue does not know."""
    desk = services().desk
    counts: Counter[tuple[int, Platform]] = Counter()
    kept = _kept_numbers.setdefault(desk.book, {})
    pause = Pause()
    for event in list(desk.book.events.values()):
        for platform, quote in event.quotes.items():
            if quote.gone_at is None:
                counts.update((number, platform) for number in _market_numbers(quote, kept))
        if pause.is_due:
            await asyncio.sleep(0)
    markets = [
        {
            "market_id": market.id,
            "market_name": market.name,
            "market_group": market.group,
            "events": {platform.value: counts[market.number, platform] for platform in Platform},
        }
        for market in CATALOGUE.markets
    ]
    unmapped = [
        {"bookmaker_slug": platform.value, "market_id": market.market_id, "market_name": market.name, "events": count}
        for platform, market, count in desk.unmapped.counts()
    ]
    return Body.of({"markets": markets, "unmapped": unmapped}).answer(request)


_kept_numbers: WeakKeyDictionary[OddsBook, dict[int, tuple[int, frozenset[int]]]] = WeakKeyDictionary()


def _market_numbers(quote: Quote, kept: dict[int, tuple[int, frozenset[int]]]) -> frozenset[int]:
    """The markets of which a quote has a price, remembered until its prices change."""
    found = kept.get(quote.id)
    if found is None or found[0] != quote.last_moment:
        numbers = frozenset(key >> 22 for key in quote.keys)
        if quote.last_seen:
            numbers = frozenset(key >> 22 for key in quote.keys if key not in quote.last_seen)
        found = kept[quote.id] = (quote.last_moment, numbers)
    return found[1]


@document_querystring(StartedQuery)
@document_response(Coverage)
@document_response(ProblemBody, 400)
async def coverage() -> Response:
    """How the bookmakers' events overlap."""
    query = read_query(StartedQuery, request.args)
    return Body.of(_coverage(upcoming(services().desk.book, query, utc_now()))).answer(request)


@document_querystring(CoverageQuery)
@document_response(CoverageEvents)
@document_response(ProblemBody, 400)
async def coverage_events() -> Response:
    """Every event by competition, with the bookmakers that have it."""
    query = read_query(CoverageQuery, request.args)
    sort: Literal["kickoff", "name", "tournament"] = "name" if query.sort == "alphabetical" else query.sort
    asked = EventsFilter(include_started=query.include_started, search=query.search, sort=sort)
    events = select_events(services().desk.book, asked, utc_now())
    if query.platforms:
        events = [event for event in events if any(platform in event.listed for platform in query.platforms)]
    total = _coverage(events)
    by_tournament: dict[int, list[BookedEvent]] = {}
    for event in events:
        if query.availability in ("all", overlap(event)):
            by_tournament.setdefault(event.leading.competition_id, []).append(event)
    groups = list(by_tournament.items())
    if query.sort == "tournament":
        groups.sort(key=lambda group: tournament_order(group[1][0]))
    encoded = []
    pause = Pause()
    for tournament_id, group in groups:
        encoded.append(orjson.Fragment(orjson.dumps(_tournament(tournament_id, group))))
        if pause.is_due:
            await asyncio.sleep(0)
    return Body.of({"coverage": total, "tournaments": encoded}).answer(request)


def overlap(event: BookedEvent) -> Overlap:
    """Whether BetPawa and another bookmaker have the event, or only one side."""
    listed = event.listed or list(event.quotes)
    if Platform.BETPAWA not in listed:
        return "competitor-only"
    return "matched" if len(listed) > 1 else "betpawa-only"


def _coverage(events: Iterable[BookedEvent]) -> JSON:
    kinds: Counter[Overlap] = Counter()
    total: Counter[Platform] = Counter()
    matched: Counter[Platform] = Counter()
    for event in events:
        kinds[overlap(event)] += 1
        listed = event.listed or list(event.quotes)
        total.update(listed)
        if len(listed) > 1:
            matched.update(listed)
    return {
        "total_events": kinds.total(),
        "matched_count": kinds["matched"],
        "betpawa_only_count": kinds["betpawa-only"],
        "competitor_only_count": kinds["competitor-only"],
        "match_rate": _percent(kinds["matched"], kinds.total()),
        "by_platform": [
            {
                "platform": platform.value,
                "total_events": total[platform],
                "matched_events": matched[platform],
                "unmatched_events": total[platform] - matched[platform],
                "match_rate": _percent(matched[platform], total[platform]),
            }
            for platform in Platform
        ],
    }


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


def _tournament(tournament_id: int, events: list[BookedEvent]) -> JSON:
    kinds = Counter(map(overlap, events))
    competition = events[0].header.competition
    return {
        "tournament_id": tournament_id,
        "tournament_name": competition.name,
        "tournament_country": competition.country,
        "sport_name": SPORT,
        "coverage": {
            "total": len(events),
            "matched": kinds["matched"],
            "betpawa_only": kinds["betpawa-only"],
            "competitor_only": kinds["competitor-only"],
        },
        "events": [_coverage_event(event) for event in events],
    }


def _coverage_event(event: BookedEvent) -> JSON:
    header = event.header
    return {
        "id": event.id,
        "sportradar_id": event.sportradar_id,
        "name": header.name,
        "home_team": header.home_team,
        "away_team": header.away_team,
        "kickoff": iso_z(header.kickoff),
        "tournament_name": header.competition.name,
        "tournament_country": header.competition.country,
        "sport_name": SPORT,
        "availability": overlap(event),
        "platforms": [platform.value for platform in event.listed],
    }
