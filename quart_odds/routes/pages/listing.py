"""Which events the page of odds shows: its filters, what there is to choose from, and its export."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import get_args
from urllib.parse import urlencode

from quart_odds.odds.cache import OddsCache
from quart_odds.odds.competitions import Competitions, MatchedCompetition
from quart_odds.odds.event import CachedEvent
from quart_odds.routes.api.export_size import export_bytes, offered_formats, price_count, size_words
from quart_odds.routes.api.query import chosen_events, moment_text, said, sort_events
from quart_odds.routes.pages.order import EventOrder, FigureSort, Shown
from quart_odds.routes.pages.query import MARKETS, Columns, OddsPageQuery

FORMAT_NAMES = {"csv": "CSV", "jsonl": "JSON Lines", "parquet": "Parquet"}
DATES = {"today": "today", "tomorrow": "tomorrow", "weekend": "Saturday and Sunday"}
SORTS = {
    "kickoff": "Kick-off",
    "margin": "Best margin",
    "value": "Value",
    "movement": "Movement",
    "age": "Newest prices",
    "-age": "Oldest prices",
    "-kickoff": "Latest kick-off",
    "changed": "Latest change",
    "bookmakers": "Most bookmakers",
    "tournament": "Competition",
    "name": "Name",
}
_FIGURES = frozenset(get_args(FigureSort))
_NO_PLACE: Mapping[str, object] = {"tournament_ids": [], "tournament_id": None, "countries": [], "country": None}
_OWN = {"date", "tz", "sort", "market", "line", "page", "page_size", "earlier", "later", "ids", "columns", "gone"}
"""Parameters of the page that an export does not have under the same name."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A competition or country to choose: its value in the form, the number of its events, and whether it is chosen."""

    value: str
    name: str
    count: int
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Country:
    """A country with its competitions, by name."""

    choice: Choice
    competitions: list[Choice]


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that leaves events out: what it says, and the parameters of the page without it."""

    words: str
    without: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ExportLink:
    """A link to an export: its format, its address below the root, and about how long the file is."""

    format: str
    address: str
    size: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The events of the page in their order, and what the page says of its filters."""

    events: list[CachedEvent]
    countries: list[Country]
    filters: list[Filter]

    @property
    def chosen(self) -> int:
        """The number of countries and competitions that are chosen."""
        return sum(each.is_chosen for country in self.countries for each in (country.choice, *country.competitions))


def day_range(query: OddsPageQuery, now: datetime) -> tuple[datetime, datetime] | None:
    """Return the first and the last moment of the days that a query asks for, None if it asks for all.

    The weekend is the coming Saturday and Sunday, or on one of these days the weekend that it belongs to.
    """
    zone: tzinfo = query.tz or UTC
    today = now.astimezone(zone).date()
    match query.date:
        case "today":
            first, days = today, 1
        case "tomorrow":
            first, days = today + timedelta(days=1), 1
        case "weekend":
            first, days = today + timedelta(days=-1 if today.weekday() == 6 else 5 - today.weekday()), 2
        case _:
            return None
    after = datetime.combine(first + timedelta(days=days), time.min, zone)
    return datetime.combine(first, time.min, zone).astimezone(UTC), after.astimezone(UTC) - timedelta(microseconds=1)


def with_range(query: OddsPageQuery, now: datetime) -> OddsPageQuery:
    """Return the query with the days that it asks for as a range of kick-offs."""
    days = day_range(query, now)
    if days is None:
        return query
    first, last = days
    return query.model_copy(
        update={
            "kickoff_from": first if query.kickoff_from is None else max(first, query.kickoff_from),
            "kickoff_to": last if query.kickoff_to is None else min(last, query.kickoff_to),
        }
    )


async def listing_of(
    cache: OddsCache, order: EventOrder, query: OddsPageQuery, now: datetime, *, has_form: bool = True
) -> Listing:
    """Return what the page shows of the events in memory. Without the form, what there is to choose is left out."""
    everywhere = _everywhere(cache, query, now)
    found = _placed(cache, query, everywhere)
    if query.sort in _FIGURES:
        shown = Shown(MARKETS[query.market], query.shown_line, tuple(query.bookmakers))
        found = await order.sorted(found, query.sort, shown, now)  # type: ignore[arg-type]  # one of _FIGURES
    else:
        found = sort_events(found, query.sort, cache)  # type: ignore[arg-type]  # not one of _FIGURES
    countries = _countries(cache.competitions(), everywhere, query) if has_form else []
    return Listing(found, countries, _filters(query, countries, now))


def _ids(query: OddsPageQuery) -> list[int]:
    return [*query.tournament_ids, *([] if query.tournament_id is None else [query.tournament_id])]


def _names(query: OddsPageQuery) -> list[str]:
    return [each for each in (*query.countries, query.country) if each]


def _everywhere(cache: OddsCache, query: OddsPageQuery, now: datetime) -> list[CachedEvent]:
    """Return the events that a query selects but for their competitions and countries."""
    return chosen_events(cache, with_range(query, now).model_copy(update=_NO_PLACE), now)


def _placed(cache: OddsCache, query: OddsPageQuery, events: list[CachedEvent]) -> list[CachedEvent]:
    """Return those of the events that are in a chosen competition or country; all of them if none is chosen."""
    if not _ids(query) and not _names(query):
        return events
    competitions = cache.competitions()
    ids, keys = _chosen(competitions, query)
    # By all its bookmakers, as in the API, also if only some are shown.
    return [each for each in events if _is_there(cache.get(each.id) or each, competitions, ids, keys)]


def _chosen(competitions: Competitions, query: OddsPageQuery) -> tuple[frozenset[int], set[str]]:
    return competitions.same(_ids(query)), {competitions.country_key(name) for name in _names(query)}


def _is_there(event: CachedEvent, competitions: Competitions, ids: frozenset[int], keys: set[str]) -> bool:
    if not ids.isdisjoint([event_odds.competition_id for event_odds in event.odds.values()]):
        return True
    return bool(keys) and (
        competitions.of(event).country_key in keys or competitions.country_key(event.header.competition.country) in keys
    )


def _countries(competitions: Competitions, events: Iterable[CachedEvent], query: OddsPageQuery) -> list[Country]:
    """Return the competitions of events, to choose from, by name."""
    counts = Counter(map(competitions.of, events))
    ids, keys = _chosen(competitions, query)
    grouped: dict[str, list[MatchedCompetition]] = {}
    for each in sorted(counts, key=lambda each: (each.country.casefold(), each.name.casefold(), each.id)):
        grouped.setdefault(each.country_key, []).append(each)
    return [
        Country(
            Choice(here[0].country, here[0].country or "No country", sum(counts[each] for each in here), key in keys),
            [Choice(str(each.id), each.name, counts[each], not ids.isdisjoint(each.ids)) for each in here],
        )
        for key, here in grouped.items()
    ]


def _filters(query: OddsPageQuery, countries: Iterable[Country], now: datetime) -> list[Filter]:
    """Return what leaves events out, each with the parameters of the page without it."""
    found = []
    if query.search:
        found.append(Filter(f"“{query.search}”", {"search": None}))
    if query.competition:
        found.append(Filter(f"competition “{query.competition}”", {"competition": None}))
    days = day_range(query, now)
    if days is not None:
        zone: tzinfo = query.tz or UTC
        first, last = (moment.astimezone(zone) for moment in days)
        until = f"–{last.day} {last:%b}" if last.date() != first.date() else ""
        found.append(
            Filter(f"{DATES[query.date]}, {first.day} {first:%b}{until} in {zone_name(query)}", {"date": "all"})
        )
    if query.kickoff_from or query.kickoff_to:
        moments = (("from", query.kickoff_from), ("to", query.kickoff_to))
        words = " ".join(f"{word} {moment_text(moment)}" for word, moment in moments if moment is not None)
        found.append(Filter(f"kick-off {words}", {"kickoff_from": None, "kickoff_to": None}))
    places = _places(query, countries)
    if places:
        words = "; ".join(places[:3]) + (f" and {len(places) - 3} more" if len(places) > 3 else "")
        found.append(Filter(words, _NO_PLACE))
    if query.min_bookmakers > 1:
        found.append(Filter(f"at {query.min_bookmakers} bookmakers or more", {"min_bookmakers": 1}))
    if query.availability:
        found.append(Filter(f"availability {query.availability}", {"availability": None}))
    if query.changed_since is not None:
        found.append(Filter("changed since a time", {"changed_since": None}))
    return found


def _places(query: OddsPageQuery, countries: Iterable[Country]) -> list[str]:
    """Return the names of the chosen countries and competitions. One without events has no name here."""
    found = []
    for country in countries:
        if country.choice.is_chosen:  # and with it all its competitions
            found.append(country.choice.name)
        else:
            found += [f"{country.choice.name}, {each.name}" for each in country.competitions if each.is_chosen]
    unknown = _names(query) if not any(country.choice.is_chosen for country in countries) else []
    return found or unknown or ([f"competition {each}" for each in _ids(query)])


def zone_name(query: OddsPageQuery) -> str:
    """Return the name of the zone whose days are meant."""
    return "UTC" if query.tz is None else query.tz.key.replace("_", " ")


def parameters(query: OddsPageQuery, columns: Columns, **changes: object) -> str:
    """Return the query string of the page, with some parameters changed; without those that say nothing."""
    changed = query.model_copy(update={"page": 1, **changes})
    given: list[tuple[str, str]] = [("market", changed.market)]
    if changed.shown_line is not None:
        given.append(("line", f"{changed.shown_line:g}"))
    for name in type(query).model_fields:
        if name not in ("market", "line", "earlier", "later", "ids", "columns", "bookmakers"):
            given += _said(name, changed)
    if columns.choice:
        given.append(("bookmakers", columns.choice))
    return urlencode(given, safe=",")


def _said(name: str, query: OddsPageQuery) -> list[tuple[str, str]]:
    """Return how the form says what a query has of a field; nothing for what goes without saying."""
    if name == "tz" and query.date == "all":
        return []
    return [(name, "1")] if getattr(query, name) is True else said(query, name)


@dataclass(frozen=True, slots=True)
class Without:
    """What would be shown without a filter: its words, the query string of that page, and the number of events."""

    words: str
    address: str
    count: int


def without_filters(listing: Listing) -> dict[str, object]:
    """Return the parameters of the page without any of its filters."""
    return {name: value for each in listing.filters for name, value in each.without.items()}


def without(cache: OddsCache, query: OddsPageQuery, columns: Columns, listing: Listing, now: datetime) -> list[Without]:
    """Return, for a page without events, what would find some: each filter left out alone, and then all of them."""
    if listing.events or not cache.events:
        return []
    tried: list[tuple[str, Mapping[str, object]]] = [
        (f"without {each.words}", each.without) for each in listing.filters
    ]
    if len(tried) > 1:
        tried.append(("without any of these", without_filters(listing)))
    if query.bookmakers:
        tried.append(("at all bookmakers", {"bookmakers": []}))
    if not query.include_started:
        tried.append(("with those that have kicked off", {"include_started": True}))
    if not query.gone:
        tried.append(("with those that no bookmaker lists any more", {"gone": True}))
    all_columns = Columns(columns.used, columns.used)
    return [
        Without(words, parameters(query, all_columns if "bookmakers" in changes else columns, **changes), count)
        for words, changes in tried
        if (count := _count(cache, query.model_copy(update=changes), now))
    ]


def _count(cache: OddsCache, query: OddsPageQuery, now: datetime) -> int:
    """Return the number of events that a query of the page finds."""
    return len(_placed(cache, query, _everywhere(cache, query, now)))


def exports(
    cache: OddsCache, query: OddsPageQuery, columns: Columns, events: list[CachedEvent], now: datetime
) -> dict[str, list[ExportLink]]:
    """Return the links to exports of exactly these events: of the shown market, and of all markets."""
    market = MARKETS[query.market]
    asked = with_range(query, now)
    places: dict[str, object] = {}
    if _names(query) and _ids(query):  # in the API both have to hold, so the countries' competitions are named
        competitions = cache.competitions()
        named = competitions.same(_ids(query)) | {competitions.of(event).id for event in events}
        places = {**_NO_PLACE, "tournament_ids": sorted(named)}
    asked = asked.model_copy(update=places)
    given = [each for name in type(query).model_fields if name not in _OWN for each in _said(name, asked)]
    given = [(name, value) for name, value in given if name != "bookmakers"]
    if not query.gone:
        given.append(("gone", "false"))
    if columns.choice:
        given.append(("bookmakers", columns.choice))
    shown = [("market", market.slug), *([] if query.shown_line is None else [("line", f"{query.shown_line:g}")])]
    sizes = {
        market.name if query.shown_line is None else f"{market.name} {query.shown_line:g}": (
            shown,
            len(market.outcomes) * sum(len(event.odds) for event in events),
        ),
        "All markets": ([], price_count(events)),
    }
    return {
        name: [
            ExportLink(
                FORMAT_NAMES[each],
                f"/api/export?{urlencode([('format', each), *given, *narrowed], safe=',')}",
                size_words(export_bytes(each, prices)),
            )
            for each in offered_formats()
        ]
        for name, (narrowed, prices) in sizes.items()
    }
