"""The mode of runs over HTTP: full runs unless more is asked for, and what becomes of folded sweeps."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from quart_odds.domain.clock import utc_now
from quart_odds.domain.runs import RunMode, RunStatus
from quart_odds.scraping import runs
from tests.apps import Json, RunningApp, Sandbox, blocks, running_app, running_sandbox
from tests.platforms import FIRST_THREE
from tests.routes.api.test_scrape import problem
from tests.storage.test_sweep_hours import swept

LISTS = ("runs", "runs/active", "stats", "analytics", "event-metrics")
ROUTES = (*(f"/api/scrape/{each}" for each in LISTS), "/api/scheduler/history")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with four events."""
    with running_sandbox("--events", "4", "--markets", "10") as process:
        yield process


@pytest.fixture
async def running(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app whose bookmakers work."""
    sandbox.heal()
    async with running_app(tmp_path, sandbox.url) as opened:
        yield opened


async def start(running: RunningApp, mode: str) -> Json:
    """Start a run of a mode and return the response, which must be 202."""
    response = await running.client.post("/api/scrape", json={"mode": mode})
    body: Json = await response.get_json()
    assert response.status_code == 202, body
    return body


async def ids(running: RunningApp, path: str) -> list[int]:
    """Return the ids of a list of runs."""
    return [row["id"] for row in await running.get(path)]


async def test_a_sweep_is_started_and_shown_by_its_id(running: RunningApp) -> None:
    """Its row, phases and progress are those of any run, and say that it is a sweep."""
    run_id = (await start(running, "sweep"))["scrape_run_id"]
    published = await running.published(run_id)
    assert [(each["mode"], each["platform"]) for each in published] == [("sweep", None)] * 2
    assert (published[0]["phase"], published[-1]["phase"]) == ("initializing", "completed")
    row = await running.get(f"/api/scrape/{run_id}")
    assert (row["mode"], row["status"], row["trigger"]) == ("sweep", "completed", "api")
    assert sum(each["events_found"] for each in row["platforms"]) == published[-1]["total"] > 0
    assert await running.get(f"/api/scrape/runs/{run_id}/phases")


async def test_runs_are_full_unless_said_otherwise(running: RunningApp) -> None:
    """This holds for a start with and without a body, and for every progress."""
    row, published = await running.scrape()
    assert row["mode"] == "full"
    assert {each["mode"] for each in published} == {"full"}
    response = await running.client.post("/api/scrape")
    assert (await running.get(f"/api/scrape/{(await response.get_json())['scrape_run_id']}"))["mode"] == "full"


async def test_a_sweep_runs_beside_a_full_run(
    running: RunningApp, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run of a mode is 409 with the id of the active one of that mode, and a stream attaches to that one."""
    monkeypatch.setattr(runs, "CANCELLED_START_SECONDS", 0)
    sandbox.strike("timeout", *FIRST_THREE)
    active = {mode: (await start(running, mode))["scrape_run_id"] for mode in ("full", "sweep")}
    for mode, run_id in active.items():
        refused = await problem(await running.client.post("/api/scrape", json={"mode": mode}), 409)
        assert refused["scrape_run_id"] == run_id
        assert await running.get(f"/api/scrape/runs/active?mode={mode}") == [run_id]
    assert await running.get("/api/scrape/runs/active") == [active["full"]]
    assert await running.get("/api/scrape/runs/active?mode=all") == sorted(active.values())
    response = asyncio.create_task(_told(running, "/api/scrape/stream?mode=sweep"))
    await asyncio.sleep(0)
    assert (await running.client.post(f"/api/scrape/{active['sweep']}/cancel")).status_code == 202
    assert {(each["scrape_run_id"], each["mode"]) for each in await response} == {(active["sweep"], "sweep")}
    assert await running.get("/api/scrape/runs/active?mode=all") == [active["full"]]
    retried = await running.client.post(f"/api/scrape/{active['sweep']}/retry")
    assert retried.status_code == 202
    assert (await running.get(f"/api/scrape/{(await retried.get_json())['new_run_id']}"))["mode"] == "sweep"


async def _told(running: RunningApp, path: str) -> list[Json]:
    response = await running.client.get(path)
    assert response.status_code == 200
    return blocks(await response.get_data())


async def test_a_stream_starts_the_mode_that_it_is_asked_for(running: RunningApp) -> None:
    """Without a mode it starts a full run."""
    assert {each["mode"] for each in await _told(running, "/api/scrape/stream?mode=sweep")} == {"sweep"}
    assert {each["mode"] for each in await _told(running, "/api/scrape/stream")} == {"full"}


async def test_lists_and_figures_are_of_full_runs(running: RunningApp) -> None:
    """`mode=sweep` returns sweeps, and `mode=all` both."""
    store, now = running.parts.store, utc_now()
    full = await swept(store, now, mode=RunMode.FULL)
    sweeps = [await swept(store, now), await swept(store, now, status=RunStatus.PARTIAL)]
    assert await ids(running, "/api/scrape/runs") == [full]
    assert await ids(running, "/api/scrape/runs?mode=sweep") == sweeps[::-1]
    assert await ids(running, "/api/scrape/runs?mode=all&status=completed") == [sweeps[0], full]
    for mode, count in (("", 1), ("?mode=full", 1), ("?mode=sweep", 2), ("?mode=all", 3)):
        assert (await running.get(f"/api/scrape/stats{mode}"))["runs_24h"] == count
        (day,) = (await running.get(f"/api/scrape/analytics{mode}"))["daily_metrics"]
        assert day["total_events"] == 24 * count
        assert (await running.get(f"/api/scrape/event-metrics{mode}"))["total_events"] == 30 * count
        history = await running.get(f"/api/scheduler/history{mode}")
        assert (history["total"], len(history["runs"])) == (count, count)
        assert {row["mode"] for row in history["runs"]} == {
            "": {"full"},
            "?mode=full": {"full"},
            "?mode=sweep": {"sweep"},
            "?mode=all": {"full", "sweep"},
        }[mode]


async def test_health_is_that_of_full_runs(running: RunningApp) -> None:
    """A sweep at which a bookmaker failed or succeeded says nothing about it."""
    store, now = running.parts.store, utc_now()
    await swept(store, now)
    first = (await running.get("/api/health"))["platforms"]
    assert {(each["status"], each["checked"]) for each in first} == {("healthy", False)}
    assert not any(each["healthy"] for each in await running.get("/api/scheduler/health"))
    await swept(store, now, mode=RunMode.FULL)
    await swept(store, now, status=RunStatus.PARTIAL)
    status = {each["platform"]: each for each in (await running.get("/api/health"))["platforms"]}
    for each in (status["bet9ja"], status["betpawa"]):
        assert (each["status"], each["checked"]) == ("healthy", True)


@pytest.mark.parametrize("path", ROUTES)
async def test_another_mode_is_refused(path: str, running: RunningApp) -> None:
    """The answer names the parameter."""
    body = await problem(await running.client.get(f"{path}?mode=quick"), 400)
    assert [each["field"] for each in body["errors"]] == ["mode"]


@pytest.mark.parametrize("mode", ["all", "quick", "", 1, None])
async def test_a_run_has_one_of_two_modes(mode: object, running: RunningApp) -> None:
    """No run is started with another, and a retry takes none."""
    body = await problem(await running.client.post("/api/scrape", json={"mode": mode}), 400)
    assert [each["field"] for each in body["errors"]] == ["mode"]
    await problem(await running.client.get("/api/scrape/stream?mode=all"), 400)
    await problem(await running.client.post("/api/scrape/1/retry", json={"mode": "sweep"}), 400)
    assert await running.get("/api/scrape/runs?mode=all") == []


async def test_a_folded_sweep_is_404_with_the_reason(running: RunningApp) -> None:
    """This holds for everything of the run. An id that never was is only unknown."""
    store, at = running.parts.store, utc_now() - timedelta(days=3)
    first = await swept(store, at)
    full = await swept(store, at, mode=RunMode.FULL)
    last = await swept(store, at)
    assert await running.parts.maintenance.fold_sweeps() == 2
    words = f"was a sweep of {at:%Y-%m-%d %H}:00 UTC; sweeps are kept for a day and then folded into hourly figures"
    paths = ("/api/scrape/{}", "/api/scrape/runs/{}/phases", "/api/scrape/runs/{}/progress", "/runs/{}")
    for path in paths:
        for run_id in (first, last):
            body = await problem(await running.client.get(path.format(run_id)), 404)
            assert body["detail"] == f"run {run_id} {words}"
        assert (await running.client.get(path.format(full))).status_code == 200
        assert (await problem(await running.client.get(path.format(99)), 404))["detail"] == "there is no run 99"
    for action in ("cancel", "retry"):
        body = await problem(await running.client.post(f"/api/scrape/{first}/{action}"), 404)
        assert body["detail"] == f"run {first} {words}"
    assert await ids(running, "/api/scrape/runs?mode=all") == [full]
    analytics = await running.get("/api/scrape/analytics?mode=all")
    assert [day["success_count"] for day in analytics["daily_metrics"]] == [3]
    assert (await running.get("/api/scrape/stats?mode=sweep"))["total_runs"] == 2
