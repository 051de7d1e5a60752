"""The OpenAPI document: what quart-schema reads from the routes, and what it cannot know.

Every response with a status of 400 or more is a problem (RFC 9457), some responses are text, and pages and static files
are not part of the API.
"""

import copy
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar

from quart import Quart
from quart_schema import APIKeySecurityScheme, HttpSecurityScheme, Info, OpenAPIProvider, QuartSchema, Server
from quart_schema.extension import SecuritySchemeInput
from werkzeug.routing import Rule

from quart_odds import __version__
from quart_odds.routes.access.scopes import TICKET_PATHS, scope_of
from quart_odds.routes.access.sessions import COOKIE
from quart_odds.routes.api.requests import BODY_REQUIRED

_TEXT = "_quart_odds_text"
_PREFIXES = ("/api/", "/healthz", "/readyz", "/metrics")
_PROBLEM = {
    "description": "What went wrong (RFC 9457).",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail", "instance"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                    "instance": {"type": "string"},
                    "errors": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["field", "message"],
                            "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
                        },
                    },
                },
            }
        }
    },
}
_SCHEMES: dict[str, SecuritySchemeInput] = {
    "bearer": HttpSecurityScheme("bearer"),
    "session": APIKeySecurityScheme(COOKIE, "cookie"),
    "ticket": APIKeySecurityScheme("ticket", "query"),
}
"""How a request may prove what it may do."""

View = TypeVar("View", bound=Callable[..., object])


def answers_text(*content_types: str, description: str, binary: Collection[str] = ()) -> Callable[[View], View]:
    """Document that a route answers 200 with text of one of these types. Those in `binary` are no text."""

    def mark(view: View) -> View:
        schemas = {
            each: {"type": "string", **({"format": "binary"} if each in binary else {})} for each in content_types
        }
        setattr(view, _TEXT, (schemas, description))
        return view

    return mark


class Provider(OpenAPIProvider):
    """quart-schema's provider, with the additions of this module."""

    def generate_rules(self) -> Iterable[Rule]:
        """Return the routes of the API, without pages and static files."""
        return [rule for rule in super().generate_rules() if rule.rule.startswith(_PREFIXES)]

    def build_paths(self, rule: Rule) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the operations of a route, with its text responses and problems."""
        paths, components = super().build_paths(rule)
        view = self._app.view_functions[rule.endpoint]
        for operations in paths.values():
            for method, operation in operations.items():
                if "requestBody" in operation:
                    operation["requestBody"]["required"] = getattr(view, BODY_REQUIRED)
                responses = {str(status): each for status, each in operation["responses"].items()}
                if text := getattr(view, _TEXT, None):
                    schemas, description = text
                    responses["200"] = {
                        "description": description,
                        "content": {content_type: {"schema": schema} for content_type, schema in schemas.items()},
                    }
                if needed := scope_of(rule, method.upper()):
                    ticket: list[dict[str, list[str]]] = [{"ticket": []}] if rule.rule in TICKET_PATHS else []
                    operation["security"] = [{"bearer": [needed.value]}, {"session": [needed.value]}, *ticket]
                    responses |= {"401": copy.deepcopy(_PROBLEM), "403": copy.deepcopy(_PROBLEM)}
                else:
                    operation["security"] = []
                for status in [each for each in responses if int(each) >= 400 and not _is_own(responses[each])]:
                    responses[status] = copy.deepcopy(_PROBLEM)
                responses["default"] = copy.deepcopy(_PROBLEM)
                operation["responses"] = responses
        return paths, components

    def build_querystring_parameters(self, model: type[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return the parameters of a query string. quart-schema documents every one as optional."""
        parameters, definitions = super().build_querystring_parameters(model)
        required = {field.alias or name for name, field in model.model_fields.items() if field.is_required()}
        for parameter in parameters:
            if parameter["name"] in required:
                parameter["required"] = True
        return parameters, definitions


def _is_own(response: dict[str, Any]) -> bool:
    """Whether an error response has its own schema, as those of the health checks do."""
    if "application/json" not in response["content"]:
        return True
    schema = response["content"]["application/json"]["schema"]
    return schema.get("title") != "ProblemBody" and not schema.get("$ref", "").endswith("/ProblemBody")


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
    )
