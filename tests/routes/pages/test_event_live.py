"""The page of an event in a browser: what is chosen acts at once and stays in the address; what is shown follows."""

import pytest

from quart_odds.sandbox import SandboxProcess
from tests.routes.pages.conftest import Visit
from tests.routes.pages.test_odds_page import event_at_all, refetch, set_odds
from tests.server.serving import Server

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_stakes_follow_what_is_typed_and_what_is_chosen(
    scraped: Server, sandbox: SandboxProcess, visit: Visit
) -> None:
    """No button is needed, the address has it all, and the field keeps the focus while prices change."""
    event_id, sportradar_id = await event_at_all(scraped, sandbox)
    which = {"bookmaker": "betpawa", "sportradar_id": sportradar_id, "market": "1x2_ft", "line": None, "outcome": "2"}
    async with visit(f"{scraped.url}/odds/{event_id}") as visitor:
        await visitor.until_text("#connection", "Live over WebSocket")
        await visitor.page.get_by_label("2 at").select_option("betpawa")
        await visitor.until("document.querySelector('#staked tbody tr:nth-child(3)').textContent.includes('BetPawa')")
        await visitor.page.locator("[name=bank]").fill("5000")
        await visitor.until("new URL(location).searchParams.get('bank') === '5000'")
        await visitor.until("/^(4,9\\d\\d|5,000)/.test(document.querySelector('#staked-sum').textContent)")
        await set_odds(sandbox, {**which, "odds": 64.0})
        await refetch(scraped, event_id)
        await visitor.until_contains("#staked tbody tr:nth-child(3)", "64.00 BetPawa")
        assert await visitor.value("document.activeElement.name") == "bank"
        await visitor.page.reload()
        assert "64.00 BetPawa" in await visitor.text("#staked tbody tr:nth-child(3)")


async def test_outcome_and_range_are_chosen_without_leaving_the_page(
    scraped: Server, sandbox: SandboxProcess, visit: Visit
) -> None:
    """A link of the chart changes the address and the parts, keeps the focus, and later prices are in the same view."""
    event_id, sportradar_id = await event_at_all(scraped, sandbox)
    which = {"bookmaker": "bet9ja", "sportradar_id": sportradar_id, "market": "1x2_ft", "line": None, "outcome": "X"}
    async with visit(f"{scraped.url}/odds/{event_id}") as visitor:
        await visitor.until_text("#connection", "Live over WebSocket")
        await visitor.value("void (window.isSame = true)")
        await visitor.page.locator("#show-1").click()
        await visitor.until_contains("#moved thead", "X at")
        await visitor.page.locator("#range-6h").click()
        await visitor.until("document.querySelector('#range-6h').matches('[aria-current]:focus')")
        assert {"outcome=X", "range=6h"} <= set(visitor.page.url.partition("?")[2].partition("#")[0].split("&"))
        await set_odds(sandbox, {**which, "odds": 46.5})
        await refetch(scraped, event_id)
        await visitor.until("document.querySelector('#chart svg').getAttribute('aria-label').includes('Bet9ja 46.50')")
        await visitor.until_contains("#moved tbody tr:last-child", "46.50")
        fair = "document.querySelector(\"[data-market='3743'] tr:nth-child(2) .worth small\").textContent"
        await visitor.until(f"parseFloat({fair}) > 100")
        assert await visitor.value("isSame")
