"""Events and their odds as CSV for spreadsheets, one line per price."""

import asyncio
from collections.abc import AsyncGenerator, Iterable

from quart import Blueprint, Response

from quart_odds.domain.clock import iso_z, utc_now
from quart_odds.domain.text import without_formula
from quart_odds.export.formats import csv_lines
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.offers import offers_of, promotion_word
from quart_odds.odds.views import INLINE, last_seen_at, price_state, second_z
from quart_odds.routes.api.cooperative_yield import CooperativeYield
from quart_odds.routes.api.openapi import answers_text
from quart_odds.routes.api.query import EventsFilter, select_events
from quart_odds.routes.api.requests import takes_query
from quart_odds.routes.api.streamed import streamed
from quart_odds.services import services

COLUMNS = (
    "event_id",
    "sportradar_id",
    "kickoff",
    "country",
    "tournament",
    "home_team",
    "away_team",
    "bookmaker",
    "market_id",
    "market",
    "line",
    "outcome",
    "odds",
    "is_active",
    "available",
    "last_seen_at",
    "changed_at",
    "promotion",
    "reversed",
)


class CSVQuery(EventsFilter):
    """Which events, and whether with all their markets or only the four that lists show."""

    all_markets: bool = False


def add_routes(blueprint: Blueprint) -> None:
    """Add the routes of this module."""
    blueprint.add_url_rule("/api/events.csv", view_func=events_csv)


@takes_query(CSVQuery)
@answers_text("text/csv", description="One line per price.")
async def events_csv(query: CSVQuery) -> Response:
    """Export all events that a query selects as CSV.

    The export shows them as they are matched when it begins. If an error occurs halfway, the connection is cut, so that
    the export does not look complete.
    """
    found = [event.snapshot() for event in select_events(services().served.cache, query, utc_now())]
    return await streamed(_lines(found, query.all_markets), "text/csv; charset=utf-8", "events.csv")


async def _lines(events: Iterable[CachedEvent], all_markets: bool) -> AsyncGenerator[bytes, None]:
    turn = CooperativeYield()
    yield csv_lines([COLUMNS])
    for event in events:
        try:
            rows = rows_of(event, all_markets)
        except Exception as exc:
            exc.add_note(f"in event {event.id}")
            raise
        yield csv_lines(rows)
        if turn.is_due:
            await asyncio.sleep(0)


def rows_of(event: CachedEvent, all_markets: bool) -> list[tuple[object, ...]]:
    """Return the lines of an event, with columns in the order of COLUMNS."""
    rows: list[tuple[object, ...]] = []
    wanted = {(market.number, line) for market, line in INLINE}
    header = event.header
    named = (
        event.id,
        event.sportradar_id or "",
        iso_z(header.kickoff),
        without_formula(header.competition.country),
        without_formula(header.competition.name),
        without_formula(header.home_team),
        without_formula(header.away_team),
    )
    for event_odds in event.odds.values():
        is_listed = event_odds.gone_at is None
        is_reversed = event.is_reversed(event_odds.header.platform)
        for offer in offers_of(event_odds):
            market, line = offer.market, offer.line
            if not all_markets and (market.number, line) not in wanted:
                continue
            for index, value in sorted(offer.values.items()):
                odds, is_active, is_available = price_state(value, is_listed=is_listed)
                key = offer.keys[index]
                rows.append(
                    (
                        *named,
                        event_odds.header.platform.value,
                        market.id,
                        without_formula(market.name),
                        "" if line is None else line,
                        market.outcomes[index].name,
                        odds,
                        _claim(is_active),
                        _claim(is_available),
                        last_seen_at(event_odds, key, value),
                        second_z(offer.changed[index]),
                        promotion_word(event_odds, key) or "",
                        _claim(is_reversed),
                    )
                )
    return rows


def _claim(is_so: bool) -> str:
    return "true" if is_so else "false"
