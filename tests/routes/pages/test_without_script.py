"""The pages without JavaScript, over HTTP alone: they contain their data, and their forms do the work."""

import aiohttp
import pytest

from tests.routes.pages.conftest import Serve, Visit
from tests.server.serving import Server

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_form_starts_a_scrape_and_leads_to_it(serve: Serve, visit: Visit) -> None:
    """Without a script the button is a form: 303 to the run's page, which reloads itself until the end."""
    async with serve() as server, visit(server.url, script=False) as visitor:
        assert "Nothing is scraped until you start a run" in await visitor.text(".run-title")
        await visitor.page.click("#start")
        await visitor.page.wait_for_url(f"{server.url}/runs/1")
        await visitor.until_text("#run-status", "completed")
        assert await visitor.number("#all-current") > 60
        await visitor.until_contains("#log", "Bet9ja: completed")


async def test_every_page_shows_its_data(scraped: Server, visit: Visit) -> None:
    """Odds have best prices and links to further pages, an event has markets and history, runs have their plot."""
    async with visit(f"{scraped.url}/odds?page_size=10&market=ou&line=2.5", script=False) as visitor:
        page = visitor.page
        assert await page.locator(".rows .r").count() == 10
        assert await page.locator(".rows .p.best").count() > 5
        await page.get_by_role("link", name="Later").click()
        await visitor.until_contains("#pages", "Page 2 of")
        assert await page.locator(".rows .r").count() == 10
        await page.locator(".rows .m a").first.click()
        await visitor.until_count(".market", 6)
        await page.locator("summary").first.click()
        assert await page.locator("#history tbody tr").count() >= 1
        await page.goto(f"{scraped.url}/runs")
        assert await page.locator("tbody tr").count() >= 2
        assert await page.locator(".plot rect").count() >= 2


async def test_schedule_is_shown_paused_and_resumed(serve: Serve, visit: Visit) -> None:
    """The page says when the next scheduled run starts, and its form pauses the schedule."""
    async with serve(scrape_interval_minutes=5) as server, visit(server.url, script=False) as visitor:
        assert "Every 5 min" in await visitor.text(".schedule")
        assert "next at" in await visitor.text(".schedule")
        await visitor.page.get_by_role("button", name="Pause").click()
        await visitor.until_contains(".schedule", "paused")
        await visitor.page.get_by_role("button", name="Resume").click()
        await visitor.until_contains(".schedule", "next at")


async def test_forms_of_strangers_are_refused(scraped: Server) -> None:
    """A page of another site cannot start, cancel or retry anything here."""
    async with aiohttp.ClientSession() as session:
        for path in (
            "/runs",
            "/runs/1/cancel",
            "/runs/1/retry",
            "/schedule/pause",
            "/alerts",
            "/alerts/rules/1/remove",
            "/alerts/targets/1/test",
            "/settings",
            "/settings/clean-up",
            "/settings/tokens",
        ):
            for headers in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}):
                async with session.post(f"{scraped.url}{path}", headers=headers, allow_redirects=False) as answer:
                    assert answer.status == 403


async def test_second_start_leads_to_the_run_that_is_going(serve: Serve) -> None:
    """There is one run at a time, so both buttons lead to the same page."""
    async with serve(requests=1) as server, aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.post(f"{server.url}/runs", allow_redirects=False) as answer:
                assert (answer.status, answer.headers["Location"]) == (303, "/runs/1")


async def test_trouble_is_a_page_for_people_and_a_problem_for_programs(scraped: Server) -> None:
    """An unknown run, event or market, and an invalid query, say what is wrong."""
    async with aiohttp.ClientSession() as session:
        for path, status, words in (
            ("/runs/999", 404, "there is no run 999"),
            ("/odds/999999", 404, "there is no event 999999"),
            ("/odds?market=nonsense", 400, "market"),
            ("/odds?market=ou&line=0.3", 400, "line"),
            ("/odds/1?market=nonsense", 400, "no such market"),
        ):
            async with session.get(f"{scraped.url}{path}", headers={"Accept": "text/html"}) as answer:
                assert (answer.status, answer.content_type) == (status, "text/html")
                assert words.lower() in (await answer.text()).lower()
            async with session.get(f"{scraped.url}{path}", headers={"Accept": "application/json"}) as answer:
                assert (answer.status, answer.content_type) == (status, "application/problem+json")
