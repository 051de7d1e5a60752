"""Bet9ja: request paths and queries, and parsing of its JSON into domain values.

The odds of an event are one flat object whose keys name market, line and outcome: `S_OU@2.5_O`. Suspended prices are
missing; the only other sign of suspension is odds of 1. `STARTDATE` has no time zone and is in UTC, not Lagos time. The
body of a match in play has a different shape: the event is in `AA`, the clock in `A`, and keys begin with `LIVES_`.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from quart_odds.bookmakers.bodies import read_object
from quart_odds.bookmakers.column import column_of
from quart_odds.bookmakers.entries import entries, entry_id, list_name_of, shortage
from quart_odds.bookmakers.fields import (
    Reader,
    are_persons,
    count_or_none,
    is_ident,
    is_simulated,
    sportradar_id,
    values,
)
from quart_odds.bookmakers.identity import IdentityFields, refuse_another
from quart_odds.bookmakers.lookup import MAX_REMEMBERED_TEXT, Accumulator, compile_table, listed_event
from quart_odds.bookmakers.site import EventPage, Listing, Listings, Page, Request, WholeList
from quart_odds.domain.bookmakers import Bookmaker, Concurrency
from quart_odds.domain.catalogue import line_code, promoted_key
from quart_odds.domain.odds import Competition, EventHeader, ListedCompetition, ListedEvent, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import BOOSTED, OTHER
from quart_odds.domain.text import clean_text
from quart_odds.errors import MalformedBodyError, NotFoundError

BOOKMAKER = Bookmaker(
    slug="bet9ja",
    name="Bet9ja",
    letters="B9",
    light="#ae550a",
    dark="#eb9a55",
    url="https://sports.bet9ja.com",
    catalogue=Path(__file__).with_suffix(".toml"),
    concurrency=Concurrency(15, 50),
    order=30,
    lacking_in_lists=("btts_ft",),
)
BET9JA = Platform.of(BOOKMAKER.slug)
HEADERS = {"accept": "application/json, text/plain, */*"}
SOCCER = "1"
_BASE = "/desktop/feapi/PalimpsestAjax/"
SPORTS_PATH = f"{_BASE}GetSports"
LIST_PATH = f"{_BASE}GetEventsInGroupV2"
EVENT_PATH = f"{_BASE}GetEvent"

_FIELDS = IdentityFields(external_id="D.ID", sportradar_id="EXTID", teams="DS", kickoff="STARTDATE")
_TABLE = compile_table(column_of(BOOKMAKER.catalogue))
_PRICE_PREFIXES = ("S_", "LIVES_")
_REMEMBERED = 20_000
_UNMAPPED = -1
_MEANINGLESS = -2
_keys: dict[str, int] = {}
"""Cached results of `_find`: a packed key or one of the two markers above. The same few thousand names recur."""


def sports_query() -> dict[str, str]:
    """Build the query for the tree of sports."""
    return {"DISP": "0"}


def list_query(group_id: str) -> dict[str, str]:
    """Build the query for a group's events with their main markets."""
    return {"GROUPID": group_id, "DISP": "0", "GROUPMARKETID": "1", "matches": "true"}


def parse_groups(plain: bytes) -> tuple[list[ListedCompetition], list[MalformedBodyError]]:
    """Parse the soccer groups (competitions) and their event counts. Returns them and the errors.

    Simulated groups are left out. Raises BookmakerError if the body has no tree of groups.
    """
    read = Reader(BET9JA, "the list of groups")
    sports = read.get(_data(read, plain), "PAL", dict, "D")
    found: dict[str, ListedCompetition] = {}
    errors: list[MalformedBodyError] = []
    for country in values(read.php_object(sports.get(SOCCER), "SG", "D.PAL.1")):
        country_name = read.optional_text(country, "SG_DESC")
        try:
            groups = read.php_object(country, "G", "D.PAL.1.SG")
        except MalformedBodyError as error:
            errors.append(error)
            continue
        for group_id, group in groups.items():
            if not is_ident(group_id):
                errors.append(read.wrong("D.PAL.1.SG.G", "an invalid id"))
                continue
            name = read.optional_text(group, "G_DESC")
            if not is_simulated(country_name, name):
                expected = count_or_none(group.get("NUM")) if isinstance(group, dict) else None
                found[group_id] = ListedCompetition(Competition(group_id, name, country_name), expected)
    return list(found.values()), errors


def parse_listed(
    body: dict[str, Any], where: str, list_name: str
) -> tuple[list[ListedEvent], list[MalformedBodyError]]:
    """Parse a group's events with the prices in it. Returns the valid ones and all errors.

    Raises BookmakerError if the list is missing: such an answer says nothing about the group, even with a success code.
    """
    read = Reader(BET9JA, where)
    _refuse_failure(read, body)
    # For a group without events, D is an empty list instead of an object.
    entries = read.get(body, "D", dict).get("E") if body.get("D") != [] else []
    if not isinstance(entries, list | dict):
        raise read.wrong("D.E", "no list")
    listed: list[ListedEvent] = []
    errors: list[MalformedBodyError] = []
    for event in values(entries):
        try:
            header = _header(event, where)
        except MalformedBodyError as error:
            errors.append(error)
        else:
            if not is_simulated(header.competition.name, header.competition.country):
                read = Reader(BET9JA, f"event {header.external_id} in {where}")
                listed.append(listed_event(header, list_name, partial(_collect_listed, read, event), errors))
    return listed, errors


def read_header(plain: bytes, where: str) -> EventHeader | None:
    """Parse the header of an event's body. Returns None for a list or another body.

    Raises BookmakerError naming the field.
    """
    data = _body(Reader(BET9JA, where), plain).get("D")
    if not isinstance(data, dict) or not data.keys() & {"ID", "O", "AA"}:
        return None
    return _header(data.get("AA", data), f"event of {where}")


def parse_event(plain: bytes, asked: EventHeader) -> MappedEvent:
    """Parse an event and its prices. Raises BookmakerError naming the event and the field."""
    where = f"event {asked.external_id}"
    read = Reader(BET9JA, where)
    data = _data(read, plain)
    is_in_play = "AA" in data
    header = _header(read.get(data, "AA", dict, "D") if is_in_play else data, where)
    refuse_another(read, header, asked, _FIELDS)
    # For an event that has lost all its odds, O is an empty list.
    odds = read.php_object(data, "O", "D")
    return _collect(data, odds, is_in_play).event(header, is_in_play=is_in_play)


def _collect_listed(read: Reader, event: dict[str, Any]) -> Accumulator:
    """Collect the prices of an entry of a list."""
    return _collect(event, read.php_object(event, "O") if event.get("O") is not None else {}, is_in_play=False)


def _collect(event: dict[str, Any], odds: dict[str, Any], is_in_play: bool) -> Accumulator:
    """Collect the prices of an event, from its own body or from a list."""
    accumulator = Accumulator()
    unknown: dict[str, int] = {}
    raised = _raised(event)
    for name, value in odds.items():
        key = _keys.get(name, 0) or _find(name)
        if key > 0:
            try:
                if raised and (promotion := raised.promotion(name)):
                    key = promoted_key(key, promotion)
                accumulator.add(key, value["v"] if is_in_play else value, True)
            except (KeyError, TypeError, ValueError):
                accumulator.drop()
        elif key == _UNMAPPED:
            market_id = _market_of(name)
            unknown[market_id] = unknown.get(market_id, 0) + 1
        else:
            accumulator.drop()
    if unknown:
        _name_unmapped(unknown, event.get("MK"), accumulator)
    return accumulator


@dataclass(slots=True)
class _Raised:
    """The boosted prices of a body. If the site's marking is not understood, any price may be boosted."""

    names: set[str] = field(default_factory=set)
    is_understood: bool = True

    def promotion(self, name: str) -> int:
        """Return the promotion of the price with this key, 0 for none."""
        market, _, _ = name.rpartition("_")
        if name in self.names or market in self.names or market.partition("@")[0] in self.names:
            return BOOSTED
        return 0 if self.is_understood else OTHER


def _raised(data: dict[str, Any]) -> _Raised | None:
    """Collect what BOOSTED_ODDS (price keys) and BOOSTED_MARKETS (markets) name, in lists or as object keys."""
    listed = [entry for field in ("BOOSTED_ODDS", "BOOSTED_MARKETS") if (entry := data.get(field))]
    if not listed:
        return None
    ids = {
        str(market.get("MARKETID")): market["ID"]
        for market in values(data.get("MK"))
        if isinstance(market, dict) and isinstance(market.get("ID"), str)
    }
    raised = _Raised()
    for entry in listed:
        for member in _members(entry):
            names = {ids.get(text, text) for text in _texts(member)}
            named = {name for name in names if name.startswith(_PRICE_PREFIXES)}
            raised.names |= named
            raised.is_understood = raised.is_understood and bool(named)
    return raised


def _members(entry: Any) -> list[Any]:
    return list(entry.items()) if isinstance(entry, dict) else entry if isinstance(entry, list) else [entry]


def _texts(entry: Any) -> Iterator[str]:
    """Yield every text and number in an entry as text, at any depth."""
    if isinstance(entry, dict):
        entry = [*entry.keys(), *entry.values()]
    if isinstance(entry, list | tuple):
        for member in entry:
            yield from _texts(member)
    elif isinstance(entry, str | int) and not isinstance(entry, bool):
        yield str(entry)


def _body(read: Reader, plain: bytes) -> dict[str, Any]:
    """Parse the envelope. Raises NotFoundError if the site does not know the requested event."""
    body = read_object(BET9JA, plain, read.where)
    _refuse_failure(read, body)
    return body


def _refuse_failure(read: Reader, body: dict[str, Any]) -> None:
    # Both codes mean success. A recorded list without its envelope has no code.
    if (answer := body.get("R", "OK")) not in ("OK", "D"):
        kind = NotFoundError if answer == "E" and (read.where or "").startswith("event ") else MalformedBodyError
        raise kind(BET9JA, f"answered R {str(answer)[:40]!r}", where=read.where, field="R")


def _data(read: Reader, plain: bytes) -> dict[str, Any]:
    """Return the content of the envelope. Raises the same errors as `_body`."""
    return read.get(_body(read, plain), "D", dict)


def _header(event: Any, where: str) -> EventHeader:
    read = Reader(BET9JA, where)
    external_id = str(read.get(event, "ID", int))
    if not where.startswith("event "):
        read.where = f"event {external_id} in {where}"
    home, away = read.teams(event, "DS")
    field = "STARTDATEUTC" if event.get("STARTDATEUTC") else "STARTDATE"
    group_id = event.get("GID")
    return EventHeader(
        platform=BET9JA,
        external_id=external_id,
        sportradar_id=sportradar_id(event.get("EXTID")),
        home_team=home,
        away_team=away,
        kickoff=read.moment(read.text(event, field), field),
        competition=Competition(
            external_id=clean_text(str(group_id)) if isinstance(group_id, int | str) else "",
            name=read.optional_text(event, "GN"),
            country=read.optional_text(event, "SG"),
        ),
    )


def _market_of(name: str) -> str:
    """Return the market of a price key. Outcomes contain no `_`, so the last one separates them from the market."""
    return (name.rpartition("_")[0] or name).partition("@")[0]


def _find(name: str) -> int:
    """Look up the packed key for a price key, or return one of the markers if there is none."""
    market, _, outcome = name.rpartition("_")
    market, at, line = market.partition("@")
    variants = _TABLE.get(market)
    if variants is None:
        key = _UNMAPPED
    else:
        variant = variants[""]
        key = variant.keys.get(outcome, _MEANINGLESS)
        if key > 0:
            try:
                has_line = variant.line_kind != "none"
                key = key + line_code(float(line) if has_line else None) if bool(at) == has_line else _MEANINGLESS
            except (ValueError, OverflowError):
                key = _MEANINGLESS
    if len(name) <= MAX_REMEMBERED_TEXT:
        if len(_keys) >= _REMEMBERED:
            _keys.clear()
        _keys[name] = key
    return key


def _name_unmapped(unknown: dict[str, int], catalogue: Any, accumulator: Accumulator) -> None:
    """Report unknown markets with their number of prices, named as in the body's own catalogue."""
    markets = {
        entry["ID"]: entry
        for entry in values(catalogue)
        if isinstance(entry, dict) and isinstance(entry.get("ID"), str)
    }
    for market_id in sorted(unknown):
        market = markets.get(market_id, {})
        accumulator.unmapped(market_id, market.get("DS"), unknown[market_id], are_players=_are_players(market))


def _are_players(market: dict[str, Any]) -> bool:
    """Return whether a market's outcomes are players, judging by their names in the body's own catalogue."""
    return are_persons(list(values(market.get("SGN"))))


class Bet9jaSite:
    """Bet9ja: a tree of soccer groups, and one list of events per group."""

    platform = BET9JA
    headers: Mapping[str, str] = HEADERS
    hosts: Collection[str] = ("sports.bet9ja.com", "www.bet9ja.com", "bet9ja.com")
    whole_list: WholeList | None = None
    event_page: EventPage | None = EventPage("https://sports.bet9ja.com/event/")
    parse_event = staticmethod(parse_event)
    read_header = staticmethod(read_header)

    def root(self) -> Request:
        """See Site."""
        return Request(SPORTS_PATH, "the list of groups", sports_query())

    def listings(self, plain: bytes) -> Listings:
        """See Site. Each list covers one group."""
        groups, errors = parse_groups(plain)
        listings = [
            Listing(
                Request(
                    LIST_PATH,
                    f"group {group.external_id} ({list_name_of(group)})",
                    list_query(group.external_id),
                ),
                (group.external_id,),
                list_name_of(group),
                f"group {group.external_id}",
                expected=listed.expected,
            )
            for listed in groups
            for group in [listed.competition]
        ]
        return listings, errors

    def read_listing(self, plain: bytes, listing: Listing) -> Page:
        """See Site. The site sends all events of a group at once."""
        body = read_object(self.platform, plain, listing.request.where)
        events, malformed = parse_listed(body, listing.request.where, listing.list_name)
        listed = {entry_id(event, "ID") for event in entries(body.get("D"), "E")}
        return Page(events, [*malformed, *shortage(self.platform, listing, len(listed))])

    def event(self, header: EventHeader) -> Request:
        """See Site."""
        return Request(EVENT_PATH, f"event {header.external_id}", {"EVENTID": header.external_id}, kind="event")


SITE = Bet9jaSite()
