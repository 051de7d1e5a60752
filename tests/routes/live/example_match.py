"""A match at stand-in bookmakers for the examples of docs/examples, and what a copy of it has to be."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from quart_odds.sandbox import SandboxOptions, sandbox_process
from tests.platforms import FIRST_THREE
from tests.server.serving import Json, Server, at, served

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


@contextlib.asynccontextmanager
async def a_match(folder: Path) -> AsyncIterator[tuple[Server, aiohttp.ClientSession, int]]:
    """Serve events of stand-in bookmakers, after one run. Yields the server, an HTTP client and the id of an event."""
    async with (
        sandbox_process(SandboxOptions(events=8, markets=20, move=0.9, bookmakers=FIRST_THREE)) as sandbox,
        served(folder, at(sandbox.urls) | {"refresh_cooldown_seconds": 0}) as server,
        aiohttp.ClientSession() as session,
    ):
        async with session.get(f"{server.url}/api/scrape/stream") as stream:
            await stream.read()
        async with session.get(f"{server.url}/api/events?min_bookmakers=3&page_size=1") as answer:
            [event] = (await answer.json())["events"]
        yield server, session, event["id"]


async def main_prices(session: aiohttp.ClientSession, server: Server, event_id: int) -> dict[str, float]:
    """Return the available prices of the main markets, as the examples name them."""
    async with session.get(f"{server.url}/api/events/{event_id}") as answer:
        event: Json = await answer.json()
    return {
        "|".join(
            map(str, (here["bookmaker_slug"], each["betpawa_market_id"], each["line"], each["promotion"], one["name"]))
        ): one["odds"]
        for here in event["markets_by_bookmaker"]
        for each in here["markets"]
        if each["betpawa_market_id"] in ("3743", "4693", "5000", "3795")
        for one in each["outcomes"]
        if one["available"]
    }


def plain(copy: dict[str, float]) -> dict[str, float]:
    """Return a copy with None, null and 2.0 written in one way: the tools differ in that."""
    return {
        "|".join("" if part in ("None", "null") else part.removesuffix(".0") for part in key.split("|")): odds
        for key, odds in copy.items()
    }


async def refreshed(
    session: aiohttp.ClientSession, server: Server, event_id: int, former: dict[str, float]
) -> dict[str, float]:
    """Refresh the event until its prices are not the former ones. Returns them."""
    now = former
    while plain(now) == plain(former):
        async with session.post(f"{server.url}/api/events/{event_id}/refresh") as answer:
            assert answer.status == 200
        now = await main_prices(session, server, event_id)
    return now
