"""Opportunities: best prices that together guarantee a gain."""

from datetime import timedelta
from typing import Any

import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.routes.api.schemas.odds import OpportunitiesPage
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
