"""The description of the messages on WebSocket and SSE: `/asyncapi.json` (AsyncAPI 3.0)."""

from typing import Any

from quart import Blueprint, Response

from quart_odds import __version__
from quart_odds.broadcast import TOPICS
from quart_odds.domain.platforms import Platform
from quart_odds.routes.access.root_path import public_path
from quart_odds.routes.access.sessions import COOKIE
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
        "event_id": {"type": "array", "items": {"type": "integer"}},
        "tournament_id": {"type": "array", "items": {"type": "integer"}},
        "market": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
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
_SECURITY = {"security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in _SCHEMES]}
"""Any of these will do; from the server's own machine nothing is needed."""


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
    published = _published()
    said = _said()
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Quart Odds", "version": __version__},
        "channels": {
            "hub": {
                "address": f"{root_path}/api/ws",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in (*published, *said)},
                "bindings": {
                    "ws": {
                        "bindingVersion": "0.1.0",
                        "query": {
                            "type": "object",
                            "properties": {
                                "topics": {
                                    "type": "string",
                                    "description": "comma-separated names; scrape_progress and odds_updates if omitted",
                                },
                                "cursor": {"type": "string", "enum": ["0", "1"]},
                                "since": {"type": "string", "description": "resume after this cursor"},
                                "watch": {
                                    "type": "string",
                                    "description": "comma-separated ids of events to fetch more often while connected",
                                },
                                "ticket": {"type": "string", "description": "from POST /api/tickets, good once"},
                                **_filter_parameters(),
                            },
                        },
                    }
                },
            },
            "hubEvents": {
                "address": f"{root_path}/api/sse",
                "description": "The same over server-sent events: `event:` is the type, `id:` the cursor.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in published},
                "bindings": {"http": {"bindingVersion": "0.3.0"}},
            },
            "run": {
                "address": f"{root_path}/api/scrape/stream",
                "description": "One run's progress (`mode=sweep`: a sweep's), as server-sent events without a name.",
                "messages": {"progress": {"payload": {"$ref": "#/components/schemas/ScrapeProgress"}}},
                "bindings": {"http": {"bindingVersion": "0.3.0"}},
            },
        },
        "operations": {
            "tell": _operation("send", "hub", published) | _SECURITY,
            "hear": _operation("receive", "hub", said) | _SECURITY,
            "tellEvents": _operation("send", "hubEvents", published) | _SECURITY,
            "tellRun": {
                **_SECURITY,
                "action": "send",
                "channel": {"$ref": "#/channels/run"},
                "messages": [{"$ref": "#/channels/run/messages/progress"}],
            },
        },
        "components": {"schemas": schemas, "messages": published | said, "securitySchemes": _SCHEMES},
    }


def _published() -> dict[str, Any]:
    """Return the messages that the server sends."""
    return {
        "connection_ack": _message(
            "connection_ack",
            {
                "topics": _TOPICS,
                "epoch": {"type": "string"},
                "recovered": {"type": "boolean"},
                "cursor": {"type": "string"},
                "connection_id": {"type": "string", "description": "names this connection: /api/hub/explain"},
                "missed": {"type": ["integer", "null"]},
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
                "snapshot_count": {"type": "integer", "minimum": 1},
            },
        ),
        "odds_image": _message("odds_image", {"$ref": "#/components/schemas/OddsImage"}),
        "odds_change": _message("odds_change", {"$ref": "#/components/schemas/OddsChange"}),
        "event_change": _message("event_change", {"$ref": "#/components/schemas/EventChange"}),
        "alert": _message("alert", {"$ref": "#/components/schemas/AlertMessage"}),
        "opportunity": _message("opportunity", {"$ref": "#/components/schemas/OpportunityChange"}),
        "pong": _message("pong", {}),
        "subscription_update": _message("subscription_update", {"topics": _TOPICS, "filter": _FILTER}, ["topics"]),
        "error": _message(
            "error",
            {
                "code": {"type": "string", "enum": list(ERROR_CODES)},
                "detail": {"type": "string"},
                "missed": {"type": ["integer", "null"]},
            },
            ["code", "detail"],
        ),
    }


def _said() -> dict[str, Any]:
    """Return the messages that a client may send."""
    ping = {"type": "object", "required": ["type"], "properties": {"type": {"const": "ping"}}}
    return {"ping": {"payload": ping}} | {
        name: {
            "payload": {
                "type": "object",
                "required": ["type", "topics"],
                "properties": {"type": {"const": name}, "topics": _TOPICS}
                | ({"filter": _ASKED_FILTER} if name == "subscribe" else {}),
            }
        }
        for name in ("subscribe", "unsubscribe")
    }


def _filter_parameters() -> dict[str, Any]:
    """Return the parameters of the query that make a filter of the topic `odds`."""
    fields = TopicsQuery.model_fields
    return {name: {"type": "string", "description": fields[name].description} for name in FILTER_FIELDS}


def _message(kind: str, data: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    schema = data
    if "$ref" not in data:
        schema = {"type": "object", "properties": data, "required": list(data) if required is None else required}
    return {
        "name": kind,
        "payload": {
            "type": "object",
            "required": ["type", "timestamp", "data"],
            "properties": {
                "type": {"const": kind},
                "timestamp": _TIMESTAMP,
                "data": schema,
                "id": {"type": "string", "description": "the cursor, for a client that asked for it"},
            },
            "additionalProperties": False,
        },
    }


def _operation(action: str, channel: str, messages: dict[str, Any]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }
