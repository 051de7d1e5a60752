"""The page of settings in a browser: its forms without a script, and what stays current with one."""

import aiohttp
import pytest

from tests.routes.pages.conftest import Serve, Visit

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_settings_are_changed_and_refused_without_a_script(serve: Serve, visit: Visit) -> None:
    """A value that is refused is in its field, beside what is allowed; the others are as they were typed."""
    async with serve() as server, visit(f"{server.url}/settings", script=False) as visitor:
        page = visitor.page
        await page.fill("#schedule [name=scrapeIntervalMinutes]", "45")
        await page.click("text=Save the schedule")
        await visitor.until_contains("#schedule", "The schedule was saved.")
        assert await page.input_value("#schedule [name=scrapeIntervalMinutes]") == "45"
        await page.click("#schedule >> text=Pause")
        await visitor.until_contains("#schedule", "paused")
        # The browser itself refuses what is out of range; it takes 1, which is no interval of sweeps.
        await page.fill("#schedule [name=sweepIntervalSeconds]", "1")
        await page.fill("#schedule [name=scrapeIntervalMinutes]", "50")
        async with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
            await page.click("text=Save the schedule")
        assert (await answered.value).status == 400
        await visitor.until_contains("#fault-sweepIntervalSeconds", "Give 0, which turns sweeps off")
        assert await page.input_value("#schedule [name=scrapeIntervalMinutes]") == "50"
        assert await page.get_by_label("Sweep every").get_attribute("aria-invalid") == "true"
        visitor.forgive_broken_lines()


async def test_what_happens_elsewhere_shows_while_somebody_types(serve: Serve, visit: Visit) -> None:
    """A clean-up and a new schedule are there without a reload, and what was typed stays."""
    async with serve() as server, visit(f"{server.url}/settings") as visitor, aiohttp.ClientSession() as session:
        await visitor.until_text("#connection", "Live over WebSocket")
        await visitor.page.fill("#tokens [name=name]", "half a na")
        async with session.put(f"{server.url}/api/settings", json={"scrapeIntervalMinutes": 30}) as answer:
            assert answer.status == 200
        async with session.post(f"{server.url}/api/cleanup/execute") as answer:
            assert answer.status == 200
        # Any run announces itself, and so makes the page look again.
        async with session.post(f"{server.url}/api/scrape") as answer:
            assert answer.status == 202
        await visitor.until_contains("#schedule-state", "Next run")
        await visitor.until_contains("#clean-ups-done", "this machine")
        assert await visitor.page.input_value("#tokens [name=name]") == "half a na"
