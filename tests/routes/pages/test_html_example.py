"""The example for browsers in docs/examples keeps a live copy of a match."""

import asyncio
from pathlib import Path

import pytest

from tests.routes.live.example_match import EXAMPLES, a_match, main_prices, plain, refreshed
from tests.routes.pages.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WAIT_SECONDS = 30


async def test_the_example_keeps_a_copy_that_equals_the_api(visit: Visit, tmp_path: Path) -> None:
    """From the image on, and through a change of prices."""

    async with a_match(tmp_path) as (server, session, event_id), visit("about:blank") as visitor:
        # A place of the server whose policy allows the script in the page, as a place of one's own would.
        await visitor.page.goto(f"{server.url}/static/live.js?event={event_id}")
        await visitor.page.set_content((EXAMPLES / "match_copy.html").read_text())

        async def shows(wanted: dict[str, float]) -> None:
            shown: dict[str, float] = {}
            async with asyncio.timeout(WAIT_SECONDS):
                while shown != plain(wanted):
                    lines = (await visitor.text("#prices")).splitlines()
                    shown = plain({key: float(odds) for key, odds in (line.rsplit(" ", 1) for line in lines)})

        before = await main_prices(session, server, event_id)
        await shows(before)
        async with asyncio.timeout(WAIT_SECONDS):
            now = await refreshed(session, server, event_id, before)
        await shows(now)
