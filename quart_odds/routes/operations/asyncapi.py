"""The description of the messages on WebSocket and SSE: `/asyncapi.json` (AsyncAPI 3.0)."""

from typing import Any

from quart import Blueprint, Response

from quart_odds import __version__
from quart_odds.broadcast import TOPICS
from quart_odds.domain.platforms import Platform
from quart_odds.routes.access.root_path import public_path
from quart_odds.routes.access.sessions import COOKIE
from quart_odds.routes.api.examples import example_of
from quart_odds.routes.api.schemas.live import (
    AlertMessage,
    AppliedFilter,
    EventChange,
    OddsChange,
    OddsImage,
    OpportunityChange,
)
from quart_odds.routes.api.scrape import json_response
from quart_odds.routes.live.query import TopicsQuery
from quart_odds.scraping.schemas import ScrapeProgress
from quart_odds.websocket.odds_filter import FILTER_FIELDS

blueprint = Blueprint("asyncapi", __name__)

ERROR_CODES = (
    "degraded",
    "gap",
    "invalid_filter",
    "invalid_json",
    "invalid_message",
    "invalid_topic",
    "invalid_watch",
    "rate_limited",
    "too_large",
    "unknown_type",
)
_TIMESTAMP = {"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"}
_TOPICS = {"type": "array", "items": {"type": "string", "enum": sorted(TOPICS)}}
_FILTER = {"$ref": "#/components/schemas/AppliedFilter"}
_ASKED_FILTER = {
    "type": "object",
    "description": "for the topic odds, in place of the filter before; every property may be left out",
    "properties": {
        "event_id": {"type": "array", "items": {"type": "integer"}, "maxItems": 500},
        "tournament_id": {"type": "array", "items": {"type": "integer"}, "maxItems": 50},
        "market": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "maxItems": 20}]},
        "platform": {"type": "array", "items": {"type": "string", "enum": list(Platform)}},
        "min_move": {"type": "number", "minimum": 0, "maximum": 1000},
        "image": {"type": "boolean"},
    },
    "additionalProperties": False,
}
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "a token of this server"},
    "session": {"type": "httpApiKey", "in": "cookie", "name": COOKIE, "description": "the session of a page"},
    "ticket": {
        "type": "httpApiKey",
        "in": "query",
        "name": "ticket",
        "description": "from POST /api/tickets, for one connection within 30 seconds",
    },
}
_SECURITY = [{"$ref": f"#/components/securitySchemes/{name}"} for name in _SCHEMES]
"""Any of these will do; from the server's own machine nothing is needed."""

_MISSED = {"type": ["integer", "null"], "description": "how many messages of these topics; null if that is unknown"}
_ERROR = {
    "code": {"type": "string", "enum": list(ERROR_CODES)},
    "detail": {"type": "string"},
    "missed": _MISSED,
}
_SUMMARIES = {
    "connection_ack": "The first message: what the connection gets, and where in the log it begins.",
    "scrape_progress": "One step of a run.",
    "odds_update": "Odds of these events changed at one bookmaker. Clients fetch them from the API.",
    "odds_image": "A page of the state that a filter selects.",
    "odds_change": "What one fetch changed in one event at one bookmaker.",
    "event_change": "What happened to an event itself.",
    "alert": "A rule fired. The other fields depend on its kind.",
    "opportunity": "What happened to an opportunity.",
    "pong": "The answer to a ping.",
    "subscription_update": "The answer to subscribe and unsubscribe: what the connection gets now.",
    "error": "What was wrong with a message of the client, or what the client missed.",
    "ping": "Asks for a pong.",
    "subscribe": "Asks for more topics, or for another filter of the topic odds.",
    "unsubscribe": "Asks for fewer topics.",
}


@blueprint.get("/asyncapi.json")
async def asyncapi() -> Response:
    """Return the AsyncAPI document: messages and channels."""
    return json_response(document(public_path("")))


def document(root_path: str) -> dict[str, Any]:
    """Return the AsyncAPI document of an app below a root path, which is empty for none."""
    schemas: dict[str, Any] = {}
    for model in (
        ScrapeProgress,
        OddsImage,
        OddsChange,
        EventChange,
        OpportunityChange,
        AlertMessage,
        AppliedFilter,
    ):
        described = model.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
        schemas |= described.pop("$defs", {}) | {model.__name__: described}
    published, said, of_run = _published(), _said(), _of_run()
    for message in (published | said | of_run).values():
        message["examples"] = [{"payload": example_of(message["payload"], schemas)}]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Quart Odds",
            "version": __version__,
            "description": "Messages over WebSocket and server-sent events. /openapi.json describes the rest.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "hub": {
                "address": f"{root_path}/api/ws",
                "description": "Everything that is published, over one WebSocket. What is said on it is answered.",
                "messages": _named(published | said),
                "bindings": {"ws": {"bindingVersion": "0.1.0", "query": _query()}},
            },
            "hubEvents": {
                "address": f"{root_path}/api/sse",
                "description": "The same over server-sent events: `event:` is the type, `id:` the cursor.",
                "messages": _named(published),
            },
            "run": {
                "address": f"{root_path}/api/scrape/stream",
                "description": "One run's progress (`mode=sweep`: a sweep's), as server-sent events without a name, "
                "and gaps as events named `gap`. The request starts the run, unless one is active.",
                "messages": _named(of_run),
            },
            "runById": {
                "address": f"{root_path}/api/scrape/runs/{{scrape_run_id}}/progress",
                "description": "The same of the run with this id, which the request does not start.",
                "parameters": {"scrape_run_id": {"description": "the run's id"}},
                "messages": _named(of_run),
            },
        },
        "operations": {
            "tell": _operation("send", "hub", published),
            "hear": _operation("receive", "hub", said),
            "tellEvents": _operation("send", "hubEvents", published, is_http=True),
            "tellRun": _operation("send", "run", of_run, is_http=True),
            "tellRunById": _operation("send", "runById", of_run, is_http=True),
        },
        "components": {"schemas": schemas, "messages": published | said | of_run, "securitySchemes": _SCHEMES},
    }


def _published() -> dict[str, Any]:
    """Return the messages that the server sends."""
    return {
        "connection_ack": _message(
            "connection_ack",
            {
                "topics": _TOPICS,
                "epoch": {"type": "string"},
                "recovered": {"type": "boolean", "description": "whether no message of these topics is missing"},
                "cursor": {"type": "string"},
                "connection_id": {"type": "string", "description": "names this connection: /api/hub/explain"},
                "missed": _MISSED,
                "filter": _FILTER,
            },
            ["topics", "epoch", "recovered", "cursor", "connection_id"],
        ),
        "scrape_progress": _message("scrape_progress", {"$ref": "#/components/schemas/ScrapeProgress"}),
        "odds_update": _message(
            "odds_update",
            {
                "event_ids": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
                "source": {"type": "string", "enum": list(Platform)},
                "snapshot_count": {
                    "type": "integer",
                    "minimum": 1,
                    "description": "events whose odds were recorded since the last one from this bookmaker",
                },
                "opening_count": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "how many of these had first prices alone: nothing changed that was there before",
                },
            },
        ),
        "odds_image": _message("odds_image", {"$ref": "#/components/schemas/OddsImage"}),
        "odds_change": _message("odds_change", {"$ref": "#/components/schemas/OddsChange"}),
        "event_change": _message("event_change", {"$ref": "#/components/schemas/EventChange"}),
        "alert": _message("alert", {"$ref": "#/components/schemas/AlertMessage"}),
        "opportunity": _message("opportunity", {"$ref": "#/components/schemas/OpportunityChange"}),
        "pong": _message("pong", {}),
        "subscription_update": _message("subscription_update", {"topics": _TOPICS, "filter": _FILTER}, ["topics"]),
        "error": _message("error", _ERROR, ["code", "detail"]),
    }


def _of_run() -> dict[str, Any]:
    """Return the messages of the streams of one run, which have no envelope."""
    return {
        "progress": {
            "title": "progress",
            "summary": "One step of the run, without a name. After the terminal one the stream ends.",
            "payload": {"$ref": "#/components/schemas/ScrapeProgress"},
        },
        "gap": {
            "name": "gap",
            "title": "gap",
            "summary": "Steps of the run were missed. The newest ones follow.",
            "payload": _object(_ERROR, ["code", "detail", "missed"]),
        },
    }


def _said() -> dict[str, Any]:
    """Return the messages that a client may send."""
    said: dict[str, Any] = {}
    for name in ("ping", "subscribe", "unsubscribe"):
        properties: dict[str, Any] = {"type": {"const": name}}
        if name != "ping":
            properties["topics"] = _TOPICS
        required = list(properties)
        if name == "subscribe":
            properties["filter"] = _ASKED_FILTER
        said[name] = {
            "name": name,
            "title": name,
            "summary": _SUMMARIES[name],
            "payload": {"type": "object", "required": required, "properties": properties},
        }
    return said


def _query() -> dict[str, Any]:
    """Return the query of the WebSocket."""
    fields = TopicsQuery.model_fields
    properties: dict[str, Any] = {
        "topics": {
            "type": "string",
            "description": "comma-separated names; scrape_progress and odds_updates if omitted",
        },
        "cursor": {"type": "string", "enum": ["0", "1"], "description": "1: each message has its cursor as `id`"},
        "since": {"type": "string", "description": "resume after this cursor"},
        "watch": {
            "type": "string",
            "description": "comma-separated ids of events to fetch more often while connected",
        },
        "ticket": {"type": "string", "description": "from POST /api/tickets, good once"},
    }
    filtered = {name: {"type": "string", "description": fields[name].description} for name in FILTER_FIELDS}
    return {"type": "object", "properties": properties | filtered}


def _named(messages: dict[str, Any]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in messages}


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


def _message(kind: str, data: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    schema = data if "$ref" in data else _object(data, list(data) if required is None else required)
    payload = _object(
        {
            "type": {"const": kind},
            "timestamp": _TIMESTAMP,
            "data": schema,
            "id": {"type": "string", "description": "the cursor, for a client that asked for it"},
        },
        ["type", "timestamp", "data"],
    )
    return {
        "name": kind,
        "title": kind,
        "summary": _SUMMARIES[kind],
        "payload": payload | {"additionalProperties": False},
    }


def _operation(action: str, channel: str, messages: dict[str, Any], *, is_http: bool = False) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "action": action,
        "security": _SECURITY,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }
    if is_http:
        operation["bindings"] = {"http": {"method": "GET", "bindingVersion": "0.3.0"}}
    return operation
