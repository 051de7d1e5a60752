"""SportyBet: request paths and queries, and parsing of its JSON into domain values.

Outcomes are identified by market id, specifier and outcome id. Descriptions are ignored because they contain lines and
team names, positions because they differ between markets. Promotions are markets with their own ids:
`earlyPayoutMarkets` and `marketExtendVOS` only refer to them. `oddsBoostLfb` marks prices on which a customer may use a
boost. In recorded bodies such prices are lower than their neighbours, so they are not boosted prices.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from quart_odds.bookmakers.biz_envelope import content
from quart_odds.bookmakers.bodies import read_object
from quart_odds.bookmakers.column import column_of
from quart_odds.bookmakers.entries import entries, entry_id, list_name_of, shortage
from quart_odds.bookmakers.fields import Reader, count_or_none, genius_id, is_simulated, sportradar_id, values
from quart_odds.bookmakers.identity import IdentityFields, refuse_another
from quart_odds.bookmakers.lookup import (
    Accumulator,
    listed_event,
)
from quart_odds.bookmakers.site import EventPage, Listing, Listings, Page, Request, WholeList
from quart_odds.bookmakers.sportradar_markets import SportRadarMarkets, are_live, has_begun
from quart_odds.domain.bookmakers import Bookmaker, Concurrency
from quart_odds.domain.odds import Competition, EventHeader, ListedCompetition, ListedEvent, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, IncompleteListError, MalformedBodyError

BOOKMAKER = Bookmaker(
    slug="sportybet",
    name="SportyBet",
    letters="SB",
    light="#2b61b8",
    dark="#86aef0",
    url="https://www.sportybet.com",
    catalogue=Path(__file__).with_suffix(".toml"),
    concurrency=Concurrency(50, 100),
    order=20,
    probability_rank=1,
)
SPORTYBET = Platform.of(BOOKMAKER.slug)
HEADERS = {
    "accept": "application/json",
    "accept-language": "en",
    "clientid": "web",
    "operid": "2",
    "platform": "web",
}
FOOTBALL = "sr:sport:1"
PRE_MATCH = "3"
TREE_PATH = "/api/ng/factsCenter/popularAndSportList"
LIST_PATH = "/api/ng/factsCenter/pcEvents"
UPCOMING_PATH = "/api/ng/factsCenter/pcUpcomingEvents"
EVENT_PATH = "/api/ng/factsCenter/event"

MAIN_MARKETS = "1,10,18,29"
"""What lists are asked for: 1X2, double chance, over/under, both teams to score."""

UPCOMING_PAGE_SIZE = 100
"""What pages of all upcoming events are asked for. They may have fewer: 40 to 100 have been seen."""

_WHOLE_LIST = "2"
"""The `option` of the list of all upcoming events. With 1 the site leaves out all but ten events of a tournament."""

_FIELDS = IdentityFields("eventId", "eventSource", "homeTeamName", "estimateStartTime")
_GENIUS, _RADAR = "BET_GENIUS", "BET_RADAR"
_MARKETS = SportRadarMarkets(column_of(BOOKMAKER.catalogue))
_SIMULATORS = frozenset({"BETER", "BET_BETER", "SRL", "BET_SRL", "GOLDEN_RACE", "VIRTUAL", "BET_VIRTUAL"})
"""Sources of simulated matches. Only BETER has been seen in a body."""


def tree_query() -> dict[str, str]:
    """Build the query for the tree of football competitions, without matches in play."""
    return {"sportId": FOOTBALL, "timeline": "", "productId": PRE_MATCH}


def list_body(tournament_id: str) -> list[dict[str, object]]:
    """Build the request body for a tournament's events with their main markets."""
    return [{"sportId": FOOTBALL, "marketId": MAIN_MARKETS, "tournamentId": [[tournament_id]]}]


def upcoming_query(page: int) -> dict[str, str]:
    """Build the query for a page of all upcoming events with their main markets, from 1 on."""
    return {
        "sportId": FOOTBALL,
        "marketId": MAIN_MARKETS,
        "pageSize": str(UPCOMING_PAGE_SIZE),
        "pageNum": str(page),
        "option": _WHOLE_LIST,
    }


def parse_tournaments(plain: bytes) -> tuple[list[ListedCompetition], list[MalformedBodyError]]:
    """Parse the football tournaments and their event counts. Returns them and the errors.

    Simulated tournaments are left out. Raises BookmakerError if the body has no tree of tournaments.
    """
    read = Reader(SPORTYBET, "the list of tournaments")
    data = _data(read, plain)
    found: dict[str, ListedCompetition] = {}
    errors: list[MalformedBodyError] = []
    for sport in read.get(data, "sportList", list, "data"):
        if not isinstance(sport, dict) or sport.get("id") != FOOTBALL:
            continue
        for category in read.get(sport, "categories", list, "sportList"):
            country = read.optional_text(category, "name")
            try:
                for tournament in read.get(category, "tournaments", list, "categories"):
                    external_id = read.ident(tournament, "id", "tournaments")
                    name = read.optional_text(tournament, "name")
                    if not is_simulated(country, name):
                        competition = Competition(external_id, name, country)
                        found[external_id] = ListedCompetition(competition, count_or_none(tournament.get("eventSize")))
            except MalformedBodyError as error:
                errors.append(error)
    return list(found.values()), errors


def parse_listed(
    body: dict[str, Any], where: str, list_name: str
) -> tuple[list[ListedEvent], list[MalformedBodyError]]:
    """Parse a list of events with the prices in it. Returns the valid ones and all errors.

    Simulated events are left out, and events in play are marked, without their prices. Raises BookmakerError if the
    body has no list.
    """
    read = Reader(SPORTYBET, where)
    data = content(read, body, list | dict)
    # pcEvents returns a list of tournaments, the paged endpoint an object that contains one.
    tournaments = data if isinstance(data, list) else read.get(data, "tournaments", list, "data")
    listed: list[ListedEvent] = []
    errors: list[MalformedBodyError] = []
    for tournament in tournaments:
        for event in read.get(tournament, "events", list, "tournaments"):
            try:
                if not _is_simulated(event):
                    header = _header(event, where)
                    if has_begun(event):
                        listed.append(ListedEvent(header, None, list_name, is_in_play=True))
                    else:
                        reader = Reader(SPORTYBET, f"event {header.external_id} in {where}")
                        listed.append(listed_event(header, list_name, partial(_collect_listed, reader, event), errors))
            except MalformedBodyError as error:
                errors.append(error)
    return listed, errors


def read_header(plain: bytes, where: str) -> EventHeader | None:
    """Parse the header of an event's body. Returns None for a list or another body.

    Raises BookmakerError naming the field.
    """
    data = _data(Reader(SPORTYBET, where), plain, list | dict)
    return _header(data, f"event of {where}") if "eventId" in data or "markets" in data else None


def parse_event(plain: bytes, asked: EventHeader) -> MappedEvent:
    """Parse an event and its prices. Raises BookmakerError naming the event and the field."""
    where = f"event {asked.external_id}"
    read = Reader(SPORTYBET, where)
    data = _data(read, plain)
    header = _header(data, where)
    refuse_another(read, header, asked, _FIELDS)
    markets = read.get(data, "markets", list, "data")
    return _collect(markets).event(header, is_in_play=are_live(markets) or has_begun(data))


def _collect(markets: list[Any]) -> Accumulator:
    """Collect the prices of an event's markets, from its own body or from a list."""
    accumulator = Accumulator()
    for market in markets:
        _MARKETS.add(market, accumulator)
    return accumulator


def _collect_listed(read: Reader, event: dict[str, Any]) -> Accumulator:
    """Collect the prices of an entry of a list. Prices in play are not taken: the event's own body shows its state."""
    markets = read.get(event, "markets", list) if event.get("markets") is not None else []
    return _collect([] if are_live(markets) else markets)


def _data(read: Reader, plain: bytes, kind: Any = dict) -> Any:
    """Return the data of the envelope, see `biz_envelope.content`."""
    return content(read, read_object(SPORTYBET, plain, read.where), kind)


def _header(event: Any, where: str) -> EventHeader:
    read = Reader(SPORTYBET, where)
    external_id = read.ident(event, "eventId")
    if not where.startswith("event "):
        read.where = f"event {external_id} in {where}"
    sport = event.get("sport")
    radar_id, other_id = _match_ids(event, external_id)
    return EventHeader(
        platform=SPORTYBET,
        external_id=external_id,
        sportradar_id=radar_id,
        genius_id=other_id,
        home_team=read.text(event, "homeTeamName"),
        away_team=read.text(event, "awayTeamName"),
        kickoff=read.epoch_moment(event, "estimateStartTime"),
        competition=Competition(
            external_id=read.optional_text(sport, "category", "tournament", "id"),
            name=read.optional_text(sport, "category", "tournament", "name"),
            country=read.optional_text(sport, "category", "name"),
        ),
    )


def _sources(event: Any) -> list[dict[str, Any]]:
    """Return the sources of the event's data, before the match and in play."""
    sources = event.get("eventSource") if isinstance(event, dict) else None
    if not isinstance(sources, dict):
        return []
    found = (sources.get("preMatchSource"), sources.get("liveSource"))
    return [source for source in found if isinstance(source, dict)]


def _match_ids(event: dict[str, Any], external_id: str) -> tuple[str | None, str | None]:
    """Return the match ids of SportRadar and Genius Sports.

    An event id of 8 or 9 digits is SportRadar's, whatever the source. A longer one with a prefix of seven ones may
    belong to either. The source decides; without one the id is Genius Sports', which matches the site's own use.
    """
    digits = external_id.rpartition(":")[2]
    known = sportradar_id(digits)
    radar = known if known == digits else None
    genius = None
    sources = _sources(event)
    for source in sources:
        source_type, source_id = source.get("sourceType"), source.get("sourceId")
        if source_type == _RADAR:
            radar = radar or sportradar_id(source_id)
        elif source_type == _GENIUS:
            genius = genius or genius_id(source_id)
    if known and not radar and not sources:
        genius = genius or genius_id(digits)
    return radar, genius if genius != radar else None


def _is_simulated(event: Any) -> bool:
    read = Reader(SPORTYBET, None)
    sport = event.get("sport") if isinstance(event, dict) else None
    source_types = [source.get("sourceType") for source in _sources(event)]
    return any(isinstance(each, str) and each in _SIMULATORS for each in source_types[:1]) or is_simulated(
        read.optional_text(sport, "category", "name"), read.optional_text(sport, "category", "tournament", "name")
    )


class SportyBetSite:
    """SportyBet: a tree of tournaments with one list of events each, and a list of all events with pages."""

    platform = SPORTYBET
    headers: Mapping[str, str] = HEADERS
    hosts: Collection[str] = ("www.sportybet.com", "sportybet.com")
    event_page: EventPage | None = None
    """Its addresses of events have the names of country, tournament and teams in the site's own spelling."""
    parse_event = staticmethod(parse_event)
    read_header = staticmethod(read_header)

    def __init__(self) -> None:
        self.whole_list: WholeList | None = WholeList(UPCOMING_PAGE_SIZE, self._upcoming)

    def root(self) -> Request:
        """See Site."""
        return Request(TREE_PATH, "the list of tournaments", tree_query())

    def listings(self, plain: bytes) -> Listings:
        """See Site. Each list covers one tournament."""
        tournaments, malformed = parse_tournaments(plain)
        listings = [
            Listing(
                Request(
                    LIST_PATH,
                    f"{tournament.external_id} ({list_name_of(tournament)})",
                    method="POST",
                    body=list_body(tournament.external_id),
                ),
                (tournament.external_id,),
                list_name_of(tournament),
                tournament.external_id,
                expected=listed.expected,
            )
            for listed in tournaments
            for tournament in [listed.competition]
        ]
        return listings, [*malformed, *self._contradictions(plain)]

    def read_listing(self, plain: bytes, listing: Listing) -> Page:
        """See Site. The site sends all events of a tournament at once, or a page of all events with their number."""
        body = read_object(self.platform, plain, listing.request.where)
        events, malformed = parse_listed(body, listing.request.where, listing.list_name)
        errors: list[BookmakerError] = [*malformed]
        data = body.get("data")
        tournaments = data.get("tournaments") if isinstance(data, dict) else data
        listed = frozenset(entry_id(event, "eventId") for event in entries(tournaments, "events"))
        if listing.request.path != UPCOMING_PATH:
            return Page(events, [*errors, *shortage(self.platform, listing, len(listed))])
        total = count_or_none(data.get("totalNum") if isinstance(data, dict) else None)
        if total is None:
            errors.append(MalformedBodyError(self.platform, "no number", where=listing.name, field="data.totalNum"))
        return Page(events, errors, ids=listed, total=total)

    def event(self, header: EventHeader) -> Request:
        """See Site."""
        query = {"eventId": header.external_id, "productId": PRE_MATCH}
        return Request(EVENT_PATH, f"event {header.external_id}", query, kind="event")

    def _upcoming(self, number: int) -> Listing:
        name = f"page {number}"
        request = Request(UPCOMING_PATH, f"{name} of all events", upcoming_query(number))
        return Listing(request, (), request.where, name)

    def _contradictions(self, plain: bytes) -> list[BookmakerError]:
        """Report the sport and countries whose event count exceeds that of their parts."""
        data = read_object(self.platform, plain, "the list of tournaments").get("data")
        errors: list[BookmakerError] = []
        for sport in values(data.get("sportList") if isinstance(data, dict) else None):
            if isinstance(sport, dict) and sport.get("id") == FOOTBALL:
                countries = [each for each in values(sport.get("categories")) if isinstance(each, dict)]
                errors += self._contradiction(sport, countries, "Football")
                for country in countries:
                    errors += self._contradiction(country, values(country.get("tournaments")), str(country.get("name")))
        return errors

    def _contradiction(self, whole: dict[str, Any], parts: Iterable[Any], name: str) -> list[BookmakerError]:
        total = count_or_none(whole.get("eventSize"))
        sizes = [count_or_none(part.get("eventSize") if isinstance(part, dict) else None) for part in parts]
        known = [size for size in sizes if size is not None]
        if total is None or len(known) < len(sizes) or sum(known) >= total:
            return []
        reason = f"the tree counts {total} events, but its competitions only {sum(known)}"
        return [IncompleteListError(self.platform, reason, where=name)]


SITE = SportyBetSite()
