"""Watches of a served app: copies of events stay right through runs, sweeps, cuts, a stall and a restart."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox import SandboxOptions, sandbox_process
from quart_odds_client import Client, Gap, OddsChange, OddsImage, Options, watch_odds
from quart_odds_client import sync as blocking
from tests.client.copied import prices_of
from tests.platforms import FIRST_THREE
from tests.routes.live.example_match import a_match, refreshed
from tests.routes.pages.proxy import proxied
from tests.server.serving import at, served
from tests.server.test_live_odds import ask, run_to_end, sweep_often, until
from tests.websocket import copies

QUICK = Options(least_wait_seconds=0.05, most_wait_seconds=0.2, upgrade_seconds=0.5)


class Follower:
    """A watch that is followed, as fast as its gate allows, and what it has yielded."""

    def __init__(self, url: str, ids: list[int], transport: Any) -> None:
        self.watch = watch_odds(url, event_id=ids, market="all", transport=transport, options=QUICK)
        self.images = self.changes = 0
        self.gaps: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def follow(self) -> None:
        """Follow until cancelled."""
        async with self.watch:
            self.images = 1
            async for change in self.watch:
                await self.gate.wait()
                self.changes += isinstance(change, OddsChange)
                self.images += isinstance(change, OddsImage) and change.data.scope == "all" and change.data.final
                if isinstance(change, Gap):
                    self.gaps.append(change.reason)

    def prices(self, event_id: int) -> dict[copies.Place, copies.Price] | None:
        """Return the prices of an event in the copy."""
        event = self.watch.copy.events.get(event_id)
        return None if event is None else prices_of(event)


@contextlib.asynccontextmanager
async def following(*followers: Follower) -> AsyncIterator[None]:
    """Let watches follow for the duration of a block. What one of them raises fails the test."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.follow()) for each in followers]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def moved(followers: list[Follower]) -> None:
    """Wait until each watch has told of more changes."""
    before = [each.changes for each in followers]
    await until(lambda: all(each.changes > count for each, count in zip(followers, before, strict=True)), "changes")


async def settled(session: aiohttp.ClientSession, url: str, followers: list[Follower], ids: list[int]) -> None:
    """Stop the sweeps, and compare each copy with the API once it has everything."""
    await ask(session, "PUT", f"{url}/api/settings", json={"sweepIntervalSeconds": 0})
    while await ask(session, "GET", f"{url}/api/scrape/runs/active?mode=all"):
        await asyncio.sleep(0.1)
    shown = {each: await ask(session, "GET", f"{url}/api/events/{each}") for each in ids}
    wanted = {each: copies.prices_of(event["markets_by_bookmaker"]) for each, event in shown.items()}
    assert all(len(prices) > 30 for prices in wanted.values())

    def is_equal() -> bool:
        return all({each: follower.prices(each) for each in ids} == wanted for follower in followers)

    await until(is_equal, "copies that equal the API")


@pytest.mark.alone
@pytest.mark.timeout(240)
async def test_copies_equal_the_api_after_everything(tmp_path: Path) -> None:
    """On both transports, price by price: after cuts, a stall, refused WebSockets and a restart of the server."""
    options = SandboxOptions(events=14, markets=30, live_prices=True, price_pace=40, bookmakers=FIRST_THREE)
    async with (
        sandbox_process(options) as sandbox,
        aiohttp.ClientSession() as session,
        contextlib.AsyncExitStack() as s,
    ):
        settings = at(sandbox.urls) | {f"{each}_requests_per_second": 20 for each in Platform}
        server = await s.enter_async_context(served(tmp_path, settings))
        proxy, other = [await s.enter_async_context(proxied(server.port)) for _ in range(2)]
        await run_to_end(session, server)
        async with Client(proxy.url) as client:
            ids = [event.id async for event in client.events()][:10]
        followers = [
            Follower(proxy.url, ids, "websocket"),
            Follower(proxy.url, ids, "sse"),
            Follower(other.url, ids, "auto"),
        ]
        async with following(*followers):
            await until(lambda: all(each.images for each in followers), "the first images")
            await sweep_often(session, server)
            await moved(followers)
            proxy.cut_all()
            other.cut_all()
            await moved(followers)
            assert [(each.images, each.gaps) for each in followers] == [(1, [])] * 3, "a resume needs no image"
            other.takes_websocket = False
            other.cut_websockets()
            await until(lambda: followers[2].watch.stream.transport == "sse", "server-sent events")
            await moved(followers)
            other.takes_websocket = True
            await until(lambda: followers[2].watch.stream.transport == "websocket", "a return to WebSocket")
            assert followers[2].gaps == []
            await server.stop()
            async with served(tmp_path, settings) as again:
                proxy.target = other.target = again.port
                await until(lambda: all(each.gaps == ["restart"] for each in followers), "gaps of the restart")
                await until(lambda: all(each.images == 2 for each in followers), "images after the restart")
                await sweep_often(session, again)
                for each in followers[:2]:
                    each.gate.clear()
                await moved(followers[2:])
                await run_to_end(session, again)
                for each in followers:
                    each.gate.set()
                await moved(followers)
                await settled(session, again.url, followers, ids)


async def test_a_notebook_has_a_copy_that_moves_by_itself(tmp_path: Path) -> None:
    """Also in the thread of a running loop, as in Jupyter; and the API beside it, with data frames."""
    async with a_match(tmp_path) as (server, session, event_id):
        # On purpose in the thread of the test's own loop.
        with blocking.Client(server.url) as client:
            assert event_id in [event.id for event in client.events(min_bookmakers=3)]
            detail = client.event(event_id)
            assert {each.mode for each in client.runs()} == {"full"}
            history = client.history(event_id, "3743").to_dataframe()
            assert set(history.bookmaker) == {each.bookmaker_slug for each in detail.markets_by_bookmaker}
            frame = client.opportunities("all").to_dataframe()
            assert {"event_id", "margin", "seen_at"} <= {*frame.columns}
        watch = blocking.watch_odds(server.url, event_id=event_id).open()
        try:
            former = watch.copy
            before = {"|".join(map(str, place)): price.odds for place, price in former.events[event_id].prices()}
            await refreshed(session, server, event_id, before)
            assert await asyncio.to_thread(watch.wait, 20)
            now = watch.copy
            assert now.events[event_id] is not former.events[event_id]
            assert len(now.to_dataframe()) == len(list(now.events[event_id].prices()))
        finally:
            watch.close()
        assert watch.state == "closed"
        assert watch.copy.events[event_id].id == event_id
