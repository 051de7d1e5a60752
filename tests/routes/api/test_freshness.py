"""Ages on the wire: the report, the metrics, and the times of markets."""

from datetime import timedelta
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from quart_odds.domain.catalogue import offer_code
from quart_odds.domain.clock import iso_z
from quart_odds.domain.platforms import Platform
from quart_odds.routes.api.freshness import AgeMetrics, measured_ages
from quart_odds.routes.api.schemas.coverage import FreshnessReport
from quart_odds.routes.api.schemas.odds import EventDetail
from quart_odds.routes.api.schemas.opportunities import OpportunitiesPage
from tests.odds.making import OVER_UNDER, X1, header, key, listed, mapped
from tests.odds.serving import Served, served
from tests.routes.api.test_odds import held_to

HOME, *_ = X1


async def record_both(app: Served) -> None:
    """Record a body of SportyBet's ten minutes ago, and a list of its 1X2 market ten seconds ago."""
    event = header(Platform.SPORTYBET, kickoff=app.now + timedelta(hours=3))
    await app.odds_service.record(mapped(event), app.now - timedelta(minutes=10))
    changed = int((app.now - timedelta(seconds=14)).timestamp() * 1000)
    partial = listed(event, X1 | {HOME: 2.5}, source_changed={offer_code(HOME): changed})
    await app.odds_service.record(partial, app.now - timedelta(seconds=10))


async def test_the_report_has_every_bookmaker() -> None:
    """Each with the ages of the main markets and of all, null where there is nothing."""
    async with served(filled=False) as app:
        await record_both(app)
        body: Any = held_to(FreshnessReport, await app.json("/api/freshness"))
    assert [each["bookmaker"] for each in body["bookmakers"]] == [platform.value for platform in Platform]
    betpawa, sportybet, *_ = body["bookmakers"]
    assert betpawa["main"] == {"p50_seconds": None, "p95_seconds": None, "oldest_seconds": None}
    assert 10 <= sportybet["main"]["p50_seconds"] < 100
    assert 600 <= sportybet["main"]["p95_seconds"] == sportybet["all"]["oldest_seconds"] < 700


async def test_each_market_has_its_own_times() -> None:
    """When it was last asked for, and when the bookmaker changed it, where it says so."""
    async with served(filled=False) as app:
        await record_both(app)
        body: Any = held_to(EventDetail, await app.json("/api/events/1"))
        rows = (await (await app.client.get("/api/events.csv")).get_data(as_text=True)).splitlines()
    older, newer = iso_z(app.now - timedelta(minutes=10)), iso_z(app.now - timedelta(seconds=10))
    one_x_two, over_under = body["markets_by_bookmaker"][0]["markets"]
    assert (one_x_two["last_seen_at"], over_under["last_seen_at"]) == (newer, older)
    assert (one_x_two["source_changed_at"], over_under["source_changed_at"]) == (
        iso_z(app.now - timedelta(seconds=14)),
        None,
    )
    assert {each["last_seen_at"] for each in one_x_two["outcomes"]} == {newer}
    assert body["markets_by_bookmaker"][0]["snapshot_time"] == older
    inline = body["bookmakers"][0]["inline_odds"]
    assert [each["last_seen_at"] for each in inline] == [newer, older]
    assert [newer in row for row in rows[1:]] == [True] * 3 + [False] * 2


async def test_an_opportunity_is_as_old_as_its_own_prices() -> None:
    """A market that a list had is fresh, although the rest of its event is old."""
    over, under = OVER_UNDER
    async with served(filled=False) as app:
        for platform, odds in ((Platform.BETPAWA, {over: 2.1, under: 1.8}), (Platform.BET9JA, {over: 1.8, under: 2.1})):
            event = header(platform, kickoff=app.now + timedelta(hours=3))
            whole = mapped(event, odds | {key("btts_ft", "Yes"): 1.9})
            await app.odds_service.record(whole, app.now - timedelta(hours=1))
            await app.odds_service.record(listed(event, odds), app.now - timedelta(seconds=10))
        body: Any = held_to(OpportunitiesPage, await app.json("/api/opportunities?max_age_seconds=300"))
    (found,) = body["opportunities"]
    assert all(10 <= outcome["age_seconds"] < 100 for outcome in found["outcomes"])


async def test_metrics_have_the_ages_and_the_delays() -> None:
    """Both are histograms by bookmaker."""
    async with served(filled=False) as app:
        await record_both(app)
        registry = CollectorRegistry()
        registry.register(AgeMetrics(await measured_ages(app.odds_service.served), app.odds_service.delays))
        lines = generate_latest(registry).decode().splitlines()
    age = 'quart_odds_main_price_age_seconds_%s{bookmaker="sportybet"'
    assert age % "bucket" + ',le="5.0"} 0.0' in lines
    assert age % "bucket" + ',le="300.0"} 1.0' in lines
    assert age % "bucket" + ',le="+Inf"} 2.0' in lines
    assert age % "count" + "} 2.0" in lines
    told = 'quart_odds_change_told_seconds_%s{bookmaker="sportybet"'
    assert told % "bucket" + ',le="10.0"} 0.0' in lines
    assert told % "count" + "} 1.0" in lines
    assert not any("change_told" in line and "betpawa" in line for line in lines)


async def test_a_list_says_nothing_of_markets_that_are_not_in_the_catalogue() -> None:
    """Those that the event's own body had are still counted."""
    async with served() as app:
        before: Any = await app.json("/api/coverage/markets")
        event = app.odds_service.cache.events[1].odds[Platform.BETPAWA].header
        await app.odds_service.record(listed(event), app.now)
        assert await app.json("/api/coverage/markets") == before
        assert before["unmapped"]
