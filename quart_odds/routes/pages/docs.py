"""`/docs`: the API documentation page, generated from the OpenAPI and the AsyncAPI document."""

from dataclasses import dataclass, field
from typing import Any

from quart import Blueprint, Response, current_app, request
from quart_schema import hide

from quart_odds.routes.access.gate import is_anybody
from quart_odds.routes.access.root_path import public_path
from quart_odds.routes.access.sessions import csrf_token
from quart_odds.routes.api.encoded import Body
from quart_odds.routes.api.openapi import document_of
from quart_odds.routes.operations import asyncapi
from quart_odds.routes.pages.described import channels_of, groups_of, messages_of, models_of
from quart_odds.routes.pages.shell import HEADERS, rendered
from quart_odds.routes.pages.views import frame

EXTENSION = "quart_odds.description"
BASE = "http://127.0.0.1:8000"
"""Where the examples find the server: the address that `quart-odds serve` has by default."""

blueprint = Blueprint("docs", __name__)


@dataclass(slots=True)
class Description:
    """Description of one app's routes: the OpenAPI schema and body, and the rendered pages by what they show.

    Each is created on first use.
    """

    schema: dict[str, Any]
    body: Body
    pages: dict[tuple[object, ...], str] = field(default_factory=dict)


def description() -> Description:
    """Return the description of the current app."""
    made: Description | None = current_app.extensions.get(EXTENSION)
    if made is None:
        schema = document_of(current_app)
        made = Description(schema, Body.of(schema))
        current_app.extensions[EXTENSION] = made
    return made


@blueprint.get("/openapi.json")
@hide
async def openapi() -> Response:
    """Serve the OpenAPI description."""
    return description().body.answer(request)


@blueprint.get("/docs")
@hide
async def docs() -> Response:
    """Show every route, grouped by subject, and every message of the live streams."""
    made = description()
    shown = frame("", "docs")
    # A page of a session has the session's own token in its forms, so nobody else may get it.
    key = shown["is_sandbox"], shown["read_only_reason"], csrf_token(), is_anybody()
    if key not in made.pages:
        live = asyncapi.document(public_path(""))
        described = {
            "groups": groups_of(made.schema, f"{BASE}{public_path('')}"),
            "channels": channels_of(live),
            "messages": messages_of(live),
            "models": models_of(made.schema, live),
        }
        made.pages = {key: await rendered("docs.html", shown | described)}
    return Response(made.pages[key], 200, HEADERS, content_type="text/html; charset=utf-8")
