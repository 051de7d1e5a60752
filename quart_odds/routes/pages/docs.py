"""`/docs`: the API documentation page, generated from the OpenAPI description."""

from dataclasses import dataclass, field
from typing import Any, cast

from quart import Blueprint, Response, current_app, request
from quart_schema import QuartSchema, hide

from quart_odds.routes.access.sessions import csrf_token
from quart_odds.routes.api.encoded import Body
from quart_odds.routes.pages.shell import HEADERS, rendered
from quart_odds.routes.pages.views import frame

METHODS = ("get", "post", "put", "delete")
EXTENSION = "quart_odds.description"

blueprint = Blueprint("docs", __name__)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an operation. `kind` is its type, as text."""

    name: str
    where: str
    kind: str
    description: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API. `answers` are its response statuses, as text."""

    method: str
    path: str
    summary: str
    parameters: tuple[Parameter, ...]
    answers: str

    @property
    def anchor(self) -> str:
        """The id of the operation's element on the page."""
        return f"{self.method}{self.path}".replace("/", "-").replace("{", "").replace("}", "").lower()


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
        schema = cast(QuartSchema, current_app.extensions["QUART_SCHEMA"]).openapi_provider.schema()
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
    """Show every route, grouped by subject."""
    made = description()
    shown = frame("", "docs")
    # A page of a session has the session's own token in its forms, so nobody else may get it.
    key = shown["is_sandbox"], shown["read_only_reason"], csrf_token()
    if key not in made.pages:
        text = await rendered("docs.html", {**shown, "groups": groups(made.schema)})
        made.pages = {key: text}
    return Response(made.pages[key], 200, HEADERS, content_type="text/html; charset=utf-8")


def groups(schema: dict[str, Any]) -> dict[str, list[Operation]]:
    """Return the operations of an OpenAPI description, grouped by the first part of their path."""
    found: dict[str, list[Operation]] = {}
    for path, methods in sorted(schema["paths"].items()):
        parts = path.strip("/").split("/")
        name = parts[1] if parts[0] == "api" else "operations"
        for method in METHODS:
            if method in methods:
                found.setdefault(name.partition(".")[0], []).append(_operation(method, path, methods[method]))
    return found


def _operation(method: str, path: str, operation: dict[str, Any]) -> Operation:
    parameters = [
        Parameter(each["name"], each["in"], kind(each["schema"]), each.get("description", ""))
        for each in operation["parameters"]
    ]
    answers = ", ".join(status for status in operation["responses"] if status != "default")
    return Operation(method.upper(), path, operation.get("summary", ""), tuple(parameters), answers)


def kind(schema: dict[str, Any]) -> str:
    """Describe a schema in a few words: its type, allowed values, and default."""
    options = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    first = options[0] if options else schema
    words = first["$ref"].rpartition("/")[2] if "$ref" in first else str(first.get("type", "text"))
    if "enum" in first:
        words = ", ".join(map(str, first["enum"]))
    if (least := first.get("minimum")) is not None and (most := first.get("maximum")) is not None:
        words += f", {least} to {most}"
    default = schema.get("default")
    return words if default in (None, [], False) else f"{words}; {default}"
