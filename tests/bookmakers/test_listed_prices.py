"""Prices in lists: the same as in the event's own body, and harmless if they cannot be read."""

from collections.abc import Callable
from typing import Any

import pytest

from quart_odds.bookmakers import RawBody, betking, decode, lists, msport
from quart_odds.bookmakers.lists import RawList, read_page
from quart_odds.bookmakers.registry import site_of
from quart_odds.domain.catalogue import CATALOGUE, offer_code, pack_key
from quart_odds.domain.odds import ListedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import ListLimitError, MalformedBodyError
from tests.bookmakers.more_wire import BETKING_ITEM, MSPORT, MSPORT_DATA, betking_day, msport_page
from tests.bookmakers.reading import bet9ja_list, betpawa_list, sportybet_list
from tests.bookmakers.wire import (
    BET9JA,
    BETPAWA_CATEGORIES,
    BETPAWA_V4,
    SPORTYBET,
    SPORTYBET_DATA,
    Json,
    asked,
    dumps,
    table,
    with_,
    without,
)

BETPAWA, SPORTY, NINE, MS, KING = Platform


def in_list(platform: Platform, event: Any) -> tuple[list[ListedEvent], list[MalformedBodyError]]:
    """Parse a list of this event alone."""
    match platform:
        case Platform.BETPAWA:
            return betpawa_list(dumps({"responses": [{"responses": [event]}]}), "list", "the list")[:2]
        case Platform.SPORTYBET:
            body = {"bizCode": 10000, "data": [{"id": "sr:tournament:5", "events": [event]}]}
            return sportybet_list(dumps(body), "list", "the list")
        case Platform.BET9JA:
            return bet9ja_list(dumps({"R": "OK", "D": {"E": [event]}}), "list", "the list")
        case Platform.MSPORT:
            body = with_(msport_page([1]), [event], "data", "tournaments", 0, "events")
            return msport.parse_listed(body, "list", "the list")
        case Platform.BETKING:
            listed, errors = betking.parse_listed(betking_day([event]), "list", "the list")
            return listed, [error for error in errors if isinstance(error, MalformedBodyError)]
        case _:
            raise ValueError(platform)


EVENTS: dict[Platform, tuple[str, Json, Json]] = {
    BETPAWA: ("501", BETPAWA_V4, BETPAWA_V4),
    SPORTY: ("sr:match:70000001", SPORTYBET, SPORTYBET_DATA),
    NINE: ("601", BET9JA, BET9JA["D"]),
    MS: ("sr:match:70000001", MSPORT, MSPORT_DATA),
    KING: ("801", betking_day([BETKING_ITEM]), BETKING_ITEM),
}
MARKETS = {BETPAWA: "markets", SPORTY: "markets", NINE: "O", MS: "markets", KING: "OddsCollection"}


@pytest.mark.parametrize("platform", Platform)
def test_a_list_has_the_prices_of_the_events_own_body(platform: Platform) -> None:
    """Promotions, suspended prices and dropped ones included. Names of unknown markets are left to the body."""
    external_id, body, event = EVENTS[platform]
    whole = decode(RawBody(platform, dumps(body), None, asked(platform, external_id)))
    [listed], errors = in_list(platform, event)
    assert errors == []
    assert listed.header == whole.header
    assert listed.list_name == "the list"
    assert listed.odds is not None
    assert listed.odds.is_partial
    assert not whole.is_partial
    assert table(listed.odds) == table(whole)
    assert (listed.odds.total, listed.odds.dropped) == (whole.total, whole.dropped)
    assert listed.odds.unmapped == ()


@pytest.mark.parametrize("platform", Platform)
@pytest.mark.parametrize("is_absent", [True, False], ids=["absent", "empty"])
def test_an_event_without_prices_is_listed_without_odds(platform: Platform, is_absent: bool) -> None:
    """This is no error: the event may have no main market."""
    _, _, event = EVENTS[platform]
    name = MARKETS[platform]
    [listed], errors = in_list(platform, without(event, name) if is_absent else with_(event, [], name))
    assert (listed.odds, errors) == (None, [])


@pytest.mark.parametrize("platform", Platform)
def test_prices_that_are_no_prices_cost_the_prices_and_not_the_event(platform: Platform) -> None:
    """The error names the event and the field."""
    external_id, _, event = EVENTS[platform]
    [listed], [error] = in_list(platform, with_(event, "soon", MARKETS[platform]))
    assert listed.header.external_id == external_id
    assert listed.odds is None
    assert (error.field, error.where) == (MARKETS[platform], f"event {external_id} in list")


def test_markets_that_nobody_asked_for_do_no_harm() -> None:
    """Unknown ones are ignored, whatever they look like, and known ones are taken."""
    strange: list[Any] = [{"id": "4711", "status": 0, "outcomes": [{"id": "1", "odds": "2"}]}, None, 5, {"id": "18"}]
    event = with_(SPORTYBET_DATA, [*strange, *SPORTYBET_DATA["markets"]], "markets")
    [listed], errors = in_list(SPORTY, event)
    [plain], _ = in_list(SPORTY, SPORTYBET_DATA)
    assert errors == []
    assert listed.odds is not None
    assert plain.odds is not None
    assert table(listed.odds) == table(plain.odds)


def test_prices_in_play_are_not_taken_from_a_list() -> None:
    """The event's status may lag behind. Its own body shows whether the match has begun."""
    event = with_(SPORTYBET_DATA, 1, "markets", 3, "product")
    [listed], errors = in_list(SPORTY, event)
    assert (listed.odds, errors) == (None, [])


@pytest.mark.parametrize(
    ("at", "is_taken"),
    [
        (1_790_449_974_912, True),
        (946_684_800_000, True),
        (4_102_444_800_000, True),
        (946_684_799_999, False),
        (4_102_444_800_001, False),
        (1_790_449_974, False),
        (-1, False),
        (10**30, False),
        (True, False),
        (1_790_449_974_912.0, False),
        ("1790449974912", False),
        (None, False),
        ([1_790_449_974_912], False),
    ],
)
def test_only_plausible_times_of_a_change_are_taken(at: object, is_taken: bool) -> None:
    """In a list and in an event's own body. The prices are taken in any case."""
    event = with_(SPORTYBET_DATA, at, "markets", 0, "lastOddsChangeTime")
    if isinstance(at, int) and at > 2**64:
        event = with_(SPORTYBET_DATA, float(at), "markets", 0, "lastOddsChangeTime")
    [listed], errors = in_list(SPORTY, event)
    whole = decode(RawBody(SPORTY, dumps({**SPORTYBET, "data": event}), None, asked(SPORTY, "sr:match:70000001")))
    market = next(each for each in CATALOGUE.markets if each.id == "3743")
    expected = {offer_code(pack_key(market.number, 0, None)): at} if is_taken else {}
    assert errors == []
    assert listed.odds is not None
    assert listed.odds.source_changed == whole.source_changed == expected
    assert table(listed.odds) == table(whole)


def test_a_market_without_a_readable_price_has_no_time_of_a_change() -> None:
    """Otherwise it would be fresh without having a price."""
    market = {"id": "1", "status": 0, "lastOddsChangeTime": 1_790_449_974_912, "outcomes": [{"id": "1", "odds": "?"}]}
    [listed], _ = in_list(SPORTY, with_(SPORTYBET_DATA, [market, SPORTYBET_DATA["markets"][3]], "markets"))
    assert listed.odds is not None
    assert listed.odds.source_changed == {}


def page(change: Callable[[Json, int], Json] = lambda event, _: event, events: int = 10) -> RawList:
    """Build a page of BetPawa's list."""
    [listing], _ = site_of(BETPAWA).listings(dumps(BETPAWA_CATEGORIES))
    entries = [change({**BETPAWA_V4, "id": str(number)}, number) for number in range(events)]
    return RawList(BETPAWA, dumps({"responses": [{"responses": entries}]}), None, listing.request.where, listing)


def test_a_page_of_too_many_prices_keeps_its_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first prices up to the limit are used. The list counts as incomplete."""
    [one] = read_page(page(events=1)).events
    assert one.odds is not None
    each = len(one.odds.prices)
    monkeypatch.setattr(lists, "MAX_PAGE_PRICES", 4 * each)
    assert read_page(page(events=4)).errors == []
    read = read_page(page())
    assert [listed.header.external_id for listed in read.events] == [str(number) for number in range(10)]
    assert [listed.odds is not None for listed in read.events] == [True] * 4 + [False] * 6
    [error] = read.errors
    assert isinstance(error, ListLimitError)
    assert error.reason == f"{10 * each} prices on a page, more than {4 * each}"


def test_the_name_of_a_list_is_the_same_on_all_its_pages() -> None:
    """A later sweep asks for the list by this name."""
    [listing], _ = site_of(BETPAWA).listings(dumps(BETPAWA_CATEGORIES))
    first = read_page(page(events=100))
    assert first.following is not None
    assert {listed.list_name for listed in first.events} == {listing.list_name} == {first.following.list_name}
