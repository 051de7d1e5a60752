"""Statistics over many runs, and the health report."""

from datetime import timedelta

from quart import Blueprint, Response
from quart_schema import document_response

from quart_odds.domain.clock import utc_now
from quart_odds.routes.api.checks import BookmakerState, check_database, overall, states_of
from quart_odds.routes.api.openapi import answers_problems
from quart_odds.routes.api.processes import cluster_json, cluster_report, own_report, process_json
from quart_odds.routes.api.requests import takes_query
from quart_odds.routes.api.schemas.operations import (
    Analytics,
    AnalyticsQuery,
    EventMetrics,
    EventMetricsQuery,
    Health,
    Stats,
)
from quart_odds.routes.api.schemas.scrape import ModeQuery
from quart_odds.routes.api.scrape import json_response
from quart_odds.services import services

blueprint = Blueprint("analytics", __name__)


@blueprint.get("/api/scrape/stats")
@takes_query(ModeQuery)
@document_response(Stats)
@answers_problems(503)
async def stats(query: ModeQuery) -> Response:
    """Count the runs and average their duration."""
    found = await services().store.run_stats(utc_now(), query.run_mode)
    return json_response(
        {
            "total_runs": found.total_runs,
            "runs_24h": found.runs_24h,
            "avg_duration_seconds": found.avg_duration_seconds,
        }
    )


@blueprint.get("/api/scrape/analytics")
@takes_query(AnalyticsQuery)
@document_response(Analytics)
@answers_problems(503)
async def analytics(query: AnalyticsQuery) -> Response:
    """Summarise the runs of the last days, by day and by bookmaker. Sweeps count also when they are folded."""
    found = await services().store.run_analytics(query.days, utc_now(), query.run_mode)
    return json_response(
        {
            "period_start": found.period_start.isoformat(),
            "period_end": found.period_end.isoformat(),
            "daily_metrics": [
                {
                    "date": each.date.isoformat(),
                    "avg_duration_seconds": each.avg_duration_seconds,
                    "total_events": each.total_events,
                    "success_count": each.success_count,
                    "failure_count": each.failure_count,
                    "partial_count": each.partial_count,
                }
                for each in found.daily_metrics
            ],
            "platform_metrics": [
                {
                    "platform": str(each.platform),
                    "success_rate": each.success_rate,
                    "avg_duration_seconds": each.avg_duration_seconds,
                    "total_events": each.total_events,
                }
                for each in found.platform_metrics
            ],
        }
    )


@blueprint.get("/api/scrape/event-metrics")
@takes_query(EventMetricsQuery)
@document_response(EventMetrics)
@answers_problems(503)
async def event_metrics(query: EventMetricsQuery) -> Response:
    """Count events requested and scraped in the last days, by bookmaker.

    An event counts once for each bookmaker and run.
    """
    found = await services().store.run_analytics(query.days, utc_now(), query.run_mode)
    rows = [
        {
            "platform": str(each.platform),
            "total_requested": each.total_requested,
            "total_scraped": each.total_events,
            "total_failed": each.total_failed,
            "success_rate": round(100 * each.total_events / each.total_requested, 1) if each.total_requested else 0.0,
            "avg_timing_ms": _average_ms(each.avg_duration_seconds * each.runs, each.total_events),
        }
        for each in found.platform_metrics
    ]
    return json_response(
        {
            "period_start": found.period_start.isoformat(),
            "period_end": found.period_end.isoformat(),
            "total_events": sum(each.total_requested for each in found.platform_metrics),
            "events_fully_scraped": sum(each.total_events for each in found.platform_metrics),
            "events_partially_scraped": 0,
            "events_failed": sum(each.total_failed for each in found.platform_metrics),
            "platform_metrics": rows,
        }
    )


@blueprint.get("/api/health")
@document_response(Health)
@document_response(Health, 503)
async def health() -> Response:
    """Report the health of the database and the bookmakers.

    The database is queried now. The state of the bookmakers comes from the last full runs: a health check sends no
    request to a bookmaker. `cluster` has the processes that serve the same odds; it is null if they are not known.
    """
    parts = services()
    check = await check_database(parts)
    is_connected = check.reason is None
    states = states_of(check.records, parts.bookmakers())
    body = {
        "status": overall(states, is_connected=is_connected),
        "database": "connected" if is_connected else "disconnected",
        "database_ms": check.milliseconds,
        "platforms": [_platform_health(each) for each in states],
        "connections": parts.limits.count,
        "writer": parts.odds_service.is_writer,
        "read_only_reason": parts.odds_service.read_only_reason,
        "role": parts.role,
        "term": parts.store.writer_row.term,
        "holder": parts.store.writer_row.holder,
        "process": process_json(own_report(parts)),
        "cluster": cluster_json(cluster_report(parts)),
    }
    return json_response(body, 200 if is_connected else 503)


def _platform_health(state: BookmakerState) -> dict[str, object]:
    return {
        "platform": str(state.platform),
        "status": "healthy" if state.is_healthy else "unhealthy",
        "checked": state.is_checked,
        "response_time_ms": None,
        "error": None if state.error is None else state.error.error_message,
    }


def _average_ms(seconds: float, count: int) -> float:
    return round(timedelta(seconds=seconds).total_seconds() * 1000 / count, 1) if count else 0.0
