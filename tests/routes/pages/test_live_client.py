"""static/live.js in the browser, used as by the developer of another site: one stream over any transport."""

import asyncio
from typing import Any

import orjson
import pytest
from playwright.async_api import WebSocketRoute

from tests.routes.pages.conftest import Serve, Visit
from tests.routes.pages.proxy import proxied
from tests.routes.pages.visiting import Visitor, until
from tests.server.serving import Server

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

QUICK = {"leastWaitMs": 20, "mostWaitMs": 80, "upgradeMs": 150, "openMs": 1000}
ACK = {"type": "connection_ack", "timestamp": "2026-11-22T10:00:00.000Z", "data": {"topics": [], "recovered": True}}


async def open_client(visitor: Visitor, **options: object) -> None:
    """Open a client on the page. Its messages are collected in `published`, its states in `states`."""
    await visitor.page.evaluate(
        """async (options) => {
            const { LiveClient } = await import("/static/live.js");
            window.told = []; window.states = []; window.gaps = [];
            const live = window.client = new LiveClient(options);
            live.addEventListener("message", (event) => told.push(event.detail));
            live.addEventListener("state", (event) => states.push({ ...event.detail, at: performance.now() }));
            live.addEventListener("gap", (event) => gaps.push(event.detail));
            live.open();
        }""",
        {**QUICK, **options},
    )


async def states(visitor: Visitor) -> list[dict[str, Any]]:
    """Return every state of the client with its transport."""
    found: list[dict[str, Any]] = await visitor.value("states")
    return found


async def is_live_on(visitor: Visitor, transport: str) -> None:
    """Wait until the client uses this transport."""
    await visitor.until(f"window.client.transport === '{transport}'")


async def test_nothing_is_lost_or_doubled_while_the_line_changes(serve: Serve, visit: Visit) -> None:
    """From WebSocket to SSE and back, twice within a run, the client gets what an undisturbed one got."""
    async with (
        serve(requests=1) as server,
        proxied(server.port) as proxy,
        server.websocket() as reference,
        visit(f"{proxy.url}/runs", is_line_broken=True) as visitor,
    ):
        await open_client(visitor, topics=["scrape_progress"])
        await is_live_on(visitor, "websocket")
        await visitor.page.request.post(f"{server.url}/api/scrape", headers={"Origin": server.url})
        whole = asyncio.create_task(undisturbed(server, reference))
        for _ in range(2):
            proxy.takes_websocket = False
            proxy.cut_websockets()
            await is_live_on(visitor, "sse")
            proxy.takes_websocket = True
            await is_live_on(visitor, "websocket")
        expected = await whole
        await visitor.until("told.some((m) => m.data?.platform === null && m.data.phase === 'completed')")
        got = await visitor.value("told.filter((m) => m.type === 'scrape_progress').map((m) => m.data)")
        assert got == expected
        assert await visitor.value("gaps") == []


async def undisturbed(server: Server, reference: Any) -> list[dict[str, Any]]:
    """Return the progress that an undisturbed client sees."""
    assert server.process.returncode is None
    seen = []
    async for text in reference:
        message = orjson.loads(text)
        if message["type"] == "scrape_progress":
            seen.append(message["data"])
            if message["data"]["platform"] is None and message["data"]["phase"] in ("completed", "failed"):
                break
    return seen


async def test_restart_notice_is_honoured(scraped: Server, visit: Visit) -> None:
    """A close with `retry_ms` is followed by a new attempt after that time, not before."""
    async with visit(f"{scraped.url}/runs") as visitor:
        opened: list[WebSocketRoute] = []
        await visitor.page.route_web_socket("**/api/ws*", lambda route: greet(opened, route))
        await open_client(visitor)
        await is_live_on(visitor, "websocket")
        await opened[0].close(code=1012, reason="retry_ms=600")
        await visitor.until("states.at(-1).state === 'waiting'")
        await until(lambda: truth(len(opened) == 2), "a second attempt")
        await is_live_on(visitor, "websocket")
        published = await states(visitor)
        waiting = next(each for each in published if each["state"] == "waiting")
        after = next(each for each in published if each["at"] > waiting["at"])
        assert waiting["retryInMs"] == 600
        assert after["at"] - waiting["at"] >= 590


def greet(opened: list[WebSocketRoute], route: WebSocketRoute) -> None:
    """Accept a WebSocket in place of the server, and acknowledge it."""
    opened.append(route)
    route.send(orjson.dumps(ACK).decode())


async def truth(value: bool) -> bool:
    """Return an already fulfilled condition."""
    return value


async def test_silent_websocket_is_asked_and_given_up(scraped: Server, visit: Visit) -> None:
    """A silently dead connection is detected by a ping without an answer."""
    async with visit(f"{scraped.url}/runs") as visitor:
        opened: list[WebSocketRoute] = []
        said: list[str | bytes] = []

        def mute(route: WebSocketRoute) -> None:
            route.on_message(lambda message: said.append(message))
            greet(opened, route)

        await visitor.page.route_web_socket("**/api/ws*", mute)
        await open_client(visitor, pingMs=100, answerMs=200)
        await until(lambda: truth(len(opened) >= 2), "a second connection")
        assert '{"type":"ping"}' in said
        assert any(each["reason"] == "no answer to a ping" for each in await states(visitor))


async def test_answered_ping_keeps_the_connection(scraped: Server, visit: Visit) -> None:
    """A real server answers the ping, and nothing is reopened."""
    async with visit(f"{scraped.url}/runs") as visitor:
        await open_client(visitor, pingMs=50, answerMs=400)
        await visitor.until("told.filter((m) => m.type === 'pong').length > 2")
        assert [each["state"] for each in await states(visitor)] == ["connecting", "live"]


async def test_lost_past_is_a_gap(scraped: Server, visit: Visit) -> None:
    """A cursor of another epoch cannot be resumed: the client reports a gap, and the page reads its data again."""
    async with visit(f"{scraped.url}/runs") as visitor:
        await open_client(visitor, since="00000000-7")
        await is_live_on(visitor, "websocket")
        await visitor.until("gaps.length === 1")
        assert (await visitor.value("gaps"))[0]["reason"] == "restart"
        assert await visitor.value("client.cursor") != "00000000-7"


async def test_waits_grow_with_jitter_and_end_when_the_page_is_looked_at(scraped: Server, visit: Visit) -> None:
    """If no server answers, each wait is between half and all of a doubling time. A returning user does not wait."""
    async with visit(f"{scraped.url}/runs", is_line_broken=True) as visitor:
        await visitor.page.route("**/api/sse*", lambda route: route.abort())
        await visitor.page.route_web_socket("**/api/ws*", lambda route: route.close(code=1011))
        await open_client(visitor, leastWaitMs=100, mostWaitMs=400)
        await visitor.until("states.filter((s) => s.state === 'waiting').length >= 4")
        waits = [each["retryInMs"] for each in await states(visitor) if each["state"] == "waiting"][:4]
        for wait, most in zip(waits, (100, 200, 400, 400), strict=True):
            assert most / 2 <= wait <= most
        await visitor.value("client.close()")
        await open_client(visitor, leastWaitMs=60_000, mostWaitMs=60_000)
        await visitor.until("states.at(-1).state === 'waiting'")
        await visitor.value("document.dispatchEvent(new Event('visibilitychange')), 0")
        await visitor.until("states.filter((s) => s.state === 'waiting').length === 2")


async def test_closed_client_stays_closed(scraped: Server, visit: Visit) -> None:
    """After `close` nothing is opened again, and `open` resumes where it stopped."""
    async with visit(f"{scraped.url}/runs") as visitor:
        await open_client(visitor)
        await is_live_on(visitor, "websocket")
        cursor = await visitor.value("client.close(), client.cursor")
        assert (await states(visitor))[-1]["state"] == "closed"
        await visitor.value("window.dispatchEvent(new Event('online')), 0")
        assert (await states(visitor))[-1]["state"] == "closed"
        await visitor.value("client.open(), 0")
        await is_live_on(visitor, "websocket")
        assert await visitor.value("client.cursor") == cursor
