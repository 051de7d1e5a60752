"""SportyBet's addresses and JSON, turned into domain values.

Outcomes go by market id, specifier and outcome id. The descriptions carry lines and team names, and the order of
outcomes differs from market to market, so neither is looked at.
"""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from quart_odds.bookmakers.bodies import read_object
from quart_odds.bookmakers.fields import Reader, count_or_none, digits_or_none, is_simulated, values
from quart_odds.bookmakers.lookup import Sheet, Variant, compile_table, count_members
from quart_odds.domain.catalogue import line_code
from quart_odds.domain.odds import Competition, EventHeader, ListedCompetition, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import MalformedBodyError, NotFoundError

SPORTYBET = Platform.SPORTYBET
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
EVENT_PATH = "/api/ng/factsCenter/event"

_OK = 10000
_UNKNOWN = 19000
"""What the site says of an id that it does not know; any other refusal is trouble, not an event that is gone."""
_TABLE = compile_table(SPORTYBET)
_SIMULATORS = frozenset({"BETER", "BET_BETER", "SRL", "BET_SRL", "GOLDEN_RACE", "VIRTUAL", "BET_VIRTUAL"})
"""Sources of matches that no people play. Only BETER was seen in a body."""

_REMEMBERED = 20_000


class _Place(NamedTuple):
    """Where a market's prices go: its variant and the code of its line."""

    variant: Variant
    line: int


_places: dict[tuple[str, str | None], _Place | None] = {}
"""What markets and specifiers came to; the same few thousand come with each event."""


def tree_query() -> dict[str, str]:
    """The query of the tree of football competitions that are not in play."""
    return {"sportId": FOOTBALL, "timeline": "", "productId": PRE_MATCH}


def list_body(tournament_id: str) -> list[dict[str, object]]:
    """The request for a tournament's events, with the least markets that can be asked."""
    return [{"sportId": FOOTBALL, "marketId": "1", "tournamentId": [[tournament_id]]}]


def parse_tournaments(plain: bytes) -> tuple[list[ListedCompetition], list[MalformedBodyError]]:
    """The football tournaments, simulated ones left out, and what was wrong with others. Raises BookmakerError."""
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
                    external_id = read.text(tournament, "id", "tournaments")
                    name = read.optional_text(tournament, "name")
                    if not is_simulated(country, name):
                        size = count_or_none(tournament.get("eventSize"))
                        found[external_id] = ListedCompetition(Competition(external_id, name, country), size)
            except MalformedBodyError as error:
                errors.append(error)
    return list(found.values()), errors


def parse_list(plain: bytes, where: str) -> tuple[list[EventHeader], list[MalformedBodyError]]:
    """A tournament's events: those understood, simulated ones left out, and what was wrong with the others."""
    read = Reader(SPORTYBET, where)
    data = _data(read, plain, list | dict | None)
    # pcEvents answers a list of tournaments, the paged list an object that holds one.
    tournaments = data.get("tournaments") if isinstance(data, dict) else data
    headers, errors = [], []
    for tournament in values(tournaments):
        for event in values(read.get(tournament, "events", list, "tournaments")):
            try:
                if not _is_simulated(event):
                    headers.append(_header(event, where))
            except MalformedBodyError as error:
                errors.append(error)
    return headers, errors


def parse_event(plain: bytes, asked: EventHeader) -> MappedEvent:
    """An event and its prices. Raises BookmakerError naming the event and the field."""
    where = f"event {asked.external_id}"
    read = Reader(SPORTYBET, where)
    data = _data(read, plain)
    header = _header(data, where)
    if header.external_id != asked.external_id:
        raise read.wrong("eventId", f"event {header.external_id} where {asked.external_id} was asked for")
    sheet = Sheet()
    for market in read.get(data, "markets", list, "data"):
        _add_market(market, sheet)
    return sheet.event(header)


def _data(read: Reader, plain: bytes, kind: Any = dict) -> Any:
    """What the envelope holds. Raises NotFoundError where the site, with HTTP 200, refuses an event."""
    body = read_object(SPORTYBET, plain, read.where)
    code = read.get(body, "bizCode", int)
    if code != _OK:
        message = read.optional_text(body, "message")[:80]
        is_gone = code == _UNKNOWN and (read.where or "").startswith("event ")
        raise (NotFoundError if is_gone else MalformedBodyError)(
            SPORTYBET, f"answered bizCode {code} {message!r}", where=read.where, field="bizCode"
        )
    data = body.get("data")
    if not isinstance(data, kind):
        raise read.wrong("data", f"a {type(data).__name__}")
    return data


def _header(event: Any, where: str) -> EventHeader:
    read = Reader(SPORTYBET, where)
    external_id = read.text(event, "eventId")
    if not where.startswith("event "):
        read.where = f"event {external_id} in {where}"
    sport = event.get("sport")
    return EventHeader(
        platform=SPORTYBET,
        external_id=external_id,
        sportradar_id=_sportradar_id(event, external_id),
        home_team=read.text(event, "homeTeamName"),
        away_team=read.text(event, "awayTeamName"),
        kickoff=_kickoff(read, read.get(event, "estimateStartTime", int)),
        competition=Competition(
            external_id=read.optional_text(sport, "category", "tournament", "id"),
            name=read.optional_text(sport, "category", "tournament", "name"),
            country=read.optional_text(sport, "category", "name"),
        ),
    )


def _kickoff(read: Reader, milliseconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError) as exc:
        raise read.wrong("estimateStartTime", f"{milliseconds}, which is no time") from exc


def _source(event: Any) -> dict[str, Any]:
    sources = event.get("eventSource") if isinstance(event, dict) else None
    source = sources.get("preMatchSource") if isinstance(sources, dict) else None
    return source if isinstance(source, dict) else {}


def _sportradar_id(event: dict[str, Any], external_id: str) -> str | None:
    """By source, because ids of other sources also come as `sr:match:` and digits."""
    source = _source(event)
    if source:
        return digits_or_none(source.get("sourceId")) if source.get("sourceType") == "BET_RADAR" else None
    found = digits_or_none(external_id.rpartition(":")[2])
    return None if found and found.startswith("11111111") else found


def _is_simulated(event: Any) -> bool:
    read = Reader(SPORTYBET, None)
    sport = event.get("sport") if isinstance(event, dict) else None
    source_type = _source(event).get("sourceType")
    return (isinstance(source_type, str) and source_type in _SIMULATORS) or is_simulated(
        read.optional_text(sport, "category", "name"), read.optional_text(sport, "category", "tournament", "name")
    )


def _add_market(market: Any, sheet: Sheet) -> None:
    """All of a market's outcomes; what is not as it must be is dropped and counted, and costs no other."""
    try:
        market_id, specifier = market["id"], market.get("specifier")
        asked = (market_id, specifier)
        place = _places[asked] if asked in _places else _find(market_id, specifier)
        if place is None:
            known = market_id in _TABLE
            sheet.unmapped(f"{market_id}|{specifier}" if known else str(market_id), market.get("desc"))
            return
        is_open = _whole(market["status"]) == 0
        outcomes = market["outcomes"]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        sheet.drop(count_members(market.get("outcomes") if isinstance(market, dict) else None))
        return
    keys, line = place.variant.keys, place.line
    for outcome in values(outcomes):
        try:
            key = keys[outcome["id"]] + line
            sheet.add(key, outcome["odds"], is_open and _whole(outcome["isActive"]) == 1)
        except (KeyError, TypeError, ValueError):
            sheet.drop()


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is no whole number")
    return value


def _find(market_id: str, specifier: str | None) -> _Place | None:
    """The market and line that an id and a specifier mean; None for one that the catalogue does not know.

    Raises ValueError for a line that is no line.
    """
    variants = _TABLE.get(market_id)
    place = None
    if variants is not None:
        parts = dict(part.partition("=")[::2] for part in (specifier or "").split("|") if part)
        line = parts.pop("total", None) or parts.pop("hcp", None)
        variant = variants.get("|".join(f"{name}={value}" for name, value in sorted(parts.items())))
        if variant is not None and (line is None) == (variant.line_kind == "none"):
            place = _Place(variant, line_code(_line(variant, line)))
    if len(_places) >= _REMEMBERED:
        _places.clear()
    _places[market_id, specifier] = place
    return place


def _line(variant: Variant, text: str | None) -> float | None:
    """The line as the home side's: `1:0` gives the home side a goal."""
    if text is None:
        return None
    if variant.line_kind != "european":
        return float(text)
    home, _, away = text.partition(":")
    return float(int(home) - int(away))
