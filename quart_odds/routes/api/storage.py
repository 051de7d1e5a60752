"""The size of the database: now, over time, and what was reported about it. Names are those that clients know."""

from quart import Blueprint, Response
from quart_schema import document_response

from quart_odds.domain.clock import iso_z, utc_now
from quart_odds.odds.stored_data import StorageAlert, StorageSample, size_words
from quart_odds.routes.access.forwarding import carried_out_by_writer
from quart_odds.routes.access.problems import Problem
from quart_odds.routes.access.same_origin import same_origin_only
from quart_odds.routes.api.openapi import answers_problems
from quart_odds.routes.api.requests import takes_query
from quart_odds.routes.api.schemas.storage import (
    StorageAlertRow,
    StorageAlerts,
    StorageAlertsQuery,
    StorageHistory,
    StorageHistoryQuery,
    StorageSizes,
)
from quart_odds.routes.api.scrape import json_response
from quart_odds.services import services

blueprint = Blueprint("storage", __name__, url_prefix="/api/storage")


@blueprint.get("/sizes")
@document_response(StorageSizes)
@answers_problems(503)
async def storage_sizes() -> Response:
    """Measure the database and its tables. Of a SQLite file of more than 2 GB only the total is measured."""
    found = await services().store.measure(utc_now())
    tables = [
        {
            "tableName": each.name,
            "sizeBytes": each.bytes,
            "sizeHuman": None if each.bytes is None else size_words(each.bytes),
            "rowCount": each.rows,
        }
        for each in found.tables
    ]
    return json_response(
        {
            "tables": tables,
            "totalBytes": found.total_bytes,
            "totalHuman": size_words(found.total_bytes),
            "measuredAt": iso_z(found.sampled_at),
        }
    )


@blueprint.get("/history")
@takes_query(StorageHistoryQuery)
@document_response(StorageHistory)
@answers_problems(503)
async def storage_history(query: StorageHistoryQuery) -> Response:
    """List samples of the size, the newest first. The process that writes takes one a day."""
    found, total = await services().store.samples(limit=query.limit)
    return json_response({"samples": [_sample(each) for each in found], "total": total})


@blueprint.get("/alerts")
@takes_query(StorageAlertsQuery)
@document_response(StorageAlerts)
@answers_problems(503)
async def storage_alerts(query: StorageAlertsQuery) -> Response:
    """List what was reported about the database, the newest first: fast growth, a great size, odds that get old.

    An alert whose cause is gone is resolved by itself.
    """
    found = await services().store.storage_alerts(limit=query.limit)
    return json_response({"alerts": [_alert(each) for each in found], "count": len(found)})


@blueprint.post("/alerts/<int:alert_id>/resolve")
@same_origin_only
@carried_out_by_writer
@document_response(StorageAlertRow)
async def resolve_storage_alert(alert_id: int) -> Response:
    """Mark an alert as resolved."""
    found = await services().store.resolve_storage_alert(alert_id, utc_now())
    if found is None:
        raise Problem(404, "No such alert", f"There is no alert {alert_id} about the database.")
    return json_response(_alert(found))


def _sample(sample: StorageSample) -> dict[str, object]:
    return {
        "id": sample.id,
        "sampledAt": iso_z(sample.sampled_at),
        "totalBytes": sample.total_bytes,
        "tableSizes": {each.name: each.bytes for each in sample.tables if each.bytes is not None},
    }


def _alert(alert: StorageAlert) -> dict[str, object]:
    return {
        "id": alert.id,
        "createdAt": iso_z(alert.created_at),
        "alertType": alert.kind,
        "message": alert.message,
        "currentBytes": alert.current_bytes,
        "previousBytes": alert.previous_bytes,
        "growthPercent": round(alert.growth_percent, 2),
        "resolvedAt": iso_z(alert.resolved_at) if alert.resolved_at else None,
    }
