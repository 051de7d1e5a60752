"""Takes the screenshots in docs/screenshots: every page, wide and narrow, light and dark.

python -m tests.routes.pages.screenshots [FOLDER]
"""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Literal

import aiohttp
from playwright.async_api import Browser, async_playwright

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox import SandboxOptions, SandboxProcess, sandbox_process
from tests.routes.pages.visiting import ARGUMENTS, Visitor
from tests.server.serving import Server, at, served

FOLDER = Path(__file__).parents[3] / "docs" / "screenshots"
WIDTHS = (1280, 360)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
HEIGHT = 860
HEIGHTS = {"odds": 760, "runs": 760}
"""Heights of wide windows that differ from HEIGHT."""

PAGES = {
    "odds": "/odds",
    "opportunities": "/opportunities?kind=all&bank=10000",
    "alerts": "/alerts",
    "coverage": "/coverage",
    "runs": "/runs",
    "health": "/health",
    "settings": "/settings",
    "docs": "/docs",
}
"""The pages besides those of progress and of an event, with their addresses."""
STILL = {"login": "/login", "unknown": "/nowhere"}
"""The pages that have no connection."""

RULE = {"name": "Arbitrage", "when": {"kind": "opportunity", "of": "arbitrage", "over_percent": 0.5}}
NARROW_HEIGHT = 780
PAST: tuple[dict[str, object], ...] = ({}, {}, {"bet9ja": "403"}, {}, {}, {}, {"sportybet": "timeout"}, {}, {})
"""Faults of the runs before the screenshots, so that the pages show a history."""


CHANGES = 2500
"""Number of prices that move between two runs: about every second one of the main markets."""


async def make_past(server: Server, sandbox: SandboxProcess, session: aiohttp.ClientSession) -> None:
    """Make some runs, one partial and one cancelled, and a rule that fires."""
    async with session.post(f"{server.url}/api/alerts/rules", json=RULE):
        pass
    for faults in PAST:
        async with session.post(f"{sandbox.url}/_sandbox/faults", json=dict.fromkeys(sandbox.urls) | faults):
            pass
        async with session.post(f"{sandbox.url}/_sandbox/odds", json={"changes": CHANGES}):
            pass
        if "sportybet" in faults:
            async with session.post(f"{server.url}/api/scrape") as answer:
                number = (await answer.json())["scrape_run_id"]
            await asyncio.sleep(2)
            async with session.post(f"{server.url}/api/scrape/{number}/cancel"):
                pass
            path = f"/api/scrape/runs/{number}/progress"
        else:
            path = "/api/scrape/stream"
        async with session.get(f"{server.url}{path}") as stream:
            await stream.read()
    async with session.post(f"{sandbox.url}/_sandbox/faults", json=dict.fromkeys(sandbox.urls)):
        pass


async def take(browser: Browser, server: Server, folder: Path) -> None:
    """Take all screenshots: the progress of a run half-way through, then the other pages after its end."""
    visitors: dict[str, Visitor] = {}
    for width in WIDTHS:
        for scheme in SCHEMES:
            context = await browser.new_context(color_scheme=scheme, timezone_id="Africa/Lagos")
            visitor = visitors[f"{width}-{scheme}"] = Visitor.at(await context.new_page())
            await show(visitor, width, "progress", server.url)
    first = next(iter(visitors.values()))
    await first.page.request.post(f"{server.url}/api/scrape", headers={"Origin": server.url})
    await first.until_text("#run-status", "running")
    await first.until("document.querySelector('#lane-sportybet .current').textContent > 44")
    for look, visitor in visitors.items():
        await visitor.page.screenshot(path=folder / f"progress-{look}.png")
    await first.until_text("#run-status", "completed")
    event = await first.page.locator(".rows .m a").nth(2).get_attribute("href")
    for name, path in {**PAGES, "event": event}.items():
        for look, visitor in visitors.items():
            await show(visitor, int(look.split("-")[0]), name, f"{server.url}{path}")
            await visitor.page.screenshot(path=folder / f"{name}-{look}.png")
    for look, visitor in visitors.items():
        assert visitor.errors == []
        for name, path in STILL.items():
            await visitor.page.goto(f"{server.url}{path}")
            await visitor.page.screenshot(path=folder / f"{name}-{look}.png")
        await visitor.page.context.close()


async def show(visitor: Visitor, width: int, name: str, url: str) -> None:
    """Open a page in a window of the size of its screenshot."""
    height = HEIGHTS.get(name, HEIGHT) if width == WIDTHS[0] else NARROW_HEIGHT
    await visitor.page.set_viewport_size({"width": width, "height": height})
    await visitor.page.goto(url)
    if name != "docs":
        await visitor.until_text("#connection", "Live over WebSocket")
    if name == "event":
        await visitor.until("document.querySelector('#chart svg')")


async def main(folder: Path) -> None:
    """Serve, make some runs, take the screenshots."""
    folder.mkdir(parents=True, exist_ok=True)
    options = SandboxOptions(events=60, latency_ms=300, jitter_ms=100)
    slowly = {f"{platform}_concurrency": 4 for platform in Platform} | {"log_level": "warning", "request_tries": 1}
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as place:
        async with (
            sandbox_process(options) as sandbox,
            served(Path(place), at(sandbox.urls) | slowly) as server,
            aiohttp.ClientSession() as session,
            async_playwright() as playwright,
        ):
            await make_past(server, sandbox, session)
            browser = await playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
            await take(browser, server, folder)
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
