"""Lagos Bets, an invented bookmaker: an example of a package that adds one to Quart Odds.

Its API has a list of leagues, a list of events for each, with their main markets, and one event with all markets.
"""

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from quart_odds.bookmakers.bodies import read_object
from quart_odds.bookmakers.column import column_of
from quart_odds.bookmakers.entries import list_name_of, shortage
from quart_odds.bookmakers.fields import Reader, count_or_none, sportradar_id, values
from quart_odds.bookmakers.identity import IdentityFields, refuse_another
from quart_odds.bookmakers.lookup import Accumulator, compile_table, count_members, listed_event
from quart_odds.bookmakers.site import EventPage, Listing, Listings, Page, Request, WholeList
from quart_odds.domain.bookmakers import Bookmaker, Concurrency
from quart_odds.domain.catalogue import line_code
from quart_odds.domain.odds import Competition, EventHeader, ListedEvent, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, MalformedBodyError

BOOKMAKER = Bookmaker(
    slug="lagosbets",
    name="Lagos Bets",
    letters="LB",
    light="#7a2b6f",
    dark="#d993cd",
    url="https://api.lagosbets.example",
    catalogue=Path(__file__).with_suffix(".toml"),
    concurrency=Concurrency(10, 20),
)
LAGOS_BETS = Platform.of(BOOKMAKER.slug)

_FIELDS = IdentityFields(external_id="id", sportradar_id="sportradar", teams="home, away", kickoff="starts")
_TABLE = compile_table(column_of(BOOKMAKER.catalogue))


class LagosBetsSite:
    """The requests to Lagos Bets, and what its answers say."""

    platform = LAGOS_BETS
    headers: Mapping[str, str] = {"accept": "application/json"}
    hosts: Collection[str] = ("api.lagosbets.example",)
    whole_list: WholeList | None = None
    event_page: EventPage | None = EventPage("https://www.lagosbets.example/match/")

    def root(self) -> Request:
        """See Site."""
        return Request("/v1/leagues", "the list of leagues")

    def listings(self, plain: bytes) -> Listings:
        """See Site. Each list covers one league, and each league says how many events it has."""
        read = Reader(LAGOS_BETS, "the list of leagues")
        listings: list[Listing] = []
        errors: list[BookmakerError] = []
        for league in read.get(read_object(LAGOS_BETS, plain, "the list of leagues"), "leagues", list):
            try:
                competition = _competition(read, league)
                league_id, name = competition.external_id, list_name_of(competition)
                request = Request("/v1/events", f"league {league_id}", {"league": league_id})
                expected = count_or_none(league.get("size"))
                listings.append(Listing(request, (league_id,), name, request.where, expected=expected))
            except MalformedBodyError as error:
                errors.append(error)
        return listings, errors

    def read_listing(self, plain: bytes, listing: Listing) -> Page:
        """See Site."""
        read = Reader(LAGOS_BETS, listing.request.where)
        found: list[ListedEvent] = []
        errors: list[MalformedBodyError] = []
        entries = read.get(read_object(LAGOS_BETS, plain, listing.request.where), "events", list)
        for entry in entries:
            try:
                header = _header(entry, listing.request.where)
                found.append(listed_event(header, listing.list_name, partial(_prices, entry), errors))
            except MalformedBodyError as error:
                errors.append(error)
        return Page(found, [*errors, *shortage(LAGOS_BETS, listing, len(entries))])

    def event(self, header: EventHeader) -> Request:
        """See Site."""
        return Request(f"/v1/events/{header.external_id}", f"event {header.external_id}", kind="event")

    def parse_event(self, plain: bytes, asked: EventHeader) -> MappedEvent:
        """See Site."""
        where = f"event {asked.external_id}"
        body = read_object(LAGOS_BETS, plain, where)
        header = _header(body, where)
        refuse_another(Reader(LAGOS_BETS, where), header, asked, _FIELDS)
        return _prices(body).event(header, is_in_play=body.get("live") is True)

    def read_header(self, plain: bytes, where: str) -> EventHeader | None:
        """See Site."""
        body = read_object(LAGOS_BETS, plain, where)
        return _header(body, where) if "markets" in body else None


SITE = LagosBetsSite()


def _competition(read: Reader, league: Any) -> Competition:
    return Competition(read.ident(league, "id"), read.text(league, "name"), read.text(league, "country"))


def _header(event: Any, where: str) -> EventHeader:
    read = Reader(LAGOS_BETS, where)
    return EventHeader(
        platform=LAGOS_BETS,
        external_id=read.ident(event, "id"),
        sportradar_id=sportradar_id(event.get("sportradar")),
        home_team=read.text(event, "home"),
        away_team=read.text(event, "away"),
        kickoff=read.moment(read.text(event, "starts"), "starts"),
        competition=_competition(read, read.get(event, "league", dict)),
    )


def _prices(event: dict[str, Any]) -> Accumulator:
    """Collect the prices of an event. What is not understood is counted, and costs no other price."""
    accumulator = Accumulator()
    for market in values(event.get("markets")):
        try:
            code, line, prices = market["code"], market.get("line"), market["prices"]
            variant = _TABLE[code][""] if code in _TABLE else None
            if variant is None or (line is None) != (variant.line_kind == "none"):
                accumulator.unmapped(str(code), market.get("name"), count_members(prices))
                continue
            offset = line_code(line)
        except (AttributeError, KeyError, TypeError, ValueError):
            accumulator.drop()
            continue
        for name, odds in prices.items() if isinstance(prices, dict) else ():
            try:
                accumulator.add(variant.keys[name] + offset, odds, market.get("open") is True)
            except (KeyError, TypeError, ValueError):
                accumulator.drop()
    return accumulator
