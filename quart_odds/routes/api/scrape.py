"""Runs over HTTP: start, inspect, cancel and retry.

The fields are those of the system that existing clients know, with additions.
"""

from collections.abc import Sequence

import orjson
from quart import Blueprint, Response
from quart_schema import document_response

from quart_odds.domain.clock import iso_z
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import PhaseRecord, PlatformResult, RunError, RunMode, RunRecord, RunStatus, ScrapePhase
from quart_odds.routes.access.forwarding import asked_of_writer, carried_out_by_writer, trigger_of_request
from quart_odds.routes.access.root_path import public_path
from quart_odds.routes.access.same_origin import same_origin_only
from quart_odds.routes.api.openapi import answers_header, answers_problems
from quart_odds.routes.api.requests import takes_body, takes_query
from quart_odds.routes.api.schemas.scrape import (
    Accepted,
    ActiveRuns,
    ModeQuery,
    PhaseRows,
    Retried,
    RetryBody,
    RunDetail,
    RunRows,
    RunsQuery,
    StartBody,
)
from quart_odds.services import services

MOST_ACTIVE = 100
"""More rows than there can be of active runs: those of a writer that died stay until another process takes over."""

blueprint = Blueprint("scrape", __name__, url_prefix="/api/scrape")


@blueprint.post("")
@same_origin_only
@carried_out_by_writer
@takes_body(StartBody, is_optional=True)
@document_response(Accepted, 202)
@answers_header("Location", "the run's address")
@answers_problems(409, 429)
async def start(body: StartBody | None) -> Response:
    """Start a run: 202 with its id once its row is committed; 409 with the active run's id if one is running.

    503 while another process writes and cannot be reached from this one.

    A full run and a sweep may run at once, but not two of the same mode.
    """
    parts = services()
    run = await parts.runs.start(
        trigger_of_request("api"), _platforms(body), body.mode if body is not None else RunMode.FULL
    )
    return _accepted(run.record.id, {"scrape_run_id": run.record.id, "status": str(run.record.status)})


@blueprint.get("/runs")
@takes_query(RunsQuery)
@document_response(RunRows)
@answers_problems(503)
async def runs(query: RunsQuery) -> Response:
    """List runs, newest first. Sweeps that were folded into hourly figures are not among them."""
    found = await services().store.list_runs(
        limit=query.limit, offset=query.offset, status=query.status, mode=query.run_mode
    )
    return json_response([run_row(each) for each in found])


@blueprint.get("/runs/active")
@takes_query(ModeQuery)
@document_response(ActiveRuns)
@answers_problems(503)
async def active_runs(query: ModeQuery) -> Response:
    """Return the ids of the active runs. Only the process that writes has any; others ask the database."""
    parts = services()
    modes = tuple(RunMode) if query.run_mode is None else (query.run_mode,)
    records = [run.record for mode in modes if (run := parts.runs.active_run(mode)) is not None]
    if not records and not parts.odds_service.is_writer:
        records = await parts.store.list_runs(limit=MOST_ACTIVE, status=RunStatus.RUNNING, mode=query.run_mode)
    return json_response(sorted(record.id for record in records))


@blueprint.get("/runs/<int:scrape_run_id>/phases")
@document_response(PhaseRows)
@answers_problems(503)
async def phases(scrape_run_id: int) -> Response:
    """List the phases of a run at each bookmaker."""
    active = services().runs.active_by_id(scrape_run_id)
    if active is not None:
        return json_response(phase_rows([each for tracker in active.tracker.platforms for each in tracker.phases]))
    if (answer := await _asked_if_active(await services().runs.find(scrape_run_id))) is not None:
        return answer
    return json_response(phase_rows(await services().store.phases(scrape_run_id)))


@blueprint.get("/<int:scrape_run_id>")
@document_response(RunDetail)
@answers_problems(503)
async def detail(scrape_run_id: int) -> Response:
    """Return one run, with its result at each bookmaker and its errors."""
    record = await services().runs.find(scrape_run_id)
    if (answer := await _asked_if_active(record)) is not None:
        return answer
    return json_response(
        {
            "scrape_run_id": record.id,
            **{key: value for key, value in run_row(record).items() if key not in ("id", "phase_logs")},
            "platforms": [platform_row(each) for each in record.results],
            "errors": error_rows(record.errors),
        }
    )


@blueprint.post("/<int:scrape_run_id>/cancel")
@same_origin_only
@carried_out_by_writer
@document_response(Accepted, 202)
@answers_header("Location", "the run's address")
@answers_problems(409)
async def cancel(scrape_run_id: int) -> Response:
    """Cancel a run: 202, and its terminal progress reports its end; 409 for a run that is over."""
    parts = services()
    await parts.runs.cancel(scrape_run_id)
    return _accepted(scrape_run_id, {"scrape_run_id": scrape_run_id, "status": "cancelling"})


@blueprint.post("/<int:scrape_run_id>/retry")
@same_origin_only
@carried_out_by_writer
@takes_body(RetryBody, is_optional=True)
@document_response(Retried, 202)
@answers_header("Location", "the run's address")
@answers_problems(409, 429)
async def retry(scrape_run_id: int, body: RetryBody | None) -> Response:
    """Start a run that scrapes what failed in another, in its mode.

    202 with the new run's id; 409 if nothing can be retried.
    """
    parts = services()
    run = await parts.runs.retry(scrape_run_id, _platforms(body))
    names = [str(each) for each in run.record.platforms]
    return _accepted(
        run.record.id,
        {
            "new_run_id": run.record.id,
            "scrape_run_id": run.record.id,
            "status": str(run.record.status),
            "platforms_retried": names,
            "message": f"run {run.record.id} scrapes {', '.join(names)} again",
        },
    )


def run_row(record: RunRecord) -> dict[str, object]:
    """Return a run as lists show it."""
    return {
        "id": record.id,
        "status": str(record.status),
        "started_at": iso_z(record.started_at),
        "completed_at": iso_z(record.completed_at) if record.completed_at else None,
        "duration_ms": record.duration_ms,
        "events_scraped": record.events_scraped,
        "events_failed": record.events_failed,
        "trigger": record.trigger,
        "platform_timings": {
            str(each.platform): {"duration_ms": each.duration_ms, "events_count": each.fetched}
            for each in record.results
            if each.phase is ScrapePhase.COMPLETED
        }
        or None,
        "mode": str(record.mode),
        "phase_logs": None,
    }


def platform_row(result: PlatformResult) -> dict[str, object]:
    """Return a run's result at one bookmaker."""
    return {
        "platform": str(result.platform),
        "status": str(result.phase),
        "events_found": result.found,
        "events_scraped": result.fetched,
        "events_failed": result.failed,
        "duration_ms": result.duration_ms,
        "mapped_markets": result.mapped_markets,
        "unmapped_markets": result.unmapped_markets,
        "dropped_prices": result.dropped_prices,
        "is_shrunken": result.is_shrunken,
        "error": error_rows([result.error])[0] if result.error else None,
    }


def error_rows(errors: Sequence[RunError]) -> list[dict[str, object]]:
    """Return a run's errors, numbered from 1."""
    return [
        {
            "id": number,
            "error_type": error.error_type,
            "error_message": error.error_message,
            "occurred_at": iso_z(error.occurred_at),
            "platform": str(error.platform) if error.platform else None,
            "where": error.where,
            "recoverable": error.recoverable,
            "count": error.count,
        }
        for number, error in enumerate(errors, 1)
    ]


def phase_rows(phases: Sequence[PhaseRecord]) -> list[dict[str, object]]:
    """Return a run's phases in the order in which they began, numbered from 1."""
    return [
        {
            "id": number,
            "platform": str(each.platform) if each.platform else None,
            "phase": str(each.phase),
            "started_at": iso_z(each.started_at),
            "ended_at": iso_z(each.ended_at) if each.ended_at else None,
            "events_processed": each.events_processed,
            "message": each.message,
        }
        for number, each in enumerate(sorted(phases, key=lambda phase: phase.started_at), 1)
    ]


async def _asked_if_active(record: RunRecord) -> Response | None:
    """Return what the writer answers about a run that is active there: the database has only its start."""
    return await asked_of_writer() if record.status is RunStatus.RUNNING else None


def _platforms(body: RetryBody | None) -> tuple[Platform, ...] | None:
    """Return the bookmakers that a body names, None for all enabled ones."""
    return tuple(body.platforms) if body is not None and body.platforms is not None else None


def _accepted(scrape_run_id: int, body: dict[str, object]) -> Response:
    base = public_path(f"/api/scrape/{scrape_run_id}")
    of_run = public_path(f"/api/scrape/runs/{scrape_run_id}")
    links = {
        "self": base,
        "progress": f"{of_run}/progress",
        "phases": f"{of_run}/phases",
        "cancel": f"{base}/cancel",
    }
    response = json_response(body | {"links": links}, 202)
    response.headers["Location"] = base
    return response


def json_response(body: object, status: int = 200) -> Response:
    """Return a JSON response that must not be stored."""
    return Response(orjson.dumps(body), status, headers={"Cache-Control": "no-store"}, content_type="application/json")
