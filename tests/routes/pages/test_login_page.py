"""The login page in a real browser: with a token in, out again, and out when the token is revoked."""

import pytest

from quart_odds.access.tokens import AccessTokens
from quart_odds.storage import open_store
from tests.routes.pages.conftest import Serve, Visit
from tests.tokens import TOKEN

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ROOT = "/sports"
FITS = "document.documentElement.scrollWidth <= innerWidth"


@pytest.mark.parametrize("script", [True, False])
async def test_a_page_asks_for_a_token_and_then_is_there(serve: Serve, visit: Visit, script: bool) -> None:
    """Below a path, with scripts and without: the page that was asked for, its forms, and the logout."""
    async with serve(root_path=ROOT) as server, visit(f"{server.url}{ROOT}/runs?page=1", script=script) as visitor:
        page = visitor.page
        assert page.url == f"{server.url}{ROOT}/login?next=/runs%3Fpage%3D1"
        assert await page.locator("nav").count() == 0
        await page.get_by_label("Token").fill("qo_nonsense")
        await page.get_by_role("button", name="Log in").click()
        await visitor.until_text("#login-said", "This is no token of this server.")
        await page.get_by_label("Token").fill(TOKEN)
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_url(f"{server.url}{ROOT}/runs?page=1")
        await page.get_by_role("button", name="Start a scrape").click()
        await page.wait_for_url("**/runs/1")
        if script:
            await visitor.until_contains("#connection", "Live over WebSocket")
            await visitor.until_text("#run-status", "completed")
            await page.goto(f"{server.url}{ROOT}/odds/1")
            await page.get_by_role("button", name="Refresh now").click()
            await visitor.until_text("#refresh-said", "Fetched.")
        await page.get_by_role("button", name="Log out").click()
        await page.wait_for_url(f"{server.url}{ROOT}/login")
        await page.goto(f"{server.url}{ROOT}/odds")
        assert page.url.startswith(f"{server.url}{ROOT}/login")
        visitor.forgive_broken_lines()


async def test_a_page_leads_to_the_login_when_its_token_is_revoked(serve: Serve, visit: Visit) -> None:
    """By itself, because its connection is closed."""
    async with serve(root_path=ROOT) as server, visit(f"{server.url}{ROOT}/", is_line_broken=True) as visitor:
        page = visitor.page
        await page.get_by_label("Token").fill(TOKEN)
        await page.get_by_role("button", name="Log in").click()
        await visitor.until_contains("#connection", "Live over WebSocket")
        await visitor.until("performance.now() > 5200")
        store = await open_store(f"sqlite:///{server.folder}/odds.db")
        await AccessTokens(store).revoke("0" * 12)
        await store.aclose()
        await page.wait_for_url(f"{server.url}{ROOT}/login?next=/")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 360, 1280])
async def test_the_login_fits(serve: Serve, visit: Visit, width: int, scheme: str) -> None:
    """In narrow and wide windows."""
    async with (
        serve(root_path=ROOT) as server,
        visit(f"{server.url}{ROOT}/login", width=width, scheme=scheme) as visitor,
    ):
        assert await visitor.page.evaluate(FITS)
        box = await visitor.page.locator(".login").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
