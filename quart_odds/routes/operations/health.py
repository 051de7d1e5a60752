"""For whoever runs the server: is it alive, does it take work, how is it."""

import random

from quart import Blueprint, Response
from quart_schema import document_response

from quart_odds import __version__
from quart_odds.broadcast.flush import Flusher
from quart_odds.errors import DecoderError, StorageError
from quart_odds.routes.access.refusals import refusals
from quart_odds.routes.api.schemas.operations import Alive, Ready
from quart_odds.routes.api.scrape import json_response
from quart_odds.services import Services, services

RESTART = 1012
LEAST_RETRY_MS = 500
MOST_RETRY_MS = 5000

blueprint = Blueprint("operations", __name__)


@blueprint.get("/healthz")
@document_response(Alive)
async def healthz() -> Response:
    """200 while the process answers at all."""
    return json_response({"status": "ok", "version": __version__})


@blueprint.get("/readyz")
@document_response(Ready)
@document_response(Ready, 503)
async def readyz() -> Response:
    """200 while new work is welcome; 503 while draining, reading only, or with a silent database or decoder."""
    parts = services()
    if parts.is_draining:
        return json_response({"status": "draining"}, 503)
    try:
        await parts.store.check()
    except StorageError as error:
        refusals.tell("database.away", "readyz", reason=error.for_operator)
        return json_response({"status": "no database", "detail": str(error)}, 503)
    if not parts.odds_service.is_writer:
        return json_response({"status": "reads_only", "detail": parts.odds_service.read_only_reason}, 503)
    try:
        await parts.decoder.check()
    except DecoderError as error:
        return json_response({"status": "no decoder", "detail": str(error)}, 503)
    return json_response({"status": "ready"})


def tell_restart(parts: Services) -> None:
    """End every stream with the word to come back: WebSocket by 1012, SSE by `retry:`, each after another while."""
    for flusher in _flushers(parts):
        flusher.flush()
        for subscriber in list(flusher.subscribers):
            wait = random.randint(LEAST_RETRY_MS, MOST_RETRY_MS)
            flusher.remove(subscriber)
            subscriber.end(RESTART, f"retry_ms={wait}")


def _flushers(parts: Services) -> list[Flusher]:
    return [parts.registry.flusher, *(each.flusher for each in parts.runs.broadcasters)]
