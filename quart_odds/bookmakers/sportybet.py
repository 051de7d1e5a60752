"""SportyBet: request paths and queries, and parsing of its JSON into domain values.

Outcomes are identified by market id, specifier and outcome id. Descriptions are ignored because they contain lines and
team names, positions because they differ between markets. Promotions are markets with their own ids:
`earlyPayoutMarkets` and `marketExtendVOS` only refer to them. `oddsBoostLfb` marks prices on which a customer may use a
boost. In recorded bodies such prices are lower than their neighbours, so they are not boosted prices.
"""

from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from quart_odds.bookmakers.bodies import read_object
from quart_odds.bookmakers.fields import Reader, count_or_none, genius_id, is_simulated, sportradar_id, values
from quart_odds.bookmakers.identity import IdentityFields, refuse_another
from quart_odds.bookmakers.lookup import (
    MAX_REMEMBERED_TEXT,
    Accumulator,
    Variant,
    compile_table,
    count_members,
    listed_event,
)
from quart_odds.bookmakers.site import EventPage
from quart_odds.domain.catalogue import line_code, offer_code
from quart_odds.domain.odds import Competition, EventHeader, ListedCompetition, ListedEvent, MappedEvent
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
UPCOMING_PATH = "/api/ng/factsCenter/pcUpcomingEvents"
EVENT_PATH = "/api/ng/factsCenter/event"
EVENT_PAGE: EventPage | None = None
"""The site's addresses of events have the names of country, tournament and teams in the site's own spelling."""

MAIN_MARKETS = "1,10,18,29"
"""What lists are asked for: 1X2, double chance, over/under, both teams to score."""

UPCOMING_PAGE_SIZE = 100
"""What pages of all upcoming events are asked for. They may have fewer: 40 to 100 have been seen."""

_WHOLE_LIST = "2"
"""The `option` of the list of all upcoming events. With 1 the site leaves out all but ten events of a tournament."""

_OK = 10000
_UNKNOWN = 19000
"""The site's code for an unknown id. Any other error code is a failure and does not mean that the event is gone."""
_FIELDS = IdentityFields("eventId", "eventSource", "homeTeamName", "estimateStartTime")
_LIVE_PRODUCT = 1
_GENIUS, _RADAR = "BET_GENIUS", "BET_RADAR"
_TABLE = compile_table(SPORTYBET)
_SIMULATORS = frozenset({"BETER", "BET_BETER", "SRL", "BET_SRL", "GOLDEN_RACE", "VIRTUAL", "BET_VIRTUAL"})
"""Sources of simulated matches. Only BETER has been seen in a body."""

_PLAYER = "sr:player:"
_REMEMBERED = 20_000


class _Place(NamedTuple):
    """Where a market's prices belong: its variant, the code of its line, and the codes of market and line."""

    variant: Variant
    line: int
    offers: tuple[int, ...]


_places: dict[tuple[str, str | None], _Place | None] = {}
"""Cached results of `_find`. The same few thousand markets and specifiers recur in all events."""


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


def parse_list(plain: bytes, where: str, list_name: str = "") -> tuple[list[ListedEvent], list[MalformedBodyError]]:
    """Parse a list of events, see `parse_listed`. Raises BookmakerError if the body is not JSON, too."""
    return parse_listed(read_object(SPORTYBET, plain, where), where, list_name)


def parse_listed(
    body: dict[str, Any], where: str, list_name: str
) -> tuple[list[ListedEvent], list[MalformedBodyError]]:
    """Parse a list of events with the prices in it. Returns the valid ones and all errors.

    Simulated events are left out, and events in play are marked, without their prices. Raises BookmakerError if the
    body has no list.
    """
    read = Reader(SPORTYBET, where)
    data = _content(read, body, list | dict)
    # pcEvents returns a list of tournaments, the paged endpoint an object that contains one.
    tournaments = data if isinstance(data, list) else read.get(data, "tournaments", list, "data")
    listed: list[ListedEvent] = []
    errors: list[MalformedBodyError] = []
    for tournament in tournaments:
        for event in read.get(tournament, "events", list, "tournaments"):
            try:
                if not _is_simulated(event):
                    header = _header(event, where)
                    if _is_in_play(event):
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
    return _collect(markets).event(header, is_in_play=_are_live(markets) or _is_in_play(data))


def _collect(markets: list[Any]) -> Accumulator:
    """Collect the prices of an event's markets, from its own body or from a list."""
    accumulator = Accumulator()
    for market in markets:
        _add_market(market, accumulator)
    return accumulator


def _collect_listed(read: Reader, event: dict[str, Any]) -> Accumulator:
    """Collect the prices of an entry of a list. Prices in play are not taken: the event's own body shows its state."""
    markets = read.get(event, "markets", list) if event.get("markets") is not None else []
    return _collect([] if _are_live(markets) else markets)


def _are_live(markets: list[Any]) -> bool:
    return any(isinstance(market, dict) and market.get("product") == _LIVE_PRODUCT for market in markets)


def _is_in_play(event: dict[str, Any]) -> bool:
    """Return whether the match has started or is over. Status 0 means upcoming; a missing status says nothing."""
    return event.get("status") not in (0, None)


def _data(read: Reader, plain: bytes, kind: Any = dict) -> Any:
    """Return the content of the envelope, see `_content`."""
    return _content(read, read_object(SPORTYBET, plain, read.where), kind)


def _content(read: Reader, body: dict[str, Any], kind: Any) -> Any:
    """Return the content of the envelope.

    Raises NotFoundError if the site, with HTTP status 200, does not know the requested event.
    """
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
        raise read.wrong("estimateStartTime", f"an invalid time, {milliseconds},") from exc


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


def _add_market(market: Any, accumulator: Accumulator) -> None:
    """Add the outcomes of a market. An invalid outcome is dropped and counted; the others are kept."""
    try:
        market_id, specifier = market["id"], market.get("specifier")
        asked = (market_id, specifier)
        place = _places[asked] if asked in _places else _find(market_id, specifier)
        if place is None:
            _add_unknown(market, f"{market_id}|{specifier}" if market_id in _TABLE else str(market_id), accumulator)
            return
        is_open = _whole(market["status"]) == 0
        outcomes = market["outcomes"]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        accumulator.drop(count_members(market.get("outcomes") if isinstance(market, dict) else None))
        return
    keys, line = place.variant.keys, place.line
    before = len(accumulator.pairs)
    for outcome in values(outcomes):
        try:
            key = keys[outcome["id"]] + line
            accumulator.add(key, outcome["odds"], is_open and _whole(outcome["isActive"]) == 1)
            if "probability" in outcome:
                accumulator.chance(key, outcome["probability"], outcome.get("voidProbability", 0.0))
        except (KeyError, TypeError, ValueError):
            accumulator.drop()
    if len(accumulator.pairs) > before:
        accumulator.changed(place.offers, market.get("lastOddsChangeTime"))


def _add_unknown(market: dict[str, Any], market_id: str, accumulator: Accumulator) -> None:
    """Add a market that the catalogue does not know. It is a players' market if most of its outcomes are players."""
    outcomes = list(values(market.get("outcomes")))
    players = sum(1 for outcome in outcomes if isinstance(outcome, dict) and _is_player(outcome))
    accumulator.unmapped(market_id, market.get("desc"), len(outcomes), are_players=2 * players > len(outcomes))


def _is_player(outcome: dict[str, Any]) -> bool:
    return _PLAYER in str(outcome.get("id")) or bool(outcome.get("playerName"))


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _find(market_id: str, specifier: str | None) -> _Place | None:
    """Look up the market and line for an id and a specifier. Returns None if the catalogue does not know them.

    Raises ValueError for an invalid line.
    """
    variants = _TABLE.get(market_id)
    place = None
    if variants is not None:
        parts = dict(part.partition("=")[::2] for part in (specifier or "").split("|") if part)
        line = parts.pop("total", None) or parts.pop("hcp", None)
        variant = variants.get("|".join(f"{name}={value}" for name, value in sorted(parts.items())))
        if variant is not None and (line is None) == (variant.line_kind == "none"):
            code = line_code(_line(variant, line))
            offers = {offer_code(key + code) for key in variant.keys.values()}
            place = _Place(variant, code, tuple(sorted(offers)))
    if len(str(market_id)) + len(str(specifier)) <= MAX_REMEMBERED_TEXT:
        if len(_places) >= _REMEMBERED:
            _places.clear()
        _places[market_id, specifier] = place
    return place


def _line(variant: Variant, text: str | None) -> float | None:
    """Return the line from the home side's perspective: `1:0` gives the home side one goal."""
    if text is None:
        return None
    if variant.line_kind != "european":
        return float(text)
    home, _, away = text.partition(":")
    return float(int(home) - int(away))
