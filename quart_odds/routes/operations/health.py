"""Health checks for operators: whether the process is alive, and whether it accepts work. Also the restart notice."""

from quart import Blueprint, Response
from quart_schema import document_response

from quart_odds import __version__
from quart_odds.errors import DecoderError, StorageError
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
    """Return 200 if new work is accepted; 503 if draining, read-only, or the database or decoder does not respond.

    Also 503 while this process lacks entries of the log that several processes share.
    """
    parts = services()
    if parts.is_draining:
        return json_response({"status": "draining"}, 503)
    try:
        await parts.store.check()
    except StorageError as error:
        refusals.tell("database.away", "readyz", reason=error.for_operator)
        return json_response({"status": "no database", "detail": str(error)}, 503)
    shared_log = parts.shared_log
    if shared_log is not None and not shared_log.tail.is_level:
        return json_response({"status": "not level", "detail": shared_log.tail.reason}, 503)
    if shared_log is None and not parts.odds_service.is_writer:
        return json_response({"status": "reads_only", "detail": parts.odds_service.read_only_reason}, 503)
    try:
        await parts.decoder.check()
    except DecoderError as error:
        return json_response({"status": "no decoder", "detail": str(error)}, 503)
    return json_response({"status": "ready"})
