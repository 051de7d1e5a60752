"""Open pages of a served app whose odds change: each is what a fresh load shows, and prices cost no HTML."""

import contextlib
import random
import sys
from collections.abc import AsyncIterator
from difflib import unified_diff
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Page

from quart_odds.domain.platforms import Platform
from tests.routes.pages import marked
from tests.routes.pages.conftest import Visit
from tests.routes.pages.proxy import proxied
from tests.routes.pages.visiting import Visitor, until
from tests.server.serving import Server, served

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

Json = dict[str, Any]
EVENTS = 5
GRIDS = tuple(f"/odds?include_started=1&market={each}" for each in ("1x2", "dc", "btts", "ou&line=2.5"))
CHOSEN = (f"{GRIDS[0]}&bookmakers=bet9ja,betpawa", f"/odds/{EVENTS}?bookmakers=bet9ja,betpawa")
PATHS = (*GRIDS, *CHOSEN, "/", "/odds/1", "/odds/2", f"/odds/{EVENTS}")

PLAIN = {
    "1x2_ft": ("1", "X", "2"),
    "double_chance_ft": ("1X", "12", "X2"),
    "btts_ft": ("Yes", "No"),
    "over_under_ft": ("Over 2.5", "Under 2.5"),
}

LOOK = """() => Object.fromEntries([...document.querySelectorAll(".rows .r, .market tbody")].map((part) => {
    const table = part.closest(".market");
    const copy = part.cloneNode(true);
    for (const each of copy.querySelectorAll("[data-move]")) delete each.dataset.move;
    for (const time of copy.querySelectorAll("time")) {
        time.textContent = "";
        time.removeAttribute("datetime");
    }
    const key = part.id || [table.dataset.market, part.dataset.line, part.dataset.promotion].join();
    return [key, copy.outerHTML.replaceAll(' title=""', "").replaceAll(/ since [^"]* UTC/g, " since")];
}))"""
"""Rows and tables without times: of changes within one second, the server dates the later one a second later."""

QUIET = """
window.fetched = [];
const setEach = window.setInterval, load = window.fetch;
window.setInterval = (work, ms, ...rest) => (ms === 30000 ? 0 : setEach(work, ms, ...rest));
window.fetch = (address, ...rest) => { fetched.push(String(address)); return load(address, ...rest); };
"""
"""Keep what a page fetches, and leave out what it fetches only because time has passed."""


async def post(server: Server, *offers: Json) -> None:
    """Let bookmakers offer something."""
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.post(f"{server.url}/_offers", json=offers),
    ):
        pass


def prices(dice: random.Random) -> dict[str, float]:
    """Return prices of the main markets."""
    return {
        f"{market} {outcome}": round(dice.uniform(1.1, 6), 2) for market, names in PLAIN.items() for outcome in names
    }


def offer(platform: str, number: int, odds: dict[str, float] | None, **values: object) -> Json:
    """Return an offer of a bookmaker for a match; None if it no longer has it."""
    minutes = 600 + 60 * number if number < EVENTS else -1
    return {"platform": platform, "number": number, "prices": odds, "minutes": minutes} | values


@contextlib.asynccontextmanager
async def offering(folder: Path) -> AsyncIterator[Server]:
    """Serve some matches; the last has begun, and two bookmakers have seen it since."""
    command = (sys.executable, "-m", "tests.routes.pages.offering_server")
    async with served(folder, {"log_level": "warning"}, command) as server:
        yield server


async def fill(server: Server, dice: random.Random) -> None:
    """Let all bookmakers offer all matches but one; BetPawa saw the last one only before its kick-off."""
    for number in range(1, EVENTS + 1):
        for platform in Platform:
            if number == 1 and platform is Platform.BET9JA:
                continue
            ago = 90 if number == EVENTS and platform is Platform.BETPAWA else 0
            await post(server, offer(platform, number, prices(dice), minutes_ago=ago))


async def open_page(visitor: Visitor, server_url: str, path: str) -> Page:
    """Open another page in the visitor's browser, and wait until it has its copy."""
    page = await visitor.page.context.new_page()
    await page.add_init_script(QUIET)
    await page.add_init_script(
        "window.pages = []; window.WebSocket = class extends WebSocket {"
        " constructor(...given) { super(...given); this.addEventListener('message', ({ data }) => {"
        " const said = JSON.parse(data); if (said.type === 'odds_image') pages.push(said.data.final); }); } };"
    )
    await page.goto(f"{server_url}{path}")
    other = Visitor(page)
    if await other.value("document.querySelectorAll('.rows .r, .market').length"):
        await other.until("pages.includes(true)")
    return page


async def is_as_fresh(fresh: Visitor, server: Server, page: Page, path: str) -> None:
    """Wait until an open page shows what a fresh load without a script shows."""
    looks: list[dict[str, str]] = []

    async def is_same() -> bool:
        # What prices are worth follows them only where the reader looks.
        await page.evaluate("document.querySelector('#rows')?.scrollIntoView()")
        await fresh.page.goto(f"{server.url}{path}")
        looks[:] = [await page.evaluate(LOOK), await fresh.page.evaluate(LOOK)]
        return looks[0] == looks[1]

    try:
        await until(is_same, path, seconds=10)
    except AssertionError:
        shown, expected = looks
        for key in shown.keys() | expected.keys():
            parts = [(each.get(key) or "").replace("<", "\n<").splitlines() for each in looks]
            differing = "\n".join(unified_diff(parts[0], parts[1], lineterm="", n=1))
            assert parts[0] == parts[1], f"{path} {key}\n{differing}"
        raise


def moved(dice: random.Random, state: dict[str, float]) -> dict[str, float]:
    """Return prices of which about a third have moved."""
    return {
        name: round(max(1.01, odds * dice.uniform(0.8, 1.25)), 2) if dice.random() < 0.3 else odds
        for name, odds in state.items()
    }


@pytest.mark.endurance
@pytest.mark.timeout(240)
async def test_open_pages_show_what_a_fresh_load_shows(tmp_path: Path, visit: Visit) -> None:
    """Best prices, margins, suspended and gone prices, in all tables. Moved prices cost only what they are worth."""
    dice = random.Random(7)
    async with (
        offering(tmp_path) as server,
        visit(f"{server.url}/healthz") as visitor,
        visit(f"{server.url}/healthz", script=False) as fresh,
    ):
        await fill(server, dice)
        pages = {path: await open_page(visitor, server.url, path) for path in PATHS}
        states = {(platform, number): prices(dice) for platform in Platform for number in range(1, EVENTS + 1)}
        del states[Platform.BET9JA, 1]
        for _ in range(4):
            for page in pages.values():
                await page.evaluate("void (fetched = [])")
            for (platform, number), state in states.items():
                states[platform, number] = moved(dice, state)
                suspended = [name for name in state if dice.random() < 0.1]
                await post(server, offer(platform, number, states[platform, number], suspended=suspended))
            for path, page in pages.items():
                await is_as_fresh(fresh, server, page, path)
        for path, page in pages.items():
            asked = [each for each in await page.evaluate("fetched") if "/history" not in each]
            assert all("/odds/rows?ids=" in each for each in asked), path
            assert not asked or "/odds/" not in path, path


async def test_what_prices_are_worth_follows_them(tmp_path: Path, visit: Visit) -> None:
    """Fair odds, value and lead come from the server soon after a price; a price suspended with 0.00 is a dash."""
    dice = random.Random(5)
    async with offering(tmp_path) as server, visit(f"{server.url}/healthz") as visitor:
        await fill(server, dice)
        page = await open_page(visitor, server.url, "/odds")
        other = Visitor(page)
        before = prices(dice)
        await post(server, offer("bet9ja", 2, before | {"1x2_ft 1": 600.0}))
        await other.until("document.querySelector('#e2 .bet9ja .p').textContent.includes('600.00')")
        await other.until("/value \\+\\d{4}/.test(document.querySelector('#e2 .f').textContent)")
        assert "by " in await other.text("#e2 .f")
        asked = await page.evaluate("fetched.filter((each) => each.includes('/odds/rows'))")
        assert asked
        assert all("ids=2&" in each for each in asked)
        await post(server, offer("bet9ja", 2, before | {"1x2_ft 1": 0.0}, suspended=["1x2_ft 1"]))
        await other.until("/–susp\\. suspended/.test(document.querySelector('#e2 .bet9ja .p').textContent)")
        await other.until("!/value \\+\\d{4}/.test(document.querySelector('#e2 .f').textContent)")


async def test_image_changes_nothing_on_a_page_that_was_just_loaded(
    scraped: Server, tmp_path: Path, visit: Visit
) -> None:
    """All markets and lines, promoted, reversed and late prices: the script computes what the server did."""
    await marked.fill(tmp_path)
    async with (
        served(tmp_path, {"log_level": "warning"}) as other,
        visit("about:blank") as visitor,
        visit("about:blank", script=False) as fresh,
    ):
        events = tuple(f"/odds/{each}" for each in (marked.PROMOTED, marked.REVERSED, marked.IN_PLAY))
        for server, paths in ((scraped, ("/odds", "/odds/3", "/odds/5")), (other, (*GRIDS, *events))):
            for path in paths:
                page = await open_page(visitor, server.url, path)
                await is_as_fresh(fresh, server, page, path)
                assert await page.evaluate("document.querySelectorAll('.rows .p, .market .p').length") > 9
                await page.close()


def shuffled(dice: random.Random, number: int) -> Json:
    """Return any offer: with promotions, without some prices, sides reversed, kick-off moved, or withdrawn."""
    odds = prices(dice)
    for promotion in ("boosted", "two_up"):
        odds |= {f"1x2_ft {name} @{promotion}": odds[f"1x2_ft {name}"] + 0.3 for name in "1X2" if dice.random() < 0.4}
    odds |= {f"over_under_ft {name} 3.5": round(dice.uniform(1.5, 2.5), 2) for name in ("Over", "Under")}
    left = {name: value for name, value in odds.items() if dice.random() < 0.85}
    minutes = 600 + 60 * number + (7 if dice.random() < 0.1 else 0) if number < EVENTS else -1
    platform = dice.choice(list(Platform))
    is_gone = dice.random() < 0.15
    suspended = [name for name in left if dice.random() < 0.1]
    values = {"is_reversed": dice.random() < 0.1, "minutes": minutes, "suspended": suspended}
    return offer(platform, number, None if is_gone else left, **values)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.endurance)])
async def test_open_pages_follow_everything_that_happens(tmp_path: Path, visit: Visit, seed: int) -> None:
    """Promotions, lines and bookmakers that come and go, reversed sides, moved kick-offs, events gone and back."""
    dice = random.Random(seed)
    async with (
        offering(tmp_path) as server,
        visit(f"{server.url}/healthz") as visitor,
        visit(f"{server.url}/healthz", script=False) as fresh,
    ):
        await fill(server, dice)
        pages = {path: await open_page(visitor, server.url, path) for path in PATHS}
        for _ in range(8):
            await post(server, *[shuffled(dice, dice.randint(1, EVENTS)) for _ in range(4)])
            for path, page in pages.items():
                await is_as_fresh(fresh, server, page, path)


@pytest.mark.timeout(240)
async def test_pages_are_right_after_a_restart_and_a_sleep(tmp_path: Path, visit: Visit) -> None:
    """What changed meanwhile, and what a server without memory of this client says, replaces what the page had."""
    dice = random.Random(3)
    async with (
        visit("about:blank", is_line_broken=True) as visitor,
        visit("about:blank", script=False, is_line_broken=True) as fresh,
        contextlib.AsyncExitStack() as stack,
    ):
        server = await stack.enter_async_context(offering(tmp_path))
        proxy = await stack.enter_async_context(proxied(server.port))
        await fill(server, dice)
        pages = {path: await open_page(visitor, proxy.url, path) for path in ("/odds", "/odds/2")}
        for page in pages.values():
            await page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
        await post(server, offer("betpawa", 2, prices(dice)))
        for path, page in pages.items():
            await page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
            await is_as_fresh(fresh, server, page, path)
        await server.stop()
        async with offering(tmp_path) as again:
            await post(again, offer("sportybet", 2, prices(dice)), offer("betpawa", 3, None))
            proxy.target = again.port
            for path, page in pages.items():
                await is_as_fresh(fresh, again, page, path)
            proxy.takes_websocket = False
            proxy.cut_websockets()
            for page in pages.values():
                await Visitor(page).until_text("#connection", "Live over SSE")
            await post(again, offer("bet9ja", 2, prices(dice)))
            for path, page in pages.items():
                await is_as_fresh(fresh, again, page, path)


async def test_rows_on_the_screen_are_watched(tmp_path: Path, visit: Visit) -> None:
    """A page watches what is in sight and a little more, with the market of its column, and follows the reader."""
    command = (sys.executable, "-m", "tests.routes.pages.changing_server", "300", "1")
    async with served(tmp_path, {"log_level": "warning"}, command) as server, visit(f"{server.url}/healthz") as visitor:
        sent: list[str] = []
        visitor.page.on("websocket", lambda socket: socket.on("framesent", lambda text: sent.append(str(text))))
        await visitor.page.goto(f"{server.url}/odds?market=dc")

        async def has_asked() -> bool:
            return any('"subscribe"' in each for each in sent)

        await until(has_asked, "a filter was sent")
        assert '"market":["4693"]' in sent[0].replace(" ", "")
        await visitor.until("document.querySelectorAll('.rows .r').length >= 50")
        sent.clear()
        await visitor.until("(scrollTo(0, 1e6), document.querySelectorAll('.rows .r').length === 300)")
        last = await visitor.value("[...document.querySelectorAll('.rows .r')].at(-1).id.slice(1)")

        async def has_last() -> bool:
            return any(f",{last}]" in each or f",{last}," in each for each in sent)

        await until(has_last, "the last row is watched")
        assert all(each.count(",") < 110 for each in sent)
