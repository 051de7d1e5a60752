"""The examples of docs/examples keep a live copy of a match, each with the tools that it names."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import orjson
import pytest

from quart_odds.routes.pages.assets import asset_folder
from tests.routes.live.example_match import EXAMPLES, a_match, main_prices, plain, refreshed

WAIT_SECONDS = 30
TOOLS = {"sh": ("curl", "jq"), "node": ("node",)}


@pytest.mark.parametrize(
    ("example", "program"),
    [
        ("match_copy.py", sys.executable),
        ("client_copy.py", sys.executable),
        ("match_copy.sh", "sh"),
        ("match_copy.mjs", "node"),
    ],
    ids=["python", "client", "curl and jq", "node"],
)
async def test_the_example_keeps_a_copy_that_equals_the_api(tmp_path: Path, example: str, program: str) -> None:
    """From the image on, and through a change of prices."""
    for tool in TOOLS.get(program, ()):
        if shutil.which(tool) is None:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"there is no {tool}")
    # The script for Node is used beside those of the client.
    folder = await asyncio.to_thread(shutil.copytree, asset_folder("static"), tmp_path / "client")
    shutil.copy(EXAMPLES / example, folder)
    async with a_match(tmp_path) as (server, session, event_id):
        process = await asyncio.create_subprocess_exec(
            program,
            str(folder / example),
            server.url,
            str(event_id),
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 20,
            start_new_session=True,
        )
        try:
            before = await until_equal(process, await main_prices(session, server, event_id))
            async with asyncio.timeout(WAIT_SECONDS):
                now = await refreshed(session, server, event_id, before)
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
