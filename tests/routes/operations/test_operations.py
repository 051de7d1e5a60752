"""Routes for operators: scheduler, settings, clean-up, health, metrics and statistics."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from quart_odds import __version__, readiness
from quart_odds.bookmakers import decoder
from quart_odds.domain.platforms import Platform
from quart_odds.errors import StorageError
from tests.apps import RunningApp, Sandbox, running_app, running_sandbox
from tests.platforms import FIRST_THREE

NOWHERE = "http://127.0.0.1:9"
"""The discard port: these tests send no request to a bookmaker."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with four events."""
    with running_sandbox("--events", "4", "--markets", "10") as running:
        yield running


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app that scrapes every hour."""
    async with running_app(tmp_path, NOWHERE, scrape_interval_minutes=60) as opened:
        yield opened


async def test_the_scheduler_pauses_and_resumes_over_a_restart(tmp_path: Path) -> None:
    """The job has a next run unless the scheduler is paused, and a pause persists across restarts."""
    async with running_app(tmp_path, NOWHERE, scrape_interval_minutes=60) as running:
        status = await running.get("/api/scheduler/status")
        assert (status["running"], status["paused"]) == (True, False)
        [job] = status["jobs"]
        assert (job["id"], job["trigger_type"], job["interval_minutes"]) == ("scrape_all_platforms", "interval", 60)
        assert job["next_run"].endswith("Z")
        response = await running.client.post("/api/scheduler/pause")
        assert (await response.get_json())["paused"] is True
    async with running_app(tmp_path, NOWHERE, scrape_interval_minutes=60) as running:
        status = await running.get("/api/scheduler/status")
        assert (status["paused"], status["jobs"][0]["next_run"]) == (True, None)
        response = await running.client.post("/api/scheduler/resume")
        assert (await response.get_json())["paused"] is False
        status = await running.get("/api/scheduler/status")
        assert (status["paused"], status["jobs"][0]["next_run"] is None) == (False, False)


async def test_a_process_that_does_not_write_tells_which_runs_are_active(sandbox: Sandbox, tmp_path: Path) -> None:
    """The runs are the writer's, from their start to their end."""
    sandbox.strike("timeout", *FIRST_THREE)
    async with running_app(tmp_path, sandbox.url) as writer, running_app(tmp_path, sandbox.url) as other:
        run_id = await writer.start()
        for each in (writer, other):
            assert await each.get("/api/scrape/runs/active") == [run_id]
            assert await each.get("/api/scrape/runs/active?mode=sweep") == []
            assert await each.get("/api/scrape/runs/active?mode=all") == [run_id]
        assert (await writer.ask("POST", f"/api/scrape/{run_id}/cancel")).status_code == 202
        await writer.published(run_id)
        assert await other.get("/api/scrape/runs/active") == []
    sandbox.heal()


async def test_a_standby_tells_no_next_run(tmp_path: Path) -> None:
    """It starts none, and without an engine it does not know when the one that writes will."""
    async with (
        running_app(tmp_path, NOWHERE, scrape_interval_minutes=60) as writer,
        running_app(tmp_path, NOWHERE, scrape_interval_minutes=60) as standby,
    ):
        assert standby.parts.role == "standby"
        [own], [told] = [(await each.get("/api/scheduler/status"))["jobs"] for each in (writer, standby)]
        assert own["next_run"] is not None
        assert told == {**own, "next_run": None}
        pages = [await (await each.client.get("/")).get_data(as_text=True) for each in (writer, standby)]
        assert ["next at" in each for each in pages] == [True, False]


async def test_without_an_interval_there_is_no_job(tmp_path: Path) -> None:
    """The scheduler waits for one: it runs, is not enabled, and resuming it says that nothing will be started."""
    async with running_app(tmp_path, NOWHERE) as running:
        status = await running.get("/api/scheduler/status")
        assert (status["running"], status["enabled"], status["jobs"]) == (True, False, [])
        response = await running.client.post("/api/scheduler/resume")
        assert "no interval is set" in (await response.get_json())["message"]


async def test_settings_are_changed_while_it_runs_and_stand_over_a_restart(tmp_path: Path) -> None:
    """A new interval reschedules the job at once; settings that the request leaves out stay as they are."""
    async with running_app(tmp_path, NOWHERE) as running:
        before = await running.get("/api/settings")
        assert (before["scrapeIntervalMinutes"], before["bet9jaConcurrency"]) == (0, 15)
        assert before["enabledPlatforms"] == ["betpawa", "sportybet", "bet9ja"]
        changes = {"scrapeIntervalMinutes": 5, "enabledPlatforms": ["bet9ja"], "bet9jaDelayMs": 20}
        response = await running.client.put("/api/settings", json=changes)
        assert response.status_code == 200
        after = await response.get_json()
        assert after == before | changes | {"updatedAt": after["updatedAt"]}
        assert (await running.get("/api/scheduler/status"))["jobs"][0]["interval_minutes"] == 5
        response = await running.client.put("/api/settings", json=after)
        assert response.status_code == 200, "what was read may be written back"
    async with running_app(tmp_path, NOWHERE) as running:
        assert (await running.get("/api/settings"))["enabledPlatforms"] == ["bet9ja"]
        assert (await running.get("/api/scheduler/status"))["enabled"] is True


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "body"),
        (b"[]", "body"),
        (b'{"scrapeIntervalMinutes": -1}', "scrapeIntervalMinutes"),
        (b'{"sweepIntervalSeconds": 1}', "sweepIntervalSeconds"),
        (b'{"sweepIntervalSeconds": 3601}', "sweepIntervalSeconds"),
        (b'{"bet9jaConcurrency": 51}', "bet9jaConcurrency"),
        (b'{"enabledPlatforms": []}', "enabledPlatforms"),
        (b'{"enabledPlatforms": ["ladbrokes"]}', "enabledPlatforms.0"),
        (b'{"colour": "red"}', "colour"),
    ],
)
async def test_settings_that_make_no_sense_change_nothing(body: bytes, field: str, running: RunningApp) -> None:
    """Invalid settings are answered 400, with the name of the invalid field, and change nothing."""
    before = await running.get("/api/settings")
    response = await running.client.put("/api/settings", data=body)
    said = await response.get_json()
    assert (response.status_code, said["errors"][0]["field"]) == (400, field)
    assert await running.get("/api/settings") == before


async def test_a_run_scrapes_the_platforms_that_are_enabled(sandbox: Sandbox, tmp_path: Path) -> None:
    """A run covers the enabled bookmakers unless the request names others."""
    async with running_app(tmp_path, sandbox.url) as running:
        await running.client.put("/api/settings", json={"enabledPlatforms": ["sportybet"]})
        response = await running.client.post("/api/scrape")
        run_id = (await response.get_json())["scrape_run_id"]
        await running.published(run_id)
        row = await running.get(f"/api/scrape/{run_id}")
        assert [each["platform"] for each in row["platforms"]] == ["sportybet"]


async def test_a_clean_up_is_previewed_and_done(running: RunningApp) -> None:
    """A preview uses the settings or the days of the query; with nothing old enough, nothing is removed."""
    preview = await running.get("/api/cleanup/preview?odds_days=1&match_days=2")
    assert (preview["events"], preview["history_rows"], preview["runs"]) == (0, 0, 0)
    assert preview["runs_before"] < preview["odds_before"]
    response = await running.client.post("/api/cleanup/execute")
    assert (await response.get_json()).items() >= {"events": 0, "history_rows": 0, "runs": 0}.items()
    response = await running.client.get("/api/cleanup/preview?odds_days=0")
    assert response.status_code == 400
    response = await running.client.post("/api/cleanup/execute", json=preview)
    assert (await response.get_json()).items() >= {"events": 0, "history_rows": 0, "runs": 0}.items()
    wrong: list[object] = [{"events": "many"}, [], {"events": 1}, {}, {"oddsRetentionDays": 0}]
    for body in wrong:
        response = await running.client.post("/api/cleanup/execute", json=body)
        assert (response.status_code, response.content_type) == (400, "application/problem+json")


@pytest.mark.parametrize("body", [{"oddsRetentionDays": 0}, {"matchRetentionDays": 0}, {"oddsRetentionDays": -1}])
async def test_nothing_is_removed_within_a_day(body: dict[str, int], running: RunningApp) -> None:
    """Retention cannot be set to less than a day."""
    assert (await running.client.put("/api/settings", json=body)).status_code == 400


async def test_it_says_that_it_is_alive_and_ready(running: RunningApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is ready while the database responds and it is not draining; it is alive in any case."""
    assert await running.get("/healthz") == {"status": "ok", "version": __version__}
    assert await running.get("/readyz") == {"status": "ready", "role": "writer"}

    async def gone() -> None:
        raise StorageError("the disk is gone")

    monkeypatch.setattr(running.parts.store, "check", gone)
    response = await running.client.get("/readyz")
    assert (response.status_code, (await response.get_json())["detail"]) == (503, "the disk is gone")
    response = await running.client.get("/api/health")
    said = await response.get_json()
    assert (response.status_code, said["status"], said["database"]) == (503, "unhealthy", "disconnected")
    running.parts.is_draining = True
    response = await running.client.get("/readyz")
    assert (response.status_code, (await response.get_json())["status"]) == (503, "draining")
    running.parts.is_draining = False
    assert (await running.client.get("/healthz")).status_code == 200


async def test_a_database_that_hangs_is_no_readiness(running: RunningApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The monitor is answered in time."""
    monkeypatch.setattr(readiness, "CHECK_SECONDS", 0.1)
    monkeypatch.setattr(running.parts.store, "check", asyncio.Event().wait)
    async with asyncio.timeout(5):
        response = await running.client.get("/readyz")
    assert response.status_code == 503
    answer = await response.get_json()
    assert answer["status"] == "no database"
    assert answer["detail"] == "the database has not answered for 0.1 s"


async def test_a_decoding_process_that_hangs_is_no_readiness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is not ready until another decoding process has replaced the one that hangs."""
    monkeypatch.setattr(decoder, "DECODE_SECONDS", 1.0)
    monkeypatch.setattr(decoder, "ANSWER_SECONDS", 0.3)
    async with running_app(tmp_path, NOWHERE, decode_workers=1) as running:
        await running.parts.decoder.warm()
        assert await running.get("/readyz") == {"status": "ready", "role": "writer"}
        (process,) = multiprocessing.active_children()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        response = await running.client.get("/readyz")
        assert response.status_code == 503
        answer = await response.get_json()
        detail = "a decoding process has not answered for 0.3 s"
        assert answer == {"status": "no decoder", "detail": detail, "role": "writer"}
        async with asyncio.timeout(20):
            while (await running.client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.05)


async def test_the_process_that_answers_names_itself(tmp_path: Path) -> None:
    """By its process id, and by its number if it is one of several workers.

    Then each series has this number, because the next scrape may reach another worker.
    """
    async with running_app(tmp_path, NOWHERE) as running:
        process = (await running.get("/api/health"))["process"]
        assert (process["worker"], process["pid"], process["role"]) == (None, os.getpid(), "writer")
        metrics = await (await running.client.get("/metrics")).get_data(as_text=True)
        assert f'\nquart_odds_process_info{{pid="{os.getpid()}"}} 1.0\n' in metrics
        running.parts.worker = 3
        assert (await running.get("/api/health"))["process"]["worker"] == 3
        metrics = await (await running.client.get("/metrics")).get_data(as_text=True)
        assert f'\nquart_odds_process_info{{pid="{os.getpid()}",worker="3"}} 1.0\n' in metrics
        series = [line for line in metrics.splitlines() if line and not line.startswith("#")]
        assert len(series) > 50
        assert [line for line in series if 'worker="3"' not in line] == []


async def test_without_an_engine_a_process_says_nothing_of_others(running: RunningApp) -> None:
    """It cannot know of them: neither the health report nor the metrics pretend that it were alone."""
    async with running.client.websocket("/api/ws?topics=odds_updates&watch=1,2") as listener:
        await listener.receive()
        health = await running.get("/api/health")
        assert health["cluster"] is None
        process = health["process"]
        assert process["name"] == health["holder"]
        assert (process["level"], process["connections"], process["active_count"]) == (True, 1, 1)
        assert process["topic_counts"] == {
            "alerts": 0,
            "odds": 0,
            "odds_updates": 1,
            "opportunities": 0,
            "scrape_progress": 0,
        }
        assert process["watched_events"] == 0, "there are no such events"
        assert "quart_odds_cluster" not in await metrics(running)


async def test_health_tells_of_the_database_and_of_each_platform(sandbox: Sandbox, tmp_path: Path) -> None:
    """Before the first run no bookmaker is checked, then they are as in it; a health check sends them no request."""
    sandbox.heal()
    async with running_app(tmp_path, sandbox.url) as running:
        health = await running.get("/api/health")
        assert (health["status"], health["database"]) == ("healthy", "connected")
        assert {(each["status"], each["checked"]) for each in health["platforms"]} == {("healthy", False)}
        sandbox.strike("403", Platform.BET9JA)
        await running.scrape()
        requests = {name: each["requests"] for name, each in sandbox.state()["bookmakers"].items()}
        health = await running.get("/api/health")
        assert health["status"] == "degraded"
        assert [each["status"] for each in health["platforms"]] == ["healthy", "healthy", "unhealthy"]
        by_platform = {each["platform"]: each["healthy"] for each in await running.get("/api/scheduler/health")}
        assert by_platform == {"betpawa": True, "sportybet": True, "bet9ja": False}
        assert {name: each["requests"] for name, each in sandbox.state()["bookmakers"].items()} == requests
        sandbox.heal()


async def test_figures_over_runs(sandbox: Sandbox, tmp_path: Path) -> None:
    """Statistics count the runs, their duration and their success, by day and by bookmaker."""
    sandbox.heal()
    async with running_app(tmp_path, sandbox.url) as running:
        assert (await running.get("/api/scrape/stats"))["total_runs"] == 0
        await running.scrape()
        sandbox.strike("403", Platform.BETPAWA)
        await running.scrape()
        sandbox.heal()
        stats = await running.get("/api/scrape/stats")
        assert (stats["total_runs"], stats["runs_24h"]) == (2, 2)
        assert stats["avg_duration_seconds"] > 0
        figures = await running.get("/api/scrape/analytics?days=2")
        assert sum(each["success_count"] for each in figures["daily_metrics"]) == 1
        assert sum(each["partial_count"] for each in figures["daily_metrics"]) == 1
        rates = {each["platform"]: each["success_rate"] for each in figures["platform_metrics"]}
        assert rates == {"betpawa": 50, "sportybet": 100, "bet9ja": 100}
        metrics = await running.get("/api/scrape/event-metrics")
        assert [each["total_scraped"] for each in metrics["platform_metrics"]] == [4, 8, 8]
        for query in ("days=0", "days=31", "days=x"):
            assert (await running.client.get(f"/api/scrape/analytics?{query}")).status_code == 400


async def test_metrics_are_there_for_prometheus(running: RunningApp) -> None:
    """Metrics are in Prometheus text format, with types, and show the current values."""
    text = await metrics(running)
    for name in ("connections", "messages_total", "log_bytes", "events", "run_active", "draining"):
        assert f"\nquart_odds_{name} " in text, name
    assert 'quart_odds_subscribers{topic="odds_updates"} 0.0' in text
    async with running.client.websocket("/api/ws?topics=odds_updates") as listener:
        await listener.receive()
        text = await metrics(running)
        assert 'quart_odds_subscribers{topic="odds_updates"} 1.0' in text
        assert "quart_odds_connections 1.0" in text


async def test_sweeps_are_turned_on_with_a_budget_while_it_runs(running: RunningApp) -> None:
    """The budget holds at once, shows in the metrics, survives a change of the interval, and ends with the sweeps."""
    assert (await running.get("/api/settings"))["sweepIntervalSeconds"] == 0
    text = await metrics(running)
    assert 'quart_odds_bookmaker_requests_total{bookmaker="bet9ja"} 0.0' in text
    assert 'quart_odds_request_budget_configured_per_second{bookmaker="bet9ja"} 5.0' in text
    assert "quart_odds_request_budget_per_second{" not in text
    response = await running.client.put("/api/settings", json={"sweepIntervalSeconds": 1})
    [said] = (await response.get_json())["errors"]
    assert "give 0, which turns sweeps off, or 2 to 3600 seconds" in said["message"]
    for seconds in (5, 3600):
        response = await running.client.put("/api/settings", json={"sweepIntervalSeconds": seconds})
        assert (await response.get_json())["sweepIntervalSeconds"] == seconds
        assert 'quart_odds_request_budget_per_second{bookmaker="bet9ja"} 5.0' in await metrics(running)
    assert f"Sweeps every {seconds} s" in await page(running)
    running.parts.clients._throttle(Platform.SPORTYBET).count_refusal()
    text = await metrics(running)
    assert 'quart_odds_request_budget_per_second{bookmaker="sportybet"} 2.5' in text
    assert 'quart_odds_request_budget_configured_per_second{bookmaker="sportybet"} 5.0' in text
    assert "SportyBet refuses requests and gets 2.5 requests per second instead of 5" in await page(running)
    await running.client.put("/api/settings", json={"sweepIntervalSeconds": 0})
    assert "quart_odds_request_budget_per_second{" not in await metrics(running)
    assert "Sweeps every" not in await page(running)


async def page(running: RunningApp) -> str:
    """Return the progress page."""
    response = await running.client.get("/")
    text: Any = await response.get_data(as_text=True)
    return str(text)


async def metrics(running: RunningApp) -> str:
    """Return the metrics in text format."""
    response = await running.client.get("/metrics")
    assert (response.status_code, response.content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    text: Any = await response.get_data(as_text=True)
    return str(text)
