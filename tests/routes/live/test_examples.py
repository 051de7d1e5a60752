"""The examples of docs/examples keep a live copy of a match, each with the tools that it names."""

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import orjson
import pytest

from quart_odds.sandbox import SandboxOptions, sandbox_process
from tests.server.serving import Json, Server, at, served

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
WAIT_SECONDS = 30


@contextlib.asynccontextmanager
async def a_match(folder: Path) -> AsyncIterator[tuple[Server, aiohttp.ClientSession, int]]:
    """Serve events of stand-in bookmakers, after one run. Yields the server, an HTTP client and the id of an event."""
    async with (
        sandbox_process(SandboxOptions(events=8, markets=20, move=0.9)) as sandbox,
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


@pytest.mark.parametrize(
    ("example", "program"), [("match_copy.py", sys.executable), ("match_copy.sh", "sh")], ids=["python", "curl and jq"]
)
async def test_the_example_keeps_a_copy_that_equals_the_api(tmp_path: Path, example: str, program: str) -> None:
    """From the image on, and through a change of prices."""
    for tool in ("curl", "jq") if program == "sh" else ():
        if shutil.which(tool) is None:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"there is no {tool}")
    async with a_match(tmp_path) as (server, session, event_id):
        process = await asyncio.create_subprocess_exec(
            program,
            str(EXAMPLES / example),
            server.url,
            str(event_id),
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 20,
            start_new_session=True,
        )
        try:
            before = await until_equal(process, await main_prices(session, server, event_id))
            now = before
            async with asyncio.timeout(WAIT_SECONDS):
                while plain(now) == before:
                    async with session.post(f"{server.url}/api/events/{event_id}/refresh") as answer:
                        assert answer.status == 200
                    now = await main_prices(session, server, event_id)
            await until_equal(process, now)
        finally:
            os.killpg(process.pid, 9)
            await process.wait()


async def until_equal(process: asyncio.subprocess.Process, wanted: dict[str, float]) -> dict[str, float]:
    """Read what an example prints until it is this copy."""
    assert process.stdout is not None
    printed: dict[str, float] = {}
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            async for line in process.stdout:
                printed = plain(orjson.loads(line))
                if printed == plain(wanted):
                    return printed
    except TimeoutError:
        pass
    assert printed == plain(wanted)
    return printed
