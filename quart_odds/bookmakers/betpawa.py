"""BetPawa's addresses and JSON (v4, and v3's event shape, which recordings still have), turned into domain values.

Differs from the site's own texts on purpose: lines come from a row's `handicap` (four times the line), never from
display names, which are templates; outcomes go by `typeId`.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from quart_odds.bookmakers.bodies import read_object
from quart_odds.bookmakers.fields import Reader, genius_id, is_person, is_simulated, sportradar_id, values
from quart_odds.bookmakers.identity import IdentityFields, refuse_another
from quart_odds.bookmakers.lookup import MAX_REMEMBERED_TEXT, Accumulator, compile_table, count_members
from quart_odds.domain.catalogue import CATALOGUE, line_code, promoted_key
from quart_odds.domain.odds import Competition, EventHeader, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import KNOWN, ONE_UP, TWO_UP, word_of
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

_FIELDS = IdentityFields(external_id="id", sportradar_id="widgets", teams="participants", kickoff="startTime")
_TABLE = compile_table(BETPAWA)
_PERKS = (KNOWN[ONE_UP], KNOWN[TWO_UP])
_PROMOTED_IDS = {
    mapping.market_id: KNOWN[ONE_UP] if "_1up_" in market.slug else KNOWN[TWO_UP]
    for market, mapping in CATALOGUE.mappings(BETPAWA)
    if "_1up_" in market.slug or "_2up_" in market.slug
}
"""Markets that are promotions by their id: there the mark of that promotion says nothing new."""

_PROMOTION = re.compile(r"(?:[a-z0-9]Up|_up|_?UP)$|(?i:boost|enhanc|promo|pay_?out)")
"""Names of marks that can only mean a promotion. Others, such as `hot` and `cashoutable`, change no price."""

_NOTHING_SAID = ({"hot": False, "twoUp": False, "anyUp": "NO_UP"}, {"anyUp": "NO_UP"})
"""What nearly all prices say of themselves, in v3 and in v4: compared whole, because it is looked at for each price."""

_MANY_PLAYERS = 6
_NO_PROMOTION = frozenset({"", "no_up", "none", "no", "false"})


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
                        found[read.ident(competition, "id", "competition")] = None
                except MalformedBodyError as error:
                    errors.append(error)
    return list(found), errors


def parse_list(plain: bytes, where: str) -> tuple[list[EventHeader], list[MalformedBodyError], int]:
    """A page of events: those understood, what was wrong with the others, and how many the page had.

    Events in play are left out: their prices are no pre-match prices.
    """
    read = Reader(BETPAWA, where)
    body = read_object(BETPAWA, plain, where)
    events = [
        event
        for answer in read.get(body, "responses", list)
        # An answer of no events leaves its list out.
        for event in (read.get(answer, "responses", list, "responses") if answer != {} else ())
    ]
    headers, errors = [], []
    for event in events:
        try:
            header = _header(event, where)
        except MalformedBodyError as error:
            errors.append(error)
        else:
            if _is_in_play(event):
                continue
            if not is_simulated(header.competition.name, header.competition.country):
                headers.append(header)
    return headers, errors, len(events)


def read_header(plain: bytes, where: str) -> EventHeader | None:
    """What an event's body says of itself, None for a list or another body. Raises BookmakerError naming the field."""
    body = read_object(BETPAWA, plain, where)
    return _header(body, f"event of {where}") if "id" in body or "participants" in body else None


def parse_event(plain: bytes, asked: EventHeader) -> MappedEvent:
    """An event and its prices. Raises BookmakerError naming the event and the field."""
    where = f"event {asked.external_id}"
    read = Reader(BETPAWA, where)
    body = read_object(BETPAWA, plain, where)
    header = _header(body, where)
    refuse_another(read, header, asked, _FIELDS)
    accumulator = Accumulator()
    # v4 leaves out what is empty.
    for market in read.get(body, "markets", list) if "markets" in body else ():
        _add_market(market, accumulator)
    return accumulator.event(header, is_in_play=_is_in_play(body))


def _is_in_play(event: dict[str, Any]) -> bool:
    """Whether the match has begun: the site says so, or has results of it."""
    about = event.get("additionalInfo")
    is_live = about.get("live") if isinstance(about, dict) else None
    return bool(is_live) or bool(event.get("results"))


def _header(event: Any, where: str) -> EventHeader:
    read = Reader(BETPAWA, where)
    external_id = read.ident(event, "id")
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
        sportradar_id=_widget_id(event, "SPORTRADAR"),
        genius_id=_widget_id(event, "GENIUSSPORTS"),
        home_team=teams[1],
        away_team=teams[2],
        kickoff=read.moment(read.text(event, "startTime"), "startTime"),
        competition=Competition(
            external_id=read.optional_text(event, "competition", "id"),
            name=read.optional_text(event, "competition", "name"),
            country=read.optional_text(event, "region", "name"),
        ),
    )


def _widget_id(event: dict[str, Any], kind: str) -> str | None:
    read_id = sportradar_id if kind == "SPORTRADAR" else genius_id
    for widget in values(event.get("widgets")):
        if isinstance(widget, dict) and widget.get("type") == kind and (found := read_id(widget.get("id"))):
            return found
    return None


def _add_market(market: Any, accumulator: Accumulator) -> None:
    """All of a market's rows; one that is not as it must be is dropped and counted, and costs no other."""
    try:
        market_type = market["marketType"]
        market_id, name = market_type["id"], market_type.get("displayName")
        variants = _TABLE.get(market_id)
        if variants is None:
            _add_unknown(market, str(market_id), name, accumulator)
            return
        about = market.get("additionalInfo")
        rows = market["row"]
    except (AttributeError, KeyError, TypeError):
        accumulator.drop(_count(market))
        return
    mark = _marks(about)[0] if about else ""
    own = _PROMOTED_IDS.get(market_id, "")
    for row in values(rows):
        try:
            number = row.get("handicap")
            variant = variants.get("") or variants.get(_ordinal(number))
            if variant is None:
                accumulator.unmapped(f"{market_id}|{_ordinal(number)}", name, count_members(row["prices"]))
                continue
            line = 0 if variant.line_kind == "none" else line_code(number / 4)
            prices = row["prices"]
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            accumulator.drop(count_members(row.get("prices") if isinstance(row, dict) else None))
            continue
        for price in values(prices):
            _add_price(price, variant.keys, line, mark, own, accumulator)


def _add_price(price: Any, keys: Mapping[str, int], line: int, mark: str, own: str, accumulator: Accumulator) -> None:
    """A price, under its promotion where the market or the price is marked; `own` is what the market is by its id."""
    try:
        key = keys[price["typeId"]] + line
        about = price.get("additionalInfo")
        word = _promotion(mark, about) if mark or (about and about not in _NOTHING_SAID) else ""
        if word and word != own:
            key = promoted_key(key, accumulator.promotion(word))
        odds = price["odds"] if "odds" in price else price["price"]
        is_open = not price.get("suspended")
        accumulator.add(key, odds, is_open)
    except (AttributeError, KeyError, TypeError, ValueError):
        accumulator.drop()


def _promotion(market_mark: str, about: Any) -> str:
    """The promotion of a price, from its market's mark and what is said about itself. Empty for a plain price."""
    mark, is_denied = _marks(about) if about else ("", False)
    if not mark and is_denied and market_mark in _PERKS:
        # The market has the perk, this one of its prices does not.
        return ""
    return _stronger(market_mark, mark)


def _marks(about: Any) -> tuple[str, bool]:
    """The promotion that is marked, and whether a perk is denied. What is not understood is never taken for plain."""
    if not isinstance(about, dict):
        return "other", False
    word, is_denied = "", False
    for name, value in about.items():
        if value is False or value is None:
            continue
        if value == "NO_UP":
            is_denied = True
        elif len(name) > MAX_REMEMBERED_TEXT or _is_promotion(name):
            word = _stronger(word, _word(name, value))
    return word, is_denied


@lru_cache(maxsize=1000)
def _is_promotion(name: str) -> bool:
    return _PROMOTION.search(name) is not None


def _word(name: str, value: object) -> str:
    """A mark as a word: its value where that is a text, its name where it is true."""
    if value is True:
        return word_of(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name))
    if not isinstance(value, str):
        return "other"
    word = word_of(value) if value.strip() else ""
    return "" if word in _NO_PROMOTION else word


def _stronger(one: str, other: str) -> str:
    """Of two marks the one that changes the price more: a perk is the weaker, because it leaves a price comparable."""
    if not one or not other:
        return one or other
    return other if one in _PERKS else one


def _add_unknown(market: Any, market_id: str, name: object, accumulator: Accumulator) -> None:
    """A market that the catalogue does not know."""
    prices = [price for row in values(market.get("row")) for price in _prices(row)]
    accumulator.unmapped(market_id, name, len(prices), are_players=_are_players(market["marketType"], prices))


def _are_players(market_type: dict[str, Any], prices: list[Any]) -> bool:
    """Whether most outcomes are players: they name their team, or have a person's name where many of them stand."""
    tabs = market_type.get("tabs")
    is_players_tab = isinstance(tabs, list) and "players" in tabs
    players = sum(1 for price in prices if isinstance(price, dict) and _is_player(price))
    return 2 * players > len(prices) and (is_players_tab or players >= _MANY_PLAYERS)


def _is_player(price: dict[str, Any]) -> bool:
    return price.get("team") in (1, 2) or is_person(price.get("name"))


def _prices(row: Any) -> list[Any]:
    return list(values(row.get("prices") if isinstance(row, dict) else None))


def _count(market: Any) -> int:
    """How many prices a market holds that was dropped whole, at least one."""
    rows = market.get("row") if isinstance(market, dict) else None
    return max(1, sum(len(_prices(row)) for row in values(rows)))


def _ordinal(quarters: Any) -> str:
    """The number that a row carries where it is no line but a count, such as the first goal."""
    return str(quarters // 4) if isinstance(quarters, int) and quarters % 4 == 0 else ""
