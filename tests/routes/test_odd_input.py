"""Input that no client has reason to send: numbers of thousands of digits, very long names, deep and wide bodies.

It is answered with a 4xx or ignored, never with a 5xx. The routes and parameters come from `/openapi.json`.
"""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.apps import Json, RunningApp, running_app

NOWHERE = "http://127.0.0.1:9"

pytestmark = pytest.mark.odd_input

VALUES = (
    *("", "0", "-1", "9" * 18, "9" * 19, "9" * 30, "9" * 4000, "9" * 5000, "1e400", "-1e400", "nan", "inf", "1_000"),
    *(
        "１２",
        "²",
        "٣",
        "0x10",
        "+1",
        "\0",
        "a\0b",
        "\n",
        "\u202e",
        "😀",
        "A" * 10_000,
        "[]",
        "{}",
        "null",
        "%",
        "../..",
    ),
    *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "10000-01-01T00:00:00Z", "8191.75", "1e308"),
    *(",", "betpawa,", "betpawa," * 1000, "betpawa,,9", "BetPawa", " betpawa"),
    *("cc52dbce-0", "cc52dbce-999999999999999", "r1-x-1", f"r{'9' * 5000}-x-1", f"cc52dbce-{'9' * 5000}"),
)
STREAMS = ("/api/sse", "/api/scrape/stream", "/api/scrape/runs/{scrape_run_id}/progress")
"""Streams do not end by themselves."""
EVENT_PAGE = ("market", "line", "promotion", "outcome", "show", "range", "bank", "rounding", "at")
PAGES = {
    "/": (),
    "/runs": ("page", "page_size"),
    "/opportunities": ("kind", "bank", "rounding", "min_margin", "max_age_seconds", "bookmakers", "page", "past"),
    "/settings": ("odds_days", "match_days", "saved"),
    "/health": (),
    "/coverage": ("view", "search", "why", "sort", "tournament_id", "page", "bookmakers", "include_started"),
    "/alerts": ("limit", "before", "rule_id", "event_id", "market", "line", "outcome", "match", "add"),
    "/odds": ("page", "market", "line", "search", "kickoff_from", "sort", "country", "tournament_id", "availability"),
    "/odds/rows": ("ids", "market", "line", "page"),
    "/odds/{event_id}": EVENT_PAGE,
    "/odds/{event_id}/history": EVENT_PAGE,
    "/runs/{scrape_run_id}": (),
    "/static/{name}": (),
    "/assets/{version}/{name}": (),
    "/favicon.ico": (),
    "/nowhere": ("x",),
}
BODIES = (
    *(
        b"",
        b" ",
        b"null",
        b"[]",
        b"1",
        b'"x"',
        b"{",
        b"NaN",
        b"1e400",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"":1}',
        b"9" * 5000,
    ),
    *(
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b'{"x":' + b"9" * 5000 + b"}",
        b'{"' + b"k" * 60_000 + b'":1}',
        b'{"x":1,"x":2}',
    ),
    *(b'{"platforms":[' + b",".join([b'"x"'] * 15_000) + b"]}", b'{"platforms":[{}]}', b'{"platforms":["\\u0000"]}'),
    *(
        b'{"platforms":["\\ud800"]}',
        b'{"scrapeIntervalMinutes":' + b"9" * 5000 + b"}",
        b'{"scrapeIntervalMinutes":1e400}',
    ),
    *(b'{"oddsRetentionDays":' + b"9" * 30 + b"}", b'{"enabledPlatforms":{}}', b'{"__proto__":1}'),
)


CHANGING = (
    ("POST", "/api/scrape"),
    ("POST", "/api/scrape/1/retry"),
    ("PUT", "/api/settings"),
    ("POST", "/api/cleanup/execute"),
    ("POST", "/settings"),
    ("POST", "/settings/clean-up"),
    ("POST", "/settings/tokens"),
)
NUMBERED = (
    "/api/events/{}/refresh",
    "/api/scrape/event/{}",
    "/api/scrape/{}/cancel",
    "/api/scrape/{}/retry",
    "/runs/{}/cancel",
    "/runs/{}/retry",
    "/schedule/{}",
    "/settings/schedule/{}",
    "/settings/alerts/{}/resolve",
    "/settings/tokens/{}/revoke",
    "/api/storage/alerts/{}/resolve",
)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app without bookmakers."""
    async with running_app(tmp_path, NOWHERE) as opened:
        yield opened


async def _asked(running: RunningApp) -> dict[str, list[str]]:
    """Return each GET route that ends, with the parameters of its query string."""
    document = await running.get("/openapi.json")
    found = {
        path: [each["name"] for each in operations["get"].get("parameters", []) if each["in"] == "query"]
        for path, operations in document["paths"].items()
        if "get" in operations and path not in STREAMS
    }
    assert len(found) > 15
    assert sum(map(len, found.values())) > 30
    assert {"/api/events", "/api/opportunities"} <= {path for path, names in found.items() if "bookmakers" in names}
    return found | {path: list(names) for path, names in PAGES.items()}


def _filled(path: str, name: str = "", value: str = "") -> str:
    """Return a path with one parameter set to the value, and the others to 1."""
    return re.sub(r"\{(\w+)\}", lambda found: value if found[1] == name else "1", path)


async def test_odd_values_of_queries(running: RunningApp) -> None:
    """Every parameter of every route, once, repeated, and repeated 1,500 times."""
    failed = []
    for path, names in (await _asked(running)).items():
        for name in names:
            queries = [f"{name}={quote(value)}" for value in VALUES]
            queries += [f"{name}=1&{name}=x", f"{name}[]=1&{name}[a]=2", "&".join([f"{name}=1"] * 1500)]
            for query in queries:
                response = await running.client.get(f"{_filled(path)}?{query}")
                if response.status_code >= 500:
                    failed.append((path, query[:60], response.status_code))
    assert failed == []


async def test_odd_values_of_queries_of_streams(running: RunningApp) -> None:
    """HEAD has the answer that a stream would have, and ends."""
    document = await running.get("/openapi.json")
    failed = []
    for path in STREAMS:
        names = [each["name"] for each in document["paths"][path]["get"]["parameters"] if each["in"] == "query"]
        assert {"since", "last_event_id"} <= {*names}
        for query in [f"{name}={quote(value)}" for name in names for value in VALUES]:
            for topics in ("", "&topics=odds") if path == "/api/sse" else ("",):
                response = await running.client.head(f"{_filled(path)}?{query}{topics}")
                if response.status_code >= 500:
                    failed.append((path, query[:60], response.status_code))
    assert failed == []


async def test_odd_values_in_paths(running: RunningApp) -> None:
    """Every parameter of every path, for routes that read and routes that change something."""
    failed = []
    asked = [(path, name) for path in await _asked(running) for name in re.findall(r"\w+(?=\})", path)]
    assert len(asked) > 10
    for value in VALUES:
        text = quote(value, safe="") or "%20"
        paths = [("GET", _filled(path, name, text)) for path, name in asked]
        for method, path in [*paths, *(("POST", path.format(text)) for path in NUMBERED)]:
            response = await running.ask(method, path)
            if response.status_code >= 500:
                failed.append((method, path[:60], response.status_code))
    assert failed == []


async def test_odd_bodies(running: RunningApp) -> None:
    """Bodies that are deeply nested, very wide, with huge numbers, or not JSON."""
    failed = []
    for method, path in CHANGING:
        for body in BODIES:
            for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
                send = running.client.put if method == "PUT" else running.client.post
                response = await send(path, data=body, headers={"Content-Type": kind})
                if response.status_code >= 500:
                    failed.append((method, path, body[:40], kind, response.status_code))
    assert failed == []


@pytest.mark.parametrize("name", ["a" * 300, "a" * 5000, "a/" * 3000, "%00", "x%00.css", "..%2f..%2fpyproject.toml"])
@pytest.mark.parametrize("folder", ["/static", "/assets/1"])
async def test_static_names_that_no_file_has(running: RunningApp, folder: str, name: str) -> None:
    """Unknown names are answered 404, even if the file system refuses to look them up."""
    assert (await running.client.get(f"{folder}/{name}")).status_code == 404


@pytest.mark.parametrize("digits", [19, 4301, 5000])
@pytest.mark.parametrize(
    "query",
    [
        "/api/scrape/runs?limit",
        "/api/scrape/runs?offset",
        "/api/scheduler/history?limit",
        "/api/cleanup/preview?odds_days",
        "/api/scrape/analytics?days",
        "/api/scrape/event-metrics?days",
    ],
)
async def test_number_that_is_too_long_is_named(running: RunningApp, query: str, digits: int) -> None:
    """A number that is too long is answered 400, with the allowed range."""
    response = await running.client.get(f"{query}={'9' * digits}")
    problem: Json = await response.get_json()
    assert response.status_code == 400
    assert problem["errors"][0]["field"] == query.partition("?")[2]
    assert "give a whole number from" in problem["errors"][0]["message"]
