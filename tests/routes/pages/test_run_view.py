"""A run as its page shows it: how far it is, what failed, and what somebody stopped. Without a browser."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import PhaseRecord, PlatformResult, RunError, RunRecord, RunStatus, ScrapePhase
from quart_odds.routes.pages.run import NO_ESTIMATE, stored_view, told_view
from quart_odds.scraping.progress_tracker import PlatformTracker, RunTracker
from quart_odds.scraping.schemas import ScrapeProgress
from tests.apps import running_app

BETPAWA, SPORTYBET = Platform.BETPAWA, Platform.SPORTYBET
BEGIN = datetime(2026, 11, 22, 10, tzinfo=UTC)
STOP = RunError("cancelled", "the run was cancelled", BEGIN, BETPAWA, recoverable=True)


def record(status: RunStatus, *results: PlatformResult, errors: tuple[RunError, ...] = ()) -> RunRecord:
    """Return the row of a run of 70 seconds at one bookmaker."""
    fetched, failed = sum(each.fetched for each in results), sum(each.failed for each in results)
    end = BEGIN + timedelta(seconds=70)
    return RunRecord(3, status, "page", (BETPAWA,), BEGIN, end, fetched, failed, results, errors)


def told(remaining_ms: int | None) -> dict[str, Any]:
    """Return the view of a run that has 439 of 502 events after 20 seconds, 40 of them failed."""
    active = replace(record(RunStatus.RUNNING), completed_at=None)
    progress = ScrapeProgress(
        phase=ScrapePhase.SCRAPING, current=439, total=502, elapsed_ms=20_000, remaining_ms=remaining_ms
    )
    lane = progress.model_copy(update={"platform": BETPAWA, "events_count": 399})
    return told_view(active, [], [progress, lane], [BETPAWA])


def test_no_time_left_is_estimated_before_every_list_is_complete() -> None:
    """The number of events grows until then, at one bookmaker and in the run as a whole."""
    ticks = count(0.0, 5.0)
    trackers = [PlatformTracker(each, clock=lambda: next(ticks)) for each in (BETPAWA, SPORTYBET)]
    for tracker in trackers:
        tracker.enter(ScrapePhase.SCRAPING)
        for _ in range(10):
            tracker.count_found()
        tracker.without = 5
    whole = RunTracker(trackers)
    assert trackers[0].progress().remaining_ms is None
    trackers[0].is_discovered = True
    assert trackers[0].progress().remaining_ms is not None
    assert whole.progress().remaining_ms is None
    trackers[1].is_discovered = True
    assert whole.progress().remaining_ms is not None


def test_bar_is_drawn_from_time_and_not_from_a_total_that_grows() -> None:
    """After 20 of 70 seconds it is at two sevenths, whatever has been found so far; what failed is part of it."""
    view = told(50_000)
    assert view["bar"]["done"] == view["platforms"][0]["bar"]["done"] == 286
    assert view["platforms"][0]["bar"]["good"] == round(286 * 399 / 439)
    assert told(0)["bar"]["done"] == 990


def test_bar_without_an_estimate_has_no_place_and_says_why() -> None:
    """It is indeterminate, and there is a sentence."""
    view = told(None)
    assert view["bar"] == {"done": None, "good": 0}
    assert view["message"] == NO_ESTIMATE


def test_bar_of_a_run_that_is_over_has_its_failures() -> None:
    """115 of 117 with 67 failed is not a full bar."""
    view: dict[str, Any] = stored_view(
        record(RunStatus.COMPLETED, PlatformResult(BETPAWA, ScrapePhase.COMPLETED, 117, 48, 67, 900)), [], [BETPAWA]
    )
    bar = {"done": round(1000 * 115 / 117), "good": round(1000 * 48 / 117)}
    assert view["bar"] == view["platforms"][0]["bar"] == bar


@pytest.mark.parametrize("status", [RunStatus.CANCELLED, RunStatus.INTERRUPTED])
def test_run_that_somebody_stopped_has_not_failed(status: RunStatus) -> None:
    """Its phase, its bookmakers, its log and its errors say so, and nothing of it is marked as bad."""
    stop = replace(STOP, error_type=str(status))
    result = PlatformResult(BETPAWA, ScrapePhase.FAILED, 9, 4, 0, 900, error=stop)
    phases = [PhaseRecord(ScrapePhase.FAILED, BEGIN, BETPAWA, BEGIN, 4, stop.error_message)]
    view: dict[str, Any] = stored_view(record(status, result, errors=(stop,)), phases, [BETPAWA])
    lane = view["platforms"][0]
    assert view["phase"] == lane["phase"] == status
    assert (lane["error"], lane["advice"]) == (None, None)
    assert not any(line["is_bad"] for line in view["log"])
    assert [line["text"] for line in view["log"][1:]] == [
        f"BetPawa: {status}",
        f"Run 3 {status}: the run was cancelled",
    ]
    assert view["errors"][0]["is_stop"]


async def test_pages_without_a_run_say_what_will_be_there_and_offer_to_start_one(tmp_path: Path) -> None:
    """Of the progress and of the list."""
    async with running_app(tmp_path, "http://127.0.0.1:9") as running:
        for path, words in (("/", "Here you follow a run"), ("/runs", "Each will have a row here")):
            text = await (await running.client.get(path)).get_data(as_text=True)
            assert words in text
            assert re.search(r'<form method="post" action="/runs">.*<button', text)


def test_no_word_of_a_failure_is_doubled() -> None:
    """The log has the status and the reason once each, and the message is the reason alone."""
    error = RunError("blocked", "refused (403)", BEGIN, BETPAWA)
    result = PlatformResult(BETPAWA, ScrapePhase.FAILED, 0, 0, 0, 900, error=error)
    view: dict[str, Any] = stored_view(record(RunStatus.FAILED, result, errors=(error,)), [], [BETPAWA])
    assert view["message"] == "refused (403)"
    assert view["log"][-1]["text"] == "Run 3 failed: refused (403)"
    assert view["log"][-1]["is_bad"]
