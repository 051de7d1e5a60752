"""How pages show prices that are not plain: in words, in every colour scheme, with and without scripts."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from quart_odds.domain.platforms import Platform
from tests.routes.pages.conftest import Visit
from tests.routes.pages.marked import IN_PLAY, PROMOTED, REVERSED, fill
from tests.routes.pages.test_quality import OTHER_LOOKS, faults
from tests.server.serving import Server, served

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ODDS = "/odds?include_started=1"


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def marked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A served app over a database with promoted, reversed and late prices."""
    folder = tmp_path_factory.mktemp("marked")
    await fill(folder)
    async with served(folder, {"log_level": "warning"}) as server:
        yield server


async def test_promotions_are_reported_in_words(marked: Server, visit: Visit) -> None:
    """A price has a mark with a text for screen readers; separate prices have a row that links to their history."""
    async with visit(f"{marked.url}{ODDS}", script=False) as visitor:
        page = visitor.page
        price = page.locator(f"#e{PROMOTED} .g.bet9ja .p").first
        assert await price.text_content() == "1 2.50 boost: boosted price, not compared"
        assert await price.locator("abbr").get_attribute("title") == "boosted price, not compared"
        assert "best" not in (await price.get_attribute("class") or "")
        await page.goto(f"{marked.url}{ODDS}&market=dc")
        perked = page.locator(f"#e{PROMOTED} .g.betpawa .p.best")
        assert await perked.count() == 3
        assert await perked.first.locator("abbr").get_attribute("title") == "two goals up pays early"
        await page.goto(f"{marked.url}/odds/{PROMOTED}")
        further = page.locator(".market[data-market='3743'] tbody.further")
        assert await further.count() == 2
        assert [await further.nth(place).get_attribute("data-promotion") for place in (0, 1)] == ["boosted", "two_up"]
        assert "boosted price" in await further.first.inner_text()
        assert "2.75" in await further.first.inner_text()
        await further.first.locator("a").click()
        await visitor.until_contains("#history-market", "boosted price")
        await page.locator("#history summary").click()
        published = await page.locator("#history-table tbody td:nth-child(3)").all_text_contents()
        assert set(published) == {f"{odds} boost: boosted price, not compared" for odds in ("2.75", "2.60", "2.50")}


async def test_reversed_sides_and_prices_in_play_are_reported(marked: Server, visit: Visit) -> None:
    """The list and the event page say so, with the bookmaker's own order of the teams."""
    async with visit(f"{marked.url}{ODDS}", script=False) as visitor:
        page = visitor.page
        assert await page.locator(".flag").count() == 2
        assert "reversed: Enyimba – Rangers" in (await page.locator(f"#e{REVERSED} .g.bet9ja").text_content() or "")
        assert "in play" in (await page.locator(f"#e{IN_PLAY} .g.sportybet").text_content() or "")
        assert await page.locator(f"#e{REVERSED} .g.bet9ja .best, #e{IN_PLAY} .g.sportybet .best").count() == 0
        await page.goto(f"{marked.url}/odds/{REVERSED}")
        assert "Sides reversed: Enyimba – Rangers" in await visitor.text("#sources .bet9ja")
        assert await page.locator("#sources .note").count() == 1
        await page.goto(f"{marked.url}/odds/{IN_PLAY}")
        assert "In play" in await visitor.text("#sources .sportybet")
        assert await page.locator("#sources .note").count() == 1


async def test_chart_follows_the_promotion_that_is_shown(marked: Server, visit: Visit) -> None:
    """A click on a promoted price draws only its history, with marked points; on a plain price, that of the market."""
    async with visit(f"{marked.url}/odds/{PROMOTED}") as visitor:
        await visitor.until("document.querySelector('#chart svg')")
        assert await visitor.value("document.querySelectorAll('#chart .promoted.bet9ja').length") == 2
        assert await visitor.value("document.querySelectorAll('#chart .promoted.sportybet').length") == 0
        await visitor.page.locator("tbody.further a").first.click()
        await visitor.until("document.querySelectorAll('#chart .promoted.sportybet').length === 2")
        assert "2.75, boosted price, not compared, at" in await visitor.value(
            "document.querySelector('#chart').textContent"
        )
        await visitor.page.locator(".market[data-market='3743'] tbody a").first.click()
        await visitor.until("document.querySelectorAll('#chart .promoted.sportybet').length === 0")


async def test_promotion_that_there_is_not_is_reported_to_a_person(marked: Server, visit: Visit) -> None:
    """The error is a page that lists the existing ones."""
    async with visit(f"{marked.url}/odds/{PROMOTED}?market=3743&promotion=happy_hour", script=False) as visitor:
        assert "promotion" in await visitor.text("main")
        visitor.errors.clear()


async def test_old_prices_say_so_in_words_and_get_old_on_an_open_page(marked: Server, visit: Visit) -> None:
    """Without a script, those that were old when the page was made; with one, also those that got old since."""
    old = f"#e{IN_PLAY} .g.betpawa"
    async with visit(f"{marked.url}{ODDS}", script=False) as visitor:
        assert "old: last seen more than 5 min ago" in (await visitor.page.locator(old).text_content() or "")
        assert await visitor.page.locator(f"#e{IN_PLAY} .g.stale").count() == len(Platform) - 1
        assert await visitor.page.locator(f"#e{IN_PLAY} .g.sportybet .old").is_hidden()
    late = f"#e{IN_PLAY} .g.sportybet"
    async with visit(f"{marked.url}{ODDS}") as visitor:
        await visitor.until_text("#connection", "Live over WebSocket")
        await visitor.value("void (Date.now = ((clock) => () => clock() + 180_000)(Date.now.bind(Date)))")
        await visitor.until(f"document.querySelector('{late}').matches('.stale')")
        assert await visitor.page.locator(f"{late} .old").is_visible()
        await visitor.value("void (Date.now = ((clock) => () => clock() - 180_000)(Date.now))")
        await visitor.until(f"!document.querySelector('{late}').matches('.stale')")


async def test_the_head_says_how_fresh_the_main_prices_are(marked: Server, visit: Visit) -> None:
    """Of each bookmaker, in words; on an open page the words follow."""
    async with visit(f"{marked.url}/odds") as visitor:
        text = await visitor.text("#freshness")
        assert text.startswith("Main prices seen")
        assert len(re.findall(r"(BetPawa|SportyBet|Bet9ja) half within \d+ min, 95\s% within \d+ min", text)) == 3
        await visitor.until_text("#connection", "Live over WebSocket")
        await visitor.value("document.querySelector('#freshness').textContent = 'before'")
        await visitor.value("document.querySelector('#search').dispatchEvent(new Event('input', { bubbles: true }))")
        await visitor.until("document.querySelector('#freshness').textContent.includes('half within')")


async def test_marks_are_accessible_in_every_look(marked: Server, visit: Visit, axe: str) -> None:
    """axe-core finds nothing serious or critical, and nothing is wider than the window."""
    async with visit(f"{marked.url}/healthz") as visitor:
        for path in (ODDS, *(f"/odds/{number}" for number in (PROMOTED, REVERSED, IN_PLAY))):
            await visitor.page.set_viewport_size({"width": 1280, "height": 860})
            await visitor.page.emulate_media(color_scheme="light")
            await visitor.page.goto(f"{marked.url}{path}")
            if path != ODDS:
                await visitor.until("document.querySelector('#chart svg')")
            await visitor.page.evaluate(axe)
            assert await faults(visitor, "axe.run()") == [], path
            for width, scheme in OTHER_LOOKS:
                await visitor.page.set_viewport_size({"width": width, "height": 860})
                await visitor.page.emulate_media(color_scheme=scheme)
                assert await faults(visitor, "axe.run({ runOnly: ['color-contrast'] })") == [], (path, width, scheme)
                assert await visitor.value("document.documentElement.scrollWidth - innerWidth") <= 0
        visitor.errors = [each for each in visitor.errors if "status of 404" not in each]
