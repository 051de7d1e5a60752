"""Prices on open pages follow the topic `odds`: no HTML is fetched for a change, and all that depends on it is right."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.routes.pages.conftest import Visit
from tests.routes.pages.marked import IN_PLAY, PROMOTED, REVERSED, fill
from tests.routes.pages.visiting import Visitor, until
from tests.routes.pages.watching import OddsLine
from tests.server.serving import Server, served

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LOOK = """(selector) => [...document.querySelectorAll(selector)].map((part) => {
    const copy = part.cloneNode(true);
    for (const time of copy.querySelectorAll("time")) time.textContent = "";
    for (const each of copy.querySelectorAll("[data-move]")) delete each.dataset.move;
    return copy.outerHTML.replaceAll(' title=""', "");
})"""
FETCHES = """() => {
    window.fetched = [];
    const before = window.fetch;
    window.fetch = (address, ...rest) => { fetched.push(String(address)); return before(address, ...rest); };
}"""


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def marked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A served app over a database with promoted, reversed and late prices."""
    folder = tmp_path_factory.mktemp("watched")
    await fill(folder)
    async with served(folder, {"log_level": "warning"}) as server:
        yield server


async def watch(visitor: Visitor, server: Server, path: str) -> OddsLine:
    """Load a page whose odds a test controls, and wait for its first image."""
    line = OddsLine(server)
    await line.attach(visitor.page)
    await visitor.page.goto(f"{server.url}{path}")

    async def has_image() -> bool:
        return line.images > 0

    await until(has_image, "the page has asked for an image")
    return line


MARKETS = ("1x2", "dc", "btts", "ou&line=2.5")


@pytest.mark.parametrize("market", MARKETS)
async def test_rows_drawn_from_the_copy_are_those_of_the_server(marked: Server, visit: Visit, market: str) -> None:
    """Best prices, margins, marks and titles are computed alike, for promoted, reversed and late prices, too."""
    path = f"/odds?include_started=1&market={market}"
    async with visit(f"{marked.url}{path}", script=False) as visitor:
        async with visit(f"{marked.url}/healthz") as other:
            line = await watch(other, marked, path)
            await other.value(
                "document.querySelectorAll('.rows .p').forEach((p) => (p.className = 'p none', p.dataset.v = 0))"
            )
            await other.value(
                "document.querySelectorAll('.rows :is(.meta, .b)').forEach((p) => p.firstChild.data !== undefined && (p.firstChild.data = '?'))"
            )
            line.send("odds_image", {"events": list(line.events.values()), "final": True, "scope": "all"})
            await other.until("document.querySelectorAll('.rows .p:not(.none)').length > 9")
            await other.until("!document.querySelector('.rows').textContent.includes('?')")
            assert await other.page.evaluate(LOOK, ".rows .r") == await visitor.page.evaluate(LOOK, ".rows .r")


async def test_tables_drawn_from_the_copy_are_those_of_the_server(
    scraped: Server, marked: Server, visit: Visit
) -> None:
    """All markets, lines, further offers and margins of an event."""
    for server, number in ((scraped, 3), (scraped, 5), (marked, PROMOTED), (marked, REVERSED), (marked, IN_PLAY)):
        async with visit(f"{server.url}/healthz") as visitor:
            line = OddsLine(server)
            await line.attach(visitor.page)
            await visitor.page.goto(f"{server.url}/odds/{number}")
            await visitor.until("document.querySelector('#chart svg')")
            before = await visitor.page.evaluate(LOOK, ".market tbody")
            await visitor.page.evaluate(FETCHES)
            await visitor.value(
                "document.querySelectorAll('.market .p').forEach((p) => (p.className = 'p none', p.dataset.v = 0))"
            )
            line.send("odds_image", {"events": list(line.events.values()), "final": True, "scope": "all"})
            await visitor.until("document.querySelectorAll('.market .p:not(.none)').length > 9")
            after = await visitor.page.evaluate(LOOK, ".market tbody")
            assert after == before
            assert len(after) >= 4
            assert await visitor.value("fetched") == []
