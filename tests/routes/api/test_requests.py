"""Requests as models: what is documented is what is validated, and what repeated, empty and unknown parameters mean."""

import re
from collections.abc import AsyncIterator, Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from quart import Quart
from quart_schema.validation import (
    QUART_SCHEMA_QUERYSTRING_ATTRIBUTE,
    QUART_SCHEMA_REQUEST_ATTRIBUTE,
    QuerystringValidationError,
)
from werkzeug.datastructures import MultiDict

import quart_odds
from quart_odds.app import create_app
from quart_odds.routes.api.events_csv import CSVQuery
from quart_odds.routes.api.history import EventHistoryQuery
from quart_odds.routes.api.query import EventsQuery, Revision
from quart_odds.routes.api.requests import BODY_MODEL, QUERY_MODEL, Query, read_query
from quart_odds.routes.api.schemas.scrape import RunsQuery
from quart_odds.routes.api.schemas.storage import CleanupQuery
from quart_odds.routes.pages.query import RowsQuery
from quart_odds.settings import load_settings
from tests.apps import RunningApp, running_app

ROUTES = Path(quart_odds.__file__).parent / "routes"
NOWHERE = "http://127.0.0.1:9"
BY_HAND = re.compile(r"request\.(args|values|form|json|get_json|get_data)\b|document_(querystring|request|headers)\b")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app without bookmakers."""
    async with running_app(tmp_path, NOWHERE) as opened:
        yield opened


def documented(app: Quart) -> list[tuple[str, Callable[..., Any]]]:
    """The path and the view of every rule in the OpenAPI document."""
    provider = app.extensions["QUART_SCHEMA"].openapi_provider
    return [(str(rule.rule), app.view_functions[rule.endpoint]) for rule in provider.generate_rules()]


def test_each_route_validates_by_the_model_that_documents_it() -> None:
    """The two are one object, for every query string and every body of the OpenAPI document."""
    checked = 0
    for path, view in documented(create_app(load_settings({}))):
        query = getattr(view, QUART_SCHEMA_QUERYSTRING_ATTRIBUTE, None)
        body, _ = getattr(view, QUART_SCHEMA_REQUEST_ATTRIBUTE, (None, None))
        assert query is getattr(view, QUERY_MODEL, None), path
        assert body is getattr(view, BODY_MODEL, None), path
        checked += (query is not None) + (body is not None)
    assert checked >= 18


def test_each_documented_default_is_the_one_that_is_used() -> None:
    """Leaving a parameter out, and giving its documented default, make the same model."""
    app = create_app(load_settings({}))
    schema = app.extensions["QUART_SCHEMA"].openapi_provider.schema()
    checked = 0
    for path, view in documented(app):
        model: type[Query] | None = getattr(view, QUERY_MODEL, None)
        if model is None:
            continue
        operation = schema["paths"][re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)]["get"]
        parameters = {each["name"]: each for each in operation["parameters"] if each["in"] == "query"}
        assert parameters.keys() == {field.alias or name for name, field in model.model_fields.items()}, path
        required = {name: "1" for name, each in parameters.items() if each.get("required")}
        left_out = read_query(model, MultiDict(required))
        for name, parameter in parameters.items():
            default = parameter["schema"].get("default")
            if name in required or default in (None, []):
                continue
            given = read_query(model, MultiDict(required | {name: str(default)}))
            assert given == left_out, (path, name)
            checked += 1
        dumped = left_out.model_dump(mode="json", by_alias=True)
        assert {name: each["schema"].get("default") for name, each in parameters.items() if name not in required} == {
            name: value for name, value in dumped.items() if name not in required
        }, path
    assert checked >= 20


def test_routes_read_no_query_string_or_body_by_hand() -> None:
    """Live streams apart, whose parameters are those of the wire protocol."""
    for folder in ("api", "pages"):
        for path in sorted((ROUTES / folder).rglob("*.py")):
            if path.name != "requests.py":
                assert not BY_HAND.search(path.read_text()), path


@pytest.mark.parametrize(("path", "days"), [("analytics", 14), ("event-metrics", 7)])
async def test_figures_cover_the_documented_number_of_days(path: str, days: int, running: RunningApp) -> None:
    """Those of the default, and those that the request names."""
    operation = (await running.get("/openapi.json"))["paths"][f"/api/scrape/{path}"]["get"]
    defaults = {each["name"]: each["schema"]["default"] for each in operation["parameters"]}
    assert defaults == {"days": days, "mode": "full"}
    for query, covered in (("", days), ("?days=3", 3)):
        figures = await running.get(f"/api/scrape/{path}{query}")
        period = date.fromisoformat(figures["period_end"]) - date.fromisoformat(figures["period_start"])
        assert period == timedelta(days=covered - 1), query


async def test_what_a_request_needs_is_documented_as_required(running: RunningApp) -> None:
    """A market of the history; a body of the settings, and none to start a run."""
    paths = (await running.get("/openapi.json"))["paths"]
    parameters = paths["/api/events/{event_id}/history"]["get"]["parameters"]
    assert [each["name"] for each in parameters if each["in"] == "query" and each.get("required")] == ["market"]
    assert paths["/api/settings"]["put"]["requestBody"]["required"] is True
    assert paths["/api/scrape"]["post"]["requestBody"]["required"] is False


@pytest.mark.parametrize(
    ("model", "arguments", "expected"),
    [
        (RunsQuery, [("limit", "7"), ("limit", "x")], {"limit": 7}),
        (RunsQuery, [("limit[]", "x"), ("limit[a]", "x"), ("unknown", "1"), ("LIMIT", "3")], {"limit": 20}),
        (RunsQuery, [("offset", "1000000000"), ("status", "failed")], {"offset": 1_000_000_000, "status": "failed"}),
        (EventsQuery, [("tournament_ids", "1")], {"tournament_ids": [1]}),
        (EventsQuery, [("tournament_ids", "1"), ("tournament_ids", "2")], {"tournament_ids": [1, 2]}),
        (EventsQuery, [("countries", ""), ("country", ""), ("search", "")], {"countries": [""], "search": ""}),
        (EventsQuery, [("changed_since", "")], {"changed_since": None}),
        (EventsQuery, [("changed_since", "cc52dbce-7")], {"changed_since": Revision("cc52dbce", 7)}),
        (CSVQuery, [("all_markets", "1")], {"all_markets": True}),
        (EventHistoryQuery, [("market", "3743"), ("from_", "x"), ("line", "2.5")], {"from_": None, "line": 2.5}),
        (RowsQuery, [("ids", "3,1,2")], {"ids": (3, 1, 2)}),
        (CleanupQuery, [("odds_days", "1")], {"odds_days": 1, "match_days": None}),
    ],
)
def test_parameters_that_are_repeated_empty_or_unknown(
    model: type[Query], arguments: list[tuple[str, str]], expected: dict[str, object]
) -> None:
    """A list takes every value, anything else the first; unknown names and PHP's brackets are ignored."""
    query: BaseModel = read_query(model, MultiDict(arguments))
    assert {name: getattr(query, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("model", "arguments"),
    [
        (RunsQuery, [("limit", "")]),
        (RunsQuery, [("limit", "1.0")]),
        (RunsQuery, [("limit", "+5")]),
        (RunsQuery, [("limit", " 5")]),
        (RunsQuery, [("limit", "1_0")]),
        (RunsQuery, [("limit", "١")]),
        (RunsQuery, [("limit", "9" * 5000)]),
        (RunsQuery, [("limit", "x"), ("limit", "7")]),
        (RunsQuery, [("status", "")]),
        (EventsQuery, [("tournament_ids", "1"), ("tournament_ids", "")]),
        (EventHistoryQuery, [("from", "2026-11-22T10:00:00Z")]),
        (RowsQuery, [("ids", "")]),
        (RowsQuery, [("ids", "1,x")]),
        (RowsQuery, [("ids", ",".join(["1"] * 101))]),
    ],
)
def test_parameters_that_are_refused(model: type[Query], arguments: list[tuple[str, str]]) -> None:
    """Also where a later value of the same name would do."""
    with pytest.raises(QuerystringValidationError):
        read_query(model, MultiDict(arguments))
