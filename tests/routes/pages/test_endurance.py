"""With 1,300 events and fifty changes a second for a minute, the page stays fast, stable and small."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.routes.pages.conftest import Visit
from tests.server.serving import served

pytestmark = [
    pytest.mark.browser,
    pytest.mark.endurance,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="session"),
]

EVENTS = 1300
CHANGES_A_SECOND = 50
SECONDS = 60
LONGEST_TASK_MS = 100
MOST_GROWTH_BYTES = 5_000_000
ROWS = "document.querySelectorAll('.rows .r').length"
WATCH = """() => {
    window.long = []; window.frames = [];
    new PerformanceObserver((list) => long.push(...list.getEntries().map((e) => Math.round(e.duration))))
        .observe({ type: "longtask" });
}"""


async def test_table_of_1300_events_stays_quick_and_small(tmp_path: Path, visit: Visit) -> None:
    """With all rows loaded, scrolling and constant changes, there is no long task, no growth of memory, and no jump."""
    command = (sys.executable, "-m", "tests.routes.pages.changing_server", str(EVENTS), str(CHANGES_A_SECOND))
    async with (
        served(tmp_path, {"log_level": "warning"}, command) as server,
        visit(f"{server.url}/odds?page_size=50") as visitor,
    ):
        page = visitor.page
        await visitor.until(f"(scrollTo(0, 1e9), {ROWS} === {EVENTS})", seconds=60)
        await visitor.value("scrollTo(0, 3000)")
        session = await page.context.new_cdp_session(page)
        await asyncio.sleep(3)
        await session.send("HeapProfiler.collectGarbage")
        before = await visitor.value("performance.memory.usedJSHeapSize")
        await page.evaluate(WATCH)
        at = await visitor.value("scrollY")
        await visitor.value(
            "window.first = document.querySelector('.rows .r:nth-child(70)').getBoundingClientRect().top"
        )
        await asyncio.sleep(SECONDS / 2)
        assert await visitor.value("scrollY") == at
        assert await visitor.value(
            "document.querySelector('.rows .r:nth-child(70)').getBoundingClientRect().top === first"
        )
        assert await visitor.value("document.querySelectorAll('.p[data-move]').length") > 0
        for _ in range(SECONDS // 2 * 4):
            await page.mouse.wheel(0, 400)
            await asyncio.sleep(0.25)
        assert await visitor.value(ROWS) == EVENTS
        await session.send("HeapProfiler.collectGarbage")
        after = await visitor.value("performance.memory.usedJSHeapSize")
        tasks = await visitor.value("long")
        print(f"long tasks {sorted(tasks)[-5:]} ms, heap {before} -> {after}")
        assert max(tasks, default=0) <= LONGEST_TASK_MS
        assert after - before <= MOST_GROWTH_BYTES
