"""The path of a trader through the pages, with a restart of the server in the middle."""

import contextlib
import csv
import io
from pathlib import Path

import aiohttp
import pytest

from quart_odds.sandbox import SandboxOptions, SandboxProcess, sandbox_process
from tests.routes.pages.conftest import Visit
from tests.routes.pages.proxy import proxied
from tests.routes.pages.visiting import Visitor
from tests.server.serving import Server, at, served

CHOSEN = ("betpawa", "sportybet", "msport")

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


def serving(folder: Path, sandbox: SandboxProcess) -> contextlib.AbstractAsyncContextManager[Server]:
    """Serve what the stand-ins offer, from a database that stays."""
    return served(folder, at(sandbox.urls) | {"log_level": "warning", "drain_seconds": 0})


async def scrape(server: Server, session: aiohttp.ClientSession) -> None:
    """Make a run, and wait for its end."""
    async with session.get(f"{server.url}/api/scrape/stream") as stream:
        await stream.read()


async def choose_competitions(visitor: Visitor, number: int) -> list[str]:
    """Tick the competitions that have the most events. Returns their countries."""
    await visitor.page.click("#places summary")
    boxes = visitor.page.locator("#place-list input[name=countries]")
    chosen = [await boxes.nth(place).get_attribute("value") or "" for place in range(number)]
    for country in chosen:
        await visitor.page.check(f"#place-list input[name=countries][value='{country}']")
        await visitor.until(f"new URLSearchParams(location.search).getAll('countries').includes({country!r})")
    return chosen


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_a_trader_finds_a_price_and_is_told_when_it_moves(tmp_path: Path, visit: Visit) -> None:
    """Choose leagues and bookmakers, sort by value, open a match, compute stakes, be alerted, export what is shown."""
    options = SandboxOptions(events=40, latency_ms=1, move=0, markets=20)
    async with (
        sandbox_process(options) as sandbox,
        aiohttp.ClientSession(raise_for_status=True) as session,
        visit("about:blank", is_line_broken=True) as visitor,
        contextlib.AsyncExitStack() as stack,
    ):
        server = await stack.enter_async_context(serving(tmp_path, sandbox))
        proxy = await stack.enter_async_context(proxied(server.port))
        await scrape(server, session)
        page = visitor.page

        await page.goto(f"{proxy.url}/odds")
        countries = await choose_competitions(visitor, 2)
        await page.click("#choose summary")
        for other in set(sandbox.urls) - set(CHOSEN):
            await page.uncheck(f"#choose input[value={other}]")
        await visitor.until("document.querySelectorAll('.grid-head .g:not(.fair)').length === 3")
        await page.select_option("#sort", "value")
        await visitor.until("new URLSearchParams(location.search).get('sort') === 'value'")
        await visitor.until("document.querySelectorAll('.rows .r').length > 1")
        places = await page.locator(".rows .r .m small").all_inner_texts()
        assert {each.partition(",")[0].strip() for each in places} <= set(countries)

        # The server is replaced by another one. Pages notice, and go on.
        await server.stop()
        await visitor.until("document.querySelector('#connection').dataset.state !== 'live'")
        server = await stack.enter_async_context(serving(tmp_path, sandbox))
        proxy.target = server.port
        await visitor.until_text("#connection", "Live over WebSocket")

        await page.locator(".rows .m a").first.click()
        await visitor.until("document.querySelector('#chart svg')")
        await page.fill("#staking input[name=bank]", "10000")
        await page.fill("#staking input[name=rounding]", "100")
        await visitor.until("/ staked: .* at worst, .* at best/.test(document.querySelector('#staked-sum').innerText)")
        number = int(page.url.rpartition("/odds/")[2].partition("?")[0].partition("#")[0])
        async with session.get(f"{server.url}/api/events/{number}") as response:
            event = await response.json()

        link = page.get_by_role("link", name="Alert me").first
        slug = ((await link.get_attribute("href")) or "").partition("bookmaker=")[2].partition("#")[0]
        await link.click()
        rule = page.locator("#add-price form[method=post]")
        await rule.locator("input[name=name]").fill("The price that I wait for")
        await rule.locator("input[name=threshold]").fill("90")
        await rule.get_by_role("button", name="Add").click()
        await visitor.until_contains("#rules", "The price that I wait for")
        assert "The price that I wait for" not in await visitor.text("#fired")
        change = {
            "sportradar_id": event["sportradar_id"], "bookmaker": slug,
            "market": "1x2_ft", "line": None, "outcome": "1", "odds": 95.0,
        }  # fmt: skip
        async with session.post(f"{sandbox.url}/_sandbox/odds", json=change):
            pass
        await scrape(server, session)
        await visitor.until_contains("#fired", "The price that I wait for")

        await page.goto(f"{proxy.url}/odds?countries={countries[0]}&bookmakers={','.join(CHOSEN)}")
        await page.click("#export summary")
        async with page.expect_download() as download:
            await page.get_by_role("link", name="CSV").first.click()
        rows = list(csv.DictReader(io.StringIO((await (await download.value).path()).read_text())))
        shown = {
            each.removeprefix("e")
            for each in await page.evaluate("[...document.querySelectorAll('.rows .r')].map(({ id }) => id)")
        }
        assert {row["event_id"] for row in rows} == shown
        assert {row["bookmaker"] for row in rows} <= set(CHOSEN)
