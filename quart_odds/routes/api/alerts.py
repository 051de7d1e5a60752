"""The targets of alerts. They say where the server connects to, so changes of them need the scope `admin`.

No process keeps targets in memory, so the process that receives a request carries it out. Their secrets never pass
through Redis.
"""

from quart import Blueprint, Response
from quart_schema import document_response

from quart_odds.alerts.targets import shown
from quart_odds.alerts.values import Target
from quart_odds.domain.clock import iso_z
from quart_odds.routes.access.same_origin import same_origin_only
from quart_odds.routes.api.openapi import answers_problems
from quart_odds.routes.api.requests import takes_body
from quart_odds.routes.api.schemas.alerts import (
    AddedTarget,
    NewTarget,
    Removed,
    TargetChanges,
    TargetRow,
    TargetRows,
    TestAnswer,
)
from quart_odds.routes.api.schemas.odds import ProblemBody
from quart_odds.routes.api.scrape import json_response
from quart_odds.services import services

blueprint = Blueprint("alerts", __name__)


@blueprint.get("/api/alerts/targets")
@document_response(TargetRows)
@answers_problems(503)
async def targets() -> Response:
    """List where alerts are sent. Of URLs, only what is no secret is shown."""
    return json_response({"targets": [target_row(each) for each in await services().alerts.targets.all()]})


@blueprint.post("/api/alerts/targets")
@same_origin_only
@takes_body(NewTarget)
@document_response(AddedTarget, 201)
@answers_problems(501, 503)
async def add_target(body: NewTarget) -> Response:
    """Add a target. A webhook's secret is in this response and in no other."""
    target = await services().alerts.targets.add(body.kind, body.name, body.url)
    return json_response({**target_row(target), "secret": target.secret}, 201)


@blueprint.get("/api/alerts/targets/<int:target_id>")
@document_response(TargetRow)
@document_response(ProblemBody, 404)
@answers_problems(503)
async def target(target_id: int) -> Response:
    """Return one target. Of its URL, only what is no secret is shown."""
    return json_response(target_row(await services().alerts.targets.find(target_id)))


@blueprint.put("/api/alerts/targets/<int:target_id>")
@same_origin_only
@takes_body(TargetChanges)
@document_response(AddedTarget)
@document_response(ProblemBody, 404)
@answers_problems(501, 503)
async def change_target(target_id: int, body: TargetChanges) -> Response:
    """Change a target. The response has a secret if it is a new one."""
    changed = await services().alerts.targets.change(
        target_id, name=body.name, url=body.url, with_new_secret=body.new_secret
    )
    return json_response({**target_row(changed), "secret": changed.secret if body.new_secret else None})


@blueprint.delete("/api/alerts/targets/<int:target_id>")
@same_origin_only
@document_response(Removed)
@document_response(ProblemBody, 404)
@answers_problems(503)
async def remove_target(target_id: int) -> Response:
    """Remove a target, and cancel what waits for it."""
    await services().alerts.targets.remove(target_id)
    return json_response({"id": target_id, "removed": True})


@blueprint.post("/api/alerts/targets/<int:target_id>/test")
@same_origin_only
@document_response(TestAnswer)
@document_response(ProblemBody, 404)
@answers_problems(501, 503)
async def test_target(target_id: int) -> Response:
    """Send a test message now, in one attempt."""
    reason = await services().alerts.targets.test(target_id)
    return json_response({"delivered": reason is None, "reason": reason})


def target_row(target: Target) -> dict[str, object]:
    """Return a target as the API and the command line show it."""
    return {
        "id": target.id,
        "kind": target.kind.value,
        "name": target.name,
        "url": shown(target.url),
        "created_at": iso_z(target.created_at),
    }
