"""BetPawa: request paths and queries, and parsing of its JSON into domain values.

The API is v4; recordings may still contain events of v3. Deliberately ignores display names, which are templates: lines
come from a row's `handicap` (four times the line) and outcomes are identified by `typeId`.
"""

import re
from collections.abc import Collection, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import orjson

from quart_odds.bookmakers.bodies import read_object
from quart_odds.bookmakers.column import column_of
from quart_odds.bookmakers.entries import entries, entry_id
from quart_odds.bookmakers.fields import Reader, genius_id, is_person, is_simulated, sportradar_id, values
from quart_odds.bookmakers.identity import IdentityFields, refuse_another
from quart_odds.bookmakers.lookup import MAX_REMEMBERED_TEXT, Accumulator, compile_table, count_members, listed_event
from quart_odds.bookmakers.site import EventPage, Listing, Listings, Page, Request, WholeList
from quart_odds.domain.bookmakers import Bookmaker, Concurrency
from quart_odds.domain.catalogue import line_code, promoted_key
from quart_odds.domain.odds import Competition, EventHeader, ListedEvent, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import KNOWN, ONE_UP, TWO_UP, word_of
from quart_odds.errors import BookmakerError, IncompleteListError, MalformedBodyError

BOOKMAKER = Bookmaker(
    slug="betpawa",
    name="BetPawa",
    letters="BP",
    light="#2b7a3d",
    dark="#6cc081",
    url="https://www.betpawa.ng",
    catalogue=Path(__file__).with_suffix(".toml"),
    concurrency=Concurrency(50, 100),
    order=10,
    probability_rank=2,
)
BETPAWA = Platform.of(BOOKMAKER.slug)
HEADERS = {
    # Without the brand the site answers 400; without this Accept header it sends Protocol Buffers.
    "x-pawa-brand": "betpawa-nigeria",
    "accept": "application/json",
    "devicetype": "web",
    "x-pawa-language": "en",
}
PAGE_SIZE = 100
"""The site rejects requests for longer pages."""

FOOTBALL = "2"
MAIN_MARKETS = ("3743", "4693", "5000", "3795")
"""What lists are asked for: 1X2, double chance, over/under, both teams to score."""

CATEGORIES_PATH = f"/api/sportsbook/v4/categories/list/{FOOTBALL}"
LIST_PATH = "/api/sportsbook/v4/events/lists/by-queries"
EVENT_PATH = "/api/sportsbook/v4/events/"

_COMPETITIONS_AT_ONCE = 10
"""BetPawa competitions per request. Needs a tenth of the requests, and few of them have a second page."""

_OVERLAP = 5
"""Events of a page that the next page repeats. If they differ, the list shifted and an event may have been missed."""

_FIELDS = IdentityFields(external_id="id", sportradar_id="widgets", teams="participants", kickoff="startTime")
_TABLE = compile_table(column_of(BOOKMAKER.catalogue))
_PERKS = (KNOWN[ONE_UP], KNOWN[TWO_UP])
_PROMOTED_IDS = {
    mapping.market_id: KNOWN[ONE_UP] if "_1up_" in mapping.market.slug else KNOWN[TWO_UP]
    for mapping in column_of(BOOKMAKER.catalogue)
    if "_1up_" in mapping.market.slug or "_2up_" in mapping.market.slug
}
"""Markets that are promotions in themselves. A mark for the same promotion adds nothing to them."""

_PROMOTION = re.compile(r"(?:[a-z0-9]Up|_up|_?UP)$|(?i:boost|enhanc|promo|pay_?out)")
"""Names of marks that can only mean a promotion. Others, such as `hot` and `cashoutable`, do not affect the price."""

_NOTHING_SAID = ({"hot": False, "twoUp": False, "anyUp": "NO_UP"}, {"anyUp": "NO_UP"})
"""The `additionalInfo` of nearly all prices in v3 and v4. Compared as a whole, because every price is checked."""

_MANY_PLAYERS = 6
_NO_PROMOTION = frozenset({"", "no_up", "none", "no", "false"})


def list_query(competition_ids: list[str], skip: int) -> str:
    """Build the `q` for a page of these competitions' upcoming events with their main markets."""
    zones = {"competitions": competition_ids}
    query = {"eventType": "UPCOMING", "categories": [FOOTBALL], "zones": zones, "hasOdds": True}
    page = {"query": query, "view": {"marketTypes": list(MAIN_MARKETS)}, "skip": skip, "take": PAGE_SIZE}
    return orjson.dumps({"queries": [page]}).decode()


def parse_competitions(plain: bytes) -> tuple[list[str], list[MalformedBodyError]]:
    """Parse the ids of the football competitions. Returns them and the errors.

    Simulated competitions are left out. Raises BookmakerError if the body has no list of competitions.
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


def parse_listed(
    body: dict[str, Any], where: str, list_name: str
) -> tuple[list[ListedEvent], list[MalformedBodyError], int]:
    """Parse a page of events with the prices in it. Returns the valid ones, all errors, and the size of the page.

    Events in play are marked, without their prices, which are not pre-match prices. Raises BookmakerError if the page
    has no list.
    """
    read = Reader(BETPAWA, where)
    events = [
        event
        for answer in read.get(body, "responses", list)
        # A response without events omits its list.
        for event in (read.get(answer, "responses", list, "responses") if answer != {} else ())
    ]
    listed: list[ListedEvent] = []
    errors: list[MalformedBodyError] = []
    for event in events:
        try:
            header = _header(event, where)
        except MalformedBodyError as error:
            errors.append(error)
        else:
            if is_simulated(header.competition.name, header.competition.country):
                continue
            if _is_in_play(event):
                listed.append(ListedEvent(header, None, list_name, is_in_play=True))
            else:
                read = Reader(BETPAWA, f"event {header.external_id} in {where}")
                listed.append(listed_event(header, list_name, partial(_collect, read, event), errors))
    return listed, errors, len(events)


def read_header(plain: bytes, where: str) -> EventHeader | None:
    """Parse the header of an event's body. Returns None for a list or another body.

    Raises BookmakerError naming the field.
    """
    body = read_object(BETPAWA, plain, where)
    return _header(body, f"event of {where}") if "id" in body or "participants" in body else None


def parse_event(plain: bytes, asked: EventHeader) -> MappedEvent:
    """Parse an event and its prices. Raises BookmakerError naming the event and the field."""
    where = f"event {asked.external_id}"
    read = Reader(BETPAWA, where)
    body = read_object(BETPAWA, plain, where)
    header = _header(body, where)
    refuse_another(read, header, asked, _FIELDS)
    return _collect(read, body).event(header, is_in_play=_is_in_play(body))


def _collect(read: Reader, event: dict[str, Any]) -> Accumulator:
    """Collect the prices of an event, from its own body or from a list."""
    accumulator = Accumulator()
    # v4 omits empty fields.
    for market in read.get(event, "markets", list) if "markets" in event else ():
        _add_market(market, accumulator)
    return accumulator


def _is_in_play(event: dict[str, Any]) -> bool:
    """Return whether the match has started: the site says so, or already has results."""
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
        raise read.wrong("participants", "no home or away team")
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
    """Add the rows of a market. An invalid row is dropped and counted; the others are kept."""
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
    """Add a price, under its promotion if the market or the price is marked.

    `own` is the promotion that the market's id implies.
    """
    try:
        key = keys[price["typeId"]] + line
        about = price.get("additionalInfo")
        word = _promotion(mark, about) if mark or (about and about not in _NOTHING_SAID) else ""
        if word and word != own:
            key = promoted_key(key, accumulator.promotion(word))
        odds = price["odds"] if "odds" in price else price["price"]
        is_open = not price.get("suspended")
        accumulator.add(key, odds, is_open)
        chance = price.get("probability")
        # v3 has a text instead, which cannot be read.
        if type(chance) is dict:
            accumulator.chance(key, chance.get("win"), chance.get("refund", 0.0))
    except (AttributeError, KeyError, TypeError, ValueError):
        accumulator.drop()


def _promotion(market_mark: str, about: Any) -> str:
    """Return the promotion of a price, based on its own marks and its market's. Empty for a plain price."""
    mark, is_denied = _marks(about) if about else ("", False)
    if not mark and is_denied and market_mark in _PERKS:
        # The market has the perk, but this price is exempt.
        return ""
    return _stronger(market_mark, mark)


def _marks(about: Any) -> tuple[str, bool]:
    """Return the marked promotion and whether a perk is denied. A mark that is not understood never counts as plain."""
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
    """Turn a mark into a promotion word: its value if that is text, its name if the value is true."""
    if value is True:
        return word_of(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name))
    if not isinstance(value, str):
        return "other"
    word = word_of(value) if value.strip() else ""
    return "" if word in _NO_PROMOTION else word


def _stronger(one: str, other: str) -> str:
    """Return the mark that changes the price more. A perk is weaker, because the price stays comparable."""
    if not one or not other:
        return one or other
    return other if one in _PERKS else one


def _add_unknown(market: Any, market_id: str, name: object, accumulator: Accumulator) -> None:
    """Add a market that the catalogue does not know."""
    prices = [price for row in values(market.get("row")) for price in _prices(row)]
    accumulator.unmapped(market_id, name, len(prices), are_players=_are_players(market["marketType"], prices))


def _are_players(market_type: dict[str, Any], prices: list[Any]) -> bool:
    """Return whether most outcomes are players: they have a team, or a market of many has names of persons."""
    tabs = market_type.get("tabs")
    is_players_tab = isinstance(tabs, list) and "players" in tabs
    players = sum(1 for price in prices if isinstance(price, dict) and _is_player(price))
    return 2 * players > len(prices) and (is_players_tab or players >= _MANY_PLAYERS)


def _is_player(price: dict[str, Any]) -> bool:
    return price.get("team") in (1, 2) or is_person(price.get("name"))


def _prices(row: Any) -> list[Any]:
    return list(values(row.get("prices") if isinstance(row, dict) else None))


def _count(market: Any) -> int:
    """Count the prices of a market that was dropped as a whole, at least one."""
    rows = market.get("row") if isinstance(market, dict) else None
    return max(1, sum(len(_prices(row)) for row in values(rows)))


def _ordinal(quarters: Any) -> str:
    """Return the number in a row's `handicap` if it is an ordinal, such as the first goal, rather than a line."""
    return str(quarters // 4) if isinstance(quarters, int) and quarters % 4 == 0 else ""


class BetPawaSite:
    """BetPawa: several competitions per list, with pages of 100 events."""

    platform = BETPAWA
    headers: Mapping[str, str] = HEADERS
    hosts: Collection[str] = ("www.betpawa.ng", "betpawa.ng")
    whole_list: WholeList | None = None
    event_page: EventPage | None = EventPage("https://www.betpawa.ng/event/")
    parse_event = staticmethod(parse_event)
    read_header = staticmethod(read_header)

    def root(self) -> Request:
        """See Site."""
        return Request(CATEGORIES_PATH, "the list of competitions")

    def listings(self, plain: bytes) -> Listings:
        """See Site. Each list covers ten competitions."""
        ids, errors = parse_competitions(plain)
        starts = range(0, len(ids), _COMPETITIONS_AT_ONCE)
        return [self._page(tuple(ids[start : start + _COMPETITIONS_AT_ONCE]), 0) for start in starts], errors

    def read_listing(self, plain: bytes, listing: Listing) -> Page:
        """See Site. A short page is the last one, because the site sends no total."""
        body = read_object(self.platform, plain, listing.request.where)
        events, malformed, size = parse_listed(body, listing.request.where, listing.list_name)
        errors: list[BookmakerError] = [*malformed]
        listed = [entry_id(event, "id") for event in entries(body.get("responses"), "responses")]
        if listing.before and listed[:_OVERLAP] != list(listing.before[-_OVERLAP:]):
            reason = "the list moved while it was read, so that events may be missing"
            errors.append(IncompleteListError(self.platform, reason, where=listing.name))
        is_new = not set(listed) <= set(listing.before)
        if size < PAGE_SIZE or not is_new:
            return Page(events, errors)
        skip = listing.skip + PAGE_SIZE - _OVERLAP
        return Page(events, errors, self._page(listing.competition_ids, skip, tuple(listed)))

    def event(self, header: EventHeader) -> Request:
        """See Site."""
        return Request(EVENT_PATH + header.external_id, f"event {header.external_id}", kind="event")

    def _page(self, ids: tuple[str, ...], skip: int, before: tuple[str, ...] = ()) -> Listing:
        name = f"competitions {', '.join(ids)}"
        where = name + (f" from {skip}" if skip else "")
        query = {"q": list_query(list(ids), skip)}
        return Listing(Request(LIST_PATH, where, query), ids, name, name, skip, before=before)


SITE = BetPawaSite()
