"""The export of odds and their history."""

import asyncio
import csv
import io
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import pytest_asyncio
from pyarrow import parquet
from structlog.testing import capture_logs

from quart_odds.broadcast import lane
from quart_odds.domain.clock import iso_z
from quart_odds.domain.platforms import Platform
from quart_odds.errors import StorageError
from quart_odds.export import stream
from quart_odds.export.kinds import KINDS
from quart_odds.routes.api.export import MOST_AT_ONCE
from tests.odds.making import OVER_UNDER, header, mapped
from tests.odds.serving import Served, served

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app() -> AsyncIterator[Served]:
    """The odds API with four events, for tests that only read, and a fifth that only the database has."""
    async with served() as opened:
        long_ago = header(external_id="5005", sportradar_id="55", kickoff=opened.now - timedelta(days=60), home="Ajax")
        await opened.odds_service.record(mapped(long_ago), opened.now - timedelta(days=61))
        await opened.odds_service.confirm()
        opened.odds_service.cache.forget(5)
        yield opened


async def content(app: Served, query: str = "") -> bytes:
    """Return the body of a successful response."""
    response = await app.client.get(f"/api/export?{query}")
    body: bytes = await response.get_data(as_text=False)
    assert response.status_code == 200, body
    return body


async def rows(app: Served, query: str = "") -> list[dict[str, Any]]:
    """Return the rows of an export as JSON Lines."""
    return [orjson.loads(line) for line in (await content(app, f"format=jsonl&{query}")).splitlines()]


async def refused(app: Served, query: str) -> set[str]:
    """Return the fields that a 400 names."""
    body: Any = await app.json(f"/api/export?{query}", 400)
    return {each["field"] for each in body["errors"]}


@pytest.mark.parametrize("kind", ["current", "history"])
async def test_formats_have_the_same_rows(kind: str, app: Served) -> None:
    """All columns are there in each, in their order."""
    names = [column.name for column in KINDS[kind].columns]
    lines = await rows(app, f"kind={kind}")
    assert len(lines) == 6 * 5
    assert all(list(line) == names for line in lines)
    table = parquet.read_table(io.BytesIO(await content(app, f"kind={kind}&format=parquet")))
    assert table.column_names == names
    assert table["odds"].to_pylist() == [line["odds"] for line in lines]
    [head, *cells] = csv.reader(io.StringIO((await content(app, f"kind={kind}")).decode()))
    assert head == names
    assert [float(each[names.index("odds")]) for each in cells] == [line["odds"] for line in lines]
    assert "'=Sevilla" in {each[names.index("home_team")] for each in cells}


@pytest.mark.parametrize("kind", ["current", "history"])
async def test_chosen_bookmakers_select_events_and_prices(kind: str, app: Served) -> None:
    """As they do in lists: who was not chosen is not counted. `bookmaker` narrows the prices further."""
    chosen = await rows(app, f"kind={kind}&bookmakers=sportybet,bet9ja")
    assert {each["bookmaker"] for each in chosen} == {"sportybet", "bet9ja"}
    assert {
        each["event_id"] for each in await rows(app, f"kind={kind}&bookmakers=betpawa,bet9ja&min_bookmakers=2")
    } == {1}
    assert await rows(app, f"kind={kind}&bookmakers=betpawa&min_bookmakers=2") == []
    narrowed = await rows(app, f"kind={kind}&bookmakers=sportybet,bet9ja&bookmaker=bet9ja&bookmaker=betpawa")
    assert {each["bookmaker"] for each in narrowed} == {"bet9ja"}


@pytest.mark.parametrize("kind", ["current", "history"])
async def test_lines_select_prices_of_markets_that_have_lines(kind: str, app: Served) -> None:
    """Prices without a line are not concerned."""
    assert {each["line"] for each in await rows(app, f"kind={kind}&line=2.5")} == {None, 2.5}
    assert {each["line"] for each in await rows(app, f"kind={kind}&line=3.5&line=4.5")} == {None}
    assert {each["market_id"] for each in await rows(app, f"kind={kind}&line=2.5&market=over_under_ft")} == {"5000"}


async def test_opportunities_are_exported_in_each_format() -> None:
    """The prices to back together have the same number."""
    async with served(filled=False) as app:
        over, under = OVER_UNDER
        for platform, odds in ((Platform.BETPAWA, (2.1, 1.75)), (Platform.SPORTYBET, (1.75, 2.1))):
            event = header(platform, f"{platform}-1", kickoff=app.now + timedelta(hours=3))
            await app.odds_service.record(mapped(event, dict(zip((over, under), odds, strict=True))), app.now)
        lines = [line for line in await rows(app, "kind=opportunities") if line["kind"] == "arbitrage"]
        assert [(line["bookmaker"], line["outcome"], line["margin"]) for line in lines] == [
            ("betpawa", "Over", 5.0),
            ("sportybet", "Under", 5.0),
        ]
        assert len({line["opportunity"] for line in lines}) == 1
        names = [column.name for column in KINDS["opportunities"].columns]
        table = parquet.read_table(io.BytesIO(await content(app, "kind=opportunities&format=parquet")))
        [head, *cells] = csv.reader(io.StringIO((await content(app, "kind=opportunities")).decode()))
        assert table.column_names == head == list(lines[0]) == names
        assert table.num_rows == len(cells) >= 2


async def test_the_response_is_a_file(app: Served) -> None:
    """It has a name, a type, and is not cached."""
    for shape, content_type in (
        ("csv", "text/csv; charset=utf-8"),
        ("jsonl", "application/jsonl"),
        ("parquet", "application/vnd.apache.parquet"),
    ):
        response = await app.client.get(f"/api/export?kind=history&format={shape}")
        assert response.content_type == content_type
        assert response.headers["Content-Disposition"] == f'attachment; filename="history.{shape}"'
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("kind", ["current", "history"])
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {1, 2, 4}),
        ("search=arsenal", {1, 4}),
        ("country=spain", {2}),
        ("min_bookmakers=2", {1, 2}),
        ("event_id=3", {3}),
        ("event_id=5&event_id=1&event_id=77", {1, 5}),
        ("event_id=1&country=spain", set()),
        ("event_id=99999999999", set()),
        ("bookmaker=betpawa", {1}),
        ("market=3743&bookmaker=bet9ja", {1, 2, 4}),
        ("market=btts_ft", set()),
    ],
)
async def test_filters_choose_events_and_prices(kind: str, query: str, found: set[int], app: Served) -> None:
    """They can be combined. An event that is named is exported even if it is only in the database."""
    assert {row["event_id"] for row in await rows(app, f"kind={kind}&{query}")} == found


async def test_events_that_have_started_are_in_if_asked_for(app: Served) -> None:
    """For the history they are taken from the database, however old they are."""
    assert {row["event_id"] for row in await rows(app, "include_started=true")} == {1, 2, 3, 4}
    assert {row["event_id"] for row in await rows(app, "kind=history&include_started=true")} == {1, 2, 3, 4, 5}
    until = quote(iso_z(app.now))
    assert {row["event_id"] for row in await rows(app, f"kind=history&include_started=1&kickoff_to={until}")} == {3, 5}
    assert await rows(app, f"kind=history&kickoff_to={until}") == []


async def test_rows_can_be_those_of_some_bookmakers_and_markets(app: Served) -> None:
    """Repeated names add to each other."""
    found = await rows(app, "bookmaker=betpawa&bookmaker=bet9ja&market=over_under_ft&market=btts_ft&event_id=1")
    assert [(row["bookmaker"], row["outcome"]) for row in found] == [
        ("betpawa", "Over"),
        ("betpawa", "Under"),
        ("bet9ja", "Over"),
        ("bet9ja", "Under"),
    ]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("kind=no", "kind"),
        ("format=xml", "format"),
        ("bookmaker=no", "bookmaker"),
        ("market=no", "market"),
        ("event_id=x", "event_id"),
        ("event=1", "event"),
        ("page=2", "page"),
        ("sort=name", "sort"),
        ("kickoff_from=2026", "kickoff_from"),
        ("kind=history&changed_since=01234567-8", "changed_since"),
    ],
)
async def test_a_query_that_is_not_understood_is_refused(query: str, field: str, app: Served) -> None:
    """Unknown names, too: they would leave a filter out."""
    assert await refused(app, query) == {field}


async def test_changes_since_a_cursor_or_a_time_can_be_asked_for(app: Served) -> None:
    """As in the list of events. A history has no cursor."""
    cursor = (await app.client.get("/api/events")).headers["Odds-Cursor"]
    assert await rows(app, f"changed_since={cursor}") == []
    before = quote(iso_z(app.now - timedelta(days=1)))
    assert len(await rows(app, f"kind=history&changed_since={before}")) == 6 * 5


async def test_parquet_without_pyarrow_is_not_implemented(app: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer names the extra, and the other formats work."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    body: Any = await app.json("/api/export?format=parquet", 501)
    assert "pip install 'quart-odds[export]'" in body["detail"]
    assert await content(app)


async def test_a_few_exports_run_at_once(app: Served) -> None:
    """More are told to come back. An export counts until its client has it, or leaves."""
    parts = app.parts
    await content(app)
    assert (await app.client.head("/api/export?kind=history")).status_code == 200
    assert parts.exports == 0
    parts.exports = MOST_AT_ONCE
    try:
        response = await app.client.get("/api/export")
    finally:
        parts.exports = 0
    assert (response.status_code, response.headers["Retry-After"]) == (503, "10")


async def test_a_database_that_is_away_is_told_at_once(app: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent there can still be a status."""

    async def fail(*_: object, **__: object) -> Any:
        raise StorageError("the database is gone")

    for method in ("event_ids", "stored_events", "first_prices"):
        with monkeypatch.context() as patch:
            patch.setattr(app.parts.store, method, fail)
            assert (await app.client.get("/api/export?kind=history")).status_code == 503
    assert app.parts.exports == 0


class CutConnection:
    """A connection that notes that it was cut."""

    def __init__(self) -> None:
        self.was_cut = False

    def abort(self) -> None:
        """Note it."""
        self.was_cut = True


async def test_an_export_that_breaks_off_does_not_look_complete(app: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is cut, the log says so, and the export is not counted any more."""
    connection = CutConnection()
    monkeypatch.setattr(stream, "PART_BYTES", 1)
    read = app.parts.store.stored_events
    asked = 0

    async def once(event_ids: list[int]) -> Any:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise StorageError("the database is gone")
        return await read(event_ids)

    monkeypatch.setattr(stream, "EVENTS_AT_ONCE", 1)
    monkeypatch.setattr(app.parts.store, "stored_events", once)
    token = lane.live_connection.set(connection)  # type: ignore[arg-type]
    try:
        with capture_logs() as logs, pytest.raises(StorageError):
            await app.client.get("/api/export?kind=history")
    finally:
        lane.live_connection.reset(token)
    assert connection.was_cut
    assert [each["event"] for each in logs] == ["response.broken_off"]
    assert app.parts.exports == 0


async def test_a_client_that_leaves_ends_its_export(app: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it would have read next is not read."""
    monkeypatch.setattr(stream, "PART_BYTES", 1)
    async with app.client.request("/api/export?kind=history") as connection:
        await connection.send_complete()
        await connection.receive()
        assert app.parts.exports == 1
        await connection.disconnect()
    async with asyncio.timeout(20):
        while app.parts.exports:
            await asyncio.sleep(0)


async def test_openapi_has_its_types(app: Served) -> None:
    """Parquet is no text."""
    schema: Any = await app.json("/openapi.json")
    operation = schema["paths"]["/api/export"]["get"]
    assert {each["name"] for each in operation["parameters"]} >= {"kind", "format", "event_id", "bookmaker", "market"}
    assert {"501", "503"} <= set(operation["responses"])


async def test_opportunities_can_be_those_of_a_kind_that_are_worth_enough_and_believable() -> None:
    """As on their page: by kind, least worth, age, and whether something speaks against them."""
    over, under = OVER_UNDER
    async with served(filled=False) as app:
        for name, age in (("a", 0), ("b", 900)):
            for platform, prices in (
                (Platform.BETPAWA, {over: 2.1, under: 1.8}),
                (Platform.SPORTYBET, {over: 1.8, under: 2.1}),
            ):
                event = header(platform, name, name, kickoff=app.now + timedelta(hours=3))
                await app.odds_service.record(mapped(event, prices), app.now - timedelta(seconds=age))

        async def found(query: str) -> set[tuple[str, str | None]]:
            every = await rows(app, f"kind=opportunities&{query}")
            return {(each["kind"], each["reasons"]) for each in every}

        assert await found("") == {(kind, old) for kind in ("arbitrage", "value") for old in (None, "stale")}
        assert await found("opportunity=value") == {("value", None), ("value", "stale")}
        assert await found("opportunity=value&opportunity=arbitrage&suspicious=false") == {
            ("value", None),
            ("arbitrage", None),
        }
        assert await found("suspicious=true&opportunity=arbitrage") == {("arbitrage", "stale")}
        assert await found("max_age_seconds=2000&opportunity=arbitrage") == {("arbitrage", None)}
        assert await found("min_margin=99") == set()
        await app.json("/api/export?kind=opportunities&opportunity=horoscope", 400)
