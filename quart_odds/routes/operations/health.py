"""Health checks for operators: whether the process is alive, and whether it accepts work. Also the restart notice."""

from quart import Blueprint, Response
from quart_schema import document_response

from quart_odds import __version__
from quart_odds.readiness import missing_part
from quart_odds.routes.access.refusals import refusals
from quart_odds.routes.api.schemas.operations import Alive, Ready
from quart_odds.routes.api.scrape import json_response
from quart_odds.services import services

blueprint = Blueprint("operations", __name__)


@blueprint.get("/healthz")
@document_response(Alive)
async def healthz() -> Response:
    """Return 200 as long as the process answers at all."""
    return json_response({"status": "ok", "version": __version__})


@blueprint.get("/readyz")
@document_response(Ready)
@document_response(Ready, 503)
async def readyz() -> Response:
    """Return 200 if new work is accepted; 503 if draining, on standby, or the database or decoder does not respond.

    With several processes on one log, each is ready as long as it has what the log has. A follower passes work on to
    the writer, and so has to reach Redis.
    """
    parts = services()
    if parts.is_draining:
        return json_response({"status": "draining"}, 503)
    if (missing := await missing_part(parts)) is not None:
        if missing.for_operator != missing.detail:
            refusals.tell("server.not_ready", missing.status, reason=missing.for_operator)
        return json_response({"status": missing.status, "detail": missing.detail, "role": parts.role}, 503)
    if parts.role == "standby":
        detail = parts.odds_service.read_only_reason
        return json_response({"status": "reads_only", "detail": detail, "role": parts.role}, 503)
    return json_response({"status": "ready", "role": parts.role})
