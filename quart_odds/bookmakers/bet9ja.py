"""Bet9ja's addresses and JSON, turned into domain values.

An event's odds are one flat object whose keys name market, line and outcome: `S_OU@2.5_O`. A price that is not there
is suspended; there is no other mark but odds of 1. `STARTDATE` has no zone and is UTC, not Lagos time.
"""

from typing import Any

from quart_odds.bookmakers.bodies import read_object
from quart_odds.bookmakers.fields import Reader, count_or_none, digits_or_none, is_simulated, values
from quart_odds.bookmakers.lookup import Sheet, compile_table
from quart_odds.domain.catalogue import line_code
from quart_odds.domain.odds import Competition, EventHeader, ListedCompetition, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import MalformedBodyError, NotFoundError

BET9JA = Platform.BET9JA
HEADERS = {"accept": "application/json, text/plain, */*"}
SOCCER = "1"
_BASE = "/desktop/feapi/PalimpsestAjax/"
SPORTS_PATH = f"{_BASE}GetSports"
LIST_PATH = f"{_BASE}GetEventsInGroupV2"
EVENT_PATH = f"{_BASE}GetEvent"

_TABLE = compile_table(BET9JA)
_REMEMBERED = 20_000
_UNMAPPED = -1
_MEANINGLESS = -2
_keys: dict[str, int] = {}
"""What price keys came to: a packed key, or one of the two marks above; the same few thousand come with each event."""


def sports_query() -> dict[str, str]:
    """The query of the tree of sports."""
    return {"DISP": "0"}


def list_query(group_id: str) -> dict[str, str]:
    """The query of a group's events, with its main markets."""
    return {"GROUPID": group_id, "DISP": "0", "GROUPMARKETID": "1", "matches": "true"}


def parse_groups(plain: bytes) -> tuple[list[ListedCompetition], list[MalformedBodyError]]:
    """The soccer groups (competitions), simulated ones left out, and what was wrong with others.

    Raises BookmakerError where there is no tree of them.
    """
    read = Reader(BET9JA, "the list of groups")
    sports = read.get(_data(read, plain), "PAL", dict, "D")
    found: dict[str, ListedCompetition] = {}
    errors: list[MalformedBodyError] = []
    for country in values(read.get(sports.get(SOCCER), "SG", dict, "D.PAL.1")):
        country_name = read.optional_text(country, "SG_DESC")
        try:
            groups = read.get(country, "G", dict, "D.PAL.1.SG")
        except MalformedBodyError as error:
            errors.append(error)
            continue
        for group_id, group in groups.items():
            name = read.optional_text(group, "G_DESC")
            if not is_simulated(country_name, name):
                size = count_or_none(group.get("NUM") if isinstance(group, dict) else None)
                found[group_id] = ListedCompetition(Competition(group_id, name, country_name), size)
    return list(found.values()), errors


def parse_list(plain: bytes, where: str) -> tuple[list[EventHeader], list[MalformedBodyError]]:
    """A group's events: those understood, and what was wrong with the others."""
    read = Reader(BET9JA, where)
    headers, errors = [], []
    for event in values(_data(read, plain).get("E")):
        try:
            header = _header(event, where)
        except MalformedBodyError as error:
            errors.append(error)
        else:
            if not is_simulated(header.competition.name, header.competition.country):
                headers.append(header)
    return headers, errors


def parse_event(plain: bytes, asked: EventHeader) -> MappedEvent:
    """An event and its prices. Raises BookmakerError naming the event and the field."""
    where = f"event {asked.external_id}"
    read = Reader(BET9JA, where)
    data = _data(read, plain)
    header = _header(data, where)
    if header.external_id != asked.external_id:
        raise read.wrong("D.ID", f"event {header.external_id} where {asked.external_id} was asked for")
    sheet = Sheet()
    unknown: set[str] = set()
    # An event that lost all its odds has an empty list here.
    odds = data.get("O")
    if not isinstance(odds, dict) and odds != []:
        raise read.wrong("D.O", "no object")
    listed = data.get("BOOSTED_ODDS")
    boosted = {name for name in listed if isinstance(name, str)} if isinstance(listed, list | dict) else frozenset()
    for name, value in odds.items() if odds else ():
        key = _keys.get(name, 0) or _find(name)
        if name in boosted:
            # Another price than the market's own; no body shows yet what else the site says of it.
            sheet.drop()
        elif key > 0:
            try:
                sheet.add(key, value, True)
            except (TypeError, ValueError):
                sheet.drop()
        elif key == _UNMAPPED:
            unknown.add(_market_of(name))
        else:
            sheet.drop()
    if unknown:
        _name_unmapped(unknown, data.get("MK"), sheet)
    return sheet.event(header)


def _data(read: Reader, plain: bytes) -> dict[str, Any]:
    """What the envelope holds. Raises NotFoundError where the site knows no such event."""
    body = read_object(BET9JA, plain, read.where)
    # Both are success; a listing kept without its envelope has none.
    if (answer := body.get("R", "OK")) not in ("OK", "D"):
        kind = NotFoundError if answer == "E" and (read.where or "").startswith("event ") else MalformedBodyError
        raise kind(BET9JA, f"answered R {str(answer)[:40]!r}", where=read.where, field="R")
    return read.get(body, "D", dict)


def _header(event: Any, where: str) -> EventHeader:
    read = Reader(BET9JA, where)
    external_id = str(read.get(event, "ID", int))
    if not where.startswith("event "):
        read.where = f"event {external_id} in {where}"
    home, dash, away = read.text(event, "DS").partition(" - ")
    if not (dash and home.strip() and away.strip()):
        raise read.wrong("DS", "no two teams")
    field = "STARTDATEUTC" if event.get("STARTDATEUTC") else "STARTDATE"
    group_id = event.get("GID")
    return EventHeader(
        platform=BET9JA,
        external_id=external_id,
        sportradar_id=digits_or_none(event.get("EXTID")),
        home_team=home.strip(),
        away_team=away.strip(),
        kickoff=read.moment(read.text(event, field), field),
        competition=Competition(
            external_id=str(group_id) if isinstance(group_id, int | str) else "",
            name=read.optional_text(event, "GN"),
            country=read.optional_text(event, "SG"),
        ),
    )


def _market_of(name: str) -> str:
    """The market of a price key: outcomes have no `_`, so the last one parts them."""
    return (name.rpartition("_")[0] or name).partition("@")[0]


def _find(name: str) -> int:
    """The packed key that a price key means, or one of the marks for those that mean none."""
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
    if len(_keys) >= _REMEMBERED:
        _keys.clear()
    _keys[name] = key
    return key


def _name_unmapped(unknown: set[str], catalogue: Any, sheet: Sheet) -> None:
    """Unknown markets with the names that the body's own catalogue gives them."""
    names = {
        entry["ID"]: entry.get("DS")
        for entry in values(catalogue)
        if isinstance(entry, dict) and isinstance(entry.get("ID"), str)
    }
    for market_id in sorted(unknown):
        sheet.unmapped(market_id[:120], names.get(market_id))
