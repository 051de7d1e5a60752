"""BetKing: request paths, and parsing of its JSON into domain values.

There is one list of events for each day, with the main markets, and the number of events that the day has. An event's
own body has the match once for each group of markets: these copies are merged. The home side is outcome 4 of 1X2 and
1714 of handicaps, and lines are written from its perspective. `ItemDate` has a time zone.

No complete body of an event could be recorded. The ids are those on which independent clients agree, and whatever
contradicts them is dropped.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from quart_odds.bookmakers.bodies import read_object
from quart_odds.bookmakers.column import column_of
from quart_odds.bookmakers.entries import entries, entry_id, shortage
from quart_odds.bookmakers.fields import (
    Reader,
    are_persons,
    count_or_none,
    is_simulated,
    number,
    odds_number,
    sportradar_id,
    values,
    whole,
)
from quart_odds.bookmakers.identity import IdentityFields, refuse_another
from quart_odds.bookmakers.lookup import Accumulator, Variant, compile_table, count_members, listed_event
from quart_odds.bookmakers.site import EventPage, Listing, Listings, Page, Request, WholeList
from quart_odds.domain.bookmakers import Bookmaker, Concurrency
from quart_odds.domain.catalogue import line_code
from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import Competition, EventHeader, ListedEvent, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, MalformedBodyError, NotFoundError

BOOKMAKER = Bookmaker(
    slug="betking",
    name="BetKing",
    letters="BK",
    light="#a8245f",
    dark="#f08bb4",
    url="https://sportsapicdn-desktop.betking.com",
    catalogue=Path(__file__).with_suffix(".toml"),
    concurrency=Concurrency(10, 50),
    order=50,
    is_enabled=False,
)
BETKING = Platform.of(BOOKMAKER.slug)
HEADERS = {
    "accept": "application/json",
    "origin": "https://www.betking.com",
    "referer": "https://www.betking.com/",
}
_BASE = "/api/feeds/prematch/"
LIST_PATH = f"{_BASE}GetEvents/en/"
EVENT_PATH = f"{_BASE}event/en/1/"

DAYS = 11
"""How many days are listed. Ten hold all events; the site's day may have begun before ours."""

_AHEAD = timedelta(hours=1)
"""How far the time in Nigeria is ahead of UTC."""

_HIGHEST_SUSPENDED = 1.01
"""Odds up to this are those of a suspended price."""

_FIELDS = IdentityFields("ItemID", "ExtProvIDItem", "ItemName", "ItemDate")
_TABLE = compile_table(column_of(BOOKMAKER.catalogue))


class _Read(NamedTuple):
    """A price as a body has it."""

    odds: object
    is_open: bool


def parse_listed(body: dict[str, Any], where: str, list_name: str) -> tuple[list[ListedEvent], list[BookmakerError]]:
    """Parse the events of a day with the prices in them. Returns the valid ones and all errors.

    Simulated events are left out. Raises BookmakerError if the body has no list.
    """
    read = Reader(BETKING, where)
    copies: dict[str, list[dict[str, Any]]] = {}
    errors: list[BookmakerError] = []
    for item in _items(read, body):
        try:
            copies.setdefault(_external_id(read, item), []).append(item)
        except MalformedBodyError as error:
            errors.append(error)
    listed: list[ListedEvent] = []
    malformed: list[MalformedBodyError] = []
    for items in copies.values():
        try:
            header = _header(items[0], where)
        except MalformedBodyError as error:
            errors.append(error)
            continue
        if not is_simulated(header.competition.country, header.competition.name):
            reader = Reader(BETKING, f"event {header.external_id} in {where}")
            listed.append(listed_event(header, list_name, partial(_collect, reader, items), malformed))
    return listed, [*errors, *malformed]


def read_header(plain: bytes, where: str) -> EventHeader | None:
    """Parse the header of an event's body. Returns None for a list, which has several events, or none.

    Raises BookmakerError naming the field.
    """
    read = Reader(BETKING, where)
    items = list(_items(read, read_object(BETKING, plain, where)))
    ids = {_external_id(read, item) for item in items}
    return _header(items[0], f"event of {where}") if len(ids) == 1 else None


def parse_event(plain: bytes, asked: EventHeader) -> MappedEvent:
    """Parse an event and its prices from all its copies. Raises BookmakerError naming the event and the field."""
    where = f"event {asked.external_id}"
    read = Reader(BETKING, where)
    items = list(_items(read, read_object(BETKING, plain, where)))
    if not items:
        raise NotFoundError(BETKING, "answered without the event", where=where, field="AreaMatches")
    for item in items:
        refuse_another(read, _header(item, where), asked, _FIELDS)
    return _collect(read, items).event(_header(items[0], where))


def _items(read: Reader, body: dict[str, Any]) -> Iterator[Any]:
    for area in read.get(body, "AreaMatches", list):
        yield from read.get(area, "Items", list, "AreaMatches")


def _external_id(read: Reader, item: Any) -> str:
    return str(read.get(item, "ItemID", int))


def _collect(read: Reader, items: list[dict[str, Any]]) -> Accumulator:
    """Collect the prices of the copies of an event."""
    accumulator = Accumulator()
    found: dict[int, _Read] = {}
    for item in items:
        for market in read.get(item, "OddsCollection", list) if item.get("OddsCollection") is not None else ():
            _read_market(market, found, accumulator)
    for key, (odds, is_open) in found.items():
        accumulator.add(key, odds, is_open)
    return accumulator


def _read_market(market: Any, found: dict[int, _Read], accumulator: Accumulator) -> None:
    """Read the prices of a market into `found`. An invalid price is dropped and counted."""
    prices = list(values(market.get("MatchOdds"))) if isinstance(market, dict) else []
    try:
        kind = market["OddsType"]
        market_id, name = str(whole(kind["OddsTypeID"])), kind.get("OddsTypeName")
    except (AttributeError, KeyError, TypeError):
        accumulator.drop(count_members(prices))
        return
    variants = _TABLE.get(market_id)
    if variants is None:
        accumulator.unmapped(market_id, name, len(prices), are_players=_are_players(prices))
        return
    for price in prices:
        try:
            attribute, odds = price["OddAttribute"], price["Outcome"]["OddOutcome"]
            line = _line(variants[""], attribute.get("SpecialValue"), market.get("SpecialBetValue"))
            key = variants[""].keys[str(whole(attribute["OddTypeID"]))] + line_code(line)
            is_open = odds_number(odds) > _HIGHEST_SUSPENDED
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            accumulator.drop()
            continue
        known = found.setdefault(key, _Read(odds, is_open))
        if known.odds != odds:
            # Nobody can tell which of the two copies is current.
            found[key] = _Read(odds, False)


def _line(variant: Variant, own: object, of_market: object) -> float | None:
    """Return the line of a price, from the home side's perspective.

    A price's own value counts, and the market's if it has none. For corners and most handicaps the market's is 0.
    Raises ValueError for a line in a market without lines, for two lines, and for none, which 0 may mean.
    """
    line, other = _value(own), _value(of_market)
    if variant.line_kind == "none":
        if line or other:
            raise ValueError("a line in a market without lines")
        return None
    if line and other and line != other:
        raise ValueError("two lines")
    if variant.line_kind == "total" or own is None or own == "":
        line = line or other
    if not line:
        raise ValueError("no line")
    return line


def _value(line: object) -> float:
    """Return a line as a number, 0 for none. Raises ValueError or TypeError."""
    return 0.0 if line is None or line == "" else number(line)


def _are_players(prices: list[Any]) -> bool:
    """Return whether a market's outcomes are players, judging by their names."""
    names = [
        attribute.get("OddName")
        for price in prices
        if isinstance(price, dict) and isinstance(attribute := price.get("OddAttribute"), dict)
    ]
    return are_persons(names)


def _header(item: Any, where: str) -> EventHeader:
    read = Reader(BETKING, where)
    external_id = _external_id(read, item)
    if not where.startswith("event "):
        read.where = f"event {external_id} in {where}"
    home, away = read.teams(item, "ItemName")
    radar_id = item.get("ExtProvIDItem")
    competition_id = item.get("TournamentId")
    return EventHeader(
        platform=BETKING,
        external_id=external_id,
        # An id with another number of digits belongs to another feed.
        sportradar_id=radar_id if sportradar_id(radar_id) == radar_id else None,
        home_team=home,
        away_team=away,
        kickoff=read.moment(read.text(item, "ItemDate"), "ItemDate"),
        competition=Competition(
            external_id=str(competition_id) if type(competition_id) is int else "",
            name=read.optional_text(item, "TournamentName"),
            country=read.optional_text(item, "CategoryName"),
        ),
    )


class BetKingSite:
    """BetKing: one list of events for each day. `now` tells which day is the first."""

    platform = BETKING
    headers: Mapping[str, str] = HEADERS
    hosts: Collection[str] = ("sportsapicdn-desktop.betking.com", "sportsapicdn-mobile.betking.com")
    whole_list: WholeList | None = None
    event_page: EventPage | None = None
    """The form of its addresses of events is not known."""
    parse_event = staticmethod(parse_event)
    read_header = staticmethod(read_header)

    def __init__(self, now: Callable[[], datetime] = utc_now) -> None:
        self._now = now

    def root(self) -> Request:
        """See Site. There is no tree: the list of the first day shows whether there are lists."""
        return self._days()[0].request

    def listings(self, plain: bytes) -> Listings:
        """See Site. Each list covers a day, with events of any competition. Raises BookmakerError if there is none."""
        days = self._days()
        where = days[0].request.where
        for _ in _items(Reader(self.platform, where), read_object(self.platform, plain, where)):
            pass
        return days, []

    def read_listing(self, plain: bytes, listing: Listing) -> Page:
        """See Site. The site sends all events of a day at once, and their number."""
        where = listing.request.where
        body = read_object(self.platform, plain, where)
        events, errors = parse_listed(body, where, listing.list_name)
        ids = {entry_id(item, "ItemID") for item in entries(body.get("AreaMatches"), "Items")}
        total = count_or_none(body.get("TotalNoOfItems"))
        if total is None:
            errors.append(MalformedBodyError(self.platform, "no number", where=listing.name, field="TotalNoOfItems"))
        return Page(events, [*errors, *shortage(self.platform, replace(listing, expected=total), len(ids))])

    def event(self, header: EventHeader) -> Request:
        """See Site."""
        return Request(f"{EVENT_PATH}{header.external_id}/0", f"event {header.external_id}", kind="event")

    def _days(self) -> list[Listing]:
        first = (self._now() + _AHEAD).date()
        days = [(first + timedelta(days=number)).isoformat() for number in range(DAYS)]
        return [Listing(Request(f"{LIST_PATH}{day}/0/0/1", f"the list of {day}"), (), day, day) for day in days]


SITE = BetKingSite()
