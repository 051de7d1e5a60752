"""What the reader prefers, and the keys: applied at once on every page, kept, and never in the way of typing."""

import pytest

from quart_odds.routes.pages.assets import asset_folder
from tests.routes.pages.conftest import Visit
from tests.routes.pages.noding import node
from tests.server.serving import Server

READER = asset_folder("static") / "reader.js"
LIVE = "Live over WebSocket"
FOCUSED = "document.activeElement"


@pytest.mark.parametrize(
    ("form", "odds", "text"),
    [
        ("", 2.41, "2.41"),
        ("", 1.015, "1.015"),
        ("fractional", 2.41, "141/100"),
        ("fractional", 1.5, "1/2"),
        ("fractional", 2.0, "1/1"),
        ("fractional", 1.015, "3/200"),
        ("american", 2.41, "+141"),
        ("american", 2.0, "+100"),
        ("american", 1.833, "-120"),
        ("american", 1.015, "-6667"),
        ("fractional", 1.0, "1.00"),
        ("american", 1.0, "1.00"),
    ],
)
async def test_odds_have_the_form_that_the_reader_likes(form: str, odds: float, text: str) -> None:
    """Fractions are exact and in lowest terms, American odds whole. What is no price keeps its digits."""
    async with node() as process:
        script = f"const {{ oddsText, prefer }} = await import('{READER}'); prefer('odds', '{form}');"
        assert await process.run(f"{script} return oddsText({odds});") == text


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
async def test_display_changes_odds_and_times_at_once_and_on_the_next_pages(scraped: Server, visit: Visit) -> None:
    """Prices in the grid and all times follow, the zone is named, and a page that is opened later has both."""
    price = ".rows .p.active"
    kickoff = ".rows time[data-form=kickoff]"
    async with visit(f"{scraped.url}/odds") as visitor:
        await visitor.until_text("#connection", LIVE)
        thousandths = int(await visitor.page.locator(price).first.get_attribute("data-v") or 0)
        await visitor.page.click("#display summary")
        await visitor.page.select_option("#reads-odds", "american")
        assert int((await visitor.text(price)).split()[-1]) in (
            round(thousandths / 10 - 100),
            -round(100_000 / (thousandths - 1000)),
        )
        await visitor.page.select_option("#reads-odds", "fractional")
        over, _, under = (await visitor.text(price)).split()[-1].partition("/")
        assert round(1000 * int(over) / int(under)) == thousandths - 1000
        shown = {}
        for zone in ("UTC", "Asia/Tokyo"):
            await visitor.page.select_option("#reads-zone", zone)
            shown[zone] = await visitor.text(kickoff)
        assert shown["UTC"] != shown["Asia/Tokyo"]
        assert await visitor.text(".k .zone") == await visitor.text("#display .zone") == "GMT+9"
        await visitor.page.goto(f"{scraped.url}/odds")
        await visitor.until_text(kickoff, shown["Asia/Tokyo"])
        assert "/" in await visitor.text(price)
        await visitor.page.goto(f"{scraped.url}/runs")
        await visitor.until_contains("#runs time", "GMT+9")


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
async def test_keys_lead_to_the_search_and_from_row_to_row_and_are_listed(scraped: Server, visit: Visit) -> None:
    """They do nothing while the reader types or if they are off, and the list gives the focus back."""
    async with visit(f"{scraped.url}/odds") as visitor:
        keyboard = visitor.page.keyboard
        await visitor.until_text("#connection", LIVE)
        await keyboard.press("j")
        first = await visitor.value(f"{FOCUSED}.closest('.r').id")
        await keyboard.press("j")
        assert await visitor.value(f"{FOCUSED}.closest('.r').id") != first
        await keyboard.press("k")
        assert await visitor.value(f"{FOCUSED}.closest('.r').id") == first
        await keyboard.press("?")
        assert await visitor.page.locator("#key-list").is_visible()
        await keyboard.press("j")
        await keyboard.press("Escape")
        assert not await visitor.page.locator("#key-list").is_visible()
        assert await visitor.value(f"{FOCUSED}.closest('.r').id") == first
        await keyboard.press("/")
        await keyboard.type("jk?/")
        assert await visitor.page.input_value("#search") == "jk?/"
        await visitor.page.goto(f"{scraped.url}/runs")
        await keyboard.press("j")
        assert await visitor.value(f"{FOCUSED}.closest('#runs tbody tr') !== null")
        await visitor.page.click("#display summary")
        await visitor.page.select_option("#reads-keys", "off")
        await visitor.page.click("h1")
        await keyboard.press("?")
        assert not await visitor.page.locator("#key-list").is_visible()


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
async def test_without_script_display_says_what_is_shown(scraped: Server, visit: Visit) -> None:
    """Odds are decimal and times in UTC, the page says so, and it offers no choice that does nothing."""
    async with visit(f"{scraped.url}/odds", script=False) as visitor:
        assert await visitor.text("#display .zone") == "UTC"
        await visitor.page.click("#display summary")
        assert "Odds are decimal, and times are in UTC" in await visitor.text("#display")
        assert not await visitor.page.locator("#reads-odds").is_visible()


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
async def test_navigation_on_a_phone_is_one_row_with_the_page_in_it(scraped: Server, visit: Visit) -> None:
    """Also without script, and for the page that is last in it."""
    async with visit(f"{scraped.url}/docs", script=False, width=360) as visitor:
        for path in ("/", "/docs"):
            await visitor.page.goto(f"{scraped.url}{path}")
            here = await visitor.page.locator("nav [aria-current=page]").bounding_box()
            navigation = await visitor.page.locator(".top nav").bounding_box()
            header = await visitor.page.locator(".top").bounding_box()
            assert here is not None
            assert navigation is not None
            assert header is not None
            assert here["x"] >= navigation["x"]
            assert here["x"] + here["width"] <= navigation["x"] + navigation["width"] + 1
            assert header["height"] < 90
