"""The scheduler, what may be changed while the server runs, and the cleaning up of what is old."""

from datetime import datetime, timedelta

import orjson
from pydantic import ValidationError
from quart import Blueprint, Response, request
from quart_schema import document_querystring, document_request, document_response

from quart_odds.domain.clock import iso_z, utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunStatus, ScrapePhase
from quart_odds.odds.retention import Removal
from quart_odds.routes.access.problems import bad_request
from quart_odds.routes.access.same_origin import same_origin_only
from quart_odds.routes.api.schemas.scrape import (
    CleanupAgreed,
    CleanupDone,
    CleanupPreview,
    CleanupQuery,
    PlatformSuccesses,
    RunsQuery,
    SchedulerAnswer,
    SchedulerHistory,
    SchedulerStatus,
)
from quart_odds.routes.api.scrape import asked_number, json_response, run_row
from quart_odds.scraping.runtime_settings import PreferenceChanges, Preferences
from quart_odds.services import Services, services

JOB = "scrape_all_platforms"

blueprint = Blueprint("scheduler", __name__)


@blueprint.get("/api/scheduler/status")
@document_response(SchedulerStatus)
async def status() -> Response:
    """Whether runs are scheduled, and when the next one starts."""
    return json_response(scheduler_row(services()))


@blueprint.post("/api/scheduler/pause")
@same_origin_only
@document_response(SchedulerAnswer)
async def pause() -> Response:
    """Start no scheduled run until resumed, over a restart too."""
    parts = services()
    await parts.maintenance.pause(True)
    return json_response({"success": True, "paused": True, "message": "no run is started until you resume"})


@blueprint.post("/api/scheduler/resume")
@same_origin_only
@document_response(SchedulerAnswer)
async def resume() -> Response:
    """Start scheduled runs again."""
    parts = services()
    await parts.maintenance.pause(False)
    at = parts.scheduler.next_run
    words = f"the next run starts at {iso_z(at)}" if at else "no interval is set, so nothing is started"
    return json_response({"success": True, "paused": False, "message": words})


@blueprint.get("/api/scheduler/history")
@document_querystring(RunsQuery)
@document_response(SchedulerHistory)
async def history() -> Response:
    """Runs, the newest first, with how many there are in all."""
    parts = services()
    limit = asked_number("limit", 20, 1, 100)
    offset = asked_number("offset", 0, 0, 1_000_000_000)
    wanted = request.args.get("status")
    if wanted is not None and wanted not in tuple(RunStatus):
        raise bad_request("There is no such status.", ("status", f"{wanted!r} is none of {', '.join(RunStatus)}"))
    status = RunStatus(wanted) if wanted else None
    rows = []
    for record in await parts.store.list_runs(limit=limit, offset=offset, status=status):
        seconds = None if record.duration_ms is None else record.duration_ms / 1000
        rows.append(run_row(record) | {"duration_seconds": seconds})
    return json_response({"runs": rows, "total": await parts.store.count_runs(status)})


@blueprint.get("/api/scheduler/health")
@document_response(PlatformSuccesses)
async def platforms_health() -> Response:
    """When each platform was last scraped well."""
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
            for each in Platform
        ]
    )


@blueprint.get("/api/settings")
@document_response(Preferences)
async def preferences() -> Response:
    """What may be changed while the server runs, as it is in force."""
    return json_response(services().preferences.current.model_dump(mode="json", by_alias=True))


@blueprint.put("/api/settings")
@same_origin_only
@document_request(PreferenceChanges)
@document_response(Preferences)
async def change_preferences() -> Response:
    """Change some of them; they stand over a restart."""
    parts = services()
    try:
        body = orjson.loads(await request.get_data())
        if isinstance(body, dict):
            body.pop("updatedAt", None)
        changes = PreferenceChanges.model_validate(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"The body is no JSON: {error}.", ("body", "send a JSON object")) from None
    except ValidationError as error:
        faults = [(".".join(map(str, fault["loc"])) or "body", fault["msg"]) for fault in error.errors()]
        raise bad_request("The settings are not as they should be.", *faults) from None
    current = await parts.preferences.change(changes)
    return json_response(current.model_dump(mode="json", by_alias=True))


@blueprint.get("/api/cleanup/preview")
@document_querystring(CleanupQuery)
@document_response(CleanupPreview)
async def preview_cleanup() -> Response:
    """What a clean-up would remove now."""
    parts = services()
    odds_before, runs_before = _cut_offs(parts)
    removal = await parts.store.preview_removal(odds_before, runs_before)
    return json_response(
        {
            "odds_before": iso_z(odds_before),
            "runs_before": iso_z(runs_before),
            "events": removal.events,
            "history_rows": removal.history_rows,
            "runs": removal.runs,
        }
    )


@blueprint.post("/api/cleanup/execute")
@same_origin_only
@document_request(CleanupAgreed)
@document_response(CleanupDone)
async def execute_cleanup() -> Response:
    """Remove what is older than the settings say, in small batches; 409 where that is more than the body agrees to."""
    parts = services()
    removal = await parts.maintenance.clean_up(await _agreed())
    return json_response({"events": removal.events, "history_rows": removal.history_rows, "runs": removal.runs})


async def _agreed() -> Removal | None:
    """The numbers of a preview that a body agrees to, None where there is no body. Raises a 400."""
    text = await request.get_data()
    if not text.strip():
        return None
    try:
        agreed = CleanupAgreed.model_validate_json(text)
    except ValidationError as error:
        faults = [(".".join(map(str, fault["loc"])) or "body", fault["msg"]) for fault in error.errors()]
        raise bad_request("Send the numbers of a preview, or no body at all.", *faults) from None
    return Removal(events=agreed.events, history_rows=agreed.history_rows, runs=agreed.runs)


def scheduler_row(parts: Services) -> dict[str, object]:
    """The scheduler's state, as clients know it, and more."""
    scheduler = parts.scheduler
    return {
        "running": scheduler.is_on,
        "paused": scheduler.is_paused,
        "jobs": [
            {
                "id": JOB,
                "next_run": iso_z(scheduler.next_run) if scheduler.next_run else None,
                "trigger_type": "interval",
                "interval_minutes": scheduler.interval_minutes,
            }
        ]
        if scheduler.is_on
        else [],
        "skipped": scheduler.skipped,
        "last_skip": scheduler.last_skip,
    }


def _cut_offs(parts: Services) -> tuple[datetime, datetime]:
    days = {
        name: asked_number(name, default, 1, 3650)
        for name, default in (
            ("odds_days", parts.preferences.current.odds_retention_days),
            ("match_days", parts.preferences.current.match_retention_days),
        )
    }
    now = utc_now()
    return now - timedelta(days=days["odds_days"]), now - timedelta(days=days["match_days"])
