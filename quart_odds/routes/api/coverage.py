"""How the bookmakers overlap: which events they share, which markets are mapped and which are not."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import orjson
from pydantic import Field
from quart import Blueprint, Response, request
from quart_schema import document_response

from quart_odds.domain.catalogue import CATALOGUE
from quart_odds.domain.clock import iso_z, utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.competitions import MatchedCompetition
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import EventOdds
from quart_odds.odds.offers import market_numbers
from quart_odds.odds.views import JSON, SPORT
from quart_odds.routes.api.cooperative_yield import CooperativeYield
from quart_odds.routes.api.encoded import Body
from quart_odds.routes.api.query import (
    REFERENCE,
    EventsFilter,
    StartedQuery,
    select_events,
    tournament_order,
    upcoming,
)
from quart_odds.routes.api.requests import takes_query
from quart_odds.routes.api.schemas.coverage import Coverage, CoverageEvents, MarketsCoverage
from quart_odds.services import services

Overlap = Literal["matched", "betpawa-only", "competitor-only"]


class CoverageQuery(StartedQuery):
    """Filters of the coverage report."""

    availability: Literal["all", "matched", "betpawa-only", "competitor-only"] = "all"
    platforms: list[Platform] = Field(
        default=[], max_length=len(Platform), description="events listed by any of these bookmakers"
    )
    search: Annotated[str | None, Field(max_length=200)] = None
    sort: Literal["kickoff", "alphabetical", "tournament"] = "kickoff"


_Numbers = Mapping[Platform, frozenset[int]]


class MarketNumbers:
    """The markets that each bookmaker offers for each event, computed once per change of the event.

    They are kept by revision, and only for the same event odds: a cache that was refilled may use revisions again.
    """

    def __init__(self, cache: OddsCache) -> None:
        self._cache = cache
        self._found: dict[int, tuple[int, Mapping[Platform, EventOdds], _Numbers]] = {}

    def of(self, event: CachedEvent) -> _Numbers:
        """Return the markets with at least one price, for each bookmaker that lists the event."""
        found = self._found.get(event.id)
        if found is None or found[0] != event.revision or found[1] is not event.odds:
            numbers = {
                platform: _numbers_of(event_odds)
                for platform, event_odds in event.odds.items()
                if event_odds.gone_at is None
            }
            found = self._found[event.id] = (event.revision, event.odds, numbers)
        return found[2]

    def forget_others(self) -> None:
        """Drop the entries of events that are no longer in the cache."""
        events = self._cache.events
        if len(self._found) > 2 * len(events) + 100:
            self._found = {event_id: found for event_id, found in self._found.items() if event_id in events}


def add_routes(blueprint: Blueprint) -> None:
    """Add the routes of this module."""
    for path, view in (
        ("/api/coverage/markets", markets_coverage),
        ("/api/palimpsest/coverage", coverage),
        ("/api/palimpsest/events", coverage_events),
    ):
        blueprint.add_url_rule(path, view_func=view)


@document_response(MarketsCoverage)
async def markets_coverage() -> Response:
    """Count the current events that have each market, by bookmaker, and list the markets that are not mapped."""
    parts = services()
    served = parts.served
    counts = await market_counts(parts.market_numbers, served.cache.events.values())
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
        for platform, market, count in served.cache.unmapped.counts()
    ]
    return Body.of({"markets": markets, "unmapped": unmapped}).answer(request)


async def market_counts(numbers: MarketNumbers, events: Iterable[CachedEvent]) -> Counter[tuple[int, Platform]]:
    """Count the events that have each market, by its number in the catalogue and bookmaker. Other tasks run meanwhile.

    An event that is rematched during the count is counted once.
    """
    numbers.forget_others()
    counts: Counter[tuple[int, Platform]] = Counter()
    turn = CooperativeYield()
    for event in [event.snapshot() for event in events]:
        for platform, found in numbers.of(event).items():
            counts.update((number, platform) for number in found)
        if turn.is_due:
            await asyncio.sleep(0)
    return counts


def _numbers_of(event_odds: EventOdds) -> frozenset[int]:
    gone = event_odds.last_seen
    return market_numbers((key for key in event_odds.keys if key not in gone) if gone else event_odds.keys)


@takes_query(StartedQuery)
@document_response(Coverage)
async def coverage(query: StartedQuery) -> Response:
    """Count how many events the bookmakers share."""
    return Body.of(_coverage(upcoming(services().served.cache, query, utc_now()))).answer(request)


@takes_query(CoverageQuery)
@document_response(CoverageEvents)
async def coverage_events(query: CoverageQuery) -> Response:
    """List events by tournament, with the bookmakers that list them."""
    sort: Literal["kickoff", "name", "tournament"] = "name" if query.sort == "alphabetical" else query.sort
    asked = EventsFilter(include_started=query.include_started, search=query.search, sort=sort)
    cache = services().served.cache
    competitions = cache.competitions()
    events = select_events(cache, asked, utc_now())
    if query.platforms:
        events = [event for event in events if any(platform in event.listed for platform in query.platforms)]
    total = _coverage(events)
    by_tournament: dict[MatchedCompetition, list[_Shown]] = {}
    for event in events:
        shown = _Shown(event.snapshot(), overlap(event), tuple(event.listed))
        if query.availability in ("all", shown.overlap):
            by_tournament.setdefault(competitions.of(event), []).append(shown)
    groups = list(by_tournament.items())
    if query.sort == "tournament":
        order = tournament_order(competitions)
        groups.sort(key=lambda group: order(group[1][0].event))
    encoded = []
    turn = CooperativeYield()
    for competition, group in groups:
        encoded.append(orjson.Fragment(orjson.dumps(_tournament(competition, group))))
        if turn.is_due:
            await asyncio.sleep(0)
    return Body.of({"coverage": total, "tournaments": encoded}).answer(request)


@dataclass(frozen=True, slots=True)
class _Shown:
    """An event as it was when the response was started."""

    event: CachedEvent
    overlap: Overlap
    listed: tuple[Platform, ...]


def overlap(event: CachedEvent) -> Overlap:
    """Return whether the bookmaker of reference and another one list the event, or only one side."""
    listed = event.listed or list(event.odds)
    if REFERENCE not in listed:
        return "competitor-only"
    return "matched" if len(listed) > 1 else "betpawa-only"


def _coverage(events: Iterable[CachedEvent]) -> JSON:
    kinds: Counter[Overlap] = Counter()
    total: Counter[Platform] = Counter()
    matched: Counter[Platform] = Counter()
    for event in events:
        kinds[overlap(event)] += 1
        listed = event.listed or list(event.odds)
        total.update(listed)
        if REFERENCE in listed:
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
            if platform != REFERENCE
        ],
    }


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


def _tournament(competition: MatchedCompetition, events: list[_Shown]) -> JSON:
    kinds = Counter(shown.overlap for shown in events)
    return {
        "tournament_id": competition.id,
        "tournament_name": competition.name,
        "tournament_country": competition.country,
        "sport_name": SPORT,
        "coverage": {
            "total": len(events),
            "matched": kinds["matched"],
            "betpawa_only": kinds["betpawa-only"],
            "competitor_only": kinds["competitor-only"],
        },
        "events": [_coverage_event(each) for each in events],
    }


def _coverage_event(shown: _Shown) -> JSON:
    event = shown.event
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
        "availability": shown.overlap,
        "platforms": [platform.value for platform in shown.listed],
    }
