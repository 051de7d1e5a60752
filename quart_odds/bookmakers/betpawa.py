"""BetPawa's addresses and JSON (v4, and v3's event shape, which recordings still have), turned into domain values.

Differs from the site's own texts on purpose: lines come from a row's `handicap` (four times the line), never from
display names, which are templates; outcomes go by `typeId`.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from quart_odds.bookmakers.bodies import read_object
from quart_odds.bookmakers.fields import Reader, digits_or_none, is_simulated, values
from quart_odds.bookmakers.lookup import Sheet, Variant, compile_table, count_members
from quart_odds.domain.catalogue import CATALOGUE, line_code
from quart_odds.domain.odds import Competition, EventHeader, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import MalformedBodyError

BETPAWA = Platform.BETPAWA
HEADERS = {
    # Without the brand the site answers 400; without this Accept it answers Protocol Buffers.
    "x-pawa-brand": "betpawa-nigeria",
    "accept": "application/json",
    "devicetype": "web",
    "x-pawa-language": "en",
}
PAGE_SIZE = 100
"""The site refuses to list more at once."""

FOOTBALL = "2"
CATEGORIES_PATH = f"/api/sportsbook/v4/categories/list/{FOOTBALL}"
LIST_PATH = "/api/sportsbook/v4/events/lists/by-queries"
EVENT_PATH = "/api/sportsbook/v4/events/"

_TABLE = compile_table(BETPAWA)
_PROMOTIONS = {"ONE_UP": "oneUp", "TWO_UP": "twoUp"}
_PROMOTED_IDS = frozenset(
    wire.market_id
    for market, wire in CATALOGUE.wires(BETPAWA)
    if market.slug.endswith(("_1up_ft", "_2up_ft")) and not wire.specifier
)
"""Markets that are promotions by their id: there the mark on a price says nothing new."""

_NO_VARIANTS: Mapping[str, Variant] = {}


def list_query(competition_ids: list[str], skip: int) -> str:
    """The `q` that asks for a page of these competitions' coming events, with the least markets that can be asked."""
    zones = {"competitions": competition_ids}
    query = {"eventType": "UPCOMING", "categories": [FOOTBALL], "zones": zones, "hasOdds": True}
    page = {"query": query, "view": {"marketTypes": ["3743"]}, "skip": skip, "take": PAGE_SIZE}
    return orjson.dumps({"queries": [page]}).decode()


def parse_competitions(plain: bytes) -> tuple[list[str], list[MalformedBodyError]]:
    """Ids of the football competitions, simulated ones left out, and what was wrong with others.

    Raises BookmakerError where there is no list of them.
    """
    read = Reader(BETPAWA, "the list of competitions")
    body = read_object(BETPAWA, plain, read.where)
    found: dict[str, None] = {}
    errors: list[MalformedBodyError] = []
    for with_regions in read.get(body, "withRegions", list):
        for region in values(with_regions.get("regions") if isinstance(with_regions, dict) else None):
            country = read.optional_text(region, "region", "name")
            for entry in values(region.get("competitions") if isinstance(region, dict) else None):
                competition = entry.get("competition") if isinstance(entry, dict) else None
                try:
                    if not is_simulated(country, read.optional_text(competition, "name")):
                        found[read.text(competition, "id", "competition")] = None
                except MalformedBodyError as error:
                    errors.append(error)
    return list(found), errors


def parse_list(plain: bytes, where: str) -> tuple[list[EventHeader], list[MalformedBodyError], int]:
    """A page of events: those understood, what was wrong with the others, and how many the page had."""
    read = Reader(BETPAWA, where)
    body = read_object(BETPAWA, plain, where)
    events = [
        event
        for answer in read.get(body, "responses", list)
        for event in values(read.get(answer, "responses", list, "responses"))
    ]
    headers, errors = [], []
    for event in events:
        try:
            header = _header(event, where)
        except MalformedBodyError as error:
            errors.append(error)
        else:
            if not is_simulated(header.competition.name, header.competition.country):
                headers.append(header)
    return headers, errors, len(events)


def parse_event(plain: bytes, asked: EventHeader) -> MappedEvent:
    """An event and its prices. Raises BookmakerError naming the event and the field."""
    where = f"event {asked.external_id}"
    read = Reader(BETPAWA, where)
    body = read_object(BETPAWA, plain, where)
    header = _header(body, where)
    if header.external_id != asked.external_id:
        raise read.wrong("id", f"event {header.external_id} where {asked.external_id} was asked for")
    sheet = Sheet()
    for market in read.get(body, "markets", list):
        _add_market(market, sheet)
    return sheet.event(header)


def _header(event: Any, where: str) -> EventHeader:
    read = Reader(BETPAWA, where)
    external_id = read.text(event, "id")
    if not where.startswith("event "):
        read.where = f"event {external_id} in {where}"
    teams = {
        participant.get("position"): read.text(participant, "name", "participants")
        for participant in read.get(event, "participants", list)
        if isinstance(participant, dict) and type(participant.get("position")) is int
    }
    if 1 not in teams or 2 not in teams:
        raise read.wrong("participants", "no home and away team")
    return EventHeader(
        platform=BETPAWA,
        external_id=external_id,
        sportradar_id=_sportradar_id(event),
        home_team=teams[1],
        away_team=teams[2],
        kickoff=read.moment(read.text(event, "startTime"), "startTime"),
        competition=Competition(
            external_id=read.optional_text(event, "competition", "id"),
            name=read.optional_text(event, "competition", "name"),
            country=read.optional_text(event, "region", "name"),
        ),
    )


def _sportradar_id(event: dict[str, Any]) -> str | None:
    for widget in values(event.get("widgets")):
        if (
            isinstance(widget, dict)
            and widget.get("type") == "SPORTRADAR"
            and (found := digits_or_none(widget.get("id")))
        ):
            return found
    return None


def _add_market(market: Any, sheet: Sheet) -> None:
    """All of a market's rows; one that is not as it must be is dropped and counted, and costs no other."""
    try:
        market_type = market["marketType"]
        market_id, name = market_type["id"], market_type.get("displayName")
        variants = _TABLE.get(market_id)
        if variants is None:
            sheet.unmapped(str(market_id), name)
            return
        promotion = _promotion(market.get("additionalInfo"))
        rows = market["row"]
    except (AttributeError, KeyError, TypeError):
        sheet.drop()
        return
    for row in values(rows):
        try:
            number = row.get("handicap")
            variant = variants.get(promotion) or variants.get(_ordinal(number))
            if variant is None:
                sheet.unmapped(f"{market_id}|{promotion or _ordinal(number)}", name)
                continue
            line = 0 if variant.line_kind == "none" else line_code(number / 4)
            prices = row["prices"]
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            sheet.drop(count_members(row.get("prices") if isinstance(row, dict) else None))
            continue
        promoted = variants if market_id not in _PROMOTED_IDS else _NO_VARIANTS
        for price in values(prices):
            _add_price(price, variant.keys, promoted, line, sheet)


def _add_price(price: Any, keys: Mapping[str, int], promoted: Mapping[str, Variant], line: int, sheet: Sheet) -> None:
    try:
        about = price.get("additionalInfo")
        promotion = _PROMOTIONS.get(about.get("anyUp")) if about else None
        if promotion and promoted:
            # A price that pays early is another market's, wherever it stands.
            keys = promoted[promotion].keys
        odds = price["odds"] if "odds" in price else price["price"]
        is_open = not price.get("suspended")
        sheet.add(keys[price["typeId"]] + line, odds, is_open)
    except (AttributeError, KeyError, TypeError, ValueError):
        sheet.drop()


def _promotion(about: Any) -> str:
    """The promotion that makes a market another one than its id says, empty for none."""
    if not about:
        return ""
    return "boosted" if about.get("boosted") else "twoUp" if about.get("twoUp") else ""


def _ordinal(quarters: Any) -> str:
    """The number that a row carries where it is no line but a count, such as the first goal."""
    return str(quarters // 4) if isinstance(quarters, int) and quarters % 4 == 0 else ""
