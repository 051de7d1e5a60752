"""The rules of alerts, and what fired."""

from quart import Blueprint, Response
from quart_schema import document_response

from quart_odds.alerts.rules import Rule
from quart_odds.alerts.values import StoredAlert
from quart_odds.domain.clock import iso_z
from quart_odds.routes.access.forwarding import carried_out_by_writer
from quart_odds.routes.access.same_origin import same_origin_only
from quart_odds.routes.api.openapi import answers_problems
from quart_odds.routes.api.requests import takes_body, takes_query
from quart_odds.routes.api.schemas.alerts import (
    AlertRows,
    AlertsQuery,
    NewRule,
    Removed,
    RuleChanges,
    RuleRow,
    RuleRows,
)
from quart_odds.routes.api.schemas.odds import ProblemBody
from quart_odds.routes.api.scrape import json_response
from quart_odds.services import services

blueprint = Blueprint("alert_rules", __name__)


@blueprint.get("/api/alerts")
@takes_query(AlertsQuery)
@document_response(AlertRows)
@answers_problems(503)
async def fired(query: AlertsQuery) -> Response:
    """List alerts that fired, newest first, with how their deliveries are."""
    found = await services().store.list_alerts(limit=query.limit, before_id=query.before, rule_id=query.rule_id)
    return json_response({"alerts": [alert_row(each) for each in found]})


@blueprint.get("/api/alerts/rules")
@document_response(RuleRows)
@answers_problems(503)
async def rules() -> Response:
    """List the rules."""
    return json_response({"rules": [rule_row(each) for each in await services().alerts.rules.all()]})


@blueprint.post("/api/alerts/rules")
@same_origin_only
@carried_out_by_writer
@takes_body(NewRule)
@document_response(RuleRow, 201)
async def add_rule(body: NewRule) -> Response:
    """Add a rule. If a price is beyond its threshold already, it fires at once."""
    rule = await services().alerts.rules.add(
        body.name, body.when, body.targets, is_enabled=body.enabled, cooldown_seconds=body.cooldown_seconds
    )
    return json_response(rule_row(rule), 201)


@blueprint.get("/api/alerts/rules/<int:rule_id>")
@document_response(RuleRow)
@document_response(ProblemBody, 404)
@answers_problems(503)
async def rule(rule_id: int) -> Response:
    """Return one rule."""
    return json_response(rule_row(await services().alerts.rules.find(rule_id)))


@blueprint.put("/api/alerts/rules/<int:rule_id>")
@same_origin_only
@carried_out_by_writer
@takes_body(RuleChanges)
@document_response(RuleRow)
@document_response(ProblemBody, 404)
async def change_rule(rule_id: int, body: RuleChanges) -> Response:
    """Change a rule. If it is about something else now, all its subjects are armed."""
    changed = await services().alerts.rules.change(
        rule_id,
        name=body.name,
        spec=body.when,
        target_ids=body.targets,
        is_enabled=body.enabled,
        cooldown_seconds=body.cooldown_seconds,
    )
    return json_response(rule_row(changed))


@blueprint.delete("/api/alerts/rules/<int:rule_id>")
@same_origin_only
@carried_out_by_writer
@document_response(Removed)
@document_response(ProblemBody, 404)
async def remove_rule(rule_id: int) -> Response:
    """Remove a rule. What has fired is still delivered."""
    await services().alerts.rules.remove(rule_id)
    return json_response({"id": rule_id, "removed": True})


def rule_row(rule: Rule) -> dict[str, object]:
    """Return a rule as the API shows it."""
    return {
        "id": rule.id,
        "name": rule.name,
        "when": rule.spec.model_dump(mode="json"),
        "targets": list(rule.target_ids),
        "cooldown_seconds": rule.cooldown_seconds,
        "enabled": rule.is_enabled,
        "created_at": iso_z(rule.created_at),
        "changed_at": iso_z(rule.changed_at),
    }


def alert_row(alert: StoredAlert) -> dict[str, object]:
    """Return an alert as the API shows it."""
    return {
        "id": alert.id,
        "rule_id": alert.rule_id,
        "rule": alert.rule_name,
        "kind": alert.kind,
        "title": alert.title,
        "text": alert.text,
        "data": alert.data,
        "fired_at": iso_z(alert.fired_at),
        "deliveries": [
            {
                "target_id": each.target_id,
                "target": each.target_name,
                "state": each.state.value,
                "attempts": each.attempts,
                "reason": each.reason,
                "next_at": None if each.next_at is None else iso_z(each.next_at),
                "ended_at": None if each.ended_at is None else iso_z(each.ended_at),
            }
            for each in alert.deliveries
        ],
    }
