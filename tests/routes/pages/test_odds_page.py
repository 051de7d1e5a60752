"""The odds page and the event page in a real browser: filters, markets, keys, live prices, history of a price."""

import json
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from quart_odds.sandbox import SandboxProcess
from tests.routes.pages.conftest import Visit
from tests.routes.pages.visiting import Visitor
from tests.server.serving import Server

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ROWS = "document.querySelectorAll('.rows .r').length"
NAMES = "[...document.querySelectorAll('.rows .m a')].map((a) => a.textContent)"


def asked(visitor: Visitor) -> dict[str, list[str]]:
    """Return the query of the page's address."""
    return parse_qs(urlsplit(visitor.page.url).query)


async def event_at_all(server: Server, sandbox: SandboxProcess) -> tuple[int, str]:
    """Return the id and the SportRadar id of an event that every stand-in bookmaker lists."""
    address = f"{server.url}/api/events?min_bookmakers={len(sandbox.urls)}"
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        event = (await answer.json())["events"][3]
    return event["id"], event["sportradar_id"]


async def set_odds(sandbox: SandboxProcess, body: dict[str, object]) -> None:
    """Change a price at a stand-in bookmaker."""
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.post(f"{sandbox.url}/_sandbox/odds", json=body),
    ):
        pass


async def refetch(server: Server, event_id: int) -> None:
    """Refresh an event."""
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.post(f"{server.url}/api/events/{event_id}/refresh") as answer,
    ):
        assert (await answer.json())["status"] == "completed"


async def test_markets_are_switched_and_the_address_says_which(scraped: Server, visit: Visit) -> None:
    """1X2 has three outcomes per bookmaker, over/under two and a line, double chance three pairs."""
    async with visit(f"{scraped.url}/odds") as visitor:
        assert await visitor.value("document.querySelector('.grid-head .g').innerText.split('\\n')") == [
            "BetPawa",
            "1",
            "X",
            "2",
            "margin",
        ]
        await visitor.page.get_by_role("link", name="Over/Under").click()
        await visitor.page.get_by_role("link", name="1.5", exact=True).click()
        await visitor.page.wait_for_url("**line=1.5*")
        assert asked(visitor) == {"market": ["ou"], "line": ["1.5"]}
        await visitor.until_contains(".grid-head .g", "Over")
        assert await visitor.page.get_by_role("link", name="1.5", exact=True).get_attribute("aria-current") == "true"
        await visitor.page.get_by_role("link", name="Double chance").click()
        await visitor.until_contains(".grid-head .g", "1X")


async def test_filters_act_while_one_types_and_stay_in_the_address(scraped: Server, visit: Visit) -> None:
    """A search narrows the rows without a reload, and reopening the address shows the same."""
    async with visit(f"{scraped.url}/odds") as visitor:
        before = await visitor.value(ROWS)
        first = (await visitor.value(NAMES))[2].split(" ")[0]
        await visitor.page.keyboard.press("/")
        await visitor.page.keyboard.type(first)
        # Someone who types slowly gets what the first letters find, meanwhile.
        await visitor.until(f"new URL(location).searchParams.get('search') === {json.dumps(first)}")
        await visitor.until(f"{ROWS} < {before} && {NAMES}.every((name) => name.includes({json.dumps(first)}))")
        names = await visitor.value(NAMES)
        assert names
        assert asked(visitor)["search"] == [first]
        await visitor.page.reload()
        assert await visitor.value(NAMES) == names
        await visitor.page.fill("#search", "no such team anywhere")
        await visitor.until(f"{ROWS} === 0")
        await visitor.until_contains(".empty", "Nothing matches")


async def test_rows_are_reached_by_keys(scraped: Server, visit: Visit) -> None:
    """Arrow keys move from match to match, and Enter opens one."""
    async with visit(f"{scraped.url}/odds") as visitor:
        await visitor.page.locator(".rows .m a").first.focus()
        await visitor.page.keyboard.press("ArrowDown")
        await visitor.page.keyboard.press("ArrowDown")
        names = await visitor.value(NAMES)
        assert await visitor.value("document.activeElement.textContent") == names[2]
        await visitor.page.keyboard.press("Enter")
        await visitor.page.wait_for_url("**/odds/*")
        await visitor.until_text("h1", names[2])


async def test_more_rows_come_as_one_scrolls(scraped: Server, visit: Visit) -> None:
    """Pages are appended at the end, each event once, and the links to pages are hidden."""
    async with visit(f"{scraped.url}/odds?page_size=10") as visitor:
        total = await visitor.number("#total")
        await visitor.until(f"(scrollTo(0, 1e6), {ROWS} === {total})")
        assert await visitor.value(f"new Set({NAMES}).size") == total
        assert not await visitor.page.locator("#pages").is_visible()


async def test_changed_price_is_marked_in_place(scraped: Server, sandbox: SandboxProcess, visit: Visit) -> None:
    """A price that moves gets an arrow in place, and the page does not scroll; a suspended price says so."""
    event_id, sportradar_id = await event_at_all(scraped, sandbox)
    price = f"#e{event_id} .g.sportybet .p"
    which = {"bookmaker": "sportybet", "sportradar_id": sportradar_id, "market": "1x2_ft", "line": None, "outcome": "1"}
    async with visit(f"{scraped.url}/odds") as visitor:
        await visitor.until_text("#connection", "Live over WebSocket")
        await visitor.value(f"void (window.kept = document.querySelector('{price}'), scrollTo(0, 120))")
        for odds, arrow in ((91.5, "up"), (1.11, "down")):
            await set_odds(sandbox, {**which, "odds": odds})
            await refetch(scraped, event_id)
            await visitor.until(f"kept.dataset.v === '{round(odds * 1000)}' && kept.dataset.move === '{arrow}'")
        assert await visitor.value(f"kept === document.querySelector('{price}') && scrollY") == 120
        await set_odds(sandbox, {**which, "suspended": True})
        await refetch(scraped, event_id)
        await visitor.until("kept.classList.contains('suspended') && kept.innerText.includes('suspended')")
        assert await visitor.text(f"#e{event_id} .g.sportybet .meta") != ""
        await set_odds(sandbox, {**which, "suspended": False, "odds": 2.0})
        await refetch(scraped, event_id)
        await visitor.until("kept.classList.contains('active')")


async def test_event_page_shows_all_markets_their_past_and_fetches_on_request(
    scraped: Server, sandbox: SandboxProcess, visit: Visit
) -> None:
    """Markets can be searched, a price's name leads to its chart, the button refreshes, and changes appear live."""
    event_id, sportradar_id = await event_at_all(scraped, sandbox)
    which = {"bookmaker": "betpawa", "sportradar_id": sportradar_id, "market": "1x2_ft", "line": None, "outcome": "X"}
    async with visit(f"{scraped.url}/odds/{event_id}") as visitor:
        await visitor.until(f"document.querySelectorAll('#chart .line').length === {len(sandbox.urls)}")
        await visitor.page.fill("#find", "o2.5")
        shown = "[...document.querySelectorAll('.market tbody')].filter((body) => body.checkVisibility()).length"
        await visitor.until(f"{shown} > 0 && {shown} < 12")
        await visitor.page.locator("#markets a:visible").first.click()
        await visitor.until("document.querySelector('#history-market').textContent.includes('2.5')")
        await visitor.page.wait_for_url("**line=2.5*")
        await visitor.page.goto(f"{scraped.url}/odds/{event_id}")
        await visitor.until_text("#connection", "Live over WebSocket")
        await set_odds(sandbox, {**which, "odds": 77.0})
        await visitor.page.click("#refresh")
        await visitor.until_text("#refresh-said", "Fetched.")
        cell = "[data-market='3743'] tr:nth-child(2) .p"
        await visitor.until(f"document.querySelector(\"{cell}\").dataset.v === '77000'")
        await visitor.page.locator("#history").get_by_role("link", name="X", exact=True).click()
        await visitor.page.wait_for_url("**outcome=X*")
        await visitor.until("document.querySelector('#chart svg').getAttribute('aria-label').includes('BetPawa 77')")


async def test_runs_page_follows_what_happens(scraped: Server, visit: Visit) -> None:
    """A run started elsewhere appears in the list, and its end with its counts."""
    async with visit(f"{scraped.url}/runs") as visitor:
        await visitor.until_text("#connection", "Live over WebSocket")
        await visitor.page.request.post(f"{scraped.url}/api/scrape", headers={"Origin": scraped.url})
        await visitor.until("document.querySelector('tbody tr')?.dataset.status === 'running'")
        await visitor.until("document.querySelector('tbody tr').dataset.status === 'completed'")
        assert await visitor.value("document.querySelectorAll('.plot rect').length") >= 3
