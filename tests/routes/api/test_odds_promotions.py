"""Promoted, reversed and late prices are served as such, and never compared with others."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quart_odds.domain.catalogue import CATALOGUE, promoted_key
from quart_odds.domain.odds import MappedEvent, Prices, pack_value
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import BOOSTED, KNOWN, TWO_UP
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.fair_prices import FairPrices
from quart_odds.odds.offers import offers_at, offers_of
from quart_odds.odds.views import best_prices
from quart_odds.routes.api.schemas.odds import EventDetail, EventHistory, EventsPage, MarginHistory
from quart_odds.routes.api.schemas.opportunities import OpportunitiesPage
from quart_odds.routes.pages.odds import event_row, market_groups, odds_text, sources
from tests.odds.making import KICKOFF, NOW, STALE_AFTER, X1, header, key, mapped
from tests.odds.serving import Served, served
from tests.platforms import FIRST_THREE
from tests.routes.api.test_odds import held_to

HOME, DRAW, AWAY = (key("1x2_ft", name) for name in ("1", "X", "2"))
ONE_X_TWO = CATALOGUE.by_slug["1x2_ft"]
OWN = len(KNOWN)
"""The number of the first promotion word that is an event's own."""


def promoted(odds: dict[int, float], platform: Platform = Platform.BETPAWA, *, words: tuple[str, ...] = ()) -> Any:
    """Return a fetch of event 1 with promoted prices, by their keys."""
    found = mapped(header(platform, f"{platform}-1", "11", kickoff=KICKOFF), odds)
    return MappedEvent(found.header, found.prices, promotions=words, mapped_markets=1)


async def record(app: Served, odds: dict[int, float], platform: Platform = Platform.BETPAWA, **more: Any) -> None:
    """Record a bookmaker's odds of event 1, fetched now; it kicks off in six hours."""
    found = promoted(odds, platform, **more)
    event = header(platform, f"{platform}-1", "11", kickoff=app.now + timedelta(hours=6))
    await app.odds_service.record(
        MappedEvent(event, found.prices, promotions=found.promotions, mapped_markets=1), app.now
    )


async def test_further_entry_of_promoted_prices_follows_its_market() -> None:
    """The further entry has the same id and line, a promotion, and no margin; the market's own has plain prices."""
    async with served(filled=False) as app:
        await record(app, X1 | {promoted_key(HOME, BOOSTED): 2.9, promoted_key(HOME, OWN): 2.6}, words=("bore_draw",))
        page: Any = held_to(EventsPage, await app.json("/api/events"))
        detail: Any = held_to(EventDetail, await app.json("/api/events/1"))
    inline = page["events"][0]["bookmakers"][0]["inline_odds"]
    whole = detail["markets_by_bookmaker"][0]["markets"]
    for entries, name in ((inline, "market_id"), (whole, "betpawa_market_id")):
        assert [(each[name], each["line"], each["promotion"]) for each in entries] == [
            ("3743", None, None),
            ("3743", None, "boosted"),
            ("3743", None, "bore_draw"),
        ]
        published = [[(one["name"], one["odds"], one["promotion"]) for one in each["outcomes"]] for each in entries]
        assert published == [
            [("1", 2.4, None), ("X", 3.3, None), ("2", 3.0, None)],
            [("1", 2.9, "boosted")],
            [("1", 2.6, "bore_draw")],
        ]
        assert entries[0]["margin"] == pytest.approx(5.3, abs=0.01)
    for each in inline[1:]:
        assert each["margin"] is None
    for each in whole[1:]:
        assert (each["margin"], each["margin_complete"]) == (0.0, False)


@pytest.mark.parametrize(
    ("promotion", "word", "has_margin"), [(TWO_UP, "two_up", True), (BOOSTED, "boosted", False), (OWN, "gift", False)]
)
async def test_promoted_price_without_a_plain_one_is_the_markets_own(
    promotion: int, word: str, *, has_margin: bool
) -> None:
    """The price is marked in every response. A perk leaves the margin unchanged; a boosted price removes it."""
    async with served(filled=False) as app:
        await record(app, {promoted_key(HOME, promotion): 2.4, DRAW: 3.3, AWAY: 3.0}, words=("gift",))
        await app.odds_service.confirm()
        detail: Any = held_to(EventDetail, await app.json("/api/events/1"))
        past: Any = held_to(EventHistory, await app.json("/api/events/1/history?market=3743"))
        margins: Any = held_to(MarginHistory, await app.json("/api/events/1/markets/3743/margin-history"))
        text = await (await app.client.get("/api/events.csv")).get_data(as_text=True)
    (market,) = detail["markets_by_bookmaker"][0]["markets"]
    (point,) = past["bookmakers"][0]["history"]
    for entry in (market, point):
        assert [each["promotion"] for each in entry["outcomes"]] == [word, None, None]
    assert market["margin_complete"] is has_margin
    assert (point["margin"] is not None) is has_margin
    assert (margins["history"][0]["margin"] is not None) is has_margin
    assert [row["promotion"] for row in csv.DictReader(io.StringIO(text))] == [word, "", ""]
    (cell, *_) = (event_row(app.odds_service.cache.events[1], ONE_X_TWO, None, FIRST_THREE)).cells
    assert [price.promotion.name if price.promotion else None for price in cell.prices] == [word, None, None]


async def test_csv_has_a_line_for_each_promoted_price() -> None:
    """Promoted prices follow their market's plain prices and differ in the column `promotion`."""
    async with served(filled=False) as app:
        await record(app, X1 | {promoted_key(HOME, TWO_UP): 2.35})
        text = await (await app.client.get("/api/events.csv?all_markets=true")).get_data(as_text=True)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["outcome"], row["odds"], row["promotion"]) for row in rows] == [
        ("1", "2.4", ""),
        ("X", "3.3", ""),
        ("2", "3.0", ""),
        ("1", "2.35", "two_up"),
    ]
    assert list(rows[0])[-2:] == ["promotion", "reversed"]
    assert {row["reversed"] for row in rows} == {"false"}


async def test_history_keeps_each_promotion_apart() -> None:
    """By default the history is of the market's own prices; with `promotion`, of those prices alone."""
    async with served(filled=False) as app:
        await record(app, X1 | {promoted_key(HOME, BOOSTED): 2.9})
        await record(app, X1, Platform.BET9JA)
        app.now += timedelta(minutes=5)
        await record(app, X1 | {promoted_key(HOME, BOOSTED): 3.1})
        await app.odds_service.confirm()
        own: Any = held_to(EventHistory, await app.json("/api/events/1/history?market=3743"))
        boosted: Any = held_to(EventHistory, await app.json("/api/events/1/history?market=3743&promotion=boosted"))
        path = "/api/events/1/markets/3743/margin-history?promotion=boosted"
        margins: Any = held_to(MarginHistory, await app.json(path))
    odds = [[each["odds"] for each in point["outcomes"]] for point in own["bookmakers"][0]["history"]]
    assert odds == [[2.4, 3.3, 3.0], [2.4, 3.3, 3.0]]
    assert (own["promotion"], boosted["promotion"]) == (None, "boosted")
    points = boosted["bookmakers"][0]["history"]
    assert [[(each["odds"], each["promotion"]) for each in point["outcomes"]] for point in points] == [
        [(2.9, "boosted")],
        [(3.1, "boosted")],
    ]
    assert {point["margin"] for point in (*points, *margins["history"])} == {None}
    assert boosted["bookmakers"][1]["history"] == []


async def test_promotion_that_there_is_not_is_reported_with_those_that_there_are() -> None:
    """All routes answer 400; a word of the event's own is known, and the other bookmaker has no prices of it."""
    async with served(filled=False) as app:
        await record(app, X1 | {promoted_key(HOME, OWN): 2.9}, words=("gift",))
        await record(app, X1 | {promoted_key(HOME, OWN): 2.9}, Platform.BET9JA, words=("early_bird",))
        await app.odds_service.confirm()
        for path in ("history?market=3743&", "markets/3743/history?", "markets/3743/margin-history?"):
            body: Any = await app.json(f"/api/events/1/{path}promotion=happy_hour", 400)
            (error,) = body["errors"]
            assert error["field"] == "promotion"
            assert "one_up, two_up, boosted, early_bird, gift" in error["message"]
        found: Any = await app.json("/api/events/1/history?market=3743&promotion=gift")
    assert [len(each["history"]) for each in found["bookmakers"]] == [1, 0]


async def test_raised_price_is_never_the_best_and_makes_no_opportunity() -> None:
    """It is not among best prices, opportunities or the page's best cells, alone or beside a plain price."""
    async with served(filled=False) as app:
        await record(app, {promoted_key(HOME, BOOSTED): 9.0, DRAW: 3.3, AWAY: 3.0})
        await record(app, X1 | {promoted_key(HOME, BOOSTED): 9.0}, Platform.SPORTYBET)
        await record(app, X1, Platform.BET9JA)
        best: Any = held_to(EventDetail, await app.json("/api/events/1"))["best_prices"]
        found: Any = held_to(OpportunitiesPage, await app.json("/api/opportunities"))
        row = event_row(app.odds_service.cache.events[1], ONE_X_TWO, None, FIRST_THREE)
    assert [(each["odds"], each["bookmakers"]) for each in best[0]["outcomes"]] == [
        (2.4, ["sportybet", "bet9ja"]),
        (3.3, ["betpawa", "sportybet", "bet9ja"]),
        (3.0, ["betpawa", "sportybet", "bet9ja"]),
    ]
    assert found["total"] == 0
    assert [cell.prices[0].is_best for cell in row.cells] == [False, True, True]


async def test_best_price_with_a_perk_says_so() -> None:
    """Best prices show a perk unless a bookmaker offers the price without; opportunities show their bookmaker's."""
    async with served(filled=False) as app:
        await record(app, {promoted_key(HOME, TWO_UP): 2.6, DRAW: 3.3, AWAY: 3.0})
        await record(app, X1 | {DRAW: 3.6, AWAY: 3.2}, Platform.BET9JA)
        best: Any = held_to(EventDetail, await app.json("/api/events/1"))["best_prices"]
        found: Any = held_to(OpportunitiesPage, await app.json("/api/opportunities"))
        await record(app, X1 | {HOME: 2.6}, Platform.BET9JA)
        shared: Any = held_to(EventDetail, await app.json("/api/events/1"))["best_prices"]
    assert [each["promotion"] for each in best[0]["outcomes"]] == ["two_up", None, None]
    (opportunity,) = found["opportunities"]
    assert [(each["odds"], each["promotion"]) for each in opportunity["outcomes"]] == [
        (2.6, "two_up"),
        (3.6, None),
        (3.2, None),
    ]
    assert [each["promotion"] for each in shared[0]["outcomes"]] == [None, None, None]


async def test_bookmaker_with_reversed_sides_is_served_marked_and_not_compared() -> None:
    """Its prices are shown in its own order, and are in no best price, opportunity or best cell."""
    async with served(filled=False) as app:
        kickoff = app.now + timedelta(hours=6)
        for platform, home, away, odds in (
            (Platform.BETPAWA, "Rangers", "Enyimba", {HOME: 1.5, DRAW: 4.0, AWAY: 7.0}),
            (Platform.SPORTYBET, "Rangers", "Enyimba", {HOME: 1.5, DRAW: 4.0, AWAY: 7.0}),
            (Platform.BET9JA, "Enyimba", "Rangers", {HOME: 7.0, DRAW: 4.0, AWAY: 1.5}),
        ):
            event = header(platform, f"{platform}-1", "11", kickoff=kickoff, home=home, away=away)
            await app.odds_service.record(mapped(event, odds), app.now)
        detail: Any = held_to(EventDetail, await app.json("/api/events/1"))
        found: Any = await app.json("/api/opportunities")
        text = await (await app.client.get("/api/events.csv")).get_data(as_text=True)
        booked = app.odds_service.cache.events[1]
        cells = event_row(booked, ONE_X_TWO, None, FIRST_THREE).cells
        await app.odds_service.withdraw(Platform.SPORTYBET, "sportybet-1", app.now)
        lacking: Any = await app.json("/api/events/unmatched")
    for entries in (detail["bookmakers"], detail["markets_by_bookmaker"]):
        assert [each["reversed"] for each in entries] == [False, False, True]
    assert [each["names_differ"] for each in lacking["events"]] == [False]
    own = detail["markets_by_bookmaker"][2]["markets"][0]
    assert [each["odds"] for each in own["outcomes"]] == [7.0, 4.0, 1.5]
    assert own["margin"] is not None
    assert [each["odds"] for each in detail["best_prices"][0]["outcomes"]] == [1.5, 4.0, 7.0]
    assert "bet9ja" not in str(detail["best_prices"])
    assert found["total"] == 0
    assert {row["bookmaker"] for row in csv.DictReader(io.StringIO(text)) if row["reversed"] == "true"} == {"bet9ja"}
    assert [cell.sides for cell in cells] == [None, None, "Enyimba – Rangers"]
    assert [[price.is_best for price in cell.prices] for cell in cells] == [[True] * 3, [True] * 3, [False] * 3]
    assert [source.sides for source in sources(booked, FIRST_THREE)] == [None, None, "Enyimba – Rangers"]


async def test_late_prices_are_marked_and_not_compared_with_those_before_the_kick_off() -> None:
    """A bookmaker whose first prices come in play is shown beside pre-match prices, and never beats them."""
    async with served(filled=False) as app:
        kickoff = app.now - timedelta(minutes=10)
        for platform, odds, seen in (
            (Platform.BETPAWA, X1, kickoff - timedelta(minutes=5)),
            (Platform.SPORTYBET, X1, kickoff - timedelta(minutes=4)),
            (Platform.BET9JA, {HOME: 1.05, DRAW: 15.0, AWAY: 40.0}, app.now),
        ):
            await app.odds_service.record(mapped(header(platform, f"{platform}-1", "11", kickoff=kickoff), odds), seen)
        detail: Any = held_to(EventDetail, await app.json("/api/events/1"))
        found: Any = await app.json("/api/opportunities?include_started=true")
        booked = app.odds_service.cache.events[1]
    for entries in (detail["bookmakers"], detail["markets_by_bookmaker"]):
        assert [each["late"] for each in entries] == [False, False, True]
    assert "bet9ja" not in str(detail["best_prices"])
    assert found["total"] == 0
    cells = event_row(booked, ONE_X_TWO, None, FIRST_THREE).cells
    assert [cell.is_late for cell in cells] == [False, False, True]
    assert not any(price.is_best for price in cells[2].prices)
    assert [source.is_late for source in sources(booked, FIRST_THREE)] == [False, False, True]


async def test_event_page_has_a_row_of_its_own_for_promoted_prices_beside_plain_ones() -> None:
    """Promoted prices are shown below their market, in words, and only for outcomes that have them."""
    async with served(filled=False) as app:
        await record(app, X1 | {promoted_key(HOME, BOOSTED): 2.9, promoted_key(AWAY, OWN): 3.3}, words=("bore_draw",))
        await record(app, X1 | {promoted_key(HOME, BOOSTED): 2.8}, Platform.BET9JA)
        [(_, [table])] = market_groups(app.odds_service.cache.events[1], FIRST_THREE)
    own, boosted, draw = table.lines
    assert [len(each.outcomes) for each in (own, boosted, draw)] == [3, 1, 1]
    assert boosted.promotion is not None
    assert draw.promotion is not None
    assert (boosted.promotion.words, draw.promotion.words) == (
        "boosted price, not compared",
        "the bookmaker’s “bore draw”, not compared",
    )
    ((name, prices),) = boosted.outcomes
    assert (name, [price.odds for price in prices]) == ("1", ["2.90", "–", "2.80"])
    assert not any(price.is_best for price in prices)


OFFER = st.dictionaries(
    st.tuples(st.sampled_from([HOME, DRAW, AWAY]), st.sampled_from([0, 1, TWO_UP, BOOSTED, OWN])),
    st.tuples(st.integers(1000, 9000), st.booleans()),
    max_size=8,
)
FETCHES = st.lists(st.tuples(st.sampled_from(list(Platform)), OFFER, st.booleans()), min_size=1, max_size=8)


def filled(fetches: list[tuple[Platform, Any, bool]]) -> OddsCache:
    """Fill a cache with these fetches: bookmaker, prices, and whether the sides are reversed."""
    cache = OddsCache()
    for number, (platform, offer, is_reversed) in enumerate(fetches):
        home, away = ("Enyimba", "Rangers") if is_reversed else ("Rangers", "Enyimba")
        prices = Prices.from_pairs(
            (promoted_key(plain, promotion), pack_value(thousandths / 1000, is_active))
            for (plain, promotion), (thousandths, is_active) in offer.items()
        )
        event = header(platform, f"{platform}-1", "11", home=home, away=away)
        cache.apply(MappedEvent(event, prices, promotions=("gift",), mapped_markets=1), NOW + timedelta(seconds=number))
    return cache


@given(FETCHES)
@settings(deadline=None)
def test_one_market_is_read_as_all_of_them_are(fetches: list[tuple[Platform, Any, bool]]) -> None:
    """Lists and details show the same offers of a market, whatever prices came and went."""
    for event in filled(fetches).events.values():
        for event_odds in event.odds.values():
            assert offers_at(event_odds, ONE_X_TWO, None, [HOME, DRAW, AWAY]) == offers_of(event_odds)


@given(FETCHES)
@settings(deadline=None)
def test_page_and_api_agree_on_the_best_prices(fetches: list[tuple[Platform, Any, bool]]) -> None:
    """The page marks the prices that the API lists as best, if two or more bookmakers can be compared."""
    for event in filled(fetches).events.values():
        named = {
            (bookmaker, outcome["name"]): odds_text(round(outcome["odds"] * 1000))
            for market, _ in best_prices(event, FairPrices(event, NOW, STALE_AFTER))
            for outcome in market["outcomes"]  # type: ignore[attr-defined]
            for bookmaker in outcome["bookmakers"]
        }
        row = event_row(event, ONE_X_TWO, None, FIRST_THREE)
        marked = {(cell.slug, price.name): price.odds for cell in row.cells for price in cell.prices if price.is_best}
        if row.best_margin is not None:
            assert marked == named
        if named:
            assert marked.items() <= named.items()
