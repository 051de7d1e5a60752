"""A bookmaker that is no longer installed keeps what is stored of it."""

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunMode
from quart_odds.odds import OddsService
from quart_odds.storage import Store
from tests.odds.making import NOW, X1, header, mapped
from tests.storage.test_run_rows import finished

GONE = "gonebets"


async def uninstall(store: Store, platform: Platform) -> None:
    """Make what is stored of a bookmaker that of one that is not installed."""
    async with store.database.writing() as connection:
        for table in ("quotes", "competitions", "run_results", "run_errors"):
            await connection.execute(
                text(f"UPDATE {table} SET platform = :gone WHERE platform = :platform"),
                {"gone": GONE, "platform": platform.value},
            )


async def test_its_odds_stay_and_are_not_shown(store: Store) -> None:
    """The log says how many events it has. The other bookmaker's odds of the event are there."""
    first = OddsService(store, clock=lambda: NOW)
    await first.load()
    for platform in (Platform.BETPAWA, Platform.BET9JA):
        await first.record(mapped(header(platform), odds=X1), NOW)
    await first.close()
    await uninstall(store, Platform.BET9JA)
    again = OddsService(store, clock=lambda: NOW)
    with capture_logs() as logs:
        await again.load()
    [event] = again.cache.events.values()
    assert list(event.odds) == [Platform.BETPAWA]
    told = [each for each in logs if each["event"] == "bookmaker.not_installed"]
    assert [(each["bookmaker"], each["events"], each["log_level"]) for each in told] == [(GONE, 1, "warning")]
    await again.close()
    async with store.database.reading() as connection:
        rows = await connection.execute(text("SELECT platform FROM quotes ORDER BY platform"))
        assert [each for (each,) in rows] == ["betpawa", GONE]


@pytest.mark.parametrize("mode", [RunMode.FULL, None])
async def test_its_part_of_a_run_is_shown_as_such(store: Store, mode: RunMode | None) -> None:
    """It comes last, and its name says that it is not installed."""
    record = finished(await store.create_run(trigger="api", platforms=tuple(Platform), started_at=NOW))
    assert await store.finish_run(record)
    await uninstall(store, Platform.BETPAWA)
    [found] = await store.list_runs(limit=9, mode=mode)
    assert [each.platform.display_name for each in found.results] == ["Bet9ja", f"{GONE} (not installed)"]
    assert found.errors[0].platform == GONE
    assert found.results[1].fetched == record.results[0].fetched
    analytics = await store.run_analytics(2, NOW)
    assert [each.platform for each in analytics.platform_metrics] == ["bet9ja", GONE]
