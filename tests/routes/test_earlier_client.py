"""The calls of the earlier system's web client, page by page, with the fields that it reads.

Nobody here wrote that client. It calculates with what it gets, so a field that is missing, or null where it expects a
number, leaves a page of it blank. What is listed here only grows.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.odds.stored_data import StorageAlert
from tests.apps import RunningApp, Sandbox, running_app, running_sandbox
from tests.platforms import FIRST_THREE

EVENTS = 4

Shape = Any
"""A type, a set of allowed values, a tuple of shapes of which one fits, a list with the shape of its items, or a dict
with the shapes of fields. A list has at least one item, unless it is of `Items`."""


class Moment:
    """A time with its zone."""


class Items(list[Shape]):
    """A list that may be empty."""


class Some(dict[str, Shape]):
    """An object that may have any of these fields."""


Number = (int, float)
MaybeNumber = (int, float, None)
MaybeText = (str, None)
MaybeMoment = (Moment, None)
SLUGS = set(Platform)

PLATFORM_TIMINGS = (Some({each.value: {"duration_ms": int, "events_count": int} for each in FIRST_THREE}), None)
RUN = {
    "id": int,
    "status": str,
    "started_at": Moment,
    "completed_at": MaybeMoment,
    "events_scraped": int,
    "events_failed": int,
    "trigger": MaybeText,
    "platform_timings": PLATFORM_TIMINGS,
    "phase_logs": None,
}
EVENT = {
    "id": int,
    "sportradar_id": MaybeText,
    "name": str,
    "home_team": str,
    "away_team": str,
    "kickoff": Moment,
    "tournament_id": int,
    "tournament_name": str,
    "tournament_country": str,
    "sport_name": str,
    "created_at": Moment,
    "bookmakers": [
        {
            "bookmaker_slug": SLUGS,
            "bookmaker_name": str,
            "external_event_id": str,
            "event_url": MaybeText,
            "has_odds": bool,
            "snapshot_time": Moment,
            "inline_odds": [
                {
                    "market_id": {"3743", "5000", "3795", "4693"},
                    "market_name": str,
                    "line": MaybeNumber,
                    "outcomes": [{"name": str, "odds": Number}],
                    "margin": MaybeNumber,
                    "available": bool,
                    "unavailable_since": MaybeMoment,
                }
            ],
        }
    ],
}
DETAIL = {
    **EVENT,
    "markets_by_bookmaker": [
        {
            "bookmaker_slug": SLUGS,
            "bookmaker_name": str,
            "snapshot_time": Moment,
            "markets": [
                {
                    "betpawa_market_id": str,
                    "betpawa_market_name": str,
                    "line": MaybeNumber,
                    "outcomes": [{"name": str, "odds": Number, "is_active": bool}],
                    "margin": Number,
                    "market_groups": [str],
                }
            ],
        }
    ],
}
HISTORY = {
    "event_id": int,
    "bookmaker_slug": SLUGS,
    "bookmaker_name": str,
    "market_id": str,
    "market_name": str,
    "line": MaybeNumber,
}
POINT = {
    "captured_at": Moment,
    "margin": MaybeNumber,
    "available": bool,
    "confirmed": bool,
    "unavailable_at": MaybeMoment,
}
COVERAGE = {
    "total_events": int,
    "matched_count": int,
    "betpawa_only_count": int,
    "competitor_only_count": int,
    "match_rate": Number,
    "by_platform": [
        {
            "platform": SLUGS - {"betpawa"},
            "total_events": int,
            "matched_events": int,
            "unmatched_events": int,
            "match_rate": Number,
        }
    ],
}
STORED = (
    "oddsSnapshots",
    "competitorOddsSnapshots",
    "events",
    "competitorEvents",
    "tournaments",
    "competitorTournaments",
    "scrapeRuns",
    "scrapeBatches",
)
FIGURES = {"count": int, "oldest": MaybeMoment, "newest": MaybeMoment}
CLEAN_UP = {
    "id": int,
    "startedAt": Moment,
    "completedAt": MaybeMoment,
    "trigger": str,
    "oddsRetentionDays": int,
    "matchRetentionDays": int,
    "oddsDeleted": int,
    "competitorOddsDeleted": int,
    "scrapeRunsDeleted": int,
    "scrapeBatchesDeleted": int,
    "eventsDeleted": int,
    "competitorEventsDeleted": int,
    "tournamentsDeleted": int,
    "competitorTournamentsDeleted": int,
    "status": str,
}

CALLS: dict[str, list[tuple[str, Shape]]] = {
    "dashboard": [
        ("/api/scrape/runs?limit=10", [RUN]),
        ("/api/scrape/runs/active", Items([int])),
        ("/api/scrape/stats", {"total_runs": int, "runs_24h": int, "avg_duration_seconds": MaybeNumber}),
        ("/api/scheduler/status", {"running": True, "paused": bool, "jobs": Items([dict])}),
        ("/api/scheduler/history?limit=5", {"runs": [{**RUN, "duration_seconds": MaybeNumber}], "total": int}),
        (
            "/api/scheduler/health",
            [{"platform": SLUGS, "healthy": bool, "last_success": MaybeMoment}],
        ),
        (
            "/api/health",
            {
                "status": {"healthy", "degraded", "unhealthy"},
                "database": {"connected", "disconnected"},
                "platforms": [
                    {
                        "platform": SLUGS,
                        "status": {"healthy", "unhealthy"},
                        "response_time_ms": MaybeNumber,
                        "error": MaybeText,
                    }
                ],
            },
        ),
    ],
    "events": [
        ("/api/events?page=1&page_size=50", {"events": [EVENT], "total": int, "page": int, "page_size": int}),
        ("/api/events?availability=competitor&min_bookmakers=2", {"events": Items([EVENT]), "total": int}),
        ("/api/events?availability=alerts&include_started=true", {"events": Items([EVENT]), "total": int}),
        ("/api/events/tournaments", [{"id": int, "name": str, "country": str}]),
        ("/api/events/tournaments?availability=competitor", Items([{"id": int, "name": str}])),
        ("/api/events/countries", [str]),
        ("/api/events/alerts/count", {"count": int}),
    ],
    "event": [
        ("/api/events/{event_id}", DETAIL),
        (
            "/api/events/{event_id}/markets/3743/history?bookmaker_slug=betpawa",
            {**HISTORY, "history": [{**POINT, "outcomes": [{"name": str, "odds": Number}]}]},
        ),
        (
            "/api/events/{event_id}/markets/3743/margin-history?bookmaker_slug=sportybet",
            {**HISTORY, "history": [POINT]},
        ),
    ],
    "coverage": [
        ("/api/palimpsest/coverage?include_started=false", COVERAGE),
        (
            "/api/palimpsest/events?availability=all&platforms=sportybet&platforms=bet9ja&sort=tournament",
            {
                "coverage": COVERAGE,
                "tournaments": [
                    {
                        "tournament_id": int,
                        "tournament_name": str,
                        "tournament_country": str,
                        "sport_name": str,
                        "coverage": {"total": int, "matched": int, "betpawa_only": int, "competitor_only": int},
                        "events": [
                            {
                                "id": int,
                                "sportradar_id": MaybeText,
                                "name": str,
                                "home_team": str,
                                "away_team": str,
                                "kickoff": Moment,
                                "tournament_name": str,
                                "tournament_country": str,
                                "sport_name": str,
                                "availability": {"matched", "betpawa-only", "competitor-only"},
                                "platforms": [SLUGS],
                            }
                        ],
                    }
                ],
            },
        ),
        ("/api/events/unmatched?page=1", {"events": Items([EVENT]), "total": int}),
    ],
    "scrape runs": [
        ("/api/scrape/runs?limit=20&offset=0", [RUN]),
        (
            "/api/scrape/analytics?days=14",
            {
                "daily_metrics": [
                    {
                        "date": str,
                        "avg_duration_seconds": Number,
                        "total_events": int,
                        "success_count": int,
                        "failure_count": int,
                        "partial_count": int,
                    }
                ],
                "platform_metrics": [
                    {"platform": SLUGS, "success_rate": Number, "avg_duration_seconds": Number, "total_events": int}
                ],
                "period_start": str,
                "period_end": str,
            },
        ),
        (
            "/api/scrape/event-metrics?days=7",
            {
                "total_events": int,
                "events_fully_scraped": int,
                "events_partially_scraped": int,
                "events_failed": int,
                "platform_metrics": [
                    {
                        "platform": SLUGS,
                        "total_requested": int,
                        "total_scraped": int,
                        "total_failed": int,
                        "success_rate": Number,
                        "avg_timing_ms": Number,
                    }
                ],
            },
        ),
    ],
    "scrape run": [
        (
            "/api/scrape/{run_id}",
            {
                **{name: shape for name, shape in RUN.items() if name not in ("id", "phase_logs")},
                "scrape_run_id": int,
                "errors": [
                    {
                        "id": int,
                        "error_type": str,
                        "error_message": str,
                        "occurred_at": Moment,
                        "platform": MaybeText,
                    }
                ],
            },
        ),
        (
            "/api/scrape/runs/{run_id}/phases",
            [{"id": int, "platform": MaybeText, "phase": str, "started_at": Moment, "ended_at": MaybeMoment}],
        ),
    ],
    "settings": [
        (
            "/api/settings",
            {
                "scrapeIntervalMinutes": int,
                "enabledPlatforms": [SLUGS],
                "oddsRetentionDays": int,
                "matchRetentionDays": int,
                "cleanupFrequencyHours": int,
                "betpawaConcurrency": int,
                "sportybetConcurrency": int,
                "bet9jaConcurrency": int,
                "bet9jaDelayMs": int,
                "batchSize": int,
                "maxConcurrentEvents": int,
                "updatedAt": MaybeMoment,
            },
        ),
        (
            "/api/cleanup/stats",
            dict.fromkeys(STORED, FIGURES)
            | {each: [{"platform": SLUGS, "count": int}] for each in ("eventsByPlatform", "competitorEventsBySource")},
        ),
        (
            "/api/cleanup/preview?odds_days=30&match_days=30",
            {f"{each}Count": int for each in STORED} | {"oddsCutoffDate": Moment, "matchCutoffDate": Moment},
        ),
        ("/api/cleanup/history?limit=10", {"runs": [CLEAN_UP], "total": int}),
        ("/api/cleanup/status", {"isRunning": bool}),
    ],
    "storage": [
        (
            "/api/storage/sizes",
            {
                "tables": [{"tableName": str, "sizeBytes": int, "sizeHuman": str, "rowCount": int}],
                "totalBytes": int,
                "totalHuman": str,
                "measuredAt": Moment,
            },
        ),
        (
            "/api/storage/history?limit=30",
            {"samples": [{"id": int, "sampledAt": Moment, "totalBytes": int, "tableSizes": dict}], "total": int},
        ),
        (
            "/api/storage/alerts",
            {
                "alerts": [
                    {
                        "id": int,
                        "createdAt": Moment,
                        "alertType": str,
                        "message": str,
                        "currentBytes": int,
                        "previousBytes": int,
                        "growthPercent": Number,
                        "resolvedAt": MaybeMoment,
                    }
                ],
                "count": int,
            },
        ),
    ],
}


def faults(value: object, shape: Shape, path: str = "") -> Iterator[str]:
    """Yield where a value differs from a shape."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no object"
            return
        for name, each in shape.items():
            if name in value:
                yield from faults(value[name], each, f"{path}.{name}")
            elif not isinstance(shape, Some):
                yield f"{path}.{name} is missing"
    elif isinstance(shape, list):
        if not isinstance(value, list) or not (value or isinstance(shape, Items)):
            yield f"{path}: {value!r} is no list with anything in it"
            return
        for number, each in enumerate(value):
            yield from faults(each, shape[0], f"{path}[{number}]")
    elif isinstance(shape, tuple):
        found = [list(faults(value, each, path)) for each in shape]
        if all(found):
            yield min(found, key=len)[0]
    elif not _fits(value, shape):
        yield f"{path}: {value!r} is no {shape!r}"


def _fits(value: object, shape: Shape) -> bool:
    if isinstance(shape, set):
        return value in shape
    if shape is Moment:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    if isinstance(shape, type):
        return isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
    return bool(value == shape)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Stand-in bookmakers with a few events."""
    with running_sandbox("--events", str(EVENTS), "--markets", "20") as process:
        yield process


@pytest.fixture
async def running(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app with a run that completed, one at which a bookmaker failed, a clean-up, and a report on the database."""
    sandbox.heal()
    async with running_app(tmp_path, sandbox.url) as opened:
        await opened.scrape()
        sandbox.strike("403", Platform.BET9JA)
        await opened.scrape()
        sandbox.heal()
        parts = opened.parts
        await parts.maintenance.clean_up()
        term = parts.odds_service.term
        sample = await parts.store.measure(utc_now())
        await parts.store.add_sample(sample, term, forget_before=sample.sampled_at - timedelta(days=1))
        await parts.store.add_storage_alert(
            StorageAlert("growth_warning", "It grew.", sample.sampled_at, 9, 3, 200.0), term
        )
        yield opened


async def test_every_call_has_the_fields_that_the_client_reads(running: RunningApp) -> None:
    """Of each of its pages: none is refused, and no field is missing or of another type."""
    listed = (await running.get("/api/events?min_bookmakers=3"))["events"]
    wrong = []
    for page, calls in CALLS.items():
        for path, shape in calls:
            address = path.format(event_id=listed[0]["id"], run_id=2)
            response = await running.client.get(address)
            if response.status_code != 200:
                wrong.append(f"{page}: {address} is answered {response.status_code}")
                continue
            wrong += [f"{page}: {address} {each}" for each in faults(await response.get_json(), shape)]
    assert wrong == []


async def test_what_the_client_sends_is_taken(running: RunningApp) -> None:
    """Its buttons, with its bodies."""
    for method, path, body in (
        ("put", "/api/settings", {"oddsRetentionDays": 30, "cleanupFrequencyHours": 24, "bet9jaDelayMs": 25}),
        ("post", "/api/scheduler/pause", None),
        ("post", "/api/scheduler/resume", None),
        ("post", "/api/cleanup/execute", {"oddsRetentionDays": 30, "matchRetentionDays": 30}),
        ("post", "/api/storage/alerts/1/resolve", None),
        ("post", "/api/scrape/2/retry", {"platforms": ["bet9ja"]}),
    ):
        response = await getattr(running.client, method)(path, **({} if body is None else {"json": body}))
        assert response.status_code in (200, 202), (path, await response.get_data())


async def test_runs_show_what_the_client_shows_of_them(running: RunningApp) -> None:
    """It ticks every bookmaker that has a timing, and shows each message as it is."""
    newest, first = await running.get("/api/scrape/runs")
    assert newest["platform_timings"].keys() == {"betpawa", "sportybet"}
    assert first["platform_timings"].keys() == set(FIRST_THREE)
    _, published = await running.scrape()
    assert all(each["message"] and isinstance(each["message"], str) for each in published)
