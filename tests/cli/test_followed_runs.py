"""Watching a server from outside: reported progress, and resuming after a lost connection."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial

import pytest
from aiohttp import WSMsgType, web

from quart_odds.cli.followed_runs import WatchError, followed_runs
from quart_odds.scraping.schemas import ScrapePhase, ScrapeProgress
from quart_odds.websocket import connection_ack_message, scrape_progress_message
from tests.bookmakers.fake_site import closed_port, serving

Talk = Callable[[web.WebSocketResponse, web.Request], Awaitable[None]]


@asynccontextmanager
async def talking(talks: list[Talk]) -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """Run a server that has each conversation in turn. Yield its address and the query of each connection."""
    asked: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(dict(request.query))
        assert request.path == "/api/ws"
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await talks[len(asked) - 1](websocket, request)
        return websocket

    async with serving(answer) as site:
        yield site.url, asked


async def tell(websocket: web.WebSocketResponse, *numbers: int) -> None:
    """Send an acknowledgement, then a progress for each number, which is also its cursor."""
    await websocket.send_json(connection_ack_message(["scrape_progress"]) | {"id": f"e-{numbers[0] - 1}"})
    for number in numbers:
        progress = ScrapeProgress(phase=ScrapePhase.SCRAPING, current=number, total=9, scrape_run_id=1)
        await websocket.send_json(scrape_progress_message(progress) | {"id": f"e-{number}"})


async def listen(websocket: web.WebSocketResponse) -> None:
    """Wait until the other side closes."""
    async for message in websocket:
        assert message.type is not WSMsgType.ERROR


class Waits:
    """Sleeps that take no time and are recorded."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Record the wait."""
        self.seconds.append(seconds)
        await asyncio.sleep(0)


over_websocket = partial(followed_runs, transport="websocket")


async def seen(progresses: AsyncGenerator[ScrapeProgress, None], count: int) -> list[int]:
    """Return this many progresses, by their number."""
    found: list[int] = []
    async with asyncio.timeout(10), aclosing(progresses):
        async for progress in progresses:
            found.append(progress.current)
            if len(found) == count:
                break
    return found


async def test_it_comes_back_with_its_cursor_when_the_server_asked_it_to() -> None:
    """The watcher waits as long as the close frame said, then resumes after the last message that it received."""

    async def restarting(websocket: web.WebSocketResponse, _: web.Request) -> None:
        await tell(websocket, 1, 2)
        await websocket.close(code=1012, message=b"retry_ms=1234")

    async def back(websocket: web.WebSocketResponse, _: web.Request) -> None:
        await tell(websocket, 3, 4)
        await listen(websocket)

    states: list[str] = []
    waits = Waits()
    async with talking([restarting, back]) as (url, asked):
        progresses = over_websocket(f"{url}/", on_state=states.append, sleep=waits)
        assert await seen(progresses, 4) == [1, 2, 3, 4]
    asked_first = {"topics": "scrape_progress", "cursor": "1"}
    assert asked == [asked_first, asked_first | {"since": "e-2"}]
    assert waits.seconds == [pytest.approx(1.234, abs=0.1)]
    assert states == [f"watching {url}", f"lost {url}; retrying in 1.2 s", f"watching {url}"]


async def test_it_waits_longer_each_time_that_a_connection_is_lost_at_once() -> None:
    """The wait is random up to a doubling limit, so that watchers spread out. A good connection resets it."""

    async def cut(_: web.WebSocketResponse, request: web.Request) -> None:
        assert request.transport is not None
        request.transport.abort()

    async def good(websocket: web.WebSocketResponse, _: web.Request) -> None:
        await tell(websocket, 1)

    async def last(websocket: web.WebSocketResponse, _: web.Request) -> None:
        await tell(websocket, 2)
        await listen(websocket)

    waits = Waits()
    async with talking([good, cut, cut, cut, good, last]) as (url, _):
        assert await seen(over_websocket(url, sleep=waits), 3) == [1, 1, 2]
    bounds = [0.5, 1.0, 2.0, 4.0, 0.5]
    assert len(waits.seconds) == len(bounds)
    for seconds, bound in zip(waits.seconds, bounds, strict=True):
        assert bound / 2 - 0.1 <= seconds <= bound


async def test_a_server_that_is_not_there_is_an_error_at_first() -> None:
    """There is nothing to watch, so there is nothing to reconnect to."""
    with pytest.raises(WatchError, match="no Quart Odds server at http://127"):
        await seen(followed_runs(closed_port()), 1)


@pytest.mark.parametrize(("status", "words"), [(403, "refuses the connection: status 403"), (503, "status 503")])
async def test_a_server_that_refuses_is_an_error(status: int, words: str) -> None:
    """The error contains the status."""

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status)

    async with serving(refuse) as site:
        with pytest.raises(WatchError, match=words):
            await seen(followed_runs(site.url), 1)


async def test_a_token_is_sent_and_asked_for_where_one_is_missing() -> None:
    """The error says how to give one."""
    sent: list[str | None] = []

    async def refuse(request: web.Request) -> web.Response:
        sent.append(request.headers.get("Authorization"))
        return web.Response(status=401)

    async with serving(refuse) as site:
        with pytest.raises(WatchError, match="status 401; give a token with --token or QUART_ODDS_TOKEN"):
            await seen(followed_runs(site.url), 1)
        assert set(sent) == {None}
        with pytest.raises(WatchError, match="status 401"):
            await seen(followed_runs(site.url, token="s3cret"), 1)
    assert sent[-1] == "Bearer s3cret"


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ws://127.0.0.1", "http://", "nonsense"])
async def test_a_text_that_is_no_address_is_an_error(url: str) -> None:
    """The error shows a valid example."""
    with pytest.raises(WatchError, match="give one such as http"):
        await seen(followed_runs(url), 1)


@pytest.mark.parametrize("text", ["hello", "[]", "{}", "7", '{"type": "scrape_progress", "data": {"current": "many"}}'])
async def test_a_server_that_is_no_quart_odds_is_a_sentence(text: str) -> None:
    """The address may belong to any other WebSocket server."""

    async def talk(websocket: web.WebSocketResponse, _: web.Request) -> None:
        await websocket.send_str(text)
        await listen(websocket)

    async with talking([talk]) as (url, _), aclosing(followed_runs(url)) as progresses:
        with pytest.raises(WatchError, match="answers, but not as Quart Odds does"):
            await anext(progresses)
