"""Examples for the OpenAPI and AsyncAPI documents, made from the schemas, so that they fit them."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from quart_odds.domain.platforms import Platform

Schema = Mapping[str, Any]

_AT = "2026-11-22T10:00:00.123Z"
_CURSOR = "cc52dbce-8817"
_OF_FORMAT = {"date-time": _AT, "date": "2026-11-22", "binary": "PAR1"}

_WORDS: Mapping[str, object] = {
    "Accepted.scrape_run_id": 7,
    "AlertRow.data": {"event_id": 12, "odds": 2.6},
    "AlertRow.kind": "price",
    "AlertRow.rule": "home price",
    "AlertMessage.kind": "price",
    "AlertMessage.rule": "home price",
    "BookmakerSpec.bookmaker": None,
    "EventSpec.search": None,
    "NewRule.name": "home price",
    "NewTarget.name": "our webhook",
    "NewTarget.url": "https://hooks.example/odds",
    "PhaseRow.message": "20 of 60 events",
    "Problem.detail": "there is no event 12",
    "Problem.instance": "/api/events/12",
    "Problem.status": 404,
    "Problem.title": "No such event",
    "Problem.type": "about:blank",
    "Problem.errors": None,
    "Problem.process": None,
    "Problem.scope": None,
    "Problem.scrape_run_id": None,
    "PriceSpec.market": "5000",
    "PriceSpec.under": None,
    "Ready.detail": None,
    "Ready.status": "ready",
    "Alive.status": "ok",
    "RuleChanges.name": "home price",
    "RuleRow.name": "home price",
    "TargetChanges.name": "our webhook",
    "TargetChanges.url": "https://hooks.example/odds",
    "TargetRow.name": "our webhook",
    "TargetRow.url": "https://hooks.example/…",
    "AddedTarget.name": "our webhook",
    "AddedTarget.url": "https://hooks.example/…",
    "Tournament.name": "Premier League",
    "BestOutcome.promotion": None,
    "age_seconds": 4.2,
    "all_markets": True,
    "avg_duration_seconds": 184.2,
    "away_team": "Chelsea",
    "bank": 100,
    "before": 200,
    "best_case": None,
    "best_margin": 1.4,
    "best_profit": 1.23,
    "changed_since": _CURSOR,
    "claimed_sportradar_id": None,
    "code": "gap",
    "competition": "premier",
    "conflicting_event_id": None,
    "countries": ["England"],
    "country": "England",
    "cursor": _CURSOR,
    "days": 7,
    "detail": "12 messages were missed; the newest state follows, read the rest from the API",
    "duration_ms": 184_200,
    "elapsed_ms": 92_100,
    "epoch": "cc52dbce",
    "error": None,
    "event_id": 12,
    "event_ids": [12, 15],
    "event_count": 10,
    "external_event_id": "8817",
    "fair_odds": 1.87,
    "fair_source": None,
    "holder": "4c1f-310",
    "home_team": "Arsenal",
    "id": 12,
    "image": "1",
    "instance": "/api/events/12",
    "interval_minutes": 30,
    "kelly_fraction": None,
    "kickoff": "2026-11-22T15:00:00Z",
    "kickoff_from": "2026-11-22T00:00:00Z",
    "kickoff_to": "2026-11-23T00:00:00Z",
    "last_event_id": _CURSOR,
    "last_skip": None,
    "lifetime_seconds": 12.5,
    "line": 2.5,
    "margin": 4.8,
    "market": "5000",
    "market_group": "main",
    "market_groups": ["main"],
    "market_id": "5000",
    "market_ids": ["5000"],
    "market_name": "Over/Under",
    "market_promotion": None,
    "max_age_seconds": 60,
    "message": "run 7 is under way",
    "min_margin": 1,
    "min_move": "2",
    "missed": 12,
    "name": "Arsenal - Chelsea",
    "odds": 1.91,
    "offset": 0,
    "outcome": "Over",
    "page": 1,
    "page_size": 20,
    "phase_logs": None,
    "pid": 310,
    "previous": 1.95,
    "probability": 0.52,
    "promotion": None,
    "read_only_reason": None,
    "reason": None,
    "refund_probability": None,
    "removed": [],
    "reversed": False,
    "rounding": 1,
    "rule_id": 3,
    "scrape_run_id": 7,
    "search": "arsenal",
    "secret": None,
    "self": "/api/scrape/7",
    "progress": "/api/scrape/runs/7/progress",
    "phases": "/api/scrape/runs/7/phases",
    "cancel": "/api/scrape/7/cancel",
    "since": _CURSOR,
    "slowed": None,
    "source_changed_at": "2026-11-22T09:59:58Z",
    "sport_name": "Football",
    "sportradar_id": "68995116",
    "stakes": [51, 49],
    "suspicious": False,
    "sweepIntervalSeconds": 30,
    "target": "our webhook",
    "target_id": 2,
    "targets": [2],
    "text": "Arsenal - Chelsea: 2.60 is over 2.5",
    "timestamp": _AT,
    "title": "Arsenal - Chelsea: 2.60 is over 2.5",
    "topics": ["odds", "scrape_progress"],
    "tournament_country": "England",
    "tournament_id": 7,
    "tournament_ids": [7],
    "tournament_name": "Premier League",
    "trigger": "api",
    "unavailable_at": None,
    "unavailable_since": None,
    "value_percent": 1.6,
    "version": "0.1.0",
    "watch": "12,15",
    "where": None,
    "within_seconds": 600,
    "worker": None,
}
"""Values by the name of the property, or by `Model.property`. One that its schema does not allow is not taken."""


@cache
def _words() -> Mapping[str, object]:
    """Return the values by name, those about a bookmaker included: the first of the installed ones stands for all."""
    first = next(iter(Platform))
    return {
        **_WORDS,
        "bookmaker_name": first.display_name,
        "event_url": f"https://{first.value}.example/event/8817",
        "platform": first.value,
    }


def example_of(schema: Schema, schemas: Mapping[str, Schema], name: str = "") -> Any:
    """Return a value that a schema allows. `schemas` are those that references name; `name` is the property's name.

    Every property is there. Of several alternatives the value is of the first one that is not null.
    """
    schema = _resolved(schema, schemas)
    own = name.rpartition(".")[2]
    for key in (name, own, "_".join(own.split("_")[-2:])):
        if key in _words() and is_allowed(_words()[key], schema, schemas):
            return _words()[key]
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for alternatives in ("anyOf", "oneOf", "allOf"):
        if alternatives in schema:
            options = [each for each in schema[alternatives] if each.get("type") != "null"]
            return example_of(options[0], schemas, name)
    match _type(schema):
        case "object":
            return _object(schema, schemas)
        case "array":
            items = [*schema.get("prefixItems", []), *([schema["items"]] if schema.get("items") else [])]
            return [example_of(each, schemas, name.removesuffix("s")) for each in items]
        case "string":
            return _OF_FORMAT.get(schema.get("format", "")) or _text(own)
        case "boolean":
            return schema.get("default", True)
        case "integer" | "number":
            least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + ("exclusiveMinimum" in schema))
            return schema.get("default") if schema.get("default") is not None else max(least, 1)
        case _:
            return None


def _text(name: str) -> str:
    """Return a text by its name. A list is comma-separated."""
    word = _words().get(name, name.replace("_", " ") or "text")
    return ",".join(map(str, word)) if isinstance(word, list) else str(word)


def is_allowed(value: object, schema: Schema, schemas: Mapping[str, Schema]) -> bool:
    """Whether a value has a type, and is one of the values, that a schema allows."""
    schema = _resolved(schema, schemas)
    for alternatives in ("anyOf", "oneOf"):
        if alternatives in schema:
            return any(is_allowed(value, each, schemas) for each in schema[alternatives])
    if "const" in schema or "enum" in schema:
        return value in schema.get("enum", [schema.get("const")])
    match _type(schema):
        case "object":
            return isinstance(value, dict) and "properties" not in schema
        case "array":
            items = schema.get("items", {})
            return isinstance(value, list) and all(is_allowed(each, items, schemas) for each in value)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "null":
            return value is None
        case _:
            return True


def _object(schema: Schema, schemas: Mapping[str, Schema]) -> dict[str, Any]:
    model = schema.get("title", "")
    values = {name: example_of(each, schemas, f"{model}.{name}") for name, each in schema.get("properties", {}).items()}
    required = schema.get("required", values)
    made = {name: value for name, value in values.items() if value is not None or name in required}
    if isinstance(more := schema.get("additionalProperties"), dict):
        made[example_of(schema.get("propertyNames", {"type": "string"}), schemas)] = example_of(more, schemas)
    return made


def _resolved(schema: Schema, schemas: Mapping[str, Schema]) -> Schema:
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    return schema


def _type(schema: Schema) -> str:
    """Return the first type of a schema that is not null."""
    given = schema.get("type", "object" if "properties" in schema else "")
    kinds = [given] if isinstance(given, str) else [each for each in given if each != "null"]
    return str(kinds[0]) if kinds else "null"
