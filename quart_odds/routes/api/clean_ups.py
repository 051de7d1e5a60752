"""Clean-ups: what one would remove, the clean-up itself, those that were, and what is stored.

The names in camel case are those of the system that existing clients know. It has the odds and events of
its first bookmaker in tables of their own, and those of its competitors in others: so they are counted apart here.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import reduce

from quart import Blueprint, Response
from quart_schema import document_response

from quart_odds.domain.clock import iso_z, utc_now
from quart_odds.odds.retention import Ages, CleanUp, Removal
from quart_odds.odds.stored_data import TableFigures
from quart_odds.routes.access.forwarding import carried_out_by_writer
from quart_odds.routes.access.problems import bad_request
from quart_odds.routes.access.requester import requester
from quart_odds.routes.access.same_origin import same_origin_only
from quart_odds.routes.api.openapi import answers_problems
from quart_odds.routes.api.query import REFERENCE
from quart_odds.routes.api.requests import takes_body, takes_query
from quart_odds.routes.api.schemas.storage import (
    CleanupAgreed,
    CleanupDone,
    CleanupHistory,
    CleanupHistoryQuery,
    CleanupPreview,
    CleanupQuery,
    CleanupStats,
    CleanupStatus,
)
from quart_odds.routes.api.scrape import json_response
from quart_odds.services import Services, services

FIRST = REFERENCE.value
"""The bookmaker whose competitors the others are."""

blueprint = Blueprint("clean_ups", __name__, url_prefix="/api/cleanup")


@blueprint.get("/preview")
@takes_query(CleanupQuery)
@document_response(CleanupPreview)
@answers_problems(503)
async def preview_cleanup(query: CleanupQuery) -> Response:
    """Return what a clean-up would remove now."""
    parts = services()
    ages = ages_of(parts, query.odds_days, query.match_days)
    odds_before, runs_before = ages.limits(utc_now())
    removal = await parts.store.preview_removal(odds_before, runs_before)
    odds, competitor_odds = _apart(removal.rows_by)
    events, competitor_events = _apart(removal.listings)
    return json_response(
        {
            "odds_before": iso_z(odds_before),
            "runs_before": iso_z(runs_before),
            **_ours(removal),
            "oddsCutoffDate": iso_z(odds_before),
            "matchCutoffDate": iso_z(runs_before),
            "oddsRetentionDays": ages.odds_days,
            "matchRetentionDays": ages.match_days,
            "oddsSnapshotsCount": odds,
            "competitorOddsSnapshotsCount": competitor_odds,
            "scrapeRunsCount": removal.runs,
            "scrapeBatchesCount": 0,
            "eventsCount": events,
            "competitorEventsCount": competitor_events,
            "tournamentsCount": 0,
            "competitorTournamentsCount": 0,
        }
    )


@blueprint.post("/execute")
@same_origin_only
@carried_out_by_writer
@takes_body(CleanupAgreed, is_optional=True)
@document_response(CleanupDone)
@answers_problems(409)
async def execute_cleanup(body: CleanupAgreed | None) -> Response:
    """Remove data older than the settings allow, in small batches; 409 if that is more than the body agrees to.

    With days in the body these are the ages, and shorter ones than in the settings need the numbers of their preview.
    """
    parts = services()
    ages = parts.maintenance.ages if body is None else agreed_ages(parts, body)
    done = await parts.maintenance.clean_up(agreed(body), ages=ages, trigger="manual", requested_by=requester())
    return json_response({**_ours(done.removal), **_deleted(done)})


@blueprint.get("/stats")
@document_response(CleanupStats)
@answers_problems(503)
async def cleanup_stats() -> Response:
    """Return what is stored, by kind. This reads the whole history."""
    found = await services().store.stored_data()
    changes, listings = _figures_apart(found.changes), _figures_apart(found.listings)
    competitions = _figures_apart(found.competitions)
    counts = [{"platform": slug, "count": each.count} for slug, each in sorted(found.listings.items())]
    return json_response(
        {
            "oddsSnapshots": _figures(changes[0]),
            "competitorOddsSnapshots": _figures(changes[1]),
            "events": _figures(listings[0]),
            "competitorEvents": _figures(listings[1]),
            "tournaments": _figures(competitions[0]),
            "competitorTournaments": _figures(competitions[1]),
            "scrapeRuns": _figures(found.runs),
            "scrapeBatches": _figures(TableFigures()),
            "eventsByPlatform": counts,
            "competitorEventsBySource": [each for each in counts if each["platform"] != FIRST],
        }
    )


@blueprint.get("/history")
@takes_query(CleanupHistoryQuery)
@document_response(CleanupHistory)
@answers_problems(503)
async def cleanup_history(query: CleanupHistoryQuery) -> Response:
    """List clean-ups, the newest first, with what each removed and who or what asked for it."""
    found, total = await services().store.clean_ups(limit=query.limit, offset=query.offset)
    return json_response({"runs": [_row(each) for each in found], "total": total})


@blueprint.get("/status")
@document_response(CleanupStatus)
@answers_problems(503)
async def cleanup_status() -> Response:
    """Return whether a clean-up is under way, the last one, and when the next one is due."""
    parts = services()
    newest, _ = await parts.store.clean_ups(limit=1)
    state = await parts.store.clean_up_state()
    due_at = None
    if state is not None:
        hours = parts.preferences.current.cleanup_frequency_hours
        due_at = iso_z(state.due_at(utc_now(), timedelta(hours=hours)))
    return json_response(
        {
            "isRunning": any(each.status == "running" for each in newest),
            "nextRunAt": due_at,
            "lastRun": _row(newest[0]) if newest else None,
        }
    )


def ages_of(parts: Services, odds_days: int | None, match_days: int | None) -> Ages:
    """Return these ages, and those in the settings where they are None."""
    kept = parts.maintenance.ages
    return Ages(
        kept.odds_days if odds_days is None else odds_days, kept.match_days if match_days is None else match_days
    )


def agreed(body: CleanupAgreed | None) -> Removal | None:
    """Return the most that a clean-up may remove; None if the body has no numbers."""
    if body is None or body.events is None or body.history_rows is None or body.runs is None:
        return None
    return Removal(events=body.events, history_rows=body.history_rows, runs=body.runs)


def agreed_ages(parts: Services, body: CleanupAgreed) -> Ages:
    """Return the ages of a clean-up. Raises a 400 for shorter ones than in the settings without numbers."""
    ages = ages_of(parts, body.odds_retention_days, body.match_retention_days)
    if agreed(body) is None and not ages.is_within(parts.maintenance.ages):
        name = "oddsRetentionDays" if ages.odds_days < parts.maintenance.ages.odds_days else "matchRetentionDays"
        raise bad_request(
            "A clean-up that removes more than the settings do needs the numbers of its preview.",
            (name, "is less than in the settings: send the preview with it, or change the settings first"),
        )
    return ages


def _ours(removal: Removal) -> dict[str, object]:
    return {"events": removal.events, "history_rows": removal.history_rows, "runs": removal.runs}


def _deleted(done: CleanUp) -> dict[str, object]:
    odds, competitor_odds = _apart(done.removal.rows_by)
    events, competitor_events = _apart(done.removal.listings)
    return {
        "oddsDeleted": odds,
        "competitorOddsDeleted": competitor_odds,
        "scrapeRunsDeleted": done.removal.runs,
        "scrapeBatchesDeleted": 0,
        "eventsDeleted": events,
        "competitorEventsDeleted": competitor_events,
        "tournamentsDeleted": 0,
        "competitorTournamentsDeleted": 0,
        "oldestOddsDate": iso_z(done.oldest_odds_at) if done.oldest_odds_at else None,
        "oldestMatchDate": iso_z(done.oldest_kickoff) if done.oldest_kickoff else None,
        "durationSeconds": done.duration_seconds,
    }


def _row(each: CleanUp) -> dict[str, object]:
    return {
        "id": each.id,
        "startedAt": iso_z(each.started_at),
        "completedAt": iso_z(each.completed_at) if each.completed_at else None,
        "trigger": each.trigger,
        "requestedBy": each.requested_by,
        "oddsRetentionDays": each.ages.odds_days,
        "matchRetentionDays": each.ages.match_days,
        **_deleted(each),
        "status": each.status,
        "errorMessage": each.error,
    }


def _apart(counts: Mapping[str, int]) -> tuple[int, int]:
    """Return a number at the first bookmaker, and that of its competitors."""
    first = counts.get(FIRST, 0)
    return first, sum(counts.values()) - first


def _figures_apart(found: Mapping[str, TableFigures]) -> tuple[TableFigures, TableFigures]:
    others = [figures for slug, figures in found.items() if slug != FIRST]
    return found.get(FIRST, TableFigures()), reduce(TableFigures.plus, others, TableFigures())


def _figures(figures: TableFigures) -> dict[str, object]:
    return {
        "count": figures.count,
        "oldest": iso_z(figures.oldest) if figures.oldest else None,
        "newest": iso_z(figures.newest) if figures.newest else None,
    }
