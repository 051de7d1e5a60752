"""Rows of the odds page that are far out of sight keep their prices as text until the reader comes near."""

import sys
from pathlib import Path

import pytest

from tests.routes.pages.conftest import Visit
from tests.routes.pages.visiting import until
from tests.server.serving import served

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

EVENTS = 300
SIZE = 50
BOOKMAKERS = 5
COMMAND = (sys.executable, "-m", "tests.routes.pages.changing_server", str(EVENTS), "1")
LOADED = f"(scrollTo(0, 1e6), document.querySelectorAll('.rows .m a').length === {EVENTS})"
CELLS = "document.querySelectorAll('.rows .g').length"
ROW = "document.querySelectorAll('.rows .r')[90]"
"""A row of the second page."""


async def test_far_rows_have_their_match_alone_and_get_their_prices_back(tmp_path: Path, visit: Visit) -> None:
    """With the odds as they are now, in the form that was chosen meanwhile, and without taking the focus away."""
    async with (
        served(tmp_path, {"log_level": "warning"}, COMMAND) as server,
        visit(f"{server.url}/odds?page_size={SIZE}") as visitor,
        visit(f"{server.url}/odds?page_size={SIZE}&page=2") as other,
    ):
        page = visitor.page
        await visitor.until(LOADED)
        await visitor.until(f"{CELLS} <= 4 * {SIZE * BOOKMAKERS}")
        await visitor.until(f"{ROW}.children.length === 2")
        await page.click("#display summary")
        await page.select_option("#reads-odds", "fractional")
        await visitor.value(f"{ROW}.querySelector('a').focus()")
        await visitor.until(f"{ROW}.querySelectorAll('.g').length === {BOOKMAKERS}")
        assert await visitor.value(f"{ROW}.contains(document.activeElement)")
        assert "/" in await visitor.value(f"{ROW}.querySelector('.p').textContent")

        number = await visitor.value(f"{ROW}.id")
        prices = f"[...document.querySelectorAll('#{number} .p')].map((each) => each.dataset.v).join()"

        async def is_alike() -> bool:
            return bool(await visitor.value(prices) == await other.value(prices))

        await until(is_alike, "both pages have the same prices")
        await visitor.value("document.activeElement.blur()")
        await visitor.until(f"(scrollTo(0, 1e6), {ROW}.children.length === 2)")
        await page.select_option("#reads-odds", "")
        await visitor.value(f"{ROW}.querySelector('a').focus()")
        await visitor.until(f"{ROW}.querySelectorAll('.g').length === {BOOKMAKERS}")
        assert "/" not in await visitor.value(f"{ROW}.querySelector('.f').textContent")


async def test_printed_rows_have_their_prices(tmp_path: Path, visit: Visit) -> None:
    """A browser lays out all rows for print."""
    async with (
        served(tmp_path, {"log_level": "warning"}, COMMAND) as server,
        visit(f"{server.url}/odds?page_size={SIZE}") as visitor,
    ):
        await visitor.until(LOADED)
        await visitor.until(f"{CELLS} < {EVENTS * BOOKMAKERS}")
        assert await visitor.value(f"(dispatchEvent(new Event('beforeprint')), {CELLS})") == EVENTS * BOOKMAKERS
