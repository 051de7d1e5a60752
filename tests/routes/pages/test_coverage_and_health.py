"""The pages of coverage and health in a browser: the filters without a script, and what is renewed with one."""

import aiohttp
import pytest

from tests.routes.pages.conftest import Serve, Visit
from tests.server.serving import Server

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_the_filters_of_the_coverage_work_without_a_script(scraped: Server, visit: Visit) -> None:
    """They are in the address, and the links to other views keep them."""
    async with visit(f"{scraped.url}/coverage", script=False) as visitor:
        page = visitor.page
        await page.get_by_label("Bet9ja").uncheck()
        await page.get_by_label("Include started").check()
        await page.get_by_role("button", name="Show").click()
        await page.wait_for_url("**/coverage?*bookmakers=betpawa&bookmakers=sportybet&include_started=1")
        assert await page.locator("#coverage-books tbody tr").count() == 2
        await page.get_by_role("link", name="Markets", exact=True).click()
        await visitor.until_contains("#view-title", "Markets")
        assert await page.locator("#coverage-view thead th").count() == 3
        assert await page.get_by_label("Include started").is_checked()


async def test_health_tells_of_a_run_by_itself(serve: Serve, visit: Visit) -> None:
    """Bookmakers are checked by the first run, and the page that is open shows it."""
    async with serve(requests=20) as server, visit(f"{server.url}/health") as visitor:
        await visitor.until_contains("#h-betpawa", "not checked")
        async with aiohttp.ClientSession() as session, session.get(f"{server.url}/api/scrape/stream") as stream:
            await stream.read()
        await visitor.until_contains("#h-betpawa", "healthy")
        assert "run 1" in await visitor.text("#h-betpawa")
        assert "every bookmaker did" in await visitor.text("#health-head")
