"""Queries over the events: their models, and the selection of matching events from the cache."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, PlainValidator, WithJsonSchema

from quart_odds.domain.clock import iso_z
from quart_odds.domain.odds import EventHeader
from quart_odds.domain.platforms import Platform
from quart_odds.domain.text import plain_letters
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.competitions import Competitions
from quart_odds.odds.event import CachedEvent
from quart_odds.routes.api.requests import Query

MAX_PAGE_SIZE = 100
_SPACE_FOR_PLUS = re.compile(r" (\d\d:?\d\d)$")
_CURSOR = re.compile(r"^([0-9a-f]{8})-(\d{1,15})$")
FAR = datetime.max.replace(tzinfo=UTC)


def _with_plus(value: object) -> object:
    """Restore the plus sign of `+01:00`, which arrives as a space if it was not escaped. Refuse bare numbers."""
    if not isinstance(value, str):
        return value
    if value.replace(".", "").lstrip("-").isdigit():
        raise ValueError("write it as 2026-11-22T10:00:00Z")
    return _SPACE_FOR_PLUS.sub(r"+\1", value)


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision of a cache, from the Odds-Cursor of an earlier response."""

    epoch: str
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.number}"


def _revision_or_moment(value: object) -> Revision | datetime | None:
    text = str(value or "")
    if not text:
        return None
    if known := _CURSOR.match(text):
        return Revision(known[1], int(known[2]))
    try:
        moment = datetime.fromisoformat(str(_with_plus(text)))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("give an Odds-Cursor of an earlier response, or a time such as 2026-11-22T10:00:00Z")
    return moment


Instant = Annotated[AwareDatetime, BeforeValidator(_with_plus)]
MAX_ID = 2**53 - 1
"""The greatest whole number that every reader of JSON has exactly."""

Id = Annotated[int, Field(json_schema_extra={"minimum": 1, "maximum": MAX_ID})]
"""An id. Another number is none of anything, and no error."""

Text = Annotated[str, Field(json_schema_extra={"maxLength": 200})]
"""A text. A longer one is found nowhere, and no error."""

Sort = Literal["kickoff", "-kickoff", "name", "tournament", "changed", "bookmakers"]
Item = TypeVar("Item")
REFERENCE = Platform.of("betpawa")
"""The bookmaker that the wire compares the others with, in `availability` and in the coverage."""

Availability = Literal["betpawa", "competitor", "alerts"]


def _split(value: object) -> object:
    """Return the names in a parameter that is comma-separated, repeated, or both."""
    given = value if isinstance(value, list | tuple) else [value]
    return [name for each in given for name in str(each).split(",") if name]


def _as_choice(platforms: list[Platform]) -> list[Platform]:
    """Return each bookmaker once; none if they are all of them in their own order, which is no choice."""
    chosen = list(dict.fromkeys(platforms))
    return [] if chosen == list(Platform) else chosen


COMMA_SEPARATED = BeforeValidator(_split)
"""Annotation of a list in a query string whose items one parameter may have, comma-separated."""

Slugs = Annotated[list[Platform], COMMA_SEPARATED]
Bookmakers = Annotated[
    Slugs,
    AfterValidator(_as_choice),
    Field(description="the bookmakers to show, count and compare, in this order; comma-separated; default: all"),
]


class BookmakersQuery(Query):
    """Which bookmakers to show, count and compare. Those not chosen are as if they did not list anything."""

    bookmakers: Bookmakers = Field(default=[])

    def narrowed(self, event: CachedEvent) -> CachedEvent:
        """Return an event with the chosen bookmakers alone, in their order; the event itself if none are chosen."""
        return event.among(self.bookmakers) if self.bookmakers else event


class StartedQuery(Query):
    """Whether to include events that have kicked off."""

    include_started: Annotated[bool, Field(description="include events that have kicked off")] = False


class PageQuery(Query):
    """Which page of a list to return."""

    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    page_size: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE)] = 50

    def cut(self, items: list[Item]) -> list[Item]:
        """Return the items on the page; none if it is beyond the last."""
        start = (self.page - 1) * self.page_size
        return items[start : start + self.page_size]


class EventsSelection(StartedQuery):
    """Which events to return."""

    kickoff_from: Instant | None = None
    kickoff_to: Instant | None = None
    search: Annotated[
        str | None, Field(max_length=200, description="words in the names of teams, tournament or country")
    ] = None
    min_bookmakers: Annotated[int, Field(ge=1, le=len(Platform))] = 1
    tournament_id: Id | None = None
    tournament_ids: list[Id] = Field(default=[], max_length=500)
    competition: Annotated[str | None, Field(max_length=200, description="words in the tournament's name")] = None
    country: Text | None = None
    countries: list[str] = Field(default=[], max_length=500)
    availability: Annotated[
        Availability | None,
        Field(description="betpawa: listed at BetPawa; competitor: listed only elsewhere; alerts: something is gone"),
    ] = None
    changed_since: Annotated[
        Revision | datetime | None,
        PlainValidator(_revision_or_moment),
        WithJsonSchema({"anyOf": [{"type": "string", "maxLength": 64}, {"type": "null"}]}),
        Field(description="the Odds-Cursor of an earlier response, or a time"),
    ] = None

    def is_in_range(self, kickoff: datetime) -> bool:
        """Whether a kick-off is within the query's range."""
        return (self.kickoff_from is None or self.kickoff_from <= kickoff) and (
            self.kickoff_to is None or kickoff <= self.kickoff_to
        )


class EventsChoice(EventsSelection, BookmakersQuery):
    """Which events to return, and with which bookmakers."""

    gone: Annotated[bool, Field(description="include events that no bookmaker lists any more")] = True

    def is_chosen(self, event: CachedEvent) -> bool:
        """Whether an event that has only the chosen bookmakers (`narrowed`) is still one that is asked for."""
        if not event.odds or not (self.gone or event.listed):
            return False
        return self.min_bookmakers == 1 or len(event.listed) >= self.min_bookmakers


class EventsFilter(EventsChoice):
    """Which events to return, in which order, and with which bookmakers."""

    sort: Annotated[Sort, Field(description="changed: latest change first; bookmakers: most bookmakers first")] = (
        "kickoff"
    )


class EventsQuery(EventsFilter, PageQuery):
    """Which events to return, in which order, and which page of them."""


class UnmatchedQuery(StartedQuery, PageQuery):
    """Which events to return, of those that a bookmaker lacks."""

    missing_platform: Annotated[
        Platform | None, Field(description="the bookmaker that lacks the event; default: any")
    ] = None


def select_events(cache: OddsCache, query: EventsFilter, now: datetime) -> list[CachedEvent]:
    """Return all events that the query selects, in its order. Those of chosen bookmakers have these alone."""
    return sort_events(chosen_events(cache, query, now), query.sort, cache)


def chosen_events(cache: OddsCache, query: EventsChoice, now: datetime) -> list[CachedEvent]:
    """Return all events that the query selects, in order of kick-off.

    If it chooses bookmakers, the events have these alone, and those that none of them has are left out.
    """
    events = selected(cache, query, now)
    if not query.bookmakers and query.gone:
        return events
    return [event for event in map(query.narrowed, events) if query.is_chosen(event)]


def selected(cache: OddsCache, query: EventsSelection, now: datetime) -> list[CachedEvent]:
    """Return all events that the query selects, in order of kick-off."""
    events = _kickoff_window(cache, query, now)
    for wanted in event_filters(query, cache.epoch, cache.competitions):
        events = [event for event in events if wanted(event)]
    return events


def upcoming(cache: OddsCache, query: StartedQuery, now: datetime) -> list[CachedEvent]:
    """Return every event, or every event that has not kicked off."""
    return cache.by_kickoff() if query.include_started else _after(cache.by_kickoff(), now)


def next_kickoff(cache: OddsCache, now: datetime) -> datetime:
    """Return when the next event kicks off. Lists without started events change at that moment."""
    coming = _after(cache.by_kickoff(), now)
    return coming[0].header.kickoff if coming else FAR


def _kickoff_window(cache: OddsCache, query: EventsSelection, now: datetime) -> list[CachedEvent]:
    """Return the events within the query's kick-off window."""
    events = upcoming(cache, query, now)
    if query.kickoff_from is not None:
        events = events[bisect_left(events, query.kickoff_from, key=_kickoff) :]
    if query.kickoff_to is not None:
        events = events[: bisect_right(events, query.kickoff_to, key=_kickoff)]
    return events


def said(query: Query, name: str) -> list[tuple[str, str]]:
    """Return a parameter as a query string has it, once for each of its values; nothing if it is the default."""
    value = getattr(query, name)
    if value is None or value == type(query).model_fields[name].get_default():
        return []
    if isinstance(value, list):
        return [(name, str(each)) for each in value]
    if isinstance(value, bool):
        return [(name, "true" if value else "false")]
    if isinstance(value, datetime):
        return [(name, moment_text(value))]
    return [(name, str(value))]


def moment_text(moment: datetime) -> str:
    """Return a time that a query has as a query string has it: in UTC, unless that is beyond all years."""
    try:
        return iso_z(moment)
    except OverflowError:
        return moment.isoformat()


def cursor(cache: OddsCache, since: Revision | datetime | None = None) -> str:
    """Return the cache's current revision, for use as `changed_since` later.

    Processes that serve the same odds have the same revisions. If `since` is from one that is ahead of this cache, it
    stays: an earlier one would bring states from before those that the client has.
    """
    number = cache.revision
    if isinstance(since, Revision) and since.epoch == cache.epoch:
        number = max(number, since.number)
    return f"{cache.epoch}-{number}"


def event_filters(
    query: EventsSelection, epoch: str | None, competitions: Callable[[], Competitions] | None = None
) -> list[Callable[[CachedEvent], bool]]:
    """Return what the query asks of an event, besides its kick-off.

    `epoch` is that of the events' revisions. If it is None, a cursor finds everything. `competitions` returns which
    competitions and countries are the same one; without it, each is the same as itself alone.
    """
    filters: list[Callable[[CachedEvent], bool]] = []
    tournaments = {*query.tournament_ids, *([] if query.tournament_id is None else [query.tournament_id])}
    countries = [*query.countries, *([query.country] if query.country else [])]
    matched = competitions() if competitions is not None and (tournaments or countries) else Competitions([])
    if query.min_bookmakers > 1:
        filters.append(lambda event: len(event.listed) >= query.min_bookmakers)
    if tournaments:
        every = matched.same(tournaments)
        filters.append(lambda event: any(event_odds.competition_id in every for event_odds in event.odds.values()))
    if countries:
        keys = {matched.country_key(country) for country in countries}
        filters.append(
            lambda event: (
                matched.country_key(event.header.competition.country) in keys or matched.of(event).country_key in keys
            )
        )
    if query.competition:
        in_name = plain_letters(query.competition).split()
        filters.append(lambda event: _has_all(in_name, _plain_name(event.header.competition.name)))
    if query.availability is not None:
        filters.append(_AVAILABILITY[query.availability])
    if query.changed_since is not None:
        filters.append(_changed_since(epoch, query.changed_since))
    if query.search:
        words = plain_letters(query.search).split()
        filters.append(
            lambda event: _has_all(words, *(_search_text(event_odds.header) for event_odds in event.odds.values()))
        )
    return filters


def has_gone(event: CachedEvent) -> bool:
    """Whether a bookmaker took down the event or one of its prices."""
    return any(event_odds.gone_at is not None or event_odds.last_seen for event_odds in event.odds.values())


_AVAILABILITY: dict[Availability, Callable[[CachedEvent], bool]] = {
    "betpawa": lambda event: REFERENCE in event.odds,
    "competitor": lambda event: REFERENCE not in event.odds,
    "alerts": has_gone,
}


def _changed_since(epoch: str | None, since: Revision | datetime) -> Callable[[CachedEvent], bool]:
    if isinstance(since, datetime):
        return lambda event: event.changed_at > since
    # A cursor from before a restart, or a take-over, says nothing about this cache: everything may have changed.
    return (lambda event: event.revision > since.number) if since.epoch == epoch else (lambda event: True)


def sort_events(events: Iterable[CachedEvent], sort: Sort, cache: OddsCache) -> list[CachedEvent]:
    """Return events, given in order of kick-off, in another order. Equal ones stay in their order."""
    match sort:
        case "kickoff":
            return list(events)
        case "-kickoff":
            return sorted(events, key=_kickoff, reverse=True)
        case "name":
            return sorted(events, key=lambda event: event.header.name.casefold())
        case "tournament":
            return sorted(events, key=tournament_order(cache.competitions()))
        case "changed":
            return sorted(events, key=lambda event: event.changed_at, reverse=True)
        case "bookmakers":
            return sorted(events, key=lambda event: -len(event.listed))


def tournament_order(competitions: Competitions) -> Callable[[CachedEvent], tuple[str, str, int]]:
    """Return a sort key: country, then tournament. A stable sort keeps the order of kick-off within them."""

    def order(event: CachedEvent) -> tuple[str, str, int]:
        competition = competitions.of(event)
        return competition.country.casefold(), competition.name.casefold(), competition.id

    return order


def _kickoff(event: CachedEvent) -> datetime:
    return event.header.kickoff


def _after(events: list[CachedEvent], now: datetime) -> list[CachedEvent]:
    return events[bisect_right(events, now, key=_kickoff) :]


def _has_all(words: Iterable[str], *texts: str) -> bool:
    return any(all(word in text for word in words) for text in texts)


@lru_cache(maxsize=16_384)
def _search_text(header: EventHeader) -> str:
    competition = header.competition
    return plain_letters(f"{header.home_team} {header.away_team} {competition.name} {competition.country}")


_plain_name = lru_cache(maxsize=16_384)(plain_letters)
