"""Live odds of a served app: copies of ten events stay right through runs, sweeps, a restart, cuts and a stall."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox import SandboxOptions, sandbox_process
from tests.platforms import FIRST_THREE
from tests.server.following import CurlFollower, Follower, WebSocketFollower
from tests.server.serving import Server, at, served
from tests.traffic import traffic
from tests.websocket.copies import prices_of

pytestmark = pytest.mark.alone

FAST_LANE = ("-m", "quart_odds")
STANDARD_LANE = (
    "-c",
    "from quart_odds.server import fast_lane; fast_lane.KNOWN_HYPERCORN = ();"
    "from quart_odds.__main__ import main; main()",
)
WAIT_SECONDS = 60


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"waited in vain for {what}")


def free_port() -> int:
    """Return a port that a server may use twice."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def ask(session: aiohttp.ClientSession, method: str, url: str, **options: Any) -> Any:
    """Return the JSON of a response that has to be good."""
    async with session.request(method, url, **options) as answer:
        assert answer.status < 300, await answer.text()
        traffic().answer(method, answer.url.path_qs, answer.status, answer.content_type, await answer.read())
        return await answer.json()


@contextlib.asynccontextmanager
async def following(*followers: Follower) -> AsyncIterator[None]:
    """Let clients follow for the duration of a block. What one of them raises fails the test."""
    tasks = [asyncio.create_task(each.follow()) for each in followers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result


async def run_to_end(session: aiohttp.ClientSession, server: Server) -> None:
    """Make a full run."""
    run_id = (await ask(session, "POST", f"{server.url}/api/scrape", json={}))["scrape_run_id"]
    async with asyncio.timeout(WAIT_SECONDS):
        while (await ask(session, "GET", f"{server.url}/api/scrape/{run_id}"))["status"] == "running":
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("lane", [FAST_LANE, STANDARD_LANE], ids=["fast", "standard"])
async def test_copies_of_ten_events_equal_the_api_after_everything(tmp_path: Path, lane: tuple[str, ...]) -> None:
    """On both transports and both lanes, price by price."""
    port = free_port()
    command = (sys.executable, *lane, "serve", "--bind", f"127.0.0.1:{port}")
    options = SandboxOptions(events=14, markets=30, live_prices=True, price_pace=40, bookmakers=FIRST_THREE)
    async with sandbox_process(options) as sandbox, aiohttp.ClientSession() as session:
        settings = at(sandbox.urls) | {f"{each}_requests_per_second": 20 for each in Platform}
        async with served(tmp_path, settings, command) as server:
            await run_to_end(session, server)
            page = await ask(session, "GET", f"{server.url}/api/events?page_size=10")
            ids = [event["id"] for event in page["events"]]
            query = f"topics=odds&market=all&event_id={','.join(map(str, ids))}"
            followers = [make(port, query) for make in (WebSocketFollower, CurlFollower) for _ in range(2)]
            async with following(*followers):
                await until(lambda: all(each.images for each in followers), "the first images")
                await sweep_often(session, server)
                await run_to_end(session, server)
                await moved(followers)
                for each in followers[::2]:
                    await each.cut()
                await moved(followers)
                assert [each.connections for each in followers] == [2, 1, 2, 1]
                assert [each.images for each in followers] == [1, 1, 1, 1], "a resume needs no image"
                await server.stop()
                async with served(tmp_path, settings, command) as again:
                    await until(lambda: all(each.images == 2 for each in followers), "images after the restart")
                    await sweep_often(session, again)
                    for each in followers[::2]:
                        each.gate.clear()
                    await moved(followers[1::2])
                    await run_to_end(session, again)
                    for each in followers:
                        each.gate.set()
                    await moved(followers)
                    await settled(session, again, followers, ids)


async def sweep_often(session: aiohttp.ClientSession, server: Server) -> None:
    """Turn on sweeps every two seconds."""
    await ask(session, "PUT", f"{server.url}/api/settings", json={"sweepIntervalSeconds": 2})


async def moved(followers: Sequence[Follower]) -> None:
    """Wait until each client has been told of more changes."""
    before = [each.changes for each in followers]
    await until(
        lambda: all(each.changes > count for each, count in zip(followers, before, strict=True)), "changes of prices"
    )


async def settled(
    session: aiohttp.ClientSession, server: Server, followers: Sequence[Follower], ids: list[int]
) -> None:
    """Stop the sweeps, and compare each copy with the API once it has everything."""
    await ask(session, "PUT", f"{server.url}/api/settings", json={"sweepIntervalSeconds": 0})
    async with asyncio.timeout(WAIT_SECONDS):
        while await ask(session, "GET", f"{server.url}/api/scrape/runs/active?mode=all"):
            await asyncio.sleep(0.1)
    shown = {each: await ask(session, "GET", f"{server.url}/api/events/{each}") for each in ids}
    wanted = {each: prices_of(event["markets_by_bookmaker"]) for each, event in shown.items()}
    assert all(len(prices) > 30 for prices in wanted.values())

    def is_equal() -> bool:
        return all({each: follower.copy.prices(each) for each in ids} == wanted for follower in followers)

    await until(is_equal, "copies that equal the API")
    assert [each.copy.unknown for each in followers] == [0] * len(followers)
