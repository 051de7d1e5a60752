"""The filters of the odds page in a real browser, with and without a script."""

import aiohttp
import pytest

from tests.routes.pages.conftest import Visit
from tests.routes.pages.test_odds_page import asked
from tests.routes.pages.visiting import Visitor
from tests.server.serving import Server

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PLACES = "new Set([...document.querySelectorAll('.rows .m small')].map((each) => each.textContent))"
MARGINS = (
    "[...document.querySelectorAll('.rows .r .b')].map(({ textContent: words }) =>"
    " parseFloat(words.replace(/[^0-9.-]/g, '')) * (words.includes('profit') ? -1 : 1))"
)


async def a_competition(server: Server) -> tuple[int, str, str, int]:
    """Return id, country, name and number of events of a competition."""
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/api/events/tournaments") as answer:
        found = (await answer.json())[1]
    return found["id"], found["country"], found["name"], found["event_count"]


async def until_rows(visitor: Visitor, place: str, count: int) -> None:
    """Wait until there are so many rows, all of one competition."""
    await visitor.until(f"{PLACES}.size === 1 && {PLACES}.has('{place}')")
    await visitor.until(f"document.querySelectorAll('.rows .r').length === {count}")


async def test_a_competition_is_found_ticked_and_exported(scraped: Server, visit: Visit) -> None:
    """The rows, the address, the filters said above the rows and the exports follow at once."""
    number, country, name, count = await a_competition(scraped)
    async with visit(f"{scraped.url}/odds") as visitor:
        page = visitor.page
        await page.click("#places summary")
        await page.fill("#find-place", country)
        await visitor.until(
            "[...document.querySelectorAll('#place-list fieldset')].filter((each) => !each.hidden).length === 1"
        )
        assert "tournament_ids" not in asked(visitor), "looking for a name filters nothing"
        await page.check(f"#place-list [name=tournament_ids][value='{number}']")
        await until_rows(visitor, f"{country}, {name}", count)
        assert asked(visitor)["tournament_ids"] == [str(number)]
        await visitor.until_contains("#chips", f"{country}, {name}")
        await visitor.until_text("#placed-count", "1 chosen")
        await page.click("#export summary")
        link = await page.locator("#export-links a").first.get_attribute("href")
        assert f"tournament_ids={number}" in (link or "")
        await page.select_option("#date", "weekend")
        await visitor.until_contains("#chips", "Saturday and Sunday")
        assert asked(visitor)["tz"] == [await visitor.value("new Intl.DateTimeFormat().resolvedOptions().timeZone")]
        await page.click("#display summary")
        await page.select_option("#reads-zone", "UTC")
        await visitor.until_contains("#chips", " in UTC")
        assert asked(visitor)["tz"] == ["UTC"]
        await page.get_by_role("link", name="Clear all").click()
        await page.wait_for_url(lambda url: "tournament_ids" not in url)
        assert await visitor.value(f"{PLACES}.size") > 1


async def test_rows_are_sorted_and_an_empty_list_says_what_would_find_some(scraped: Server, visit: Visit) -> None:
    """The lowest margin comes first. What leaves nothing is named, and left out with a click."""
    async with visit(f"{scraped.url}/odds?page_size=20") as visitor:
        page = visitor.page
        await page.select_option("#sort", "margin")
        await visitor.until(f"{MARGINS}.every((each, place, all) => !place || isNaN(each) || all[place - 1] <= each)")
        assert asked(visitor)["sort"] == ["margin"]
        await page.fill("#search", "no such team")
        await visitor.until_contains("#nothing", "No event is all of this: “no such team”")
        await page.get_by_role("link", name="without “no such team”").click()
        await visitor.until_count(".rows .r", 10)
        assert "search" not in asked(visitor)
        assert asked(visitor)["sort"] == ["margin"]


async def test_filters_work_without_a_script(scraped: Server, visit: Visit) -> None:
    """Ticks, days and the order are fields of the form."""
    number, country, name, count = await a_competition(scraped)
    async with visit(f"{scraped.url}/odds", script=False) as visitor:
        page = visitor.page
        await page.click("#places summary")
        assert not await page.locator("#find-place").is_visible()
        await page.check(f"#place-list [name=tournament_ids][value='{number}']")
        await page.select_option("#sort", "age")
        await page.get_by_role("button", name="Show", exact=True).click()
        await visitor.until_contains("#chips", f"{country}, {name}")
        assert await page.locator(".rows .r").count() == count
        assert await page.locator("#places").get_by_role("checkbox", checked=True).count() == 0, "it is folded"
        await page.click("#places summary")
        assert await page.locator("#places").get_by_role("checkbox", checked=True).count() == 1
