"""The OpenAPI document: what quart-schema reads from the routes, and what it cannot know.

Every response with a status of 400 or more is a problem (RFC 9457), some responses are text or empty, and pages and
static files are not part of the API. Models are named components, and everything has an example.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar, cast

from quart import Quart
from quart_schema import (
    APIKeySecurityScheme,
    HttpSecurityScheme,
    Info,
    OpenAPIProvider,
    QuartSchema,
    Server,
    Tag,
)
from quart_schema.extension import SecuritySchemeInput
from werkzeug.routing import BaseConverter, Rule

from quart_odds import __version__
from quart_odds.routes.access.forwarding import CARRIED_OUT_BY_WRITER
from quart_odds.routes.access.same_origin import CHECKED
from quart_odds.routes.access.scopes import TICKET_PATHS, scope_of
from quart_odds.routes.access.sessions import COOKIE
from quart_odds.routes.api.examples import example_of
from quart_odds.routes.api.query import COMMA_SEPARATED, MAX_ID
from quart_odds.routes.api.requests import BODY_REQUIRED
from quart_odds.routes.api.schemas.odds import ProblemBody

_TEXT = "_quart_odds_text"
_EMPTY = "_quart_odds_empty"
_PROBLEMS = "_quart_odds_problems"
_HEADERS = "_quart_odds_headers"
_PREFIXES = ("/api/", "/healthz", "/readyz", "/metrics")
_JSON = "application/json"
_PROBLEM_TYPE = "application/problem+json"
_MODEL = "#/components/schemas/{model}"
_CONDITIONAL = "odds."
"""Endpoints whose JSON has an ETag: those of the odds API."""

TAGS = {
    "events": "The odds side by side, from memory: events, their markets, and how prices have moved.",
    "opportunities": "Prices of several bookmakers that are worth more than they cost.",
    "export": "Odds, their history and opportunities as files.",
    "coverage": "What is mapped, how the bookmakers' events overlap, and how old their prices are.",
    "runs": "Runs, which fetch odds: start, watch, cancel and retry them, and figures over many of them.",
    "live": "Messages as they are published, over server-sent events. The WebSocket is in /asyncapi.json.",
    "alerts": "Rules, what fired, and where it is sent.",
    "schedule": "When runs start by themselves, settings that can change at run time, clean-ups, and sizes.",
    "operations": "Health and metrics, for monitors.",
}
"""What each tag is about, in the order of the page."""

_TAG_OF = {
    "/api/coverage": "coverage",
    "/api/palimpsest": "coverage",
    "/api/freshness": "coverage",
    "/api/opportunities": "opportunities",
    "/api/export": "export",
    "/api/scrape": "runs",
    "/api/sse": "live",
    "/api/tickets": "live",
    "/api/alerts": "alerts",
    "/api/scheduler": "schedule",
    "/api/settings": "schedule",
    "/api/cleanup": "schedule",
    "/api/storage": "schedule",
    "/api/events": "events",
}

PROBLEMS: Mapping[int, tuple[str, str]] = {
    400: ("BadRequest", "The request is not valid. `errors` names each bad field."),
    401: ("Unauthorized", "Nothing in the request says who sends it, or what does is not valid."),
    403: ("Forbidden", "The sender may not do this, or the request came from a page of another site."),
    404: ("NotFound", "There is no such thing."),
    409: ("Conflict", "It is not possible now: something is under way, or in another state."),
    429: (
        "TooSoon",
        "The same was done a moment ago, or too many wrong tokens came. `Retry-After` says how long to wait.",
    ),
    501: ("NotInstalled", "A package that this needs is not installed."),
    503: ("Unavailable", "Not now: the database, the process that writes, or room for one more is missing."),
}
"""The name and the meaning of the problem of each status that routes have."""

_AT_THE_GATE = frozenset({400, 401, 403, 429, 503})
"""What a request may get before its route: a token in its query, none, one that is not enough, too many wrong ones, and
an issuer of JWTs that is away."""

_IN_PATH = {
    "alert_id": "the alert's id",
    "event_id": "the event's id",
    "market_id": "the market's id, such as 3743, or its slug",
    "rule_id": "the rule's id",
    "scrape_run_id": "the run's id",
    "sportradar_id": "the event's SportRadar id",
    "target_id": "the target's id",
}

_SCHEMES: dict[str, SecuritySchemeInput] = {
    "bearer": HttpSecurityScheme("bearer"),
    "session": APIKeySecurityScheme(COOKIE, "cookie"),
    "ticket": APIKeySecurityScheme("ticket", "query"),
}
"""How a request may prove what it may do."""

View = TypeVar("View", bound=Callable[..., object])


def answers_text(
    *content_types: str, description: str, example: str | None = None, binary: Collection[str] = ()
) -> Callable[[View], View]:
    """Document that a route answers 200 with text of one of these types. Those in `binary` are no text."""
    content: dict[str, Any] = {}
    for each in content_types:
        content[each] = {"schema": {"type": "string", **({"format": "binary"} if each in binary else {})}}
        if example is not None and each == content_types[0]:
            content[each]["example"] = example
    return _marks(_TEXT, {200: {"description": description, "content": content}})


def answers_empty(status: int, description: str) -> Callable[[View], View]:
    """Document that a route may answer with a status and no body."""
    return _marks(_EMPTY, {status: {"description": description}})


def answers_problems(*statuses: int) -> Callable[[View], View]:
    """Document that a route may answer with the problems of these statuses, besides those that its decorators imply."""
    return _marks(_PROBLEMS, dict.fromkeys(statuses, True))


def answers_header(name: str, description: str) -> Callable[[View], View]:
    """Document a header of the successful responses of a route."""
    return _marks(_HEADERS, {name: {"description": description, "schema": {"type": "string"}}})


def _marks(attribute: str, added: Mapping[Any, Any]) -> Callable[[View], View]:
    def mark(view: View) -> View:
        setattr(view, attribute, {**getattr(view, attribute, {}), **added})
        return view

    return mark


class Provider(OpenAPIProvider):
    """quart-schema's provider, with the additions of this module."""

    def schema(self) -> dict[str, Any]:
        """Return the document, with the problems, and with examples."""
        document = super().schema()
        components = document["components"]
        problem = ProblemBody.model_json_schema(mode="serialization", ref_template=_MODEL)
        components["schemas"] |= problem.pop("$defs", {}) | {"Problem": problem | {"title": "Problem"}}
        components["responses"] = {
            name: _problem(status, description) for status, (name, description) in PROBLEMS.items()
        } | {"Problem": _problem(None, "Any other problem: a refusal before the route, or a fault of the server.")}
        document["paths"] = dict(sorted(document["paths"].items()))
        _add_examples(document)
        return document

    def generate_rules(self) -> Iterable[Rule]:
        """Return the routes of the API, without pages and static files."""
        return [rule for rule in super().generate_rules() if rule.rule.startswith(_PREFIXES)]

    def build_paths(self, rule: Rule) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the operations of a route, with its tag and all its responses."""
        paths, components = super().build_paths(rule)
        view = self._app.view_functions[rule.endpoint]
        for path, operations in paths.items():
            for method, operation in operations.items():
                operation["tags"] = [tag_of(path)]
                needed = scope_of(rule, method.upper())
                operation["security"] = _security(rule, needed.value) if needed else []
                if "requestBody" in operation:
                    operation["requestBody"]["required"] = getattr(view, BODY_REQUIRED)
                operation["responses"] = _responses(view, rule, operation["responses"], needs_scope=needed is not None)
        return paths, components

    def build_path_parameter(self, name: str, converter: BaseConverter) -> dict[str, Any]:
        """Return a parameter of a path, with its limits."""
        parameter = super().build_path_parameter(name, converter)
        limits = {"minimum": 1, "maximum": MAX_ID} if parameter["schema"]["type"] == "integer" else {"maxLength": 200}
        return parameter | {"description": _IN_PATH[name], "schema": parameter["schema"] | limits}

    def build_querystring_parameters(self, model: type[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return the parameters of a query string. quart-schema documents every one as optional, and as repeated."""
        parameters, definitions = super().build_querystring_parameters(model)
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        for parameter in parameters:
            field = fields[parameter["name"]]
            if field.is_required():
                parameter["required"] = True
            if COMMA_SEPARATED in field.metadata:
                parameter |= {"style": "form", "explode": False}
        if "last_event_id" in fields:
            parameters.append(
                {
                    "name": "Last-Event-ID",
                    "in": "header",
                    "description": "a cursor: an EventSource sends it when it reconnects. It counts before the query",
                    "schema": {"type": "string", "maxLength": 200},
                }
            )
        return parameters, definitions

    def build_request_body(self, model: type[Any], source: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a request body whose schema is a component."""
        body, definitions = super().build_request_body(model, source)
        _name_schema(body, model, definitions)
        return body, definitions

    def build_response_object(self, model: type[Any], headers_model: type[Any] | None) -> tuple[dict[str, Any], Any]:
        """Return a response whose schema is a component."""
        response, definitions = super().build_response_object(model, headers_model)
        if not _name_schema(response, model, definitions):
            # It is a list, and the description that of Python's lists.
            response["description"] = "What was found."
        return response, definitions


def tag_of(path: str) -> str:
    """Return the tag of the operations of a path."""
    if path.endswith(("/stream", "/progress")):
        return "live"
    return next((tag for prefix, tag in _TAG_OF.items() if path.startswith(prefix)), "operations")


def _security(rule: Rule, scope: str) -> list[dict[str, list[str]]]:
    """Return the ways in which a request may prove that it has a scope."""
    ticket: list[dict[str, list[str]]] = [{"ticket": []}] if rule.rule in TICKET_PATHS else []
    return [{"bearer": [scope]}, {"session": [scope]}, *ticket]


def _responses(view: object, rule: Rule, given: Mapping[Any, Any], *, needs_scope: bool) -> dict[str, Any]:
    """Return the responses of a route by status: those of its models, and those that its other decorators imply."""
    more = getattr(view, _TEXT, {}) | getattr(view, _EMPTY, {})
    found = {int(status): dict(each) for status, each in (dict(given) | more).items()}
    if rule.endpoint.startswith(_CONDITIONAL) and _JSON in found[200].get("content", {}):
        found[200]["headers"] = {
            "ETag": {"description": "send it as If-None-Match", "schema": {"type": "string"}}
        } | found[200].get("headers", {})
        found[304] = {"description": "The client has this already."}
    for status, response in found.items():
        if status < 300 and (headers := getattr(view, _HEADERS, None)):
            response["headers"] = response.get("headers", {}) | headers
    problems = {*getattr(view, _PROBLEMS, ()), *(each for each in found if each >= 400 and not _is_own(found[each]))}
    if getattr(view, CHECKED, False):
        problems.add(403)
    if needs_scope:
        problems |= _AT_THE_GATE
    if getattr(view, CARRIED_OUT_BY_WRITER, False):
        problems.add(503)
    if rule.arguments:
        problems.add(404)
    for status in problems:
        if status in found and _is_own(found[status]):
            found[status]["content"] = found[status]["content"] | _problem(status, "")["content"]
        else:
            found[status] = {"$ref": f"#/components/responses/{PROBLEMS[status][0]}"}
    return {str(status): found[status] for status in sorted(found)} | {
        "default": {"$ref": "#/components/responses/Problem"}
    }


def _problem(status: int | None, description: str) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": description,
        "content": {_PROBLEM_TYPE: {"schema": {"$ref": _MODEL.format(model="Problem")}}},
    }
    if status in (None, 429, 503):
        seconds = {"type": "integer", "minimum": 1}
        response["headers"] = {"Retry-After": {"description": "seconds after which to ask again", "schema": seconds}}
    return response


def _name_schema(holder: dict[str, Any], model: type[Any], definitions: dict[str, Any]) -> bool:
    """Make a component of a model's schema, so that it has one name wherever it is used. False if it is no model."""
    content = holder["content"][_JSON]
    if not isinstance(model, type) or content["schema"].get("title") != model.__name__:
        return False
    definitions[model.__name__] = content["schema"]
    content["schema"] = {"$ref": _MODEL.format(model=model.__name__)}
    return True


def _is_own(response: dict[str, Any]) -> bool:
    """Whether an error response has its own schema, as those of the health checks do."""
    return not str(response["content"][_JSON]["schema"].get("$ref", "")).endswith("/ProblemBody")


def _add_examples(document: dict[str, Any]) -> None:
    """Add an example to each parameter, to each JSON body, and to each response that has none."""
    components = document["components"]
    schemas = components["schemas"]
    schemas.pop("ProblemBody", None)
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    for operation in operations:
        for parameter in operation["parameters"]:
            if (value := example_of(parameter["schema"], schemas, parameter["name"])) is not None:
                parameter["example"] = value
    holders = [operation["requestBody"] for operation in operations if "requestBody" in operation]
    holders += [response for operation in operations for response in operation["responses"].values()]
    for holder in [*holders, *components["responses"].values()]:
        for content_type, content in holder.get("content", {}).items():
            if content_type.endswith("json"):
                content["example"] = example_of(content["schema"], schemas)


def init_app(app: Quart, root_path: str) -> None:
    """Set up the OpenAPI document. quart-schema's viewers stay off because they load scripts from other sites."""
    QuartSchema(
        app,
        openapi_path=None,  # served by `routes.pages.docs`, which encodes it once
        info=Info("Quart Odds", __version__),
        openapi_provider_class=Provider,
        redoc_ui_path=None,
        scalar_ui_path=None,
        swagger_ui_path=None,
        convert_casing=False,
        servers=[Server(url=root_path)] if root_path else None,
        security_schemes=_SCHEMES,
        tags=[Tag(name, description) for name, description in TAGS.items()],
    )


def document_of(app: Quart) -> dict[str, Any]:
    """Return the OpenAPI document of an app, which need not be open."""
    return cast(QuartSchema, app.extensions["QUART_SCHEMA"]).openapi_provider.schema()
