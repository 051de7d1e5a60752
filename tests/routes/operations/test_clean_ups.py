"""Clean-ups over HTTP: counted, agreed to, recorded; and the size of the database."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from quart_odds.domain.clock import iso_z, utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.odds.stored_data import StorageAlert
from tests.apps import Json, RunningApp, running_app
from tests.odds.making import X1, header, mapped

NOWHERE = "http://127.0.0.1:9"
DAY = timedelta(days=1)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app with an event of ten days ago at two bookmakers, and one of today at the first."""
    async with running_app(tmp_path, NOWHERE) as opened:
        for days, name, platforms in ((10, "1", (Platform.BETPAWA, Platform.BET9JA)), (0, "2", (Platform.BETPAWA,))):
            at = utc_now() - days * DAY
            for platform in platforms:
                listed = header(platform, f"{platform}-{name}", kickoff=at, sportradar_id=f"7000000{name}")
                await opened.parts.odds_service.record(mapped(listed, X1), at)
                await opened.parts.odds_service.record(mapped(listed, dict.fromkeys(X1, 9.0)), at + DAY / 24)
        await opened.parts.odds_service.confirm()
        yield opened


async def execute(running: RunningApp, body: Json | None, status: int = 200) -> Json:
    """Ask for a clean-up, and return the answer."""
    response = await running.client.post("/api/cleanup/execute", **({} if body is None else {"json": body}))
    said: Json = await response.get_json()
    assert response.status_code == status, said
    return said


async def test_a_preview_counts_by_bookmaker_and_can_be_sent_back(running: RunningApp) -> None:
    """What it says is removed, with the days that it was asked for, and not more."""
    preview = await running.get("/api/cleanup/preview?odds_days=5")
    changes = len(X1)
    assert (preview["events"], preview["history_rows"]) == (1, 2 * changes)
    assert (preview["eventsCount"], preview["competitorEventsCount"]) == (1, 1)
    assert (preview["oddsSnapshotsCount"], preview["competitorOddsSnapshotsCount"]) == (changes, changes)
    assert (preview["oddsRetentionDays"], preview["matchRetentionDays"]) == (5, 30)
    assert (preview["oddsCutoffDate"], preview["matchCutoffDate"]) == (preview["odds_before"], preview["runs_before"])
    assert (await running.get("/api/cleanup/preview"))["events"] == 0, "younger than in the settings"
    await execute(running, {**preview, "events": 0}, 409)
    done = await execute(running, preview)
    assert (done["events"], done["eventsDeleted"], done["competitorEventsDeleted"]) == (1, 1, 1)
    assert (done["oddsDeleted"], done["competitorOddsDeleted"]) == (changes, changes)
    assert done["oldestMatchDate"] > preview["odds_before"]
    assert (await running.get("/api/cleanup/preview?odds_days=5"))["events"] == 0


async def test_shorter_ages_than_in_the_settings_need_their_preview(running: RunningApp) -> None:
    """Days alone are enough for what the settings would remove anyway."""
    said = await execute(running, {"oddsRetentionDays": 5, "matchRetentionDays": 30}, 400)
    assert [each["field"] for each in said["errors"]] == ["oddsRetentionDays"]
    assert (await execute(running, {"oddsRetentionDays": 30, "matchRetentionDays": 60}))["events"] == 0
    assert (await execute(running, None))["events"] == 0
    assert len((await running.get("/api/events?include_started=true"))["events"]) == 1


async def test_clean_ups_are_recorded_with_who_asked_for_them(running: RunningApp) -> None:
    """The newest is first. A request that is refused is no clean-up."""
    assert await running.get("/api/cleanup/history") == {"runs": [], "total": 0}
    first = await running.get("/api/cleanup/status")
    assert (first["isRunning"], first["lastRun"]) == (False, None)
    await running.parts.maintenance.clean_up()
    preview = await running.get("/api/cleanup/preview?odds_days=5")
    await execute(running, {**preview, "events": 0}, 409)
    await execute(running, preview)
    found = await running.get("/api/cleanup/history?limit=1")
    assert found["total"] == 2
    [newest] = found["runs"]
    assert (newest["trigger"], newest["requestedBy"], newest["status"]) == ("manual", "this machine", "completed")
    assert (newest["oddsRetentionDays"], newest["eventsDeleted"], newest["errorMessage"]) == (5, 1, None)
    assert newest["durationSeconds"] >= 0
    [older] = (await running.get("/api/cleanup/history?offset=1"))["runs"]
    assert (older["trigger"], older["requestedBy"], older["eventsDeleted"]) == ("scheduled", "the schedule", 0)
    status = await running.get("/api/cleanup/status")
    assert status["lastRun"] == newest
    assert status["nextRunAt"] > iso_z(utc_now())


async def test_what_is_stored_is_counted_by_kind(running: RunningApp) -> None:
    """BetPawa's and the others' apart, with the times of the oldest and the newest."""
    found = await running.get("/api/cleanup/stats")
    changes = len(X1)
    counts = {name: each["count"] for name, each in found.items() if isinstance(each, dict)}
    assert counts == {
        "oddsSnapshots": 2 * changes,
        "competitorOddsSnapshots": changes,
        "events": 2,
        "competitorEvents": 1,
        "tournaments": 1,
        "competitorTournaments": 1,
        "scrapeRuns": 0,
        "scrapeBatches": 0,
    }
    assert found["oddsSnapshots"]["oldest"] < found["oddsSnapshots"]["newest"]
    assert found["scrapeRuns"]["oldest"] is None
    assert found["eventsByPlatform"] == [{"platform": "bet9ja", "count": 1}, {"platform": "betpawa", "count": 2}]
    assert found["competitorEventsBySource"] == [{"platform": "bet9ja", "count": 1}]


async def test_sizes_and_their_history_are_there(running: RunningApp) -> None:
    """Sizes are measured for the request, and the history has what the writer sampled."""
    found = await running.get("/api/storage/sizes")
    assert sum(each["sizeBytes"] for each in found["tables"]) <= found["totalBytes"]
    sizes = [each["sizeBytes"] for each in found["tables"]]
    assert sizes == sorted(sizes, reverse=True)
    rows = {each["tableName"]: each["rowCount"] for each in found["tables"]}
    assert (rows["events"], rows["quotes"]) == (2, 3)
    assert await running.get("/api/storage/history") == {"samples": [], "total": 0}
    await running.parts.maintenance.watch_storage()
    history = await running.get("/api/storage/history?limit=5")
    assert history["total"] == 1
    assert history["samples"][0]["totalBytes"] >= found["totalBytes"]
    assert history["samples"][0]["tableSizes"]["events"] > 0


async def test_an_alert_about_the_database_is_resolved(running: RunningApp) -> None:
    """Once; its time stays."""
    alert = StorageAlert("size_critical", "Large.", utc_now(), 60, 50, 20.0)
    await running.parts.store.add_storage_alert(alert, running.parts.store.term)
    found = await running.get("/api/storage/alerts")
    assert (found["count"], found["alerts"][0]["alertType"], found["alerts"][0]["resolvedAt"]) == (
        1,
        "size_critical",
        None,
    )
    path = f"/api/storage/alerts/{found['alerts'][0]['id']}/resolve"
    response = await running.client.post(path)
    resolved = await response.get_json()
    assert resolved["resolvedAt"] is not None
    assert await (await running.client.post(path)).get_json() == resolved
    assert (await running.client.post("/api/storage/alerts/99/resolve")).status_code == 404
