"""Quality of the pages: accessible, within a strict security policy, small, stable, and fast."""

from typing import Any, Literal

import aiohttp
import pytest

from tests.routes.pages.conftest import Visit
from tests.routes.pages.visiting import Visitor
from tests.server.serving import Server

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PAGES = (
    "/",
    "/odds",
    "/odds?market=ou&line=2.5",
    "/odds?search=nobody&countries=England&date=today",
    "/odds/5",
    "/runs",
    "/runs/1",
    "/opportunities?kind=all&bank=1000",
    "/alerts",
    "/settings",
    "/coverage",
    "/coverage?view=events",
    "/health",
    "/alerts?event_id=5",
    "/docs",
    "/runs/999",
)
FIRST_PAINT_MS = 200


OTHER_LOOKS: tuple[tuple[int, Literal["light", "dark"]], ...] = ((1280, "dark"), (360, "light"), (360, "dark"))


async def test_no_page_has_a_serious_fault_of_accessibility(scraped: Server, visit: Visit, axe: str) -> None:
    """axe-core finds nothing serious or critical, in any colour scheme, and nothing is wider than the window."""
    rule = {"name": "runs", "when": {"kind": "run"}, "enabled": False}
    async with aiohttp.ClientSession() as session, session.post(f"{scraped.url}/api/alerts/rules", json=rule) as answer:
        assert answer.status == 201
    async with visit(f"{scraped.url}/healthz") as visitor:
        for path in PAGES:
            await visitor.page.set_viewport_size({"width": 1280, "height": 860})
            await visitor.page.emulate_media(color_scheme="light")
            await visitor.page.goto(f"{scraped.url}{path}")
            if path == "/odds":
                for part in ("choose", "places", "words", "export"):
                    await visitor.page.click(f"#{part} summary")
            if path == "/odds/5":
                await visitor.until("document.querySelector('#chart svg')")
            await visitor.page.evaluate(axe)
            assert await faults(visitor, "axe.run()") == [], path
            for width, scheme in OTHER_LOOKS:
                await visitor.page.set_viewport_size({"width": width, "height": 860})
                await visitor.page.emulate_media(color_scheme=scheme)
                assert await faults(visitor, "axe.run({ runOnly: ['color-contrast'] })") == [], (path, width, scheme)
                assert await visitor.value("document.documentElement.scrollWidth - innerWidth") <= 0, (path, width)
        visitor.errors = [each for each in visitor.errors if "status of 404" not in each]


async def faults(visitor: Visitor, script: str) -> list[tuple[str, str, str]]:
    """Return what axe-core rates as serious or critical: the rule, the first element, and what to do."""
    found: list[dict[str, Any]] = await visitor.value(f"{script}.then((result) => result.violations)")
    return [
        (fault["id"], fault["nodes"][0]["html"], fault["nodes"][0]["failureSummary"])
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


async def test_panels_beside_each_other_are_level(scraped: Server, visit: Visit) -> None:
    """The bookmakers of a run, its timeline and its log, and the bookmakers of an event begin at one height."""
    tops = (
        "(rows) => rows.map((row) => new Set([...row.children].map((each) => each.getBoundingClientRect().top)).size)"
    )
    async with visit(scraped.url) as visitor:
        assert await visitor.page.eval_on_selector_all(".lanes, .columns", tops) == [1, 1]
        await visitor.page.goto(f"{scraped.url}/odds/1")
        assert await visitor.page.eval_on_selector_all(".sources", tops) == [1]


async def test_policy_is_strict_and_nothing_is_asked_of_others(scraped: Server, visit: Visit) -> None:
    """There is no inline script or style, and no other origin, in the header, the markup and the browser's requests."""
    async with visit(f"{scraped.url}/healthz") as visitor:
        hosts: set[str] = set()
        visitor.page.on("request", lambda request: hosts.add("/".join(request.url.split("/")[:3])))
        for path in PAGES[:-1]:
            answer = await visitor.page.goto(f"{scraped.url}{path}")
            assert answer is not None
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "script-src 'self';" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            inline = "document.querySelectorAll('style, [style], script:not([src]), [onclick]').length"
            text = await answer.text()
            assert " style=" not in text
            assert "<script>" not in text
            assert await visitor.value(inline) == 0
        assert hosts == {scraped.url}


async def test_static_files_are_kept_for_ever_under_a_name_of_their_content(scraped: Server) -> None:
    """Each file is immutable under its version's address and answers 304; another version's address is a 404."""
    async with aiohttp.ClientSession() as session:
        async with session.get(scraped.url) as answer:
            text = await answer.text()
            assert answer.headers["Cache-Control"] == "no-cache"
        address = text.split('rel="stylesheet" href="')[1].split('"')[0]
        async with session.get(f"{scraped.url}{address}") as answer:
            assert "immutable" in answer.headers["Cache-Control"]
            etag = answer.headers["ETag"]
        async with session.get(f"{scraped.url}{address}", headers={"If-None-Match": etag}) as answer:
            assert answer.status == 304
        other = address.replace(address.split("/")[2], "0" * 16)
        async with session.get(f"{scraped.url}{other}") as answer:
            assert answer.status == 404
        async with session.get(f"{scraped.url}/static/live.js") as answer:
            assert answer.status == 200


@pytest.mark.endurance
async def test_first_paint_comes_soon(scraped: Server, visit: Visit) -> None:
    """The best of five visits paints within the time that people perceive as immediate."""
    paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 1e9"
    for path in ("/", "/odds"):
        times = []
        async with visit(f"{scraped.url}{path}") as visitor:
            for _ in range(5):
                await visitor.until(f"({paint}) < 1e9")
                times.append(await visitor.value(paint))
                await visitor.page.reload()
        assert min(times) <= FIRST_PAINT_MS, times


async def test_nothing_shifts_while_a_run_goes(scraped: Server, visit: Visit) -> None:
    """The layout does not move from the first paint to the end of a run."""
    async with visit(scraped.url) as visitor:
        await visitor.page.evaluate(
            """() => { window.shift = 0; new PerformanceObserver((list) => {
                for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
            }).observe({ type: "layout-shift", buffered: true }); }"""
        )
        before = int((await visitor.text("#run-title")).removeprefix("Run "))
        await visitor.page.request.post(f"{scraped.url}/api/scrape", headers={"Origin": scraped.url})
        await visitor.until_text("#run-title", f"Run {before + 1}")
        await visitor.until_text("#run-status", "completed")
        assert await visitor.value("shift") <= 0.02
