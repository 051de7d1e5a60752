"""Events and their odds as CSV for spreadsheets, one line per price."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Annotated

from pydantic import ConfigDict, Field
from quart import Blueprint, Response

from quart_odds.domain.clock import iso_z, utc_now
from quart_odds.domain.text import without_formula
from quart_odds.export.formats import csv_lines
from quart_odds.export.stream import EVENTS_AT_ONCE
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.offers import offers_of, promotion_word
from quart_odds.odds.views import INLINE, last_seen_at, price_state, second_z
from quart_odds.routes.access.problems import bad_request
from quart_odds.routes.api.cooperative_yield import CooperativeYield
from quart_odds.routes.api.export_size import price_count, size_words
from quart_odds.routes.api.openapi import answers_text
from quart_odds.routes.api.query import EventsFilter, Id, event_filters, select_events
from quart_odds.routes.api.requests import query_of_page, takes_query
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


MOST_BYTES = 100_000_000
"""How large a response may be. Spreadsheets and browsers have trouble with more, and a response cannot be resumed."""

LINE_BYTES = 200
"""About how long a line is."""

INLINE_PRICES = sum(len(market.outcomes) for market, _ in INLINE)
"""The most prices of an event at a bookmaker in the markets that lists show."""


class CSVQuery(EventsFilter):
    """Which events, and whether with all their markets or only the four that lists show. Other names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    all_markets: bool = False
    event_id: list[Id] = Field(
        default=[], max_length=500, description="only these events, also if they have kicked off"
    )
    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    page_size: Annotated[int | None, Field(ge=1, le=1000, description="events of a page; default: all of them")] = None


def add_routes(blueprint: Blueprint) -> None:
    """Add the routes of this module."""
    blueprint.add_url_rule("/api/events.csv", view_func=events_csv)


@takes_query(CSVQuery)
@answers_text("text/csv", description="One line per price.")
async def events_csv(query: CSVQuery) -> Response:
    """Export all events that a query selects as CSV, or a page of them.

    The export shows them as they are matched when it begins. If an error occurs halfway, the connection is cut, so that
    the export does not look complete. An unknown parameter is refused: without it, the export would have other rows
    than those that were meant.
    """
    found = await _found(query)
    size = query.page_size or len(found) or 1
    shown = found[(query.page - 1) * size : query.page * size]
    sizes = [LINE_BYTES * _line_count(event, query.all_markets) for event in shown]
    about = sum(sizes)
    if about > MOST_BYTES:
        fitting = max(1, MOST_BYTES // max(sizes))
        raise bad_request(
            f"This would be about {size_words(about)}, and at most {size_words(MOST_BYTES)} are sent at once.",
            ("page_size", f"take pages of {fitting} events, select fewer, or use /api/export, which has no limit"),
        )
    name = "events.csv" if query.page_size is None else f"events-{query.page}.csv"
    response = await streamed(_lines(shown, query.all_markets), "text/csv; charset=utf-8", name)
    response.headers["Odds-Events"] = str(len(found))
    response.headers["Odds-Bytes"] = str(about)
    if query.page * size < len(found):
        response.headers["Link"] = f'<?{query_of_page(query.page + 1)}>; rel="next"'
    return response


def _line_count(event: CachedEvent, all_markets: bool) -> int:
    """Return about how many lines an event has."""
    return price_count([event]) if all_markets else INLINE_PRICES * len(event.odds)


async def _found(query: CSVQuery) -> list[CachedEvent]:
    """Return the events that a query selects: those in memory, and of those named by id also those stored alone."""
    parts = services()
    cache, now = parts.served.cache, utc_now()
    if not query.event_id:
        return [event.snapshot() for event in select_events(cache, query, now)]
    asked = query.model_copy(update={"include_started": True})
    ids = frozenset(query.event_id)
    found = [event.snapshot() for event in select_events(cache, asked, now) if event.id in ids]
    missing = await parts.store.event_ids(among=[each for each in ids if each not in cache.events])
    is_wanted = event_filters(asked, None, cache.competitions)
    for start in range(0, len(missing), EVENTS_AT_ONCE):
        for event in await parts.store.stored_events(missing[start : start + EVENTS_AT_ONCE]):
            narrowed = query.narrowed(event)
            if query.is_in_range(event.header.kickoff) and all(each(event) for each in is_wanted):
                found += [narrowed] if query.is_chosen(narrowed) else []
    return found


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
