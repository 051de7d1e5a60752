"""The HTTP part of the client: pages are put together, answers are typed, and errors say what is wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from quart_odds_client import (
    AccessError,
    ApiError,
    Client,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    ProtocolError,
    ServerFaultError,
    ServerUnreachableError,
    TooSoonError,
)
from tests.apps import Json
from tests.bookmakers.fake_site import FakeSite, closed_port, serving

AT = "2026-11-22T10:00:00.000Z"


def event(number: int) -> Json:
    """Return an event of a list."""
    return {"id": number, "home_team": "Home", "away_team": "Away", "kickoff": AT, "bookmakers": []}


@asynccontextmanager
async def answering(answer: Callable[[web.Request], web.Response]) -> AsyncIterator[tuple[Client, FakeSite]]:
    """Run a server with these answers, and a client of it."""

    async def respond(request: web.Request) -> web.Response:
        return answer(request)

    async with asyncio.timeout(20), serving(respond) as site, Client(site.url, token="t0ken") as client:
        yield client, site


async def test_all_pages_are_one_list() -> None:
    """Asked for with the selection, and with the token."""

    def answer(request: web.Request) -> web.Response:
        page = int(request.query["page"])
        ids = range(100 * page - 99, min(100 * page, 250) + 1)
        return web.json_response({"events": [event(each) for each in ids], "total": 250, "page": page})

    async with answering(answer) as (client, site):
        found = [each.id async for each in client.events(search="arsenal", countries=["A", "B"], include_started=True)]
    assert found == list(range(1, 251))
    assert len(site.requests) == 3
    first = site.requests[0]
    assert first.query.getall("countries") == ["A", "B"]
    assert (first.query["search"], first.query["include_started"]) == ("arsenal", "true")
    assert first.headers["Authorization"] == "Bearer t0ken"


async def test_a_list_that_moves_while_it_is_read_is_read_again() -> None:
    """An event that ends after the first page moves all others: none of them is left out, and none comes twice."""
    lists = [list(range(1, 202)), list(range(2, 202))]

    def answer(request: web.Request) -> web.Response:
        page = int(request.query["page"])
        now = lists[0] if page == 1 and len(lists) == 2 else lists[-1]
        if page == 1 and len(lists) == 2:
            lists.pop(0)
        shown = now[100 * (page - 1) : 100 * page]
        return web.json_response({"events": [event(each) for each in shown], "total": len(now), "page": page})

    async with answering(answer) as (client, _):
        found = [each.id async for each in client.events()]
    assert sorted(found) == list(range(1, 202))


async def test_runs_are_read_to_the_end() -> None:
    """By offset, each once."""

    def run(number: int) -> Json:
        fields = {"status": "completed", "started_at": AT, "events_scraped": 3, "events_failed": 0, "trigger": "api"}
        return fields | {"id": number, "mode": "full"}

    def answer(request: web.Request) -> web.Response:
        offset = int(request.query["offset"])
        return web.json_response([run(150 - each) for each in range(offset, min(offset + 100, 150))])

    async with answering(answer) as (client, _):
        assert [each.id async for each in client.runs(status="completed")] == list(range(150, 0, -1))


async def test_a_run_is_started_with_what_is_given() -> None:
    """Nothing else is sent, so that the server's defaults hold."""

    def answer(_: web.Request) -> web.Response:
        return web.json_response({"scrape_run_id": 7, "status": "running", "links": {"self": "/x"}}, status=202)

    async with answering(answer) as (client, site):
        assert (await client.start_scrape()).scrape_run_id == 7
        await client.start_scrape(platforms=["bet9ja"], mode="sweep")
    assert site.bodies == [b"{}", b'{"platforms": ["bet9ja"], "mode": "sweep"}']


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (401, AccessError),
        (403, AccessError),
        (404, NotFoundError),
        (409, ConflictError),
        (421, AccessError),
        (429, TooSoonError),
        (503, ServerFaultError),
        (418, ApiError),
    ],
)
async def test_each_problem_has_its_error(status: int, kind: type[ApiError]) -> None:
    """With the status, what the server says of each field, and when to come back."""
    body = {"title": "No", "status": status, "detail": "not so", "errors": [{"field": "market", "message": "is odd"}]}

    def answer(_: web.Request) -> web.Response:
        headers = {"Retry-After": "3"}
        extra = {"scrape_run_id": 5}
        return web.json_response(body | extra, status=status, headers=headers, content_type="application/problem+json")

    async with answering(answer) as (client, _):
        with pytest.raises(kind, match=r"not so \(market: is odd\)") as caught:
            await client.event(3)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.retry_after_seconds) == (status, 3.0)
    assert caught.value.problem.errors[0].field == "market"
    if isinstance(caught.value, ConflictError):
        assert caught.value.scrape_run_id == 5


@pytest.mark.parametrize("body", ["<h1>Bad gateway</h1>", "[]", '{"errors": 3}', ""])
async def test_an_error_without_a_problem_has_its_status(body: str) -> None:
    """Such as one of a proxy."""
    async with answering(lambda _: web.Response(text=body, status=502)) as (client, _):
        with pytest.raises(ServerFaultError, match="answers 502"):
            await client.event(3)


@pytest.mark.parametrize("body", ["hello", "[]", "{}", '{"id": "x"}'])
async def test_another_server_is_an_error(body: str) -> None:
    """It answers, but not as Quart Odds does."""
    async with answering(lambda _: web.Response(text=body)) as (client, _):
        with pytest.raises(ProtocolError, match="not as Quart Odds does"):
            await client.event(3)
        with pytest.raises(ProtocolError, match="not as Quart Odds does"):
            await anext(client.events())


async def test_no_server_is_an_error() -> None:
    """And so is one that takes too long."""
    async with Client(closed_port()) as client:
        with pytest.raises(ServerUnreachableError, match="no Quart Odds server"):
            await client.event(3)

    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        raise AssertionError

    async with serving(never) as site, Client(site.url, timeout_seconds=0.1) as client:
        with pytest.raises(ServerUnreachableError, match="no answer"):
            await client.event(3)


async def test_new_fields_are_kept() -> None:
    """The API grows, too."""
    detail: dict[str, Any] = event(3) | {"markets_by_bookmaker": [], "best_prices": [], "weather": "fine"}
    async with answering(lambda _: web.json_response(detail)) as (client, _):
        found = await client.event(3)
    assert (found.id, found.model_extra) == (3, {"weather": "fine"})


async def test_a_margin_that_is_not_complete_is_none() -> None:
    """The API has 0.0 there, for clients that need a number."""
    whole = {"betpawa_market_id": "3743", "outcomes": [], "margin": 0.0, "margin_complete": True}
    book = {"bookmaker_slug": "betpawa", "markets": [whole, whole | {"margin_complete": False}]}
    detail: dict[str, Any] = event(3) | {"markets_by_bookmaker": [book]}
    async with answering(lambda _: web.json_response(detail)) as (client, _):
        [found] = (await client.event(3)).markets_by_bookmaker
    assert [each.margin for each in found.markets] == [0.0, None]


async def test_a_client_that_is_closed_stays_so() -> None:
    """Rather than open connections that nobody closes."""
    client = Client("http://127.0.0.1:9")
    await client.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await client.event(3)
