"""The scheduler, and the settings that can change at run time."""

from datetime import datetime

from quart import Blueprint, Response
from quart_schema import document_response

from quart_odds.domain.clock import iso_z
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunMode, ScrapePhase
from quart_odds.routes.access.forwarding import carried_out_by_writer
from quart_odds.routes.access.same_origin import same_origin_only
from quart_odds.routes.api.openapi import answers_problems
from quart_odds.routes.api.processes import writer_state
from quart_odds.routes.api.requests import takes_body, takes_query
from quart_odds.routes.api.schemas.operations import (
    PlatformSuccesses,
    PreferencesBody,
    SchedulerAnswer,
    SchedulerStatus,
)
from quart_odds.routes.api.schemas.scrape import ModeQuery, RunsQuery, SchedulerHistory
from quart_odds.routes.api.scrape import json_response, run_row
from quart_odds.scraping.runtime_settings import Preferences
from quart_odds.services import Services, services

JOB = "scrape_all_platforms"
SWEEP_JOB = "sweep_all_platforms"

blueprint = Blueprint("scheduler", __name__)


@blueprint.get("/api/scheduler/status")
@takes_query(ModeQuery)
@document_response(SchedulerStatus)
async def status(query: ModeQuery) -> Response:
    """Return whether runs are scheduled, and when the next one starts. With `mode=sweep`, the same about sweeps.

    The process that writes starts runs, so other processes return what it reported, a second or two ago.
    """
    return json_response(scheduler_row(services(), query.run_mode))


@blueprint.post("/api/scheduler/pause")
@same_origin_only
@carried_out_by_writer
@document_response(SchedulerAnswer)
async def pause() -> Response:
    """Stop starting scheduled runs until they are resumed, also across restarts."""
    parts = services()
    await parts.maintenance.pause(True)
    return json_response({"success": True, "paused": True, "message": "no run is started until you resume"})


@blueprint.post("/api/scheduler/resume")
@same_origin_only
@carried_out_by_writer
@document_response(SchedulerAnswer)
async def resume() -> Response:
    """Start scheduled runs again."""
    parts = services()
    await parts.maintenance.pause(False)
    at = parts.scheduler.next_run
    words = f"the next run starts at {iso_z(at)}" if at else "no interval is set, so nothing is started"
    return json_response({"success": True, "paused": False, "message": words})


@blueprint.get("/api/scheduler/history")
@takes_query(RunsQuery)
@document_response(SchedulerHistory)
@answers_problems(503)
async def history(query: RunsQuery) -> Response:
    """List runs, newest first, with their total number."""
    parts = services()
    rows = []
    for record in await parts.store.list_runs(
        limit=query.limit, offset=query.offset, status=query.status, mode=query.run_mode
    ):
        seconds = None if record.duration_ms is None else record.duration_ms / 1000
        rows.append(run_row(record) | {"duration_seconds": seconds})
    return json_response({"runs": rows, "total": await parts.store.count_runs(query.status, query.run_mode)})


@blueprint.get("/api/scheduler/health")
@document_response(PlatformSuccesses)
@answers_problems(503)
async def platforms_health() -> Response:
    """Return when each bookmaker was last scraped successfully by a full run."""
    last: dict[Platform, datetime] = {}
    for record in await services().store.list_runs(limit=100):
        for result in record.results:
            if result.phase is ScrapePhase.COMPLETED and record.completed_at is not None:
                last.setdefault(result.platform, record.completed_at)
    return json_response(
        [
            {
                "platform": str(each),
                "healthy": each in last,
                "last_success": iso_z(last[each]) if each in last else None,
            }
            for each in services().bookmakers()
        ]
    )


@blueprint.get("/api/settings")
@document_response(Preferences)
async def preferences() -> Response:
    """Return the current values of the settings that can change at run time."""
    return json_response(services().preferences.current.model_dump(mode="json", by_alias=True))


@blueprint.put("/api/settings")
@same_origin_only
@carried_out_by_writer
@takes_body(PreferencesBody)
@document_response(Preferences)
async def change_preferences(body: PreferencesBody) -> Response:
    """Change some of these settings. The changes persist across restarts."""
    current = await services().preferences.change(body)
    return json_response(current.model_dump(mode="json", by_alias=True))


def scheduler_row(parts: Services, mode: RunMode | None = RunMode.FULL) -> dict[str, object]:
    """Return the state of the writer's scheduler of a mode as the API shows it; None stands for both."""
    state = writer_state(parts)
    schedulers = {JOB: state.runs, SWEEP_JOB: state.sweeps}
    if mode is not None:
        job = JOB if mode is RunMode.FULL else SWEEP_JOB
        schedulers = {job: schedulers[job]}
    shown = list(schedulers.values())
    return {
        # The scheduler itself is never off: without an interval it waits for one.
        "running": True,
        "enabled": any(each.is_on for each in shown),
        "paused": shown[0].is_paused,
        "jobs": [
            {
                "id": job,
                "next_run": iso_z(each.next_run) if each.next_run else None,
                "trigger_type": "interval",
                "interval_minutes": each.interval_minutes,
            }
            for job, each in schedulers.items()
            if each.is_on
        ],
        "skipped": sum(each.skipped for each in shown),
        "last_skip": next((each.last_skip for each in shown if each.last_skip), None),
    }
