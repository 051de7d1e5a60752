"""Opportunities: best prices that together guarantee a gain."""

from datetime import timedelta
from typing import Any

import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.odds.past_opportunities import PastOpportunity
from quart_odds.routes.api.schemas.opportunities import OpportunitiesPage, PastOpportunitiesPage
from tests.odds.making import header, key, mapped
from tests.odds.serving import Served, served
from tests.routes.api.test_odds import held_to

OVER, UNDER = key("over_under_ft", "Over", 2.5), key("over_under_ft", "Under", 2.5)
YES, NO = key("btts_ft", "Yes"), key("btts_ft", "No")


async def offer(app: Served, platform: Platform, odds: dict[int, float], *, name: str = "a", age: float = 0) -> None:
    """Record a bookmaker's odds of an event, fetched `age` seconds ago."""
    event = header(platform, name, name, kickoff=app.now + timedelta(hours=3))
    await app.odds_service.record(mapped(event, odds), app.now - timedelta(seconds=age))


async def find(app: Served, query: str = "") -> Any:
    """Return the body of the response."""
    return held_to(OpportunitiesPage, await app.json(f"/api/opportunities?{query}"))


async def test_prices_that_beat_the_market_are_found() -> None:
    """An opportunity has its event, market, line and gain, and the bookmaker and age of each price."""
    async with served(filled=False) as app:
        await offer(app, Platform.BETPAWA, {OVER: 2.1, UNDER: 1.8}, age=40)
        await offer(app, Platform.SPORTYBET, {OVER: 1.8, UNDER: 2.1})
        body = await find(app)
    (found,) = body["opportunities"]
    assert (found["market_id"], found["line"], found["margin"]) == ("5000", 2.5, 5.0)
    assert [(each["name"], each["odds"], each["bookmaker_slug"]) for each in found["outcomes"]] == [
        ("Over", 2.1, "betpawa"),
        ("Under", 2.1, "sportybet"),
    ]
    assert 40 <= found["outcomes"][0]["age_seconds"] < 60
    assert found["outcomes"][1]["age_seconds"] < 20


async def test_the_best_come_first_and_the_least_can_be_set() -> None:
    """Opportunities are sorted by gain and paged; `min_margin` is in percent."""
    async with served(filled=False) as app:
        await offer(app, Platform.BETPAWA, {OVER: 2.1, UNDER: 1.8, YES: 2.2, NO: 1.7})
        await offer(app, Platform.SPORTYBET, {OVER: 1.8, UNDER: 2.1, YES: 1.7, NO: 2.2})
        assert [each["margin"] for each in (await find(app))["opportunities"]] == [10.0, 5.0]
        assert [each["margin"] for each in (await find(app, "min_margin=6"))["opportunities"]] == [10.0]
        second = await find(app, "page=2&page_size=1")
        assert ([each["margin"] for each in second["opportunities"]], second["total"]) == ([5.0], 2)


async def test_old_prices_can_be_left_out() -> None:
    """An opportunity is as old as its oldest price."""
    async with served(filled=False) as app:
        await offer(app, Platform.BETPAWA, {OVER: 2.1, UNDER: 1.8}, age=600)
        await offer(app, Platform.SPORTYBET, {OVER: 1.8, UNDER: 2.1})
        assert (await find(app, "max_age_seconds=300"))["total"] == 0
        assert (await find(app, "max_age_seconds=900"))["total"] == 1


async def test_half_a_market_is_no_opportunity() -> None:
    """Missing, suspended and gone outcomes prevent an opportunity; changes take effect at once."""
    async with served(filled=False) as app:
        await offer(app, Platform.BETPAWA, {OVER: 2.1})
        await offer(app, Platform.SPORTYBET, {OVER: 2.1})
        assert (await find(app))["total"] == 0
        await offer(app, Platform.SPORTYBET, {UNDER: 2.1})
        assert (await find(app))["total"] == 1
        event = header(Platform.SPORTYBET, "a", "a", kickoff=app.now + timedelta(hours=3))
        await app.odds_service.record(mapped(event, {UNDER: 2.1}, suspended=frozenset({UNDER})), app.now)
        assert (await find(app))["total"] == 0
        await offer(app, Platform.SPORTYBET, {UNDER: 2.1})
        await app.lose(Platform.SPORTYBET)
        assert (await find(app))["total"] == 0


async def test_started_events_are_left_out_unless_asked_for() -> None:
    """Events that have kicked off are left out because their prices are old."""
    async with served(filled=False) as app:
        for platform, odds in ((Platform.BETPAWA, {OVER: 2.1}), (Platform.BET9JA, {UNDER: 2.1})):
            event = header(platform, "a", "a", kickoff=app.now - timedelta(minutes=1))
            await app.odds_service.record(mapped(event, odds), app.now)
        assert (await find(app))["total"] == 0
        assert (await find(app, "include_started=true"))["total"] == 1


@pytest.mark.parametrize("query", ["min_margin=-1", "min_margin=inf", "max_age_seconds=0", "page=0"])
async def test_a_wrong_query_is_reported(query: str) -> None:
    """An invalid query is answered 400."""
    async with served(filled=False) as app:
        await app.json(f"/api/opportunities?{query}", 400)


HIGHER = key("over_under_ft", "Under", 3.5)


async def offer_each_kind(app: Served) -> None:
    """Record an arbitrage of five percent with a value bet in it, and a middle that loses one percent."""
    await offer(app, Platform.BETPAWA, {OVER: 2.1, UNDER: 1.8})
    await offer(app, Platform.SPORTYBET, {OVER: 1.8, UNDER: 2.1})
    for platform, odds in ((Platform.BETPAWA, {OVER: 1.98}), (Platform.SPORTYBET, {HIGHER: 1.98})):
        await offer(app, platform, odds, name="b")


async def test_kinds_are_listed_together_or_one_by_one() -> None:
    """Without a kind, only arbitrage is: older clients know nothing else."""
    async with served(filled=False) as app:
        await offer_each_kind(app)
        kinds = {
            query: [each["kind"] for each in (await find(app, query))["opportunities"]]
            for query in ("", "kind=arbitrage", "kind=value", "kind=middle", "kind=all")
        }
        (middle,) = (await find(app, "kind=middle"))["opportunities"]
        await app.json("/api/opportunities?kind=accumulator", 400)
    assert kinds == {
        "": ["arbitrage"],
        "kind=arbitrage": ["arbitrage"],
        "kind=value": ["value"],
        "kind=middle": ["middle"],
        "kind=all": ["value", "arbitrage", "middle"],
    }
    assert (middle["line"], middle["margin"], middle["best_case"]) == (2.5, -1.0, 98.0)
    assert [each["line"] for each in middle["outcomes"]] == [2.5, 3.5]


async def test_a_bank_is_shared_in_stakes_that_can_be_placed() -> None:
    """10,000 in steps of 100 still profit; a gain that rounding uses up says so; Kelly's share of value is staked."""
    async with served(filled=False) as app:
        await offer_each_kind(app)
        (five,) = (await find(app, "bank=10000&rounding=100"))["opportunities"]
        (coarse,) = (await find(app, "bank=1000&rounding=1000"))["opportunities"]
        (value,) = (await find(app, "kind=value&bank=10000&rounding=10"))["opportunities"]
        (middle,) = (await find(app, "kind=middle&bank=100"))["opportunities"]
        (without,) = (await find(app))["opportunities"]
        for query in ("bank=0", "bank=-5", "bank=nan", "bank=1&rounding=0", "bank=much"):
            await app.json(f"/api/opportunities?{query}", 400)
    assert five["stakes"] == {
        "rounding": 100.0,
        "stakes": [5000.0, 5000.0],
        "total": 10000.0,
        "worst_profit": 500.0,
        "best_profit": 500.0,
        "is_profitable": True,
    }
    assert (coarse["stakes"]["is_profitable"], coarse["stakes"]["worst_profit"]) == (False, 0.0)
    assert value["stakes"]["stakes"] == [pytest.approx(10_000 * value["kelly_fraction"], abs=10)]
    assert value["stakes"]["worst_profit"] == -value["stakes"]["total"] < 0
    assert (middle["stakes"]["worst_profit"], middle["stakes"]["best_profit"]) == (-1.0, 98.0)
    assert without["stakes"] is None


async def test_a_value_bet_says_what_is_fair() -> None:
    """Its odds, where they come from, and the share of the bank to stake."""
    async with served(filled=False) as app:
        await offer(app, Platform.BET9JA, {OVER: 2.06, UNDER: 1.75})
        await offer(app, Platform.BETPAWA, {OVER: 1.9, UNDER: 1.9})
        (found,) = (await find(app, "kind=value"))["opportunities"]
    assert (found["margin"], found["fair_odds"], found["fair_source"]) == (3.0, 2.0, "no_vig:power:betpawa")
    assert found["kelly_fraction"] == pytest.approx(0.03 / 1.06, abs=1e-4)
    assert [each["name"] for each in found["outcomes"]] == ["Over"]


async def test_what_is_too_good_is_listed_apart_with_the_reasons() -> None:
    """26.0 beside 2.60 and 2.55 is not first, and not in the list."""
    home, draw, away = (key("1x2_ft", name) for name in ("1", "X", "2"))
    usual = {home: 2.6, draw: 3.2, away: 2.9}
    async with served(filled=False) as app:
        await offer(app, Platform.BETPAWA, usual)
        await offer(app, Platform.SPORTYBET, usual | {home: 2.55})
        await offer(app, Platform.BET9JA, usual | {home: 26.0})
        for platform, odds in ((Platform.BETPAWA, {OVER: 2.1}), (Platform.SPORTYBET, {UNDER: 2.1})):
            await offer(app, platform, odds, name="b")
        listed = await find(app)
        apart = await find(app, "suspicious=true")
    assert [each["margin"] for each in listed["opportunities"]] == [5.0]
    assert [(each["margin"], each["reasons"]) for each in apart["opportunities"]] == [
        (43.72, ["one_bookmaker", "outlier", "too_good"])
    ]


async def test_an_opportunity_says_how_long_it_has_been_there_and_was_at_best() -> None:
    """Both are counted from when it was first found, whatever its prices since."""
    async with served(filled=False) as app:
        await offer(app, Platform.BETPAWA, {OVER: 2.2, UNDER: 1.75})
        await offer(app, Platform.SPORTYBET, {OVER: 1.75, UNDER: 2.1})
        (first,) = (await find(app))["opportunities"]
        await offer(app, Platform.BETPAWA, {OVER: 2.1, UNDER: 1.75})
        (found,) = (await find(app))["opportunities"]
    assert (found["margin"], found["best_margin"], found["first_seen_at"]) == (5.0, 7.44, first["first_seen_at"])
    assert found["lifetime_seconds"] >= first["lifetime_seconds"]


async def test_prices_are_too_old_by_default_after_the_usual_time() -> None:
    """They are listed apart then, unless the query says which age is too much."""
    async with served(filled=False) as app:
        await offer(app, Platform.BETPAWA, {OVER: 2.1, UNDER: 1.8}, age=600)
        await offer(app, Platform.SPORTYBET, {OVER: 1.8, UNDER: 2.1})
        totals = [(await find(app, query))["total"] for query in ("", "max_age_seconds=900", "suspicious=true")]
        (apart,) = (await find(app, "suspicious=true"))["opportunities"]
    assert totals == [0, 1, 1]
    assert apart["reasons"] == ["stale"]


async def test_opportunities_that_are_over_are_listed_with_their_lifetime() -> None:
    """They come from the database, whether or not their event is still there."""
    async with served(filled=False) as app:
        past = PastOpportunity(
            event_id=7,
            event_name="Arsenal - Chelsea",
            kickoff=app.now,
            kind="middle",
            keys=(OVER, HIGHER),
            platforms=(Platform.BETPAWA, Platform.BET9JA),
            margin=0.5,
            best_margin=1.5,
            first_seen_at=app.now - timedelta(seconds=90),
            ended_at=app.now,
        )
        await app.parts.store.take_writer_lock()
        await app.parts.store.add_past_opportunities([past], app.parts.store.term)
        body: Any = held_to(PastOpportunitiesPage, await app.json("/api/opportunities/history"))
        arbitrage: Any = await app.json("/api/opportunities/history?kind=arbitrage")
        for query in ("kind=none", "event_id=0", "min_margin=-1", "ended_from=yesterday"):
            await app.json(f"/api/opportunities/history?{query}", 400)
    (found,) = body["opportunities"]
    assert (found["event_id"], found["margin"], found["best_margin"], found["lifetime_seconds"]) == (7, 0.5, 1.5, 90.0)
    assert found["outcomes"] == [
        {"name": "Over", "line": 2.5, "bookmaker_slug": "betpawa"},
        {"name": "Under", "line": 3.5, "bookmaker_slug": "bet9ja"},
    ]
    assert (arbitrage["opportunities"], arbitrage["total"]) == ([], 0)
