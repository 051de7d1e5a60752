"""The example for browsers in docs/examples keeps a live copy of a match."""

import asyncio
from pathlib import Path

from playwright.async_api import Route

from tests.routes.live.example_match import EXAMPLES, a_match, main_prices, plain, refreshed
from tests.routes.pages.conftest import Visit

WAIT_SECONDS = 30


async def test_the_example_keeps_a_copy_that_equals_the_api(visit: Visit, tmp_path: Path) -> None:
    """From the image on, and through a change of prices."""

    async def serve(route: Route) -> None:
        await route.fulfill(content_type="text/html", body=(EXAMPLES / "match_copy.html").read_text())

    async with a_match(tmp_path) as (server, session, event_id), visit("about:blank") as visitor:
        await visitor.page.route("**/match_copy.html*", serve)
        await visitor.page.goto(f"{server.url}/match_copy.html?event={event_id}")

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
