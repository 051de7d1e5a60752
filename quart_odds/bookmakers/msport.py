"""MSport: request paths and queries, and parsing of its JSON into domain values.

Markets, specifiers and outcomes have SportRadar's ids, as at SportyBet. Market ids are numbers. The list of all events
has no tree and no total: each page names the cursor of the next one. It carries no prices.
"""

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from quart_odds.bookmakers.biz_envelope import content
from quart_odds.bookmakers.bodies import read_object
from quart_odds.bookmakers.column import column_of
from quart_odds.bookmakers.entries import entries, entry_id
from quart_odds.bookmakers.fields import Reader, is_ident, is_simulated, sportradar_id
from quart_odds.bookmakers.identity import IdentityFields, refuse_another
from quart_odds.bookmakers.lookup import Accumulator, listed_event
from quart_odds.bookmakers.site import EventPage, Listing, Listings, Page, Request, WholeList
from quart_odds.bookmakers.sportradar_markets import SportRadarMarkets, are_live, has_begun
from quart_odds.domain.bookmakers import Bookmaker, Concurrency
from quart_odds.domain.odds import Competition, EventHeader, ListedEvent, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, IncompleteListError, MalformedBodyError

BOOKMAKER = Bookmaker(
    slug="msport",
    name="MSport",
    letters="MS",
    light="#6b3fa8",
    dark="#b99af0",
    url="https://www.msport.com",
    catalogue=Path(__file__).with_suffix(".toml"),
    concurrency=Concurrency(30, 100),
    order=40,
    probability_rank=3,
)
MSPORT = Platform.of(BOOKMAKER.slug)
HEADERS = {
    "accept": "application/json",
    "accept-language": "en",
    "clientid": "web",
    "operid": "2",
    "platform": "web",
}
_BASE = "/api/ng/facts-center/query/frontend/"
LIST_PATH = f"{_BASE}sports-matches-list"
EVENT_PATH = f"{_BASE}match/detail"
FOOTBALL = "sr:sport:1"
PRE_MATCH = "3"
PAGE_SIZE = 100
CURSOR = "lastEventId"

_LIST = "all events"
_WRONG_REQUEST = "operid"
"""What the message names if the header `operid` is wrong. The code is the same as for an unknown event."""
_FIELDS = IdentityFields("eventId", "eventId", "homeTeam", "startTime")
_MARKETS = SportRadarMarkets(
    column_of(BOOKMAKER.catalogue), specifier="specifiers", name="name", has_numbers_as_ids=True
)


def list_query(cursor: str = "") -> dict[str, str]:
    """Build the query for the page of the list that follows a cursor, by default the first."""
    query = {"sportId": FOOTBALL, "limit": str(PAGE_SIZE)}
    return {**query, CURSOR: cursor} if cursor else query


def parse_listed(
    body: dict[str, Any], where: str, list_name: str
) -> tuple[list[ListedEvent], list[MalformedBodyError]]:
    """Parse a page of the list. Returns the valid events and all errors.

    Simulated events are left out, and events in play are marked. Raises BookmakerError if the page has no list.
    """
    read = Reader(MSPORT, where)
    listed: list[ListedEvent] = []
    errors: list[MalformedBodyError] = []
    # A page after the last event has no list at all, or an empty one.
    for tournament in _data(read, body).get("tournaments") or []:
        for event in read.get(tournament, "events", list, "tournaments"):
            try:
                header = _header(event, tournament, where)
            except MalformedBodyError as error:
                errors.append(error)
                continue
            if is_simulated(header.competition.country, header.competition.name):
                continue
            if has_begun(event):
                listed.append(ListedEvent(header, None, list_name, is_in_play=True))
            else:
                reader = Reader(MSPORT, f"event {header.external_id} in {where}")
                listed.append(listed_event(header, list_name, partial(_collect_listed, reader, event), errors))
    return listed, errors


def read_header(plain: bytes, where: str) -> EventHeader | None:
    """Parse the header of an event's body. Returns None for a list or another body.

    Raises BookmakerError naming the field.
    """
    data = _data(Reader(MSPORT, where), read_object(MSPORT, plain, where))
    return _header(data, data, f"event of {where}") if "eventId" in data or "markets" in data else None


def parse_event(plain: bytes, asked: EventHeader) -> MappedEvent:
    """Parse an event and its prices. Raises BookmakerError naming the event and the field."""
    where = f"event {asked.external_id}"
    read = Reader(MSPORT, where)
    data = _data(read, read_object(MSPORT, plain, where))
    header = _header(data, data, where)
    refuse_another(read, header, asked, _FIELDS)
    markets = read.get(data, "markets", list, "data")
    return _collect(markets).event(header, is_in_play=are_live(markets) or has_begun(data))


def _collect(markets: list[Any]) -> Accumulator:
    """Collect the prices of an event's markets."""
    accumulator = Accumulator()
    for market in markets:
        if isinstance(market, dict) and market.get("isShown", 1) != 1:
            # All markets seen so far were shown. The site would not accept a bet on one that is not.
            market = {**market, "status": 1}
        _MARKETS.add(market, accumulator)
    return accumulator


def _collect_listed(read: Reader, event: dict[str, Any]) -> Accumulator:
    """Collect the prices of an entry of the list, should it have any."""
    markets = read.get(event, "markets", list) if event.get("markets") is not None else []
    return _collect([] if are_live(markets) else markets)


def _data(read: Reader, body: dict[str, Any]) -> dict[str, Any]:
    """Return the data of the envelope, see `biz_envelope.content`."""
    data: dict[str, Any] = content(read, body, is_our_fault=_WRONG_REQUEST)
    return data


def _header(event: Any, tournament: Any, where: str) -> EventHeader:
    """Parse the header of an event. In a list, its tournament has the names of competition and country."""
    read = Reader(MSPORT, where)
    external_id = read.ident(event, "eventId")
    if not where.startswith("event "):
        read.where = f"event {external_id} in {where}"
    digits = external_id.rpartition(":")[2]
    return EventHeader(
        platform=MSPORT,
        external_id=external_id,
        # The id is SportRadar's. One of any other length belongs to another feed.
        sportradar_id=digits if sportradar_id(digits) == digits else None,
        home_team=read.text(event, "homeTeam"),
        away_team=read.text(event, "awayTeam"),
        kickoff=read.epoch_moment(event, "startTime"),
        competition=Competition(
            external_id=read.optional_text(tournament, "tournamentId"),
            name=read.optional_text(tournament, "tournament"),
            country=read.optional_text(tournament, "category"),
        ),
    )


class MSportSite:
    """MSport: one list of all events, whose pages have to be read one after the other."""

    platform = MSPORT
    headers: Mapping[str, str] = HEADERS
    hosts: Collection[str] = ("www.msport.com", "msport.com")
    whole_list: WholeList | None = None
    event_page: EventPage | None = None
    """The form of its addresses of events is not known."""
    parse_event = staticmethod(parse_event)
    read_header = staticmethod(read_header)

    def root(self) -> Request:
        """See Site. There is no tree: the list's first page shows whether there is a list."""
        return self._page().request

    def listings(self, plain: bytes) -> Listings:
        """See Site. The only list covers all competitions. Raises BookmakerError if it has no event."""
        where = self.root().where
        read = Reader(self.platform, where)
        data = _data(read, read_object(self.platform, plain, where))
        read.get(data, "tournaments", list, "data")
        return [self._page()], []

    def read_listing(self, plain: bytes, listing: Listing) -> Page:
        """See Site. The list ends with a page that has no event, or repeats its cursor and what was there before."""
        body = read_object(self.platform, plain, listing.request.where)
        events, malformed = parse_listed(body, listing.request.where, listing.list_name)
        errors: list[BookmakerError] = [*malformed]
        data = body["data"]
        listed = [entry_id(event, "eventId") for event in entries(data.get("tournaments"), "events")]
        if not listed:
            return Page(events, errors)
        cursor = entry_id(data, CURSOR)
        is_repeated = cursor == listing.request.query.get(CURSOR)
        is_new = not set(listed) <= set(listing.before)
        if is_new and is_ident(cursor) and not is_repeated:
            return Page(events, errors, self._page(cursor, (*listing.before, *listed)))
        if is_new or not is_repeated:
            reason = (
                f"no page can be read after {len({*listing.before, *listed})} events, so that others may be missing"
            )
            errors.append(IncompleteListError(self.platform, reason, where=listing.name))
        return Page(events, errors)

    def event(self, header: EventHeader) -> Request:
        """See Site."""
        query = {"eventId": header.external_id, "productId": PRE_MATCH}
        return Request(EVENT_PATH, f"event {header.external_id}", query, kind="event")

    def _page(self, cursor: str = "", before: tuple[str, ...] = ()) -> Listing:
        where = f"{_LIST} from {cursor}" if cursor else _LIST
        return Listing(Request(LIST_PATH, where, list_query(cursor)), (), _LIST, _LIST, skip=len(before), before=before)


SITE = MSportSite()
