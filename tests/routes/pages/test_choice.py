"""The choice of bookmakers in a real browser: with and without a script, in the address and kept for the next visit."""

import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox import SandboxProcess
from tests.routes.pages.conftest import Visit
from tests.routes.pages.test_odds_page import asked, event_at_all, refetch, set_odds
from tests.routes.pages.visiting import Visitor
from tests.server.serving import Server, served

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

HEADS = "[...document.querySelectorAll('.grid-head .g')].map((each) => each.classList[1])"
CELLS = """[...document.querySelectorAll('.rows .r')].map((row) =>
    [...row.querySelectorAll('.g')].map((each) => each.classList[1]).join())"""
KEPT = "localStorage.getItem('bookmakers')"


@pytest.fixture
def order(sandbox: SandboxProcess) -> list[str]:
    """The bookmakers that are used, in their own order."""
    return [each.value for each in Platform if each in sandbox.urls]


async def until_columns(visitor: Visitor, columns: Sequence[str]) -> None:
    """Wait until the table has these columns, in its head and in each row."""
    wanted = ",".join(columns)
    await visitor.until(f"{HEADS}.join() === '{wanted}' && {CELLS}.every((row) => row === '{wanted}')")


async def leave_out(visitor: Visitor, *slugs: str) -> None:
    """Untick bookmakers."""
    for slug in slugs:
        await visitor.page.locator(f"#choose [value={slug}][type=checkbox]").uncheck()


def move(slug: str, way: str) -> str:
    """Return the selector of a button that moves a bookmaker."""
    return f"#choose .{slug} [name={way}]"


async def test_ticks_and_arrows_choose_the_columns(order: list[str], scraped: Server, visit: Visit) -> None:
    """The rows, the address and the filter follow at once, and the focus stays on the arrow."""
    async with visit(f"{scraped.url}/odds?include_started=1") as visitor:
        await until_columns(visitor, order)
        await visitor.page.click("#choose summary")
        await leave_out(visitor, *order[2:])
        await until_columns(visitor, order[:2])
        assert await visitor.text("#chosen") == f"2 of {len(order)}"
        await visitor.page.focus(move(order[0], "later"))
        await visitor.page.keyboard.press("Enter")
        await until_columns(visitor, [order[1], order[0]])
        assert await visitor.value("document.activeElement.name") == "later"
        assert await visitor.text("#placed") == f"{Platform(order[0]).display_name} is 2 of 2"
        assert asked(visitor) == {"market": ["1x2"], "include_started": ["1"], "bookmakers": [f"{order[1]},{order[0]}"]}
        options = "[...document.querySelectorAll('#least option')].map((each) => each.textContent)"
        assert await visitor.value(options) == ["Any bookmaker", "At all two"]
        assert await visitor.value("document.documentElement.scrollWidth - innerWidth") <= 0
        await visitor.page.get_by_role("link", name="Over/Under").click()
        await visitor.page.wait_for_url("**market=ou*")
        await until_columns(visitor, [order[1], order[0]])


async def test_last_tick_that_goes_brings_all_back(order: list[str], scraped: Server, visit: Visit) -> None:
    """An empty choice is all bookmakers, in the address, on the page and in what is kept."""
    async with visit(f"{scraped.url}/odds?bookmakers={order[1]}") as visitor:
        await until_columns(visitor, order[1:2])
        await visitor.page.click("#choose summary")
        await visitor.page.locator(f"#choose [value={order[1]}][type=checkbox]").click()
        await until_columns(visitor, [order[1], *(each for each in order if each != order[1])])
        await visitor.page.click(move(order[0], "earlier"))
        await until_columns(visitor, order)
        await visitor.until(f"!new URL(location).searchParams.has('bookmakers') && {KEPT} === null")


async def test_choice_is_kept_for_the_next_visit(order: list[str], scraped: Server, visit: Visit) -> None:
    """It applies to addresses without a choice, of the odds and of an event, and gives way to an address with one."""
    chosen = f"{order[2]},{order[0]}"
    async with visit(f"{scraped.url}/odds?bookmakers={chosen}") as visitor:
        await until_columns(visitor, [order[2], order[0]])
        assert await visitor.value(KEPT) is None
        await visitor.page.click("#choose summary")
        await visitor.page.click(move(order[0], "earlier"))
        await until_columns(visitor, [order[0], order[2]])
        await visitor.page.goto(f"{scraped.url}/odds?market=btts")
        await until_columns(visitor, [order[0], order[2]])
        assert asked(visitor) == {"market": ["btts"], "bookmakers": [f"{order[0]},{order[2]}"]}
        await visitor.page.goto(f"{scraped.url}/odds/1")
        await visitor.until("document.querySelectorAll('#sources li').length === 2")
        await visitor.page.goto(f"{scraped.url}/odds?bookmakers={order[1]}")
        await until_columns(visitor, order[1:2])
        await visitor.value("localStorage.setItem('bookmakers', 'closed,gone')")
        await visitor.page.goto(f"{scraped.url}/odds")
        await until_columns(visitor, order)
        assert "bookmakers" not in asked(visitor)


async def test_event_shows_the_chosen_bookmakers_live(scraped: Server, sandbox: SandboxProcess, visit: Visit) -> None:
    """Its chart, its tables and its live prices are theirs, and links lead back to the same choice."""
    event_id, sportradar_id = await event_at_all(scraped, sandbox)
    async with visit(f"{scraped.url}/odds?bookmakers=sportybet,betpawa&min_bookmakers=2") as visitor:
        await visitor.page.locator(f"#e{event_id} a").click()
        await visitor.page.wait_for_url(f"**/odds/{event_id}?bookmakers=sportybet,betpawa")
        await visitor.until_text("#connection", "Live over WebSocket")
        await visitor.until("document.querySelectorAll('#chart .line').length === 2")
        named = "[data-market='3743'] thead th:not(.worth)"
        heads = f'[...document.querySelectorAll("{named}")].map((each) => each.className)'
        assert await visitor.value(heads) == ["sportybet", "betpawa"]
        cells = "[...document.querySelectorAll('[data-market=\"3743\"] tr:nth-child(1) .p')]"
        for bookmaker, odds in (("bet9ja", 99.0), ("betpawa", 88.0)):
            which = {"bookmaker": bookmaker, "sportradar_id": sportradar_id, "market": "1x2_ft", "line": None}
            await set_odds(sandbox, {**which, "outcome": "1", "odds": odds})
        await refetch(scraped, event_id)
        await visitor.until(f"{cells}[1].dataset.v === '88000' && {cells}[1].classList.contains('best')")
        assert await visitor.value(f"{cells}.length") == 2
        await visitor.page.locator("#markets a").first.click()
        await visitor.until("new URL(location).searchParams.get('bookmakers') === 'sportybet,betpawa'")
        await visitor.page.get_by_role("link", name="Odds", exact=True).click()
        await until_columns(visitor, ["sportybet", "betpawa"])


async def test_rows_follow_the_chosen_bookmakers(
    order: list[str], scraped: Server, sandbox: SandboxProcess, visit: Visit
) -> None:
    """After a choice on the open page, a live price moves in the new columns, and the best one is among them."""
    event_id, sportradar_id = await event_at_all(scraped, sandbox)
    cells = f"[...document.querySelectorAll('#e{event_id} .g')].map((each) => each.querySelector('.p'))"
    async with visit(f"{scraped.url}/odds") as visitor:
        await visitor.until_text("#connection", "Live over WebSocket")
        await visitor.page.click("#choose summary")
        await leave_out(visitor, *(each for each in order if each not in ("sportybet", "betpawa")))
        await until_columns(visitor, [each for each in order if each in ("sportybet", "betpawa")])
        for bookmaker, odds in (("bet9ja", 97.0), ("betpawa", 85.0), ("sportybet", 86.0)):
            which = {"bookmaker": bookmaker, "sportradar_id": sportradar_id, "market": "1x2_ft", "line": None}
            await set_odds(sandbox, {**which, "outcome": "1", "odds": odds})
        await refetch(scraped, event_id)
        seen = f"JSON.stringify({cells}.map((each) => [each.dataset.v, each.classList.contains('best')]))"
        await visitor.until(f"""{seen} === '[["85000",false],["86000",true]]'""")


async def test_form_chooses_and_moves_without_a_script(order: list[str], scraped: Server, visit: Visit) -> None:
    """Ticks apply with the button, an arrow at once, and links keep the choice."""
    async with visit(f"{scraped.url}/odds", script=False) as visitor:
        page = visitor.page

        async def columns() -> list[Any]:
            return [
                (await each.get_attribute("class") or "").split()[1]
                for each in await page.locator(".grid-head .g").all()
            ]

        assert await columns() == order
        await page.click("#choose summary")
        await leave_out(visitor, *order[2:])
        await page.get_by_role("button", name="Show", exact=True).click()
        await visitor.until_text("#chosen", f"2 of {len(order)}")
        assert await columns() == order[:2]
        await page.click("#choose summary")
        await page.click(move(order[1], "earlier"))
        await page.wait_for_url("**earlier=*")
        assert await columns() == [order[1], order[0]]
        await page.get_by_role("link", name="Both score").click()
        await page.wait_for_url(f"**market=btts*bookmakers={order[1]},{order[0]}")
        assert await columns() == [order[1], order[0]]
        await page.locator(".rows .m a").first.click()
        await visitor.until_count(".market", 3)
        assert [await each.get_attribute("class") for each in await page.locator("#sources li").all()] == [
            f"panel {order[1]}",
            f"panel {order[0]}",
        ]
        await page.get_by_role("link", name="Show all").click()
        await visitor.until_count("#sources li", len(order))


async def test_enter_in_the_search_moves_no_bookmaker(scraped: Server, visit: Visit) -> None:
    """Without a script, the key presses the first button of the form, which is the one that shows the events."""
    async with visit(f"{scraped.url}/odds", script=False) as visitor:
        await visitor.page.fill("#search", "a")
        await visitor.page.press("#search", "Enter")
        await visitor.page.wait_for_url("**search=a*")
        assert not {"earlier", "later"} & asked(visitor).keys()


async def test_unknown_bookmaker_is_a_problem_page(order: list[str], scraped: Server) -> None:
    """On the odds page, its rows and an event."""
    async with aiohttp.ClientSession(headers={"Accept": "text/html"}) as session:
        for path in ("/odds", "/odds/rows", "/odds/1"):
            async with session.get(f"{scraped.url}{path}?bookmakers={order[0]},nobody") as answer:
                assert (answer.status, answer.content_type) == (400, "text/html")
                assert "bookmakers" in await answer.text()


async def test_all_bookmakers_fit_or_scroll_beside_the_match(tmp_path: Path, visit: Visit) -> None:
    """The page never scrolls sideways. Where the table does, the match stays. Each match is a card if it is narrow.

    In the chart, the letters of equal prices are below each other.
    """
    command = (sys.executable, "-m", "tests.routes.pages.offering_server")
    places = "(part) => [...document.querySelectorAll(part)].map((each) => each.getBoundingClientRect().toJSON())"
    prices = {"1x2_ft 1": 11.15, "1x2_ft X": 12.35, "1x2_ft 2": 13.45}
    offers = [{"platform": each, "number": 1, "prices": prices, "minutes": 600} for each in Platform]
    async with served(tmp_path, {"log_level": "warning"}, command) as server, visit(f"{server.url}/healthz") as visitor:
        await visitor.page.request.post(f"{server.url}/_offers", data=offers)
        widths = (1280, 1000, 900, 360)
        for path in ("/odds?market=ou", "/", "/odds"):
            await visitor.page.goto(f"{server.url}{path}")
            for width in widths:
                await visitor.page.set_viewport_size({"width": width, "height": 860})
                assert await visitor.value("document.documentElement.scrollWidth - innerWidth") <= 0, (width, path)
        for width in widths:
            await visitor.page.set_viewport_size({"width": width, "height": 860})
            cells = await visitor.page.evaluate(places, ".rows .g")
            assert len({each["top"] for each in cells}) == (len(Platform) if width == 360 else 1)
            await visitor.value("document.getElementById('grid').scrollTo(1e6, 0)")
            [table, match, best] = await visitor.page.evaluate(places, "#grid, .rows .m, .rows .b")
            assert best["right"] <= table["right"] + 1
            assert match["left"] >= table["left"]
            assert (await visitor.value("document.getElementById('grid').scrollLeft") == 0) == (width in (1280, 360))
        await visitor.page.goto(f"{server.url}/odds/1")
        await visitor.until(f"document.querySelectorAll('#chart .tag').length === {len(Platform)}")
        heights = [await each.get_attribute("y") for each in await visitor.page.locator("#chart .tag").all()]
        assert await visitor.value("document.documentElement.scrollWidth - innerWidth") <= 0
        assert all(float(below or 0) - float(above or 0) > 12.9 for above, below in pairwise(heights))
