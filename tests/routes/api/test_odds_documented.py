"""The documentation of the odds API matches its routes."""

import re
from pathlib import Path
from typing import Any

from quart_odds.domain.promotions import KNOWN
from quart_odds.routes.api.events_csv import COLUMNS
from quart_odds.routes.api.query import EventsFilter, EventsQuery
from tests.odds.serving import served

DOCS = Path(__file__).parents[3] / "docs" / "api.md"


async def test_every_route_is_in_the_docs_and_in_openapi() -> None:
    """Every route is described in docs/api.md and in the OpenAPI document."""
    async with served(filled=False) as app:
        schema: Any = await app.json("/openapi.json")
    text = DOCS.read_text()
    paths = {path for path in schema["paths"] if path.startswith("/api/")}
    assert len(paths) >= 14
    for path in paths:
        operation = schema["paths"][path]["get"]
        assert operation["summary"].endswith(".")
        assert operation["responses"]
        written = path.replace("{event_id}", "{id}").replace("{market_id}", "{market}")
        assert written in text or f"…/{path.rpartition('/')[2]}" in text, path


def test_every_filter_is_in_the_docs() -> None:
    """The table of filters lists every filter and no other."""
    table = DOCS.read_text().partition("## Which events")[2].partition("## An event")[0]
    named = set(re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines() if line[:1] == "|")))
    assert named == set(EventsQuery.model_fields)
    assert set(EventsFilter.model_fields) < named


async def test_the_query_is_documented_with_its_bounds() -> None:
    """The OpenAPI document has the bounds and types that client generators need."""
    async with served(filled=False) as app:
        schema: Any = await app.json("/openapi.json")
    parameters = {each["name"]: each["schema"] for each in schema["paths"]["/api/events"]["get"]["parameters"]}
    assert (parameters["page_size"]["minimum"], parameters["page_size"]["maximum"]) == (1, 100)
    assert parameters["tournament_ids"]["type"] == "array"
    names = {each["name"] for each in schema["paths"]["/api/events/{event_id}/history"]["get"]["parameters"]}
    assert {"market", "line", "promotion", "platform", "from", "to"} <= names


def test_every_column_of_the_csv_and_every_known_promotion_is_in_the_docs() -> None:
    """The columns are documented in their order."""
    text = DOCS.read_text()
    columns = re.findall(r"`(\w+)`", text.partition("## CSV")[2].partition("New columns")[0])
    assert columns == list(COLUMNS)
    table = text.partition("## Promotions")[2].partition("## CSV")[0]
    assert all(f"`{word}`" in table for word in KNOWN[1:])
