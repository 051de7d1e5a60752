"""The page of health: bookmakers, database, processes, listeners and this process."""

import re
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest

from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.domain.processes import ClusterReport
from quart_odds.domain.runs import PlatformResult, RunError, RunMode, RunRecord, RunStatus, ScrapePhase
from quart_odds.errors import StorageError
from quart_odds.routes.api.checks import overall, states_of
from quart_odds.routes.api.processes import own_report
from quart_odds.routes.pages import health
from quart_odds.routes.pages.freshness import Freshness
from quart_odds.routes.pages.health import BookmakerHealth
from tests.apps import RunningApp, running_app
from tests.odds.making import NOW, header, mapped
from tests.routes.pages.test_alerts_page import text_of

NOWHERE = "http://127.0.0.1:9"
TWO = (Platform.BETPAWA, Platform.BET9JA)
GOOD, BAD = ScrapePhase.COMPLETED, ScrapePhase.FAILED


def fault(kind: str = "blocked") -> RunError:
    """Return an error at Bet9ja."""
    return RunError(kind, "Bet9ja: 403", NOW, Platform.BET9JA)


def record(
    number: int, phases: Sequence[ScrapePhase], *, mode: RunMode = RunMode.FULL, error: RunError | None = None
) -> RunRecord:
    """Return a run over two bookmakers."""
    results = tuple(
        PlatformResult(platform, phase, error=error if phase is BAD else None)
        for platform, phase in zip(TWO, phases, strict=True)
    )
    at = NOW + timedelta(minutes=number)
    return RunRecord(number, RunStatus.PARTIAL, "api", TWO, at, at, results=results, mode=mode)


def test_the_last_full_run_says_how_a_bookmaker_is() -> None:
    """Sweeps only count for the newest success and error, and runs that were stopped for nothing."""
    runs = [
        record(4, (BAD, BAD), error=fault("cancelled")),
        record(3, (GOOD, GOOD), mode=RunMode.SWEEP),
        record(2, (GOOD, BAD), error=fault()),
        record(1, (GOOD, GOOD)),
    ]
    betpawa, bet9ja = states_of(runs, TWO)
    assert (betpawa.is_healthy, betpawa.run_id, betpawa.last_success) == (True, 2, NOW + timedelta(minutes=3))
    assert (bet9ja.is_healthy, bet9ja.run_id, bet9ja.last_success) == (False, 2, NOW + timedelta(minutes=3))
    assert bet9ja.last_error == bet9ja.error == fault()
    assert overall([betpawa, bet9ja], is_connected=True) == "degraded"
    assert overall([bet9ja], is_connected=True) == overall([betpawa], is_connected=False) == "unhealthy"


def test_a_bookmaker_that_no_full_run_had_is_not_checked() -> None:
    """It counts as healthy."""
    [state] = states_of([record(1, (BAD, BAD), mode=RunMode.SWEEP, error=fault())], [Platform.BETPAWA])
    assert (state.is_checked, state.is_healthy, state.last_error) == (False, True, fault())
    assert overall([state], is_connected=True) == "healthy"


@pytest.mark.parametrize(
    ("allowed", "slowed_by", "is_resting", "words"),
    [
        (None, None, False, "no budget while sweeps are off"),
        (5, None, False, "at most 5 a second"),
        (2.5, "slow", False, "at most 2.5 a second instead of 5, because it answers slowly"),
        (2.5, "refused", False, "at most 2.5 a second instead of 5, because it refuses requests"),
        (2.5, "refused", True, "gets none for some minutes, because it refused too many"),
    ],
)
def test_the_budget_is_put_in_words(
    allowed: float | None, slowed_by: Literal["refused", "slow"] | None, words: str, *, is_resting: bool
) -> None:
    """Why a bookmaker gets less than configured."""
    [state] = states_of([], [Platform.BETPAWA])
    fresh = Freshness("BetPawa", None, None)
    assert BookmakerHealth(state, fresh, 9, 1.0, allowed, 5, slowed_by, is_resting).requests == words


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app that has one event."""
    async with running_app(tmp_path, NOWHERE) as opened:
        await opened.parts.odds_service.record(mapped(header()), utc_now())
        yield opened


async def shown(running: RunningApp) -> str:
    """Return what the page says."""
    response = await running.client.get("/health")
    assert response.status_code == 200
    return text_of(await response.get_data(as_text=True))


async def test_before_the_first_run_nothing_is_called_ill(running: RunningApp) -> None:
    """The page says what to do, and has figures of this process."""
    said = await shown(running)
    assert "Health healthy No full run has ended yet, so no bookmaker is checked. Start a run" in said
    assert "not checked none yet" in said
    assert "Database SQLite Answers within" in said
    assert re.search(r"Size [\d.]+ [KM]B", said)
    assert "Written by this process" in said
    assert re.search(r"Memory [\d.,]+ [MG]B", said)
    assert "Events in memory 1 " in said
    assert "No engine is set" in said


async def test_a_bookmaker_that_failed_has_its_error_and_advice(running: RunningApp) -> None:
    """All of them failed here, since nobody is at their address."""
    await running.scrape()
    said = await shown(running)
    assert "Health unhealthy" in said
    assert "failed in the last full run" in said
    assert "Check that this machine reaches the bookmaker" in said
    assert (await running.get("/api/health"))["status"] == "unhealthy"


async def test_a_database_that_does_not_answer_is_said(running: RunningApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is there nevertheless."""

    async def gone() -> None:
        raise StorageError("the disk is gone", for_operator="/var/lib/x: the disk is gone")

    monkeypatch.setattr(running.parts.store, "check", gone)
    said = await shown(running)
    assert "Health unhealthy The database does not answer." in said
    assert "no: the disk is gone" in said
    assert "/var/lib" not in said


async def test_processes_and_who_writes_are_listed(running: RunningApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is behind is marked, and so is an engine that does not answer."""
    own = own_report(running.parts)
    monkeypatch.setattr(
        running.parts, "settings", running.parts.settings.model_copy(update={"engine_url": "redis://x"})
    )
    monkeypatch.setattr(health, "cluster_report", lambda _: ClusterReport((own,), own.name))
    said = await shown(running)
    assert f"{own.name} this one process id {own.pid} writer, it writes yes 0 0 0" in said
    monkeypatch.setattr(health, "cluster_report", lambda _: None)
    assert "Redis does not answer , so the other processes are not known here" in await shown(running)
