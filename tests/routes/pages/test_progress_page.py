"""The progress page in a real browser: started, watched, cancelled, retried, and right after any lost connection."""

import asyncio
import re
import signal

import pytest

from quart_odds.sandbox import SandboxProcess
from quart_odds.scraping.runs import CANCELLED_START_SECONDS
from tests.routes.pages.conftest import Serve, SetFaults, Visit
from tests.routes.pages.proxy import proxied
from tests.routes.pages.visiting import Visitor, until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

OVER_WEBSOCKET = "Live over WebSocket"
OVER_SSE = "Live over SSE"
MANY = "document.querySelector('#all-current').textContent > 8"


async def start(visitor: Visitor) -> None:
    """Press the button and arrive at the page of the run."""
    await visitor.page.click("#start")
    await visitor.page.wait_for_url("**/runs/*")
    await visitor.until_text("#connection", OVER_WEBSOCKET, OVER_SSE)


async def test_page_opens_idle_and_its_button_starts_a_run_that_is_seen_to_its_end(
    serve: Serve, visit: Visit, sandbox: SandboxProcess
) -> None:
    """Nothing runs until the user starts it; then each bookmaker's bar moves, and odds appear with best prices."""
    async with serve() as server, visit(server.url) as visitor:
        await visitor.until_text("#connection", OVER_WEBSOCKET)
        await visitor.until_text("#run-status", "idle")
        assert await visitor.value("document.querySelectorAll('.rows .r').length") == 0
        await start(visitor)
        for platform in sandbox.urls:
            count = f"Number(document.querySelector('#lane-{platform} .current').textContent)"
            middle = f"(count => count > 0 && count < 40)({count})"
            await visitor.until(middle)
        await visitor.until_text("#run-status", "completed")
        for platform in sandbox.urls:
            lane = f"#lane-{platform}"
            await visitor.until_text(f"{lane} .phase", "completed")
            found = await visitor.number(f"{lane} .total")
            assert await visitor.number(f"{lane} .current") == found > 20
            await visitor.until_contains("#log", f"odds of {found} of {found} events")
        await visitor.until("document.querySelectorAll('.rows .r').length === 12")
        await visitor.until("document.querySelectorAll('.rows .p.best').length > 12")


async def test_run_of_another_trigger_appears_on_an_open_page(serve: Serve, visit: Visit) -> None:
    """The first page follows the newest run, whatever started it."""
    async with serve() as server, visit(server.url) as visitor:
        await visitor.until_text("#connection", OVER_WEBSOCKET)
        await visitor.page.request.post(f"{server.url}/api/scrape", headers={"Origin": server.url})
        await visitor.until_text("#run-title", "Run 1")
        await visitor.until_text("#run-status", "completed")
        await visitor.until_contains(".run-title .meta", "started by the API")
        await visitor.until_text("#all-phase", "completed")


async def test_cancelled_run_says_so_and_is_retried(serve: Serve, visit: Visit) -> None:
    """Cancelling ends the run for everyone; a retry of it is a new run."""
    async with serve(requests=1) as server, visit(server.url) as visitor:
        await start(visitor)
        await visitor.until(MANY)
        await visitor.page.click("#cancel")
        await visitor.until_text("#run-status", "cancelled")
        await visitor.until_contains("#errors", "Someone cancelled this run")
        await visitor.until_text("#announcer", "Run 1 cancelled: the run was cancelled")
        assert (await visitor.page.title()).startswith("Run 1 cancelled")
        assert "failed" not in await visitor.text(".lanes h3")
        assert await visitor.page.locator(".bad").count() == 0
        await asyncio.sleep(CANCELLED_START_SECONDS)
        await visitor.page.click("#retry")
        await visitor.until_text("#run-title", "Run 2")
        await visitor.page.click("#cancel")
        await visitor.until_text("#run-status", "cancelled")


async def test_bookmaker_that_refuses_is_shown_failed_with_advice_and_retried_alone(
    serve: Serve, visit: Visit, set_faults: SetFaults
) -> None:
    """Its lane says why and what to do; the others finish; the retry scrapes it alone."""
    async with serve() as server, visit(server.url) as visitor:
        async with set_faults({"bet9ja": "403"}):
            await start(visitor)
            await visitor.until_text("#run-status", "partial")
        await visitor.until_text("#lane-bet9ja .phase", "failed")
        await visitor.until_contains("#lane-bet9ja .fault", "Set a proxy")
        await visitor.until_contains("#errors", "blocked at Bet9ja")
        await visitor.until_text("#lane-betpawa .phase", "completed")
        await visitor.page.click("#retry")
        await visitor.until_text("#run-title", "Run 2")
        await visitor.until_text("#run-status", "completed")
        await visitor.until_text("#lane-betpawa .phase", "left out")
        await visitor.until_text("#lane-bet9ja .phase", "completed")


async def test_sse_takes_over_when_the_websocket_is_killed(serve: Serve, visit: Visit) -> None:
    """If the connection is cut during a run, and WebSocket refused from then on, the end of the run is not lost."""
    async with (
        serve(requests=1) as server,
        proxied(server.port) as proxy,
        visit(proxy.url, is_line_broken=True) as visitor,
    ):
        await start(visitor)
        await visitor.until_text("#connection", OVER_WEBSOCKET)
        await visitor.until(MANY)
        proxy.takes_websocket = False
        proxy.cut_websockets()
        await visitor.until_text("#connection", OVER_SSE)
        assert await visitor.text("#run-status") == "running"
        before = await visitor.number("#all-current")
        await visitor.until(f"document.querySelector('#all-current').textContent > {before}")
        await visitor.until_text("#run-status", "completed")
        assert proxy.refused >= 1


async def test_page_lives_behind_a_proxy_that_knows_no_websocket(serve: Serve, visit: Visit) -> None:
    """If WebSocket never gets through, SSE carries the run from the start."""
    async with serve() as server, proxied(server.port) as proxy:
        proxy.takes_websocket = False
        async with visit(proxy.url, is_line_broken=True) as visitor:
            await visitor.until_text("#connection", OVER_SSE)
            await start(visitor)
            await visitor.until(MANY)
            await visitor.until_text("#run-status", "completed")


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.endurance)])
async def test_page_is_right_after_a_restart_in_the_middle_of_a_run(
    how: signal.Signals, serve: Serve, visit: Visit
) -> None:
    """The server stops: the page says so and takes its buttons away. It returns: the page shows the interrupted run."""
    async with (
        serve(requests=1) as server,
        proxied(server.port) as proxy,
        visit(proxy.url, is_line_broken=True) as visitor,
    ):
        await start(visitor)
        await visitor.until(MANY)
        server.process.send_signal(how)
        await server.process.wait()
        await visitor.until_text("#connection", "Reconnecting…", "Connecting…")
        await visitor.until_contains("#lost", "Nothing heard from the server since")
        assert not await visitor.page.locator("#cancel").is_visible()
        assert await visitor.value("getComputedStyle(document.querySelector('#run-status'), '::after').content") == (
            '" when last heard"'
        )
        async with serve(requests=4) as again:
            proxy.target = again.port
            await visitor.until_text("#run-status", "interrupted")
            await visitor.until_text("#connection", OVER_WEBSOCKET)
            assert not await visitor.page.locator("#lost").is_visible()
            assert "The server stopped during this run" in await visitor.text("#errors")
            await visitor.page.click("#start")
            await visitor.until_text("#run-title", "Run 2")
            await visitor.until_text("#run-status", "completed")


async def test_eight_tabs_are_all_live_on_websocket(serve: Serve, visit: Visit) -> None:
    """A browser opens six HTTP/1.1 connections to a host: eight tabs are live only because each has a WebSocket."""
    async with serve() as server, visit(server.url) as visitor:
        tabs = [visitor, *[Visitor.at(await visitor.page.context.new_page()) for _ in range(7)]]
        await asyncio.gather(*(tab.page.goto(server.url) for tab in tabs))
        for tab in tabs:
            await tab.until_text("#connection", OVER_WEBSOCKET)
        await visitor.page.request.post(f"{server.url}/api/scrape", headers={"Origin": server.url})

        async def all_completed() -> bool:
            return all([await tab.text("#run-status") == "completed" for tab in tabs])

        await until(all_completed, "every tab shows the run completed")
        assert [tab.errors for tab in tabs] == [[]] * 8


async def test_past_run_is_the_same_view_from_storage(serve: Serve, visit: Visit) -> None:
    """After a restart no run is in memory, and the page of an earlier run still shows all of it."""
    async with serve() as server, visit(server.url) as visitor:
        await start(visitor)
        await visitor.until_text("#run-status", "completed")
        shown = [await visitor.text(part) for part in ("#log", "#timeline", ".lanes")]
    async with serve() as server, visit(f"{server.url}/runs/1") as visitor:
        assert [await visitor.text(part) for part in ("#log", "#timeline", ".lanes")] == shown


async def test_sweeps_leave_the_page_of_progress_alone(serve: Serve, visit: Visit) -> None:
    """The page stays with the newest full run, and the list shows a sweep only where it is asked for one."""
    async with serve() as server, visit(server.url) as visitor, visit(f"{server.url}/runs?mode=sweep") as sweeps:
        for each in (visitor, sweeps):
            await each.until_text("#connection", OVER_WEBSOCKET)
        for mode in ("sweep", "full"):
            await visitor.page.request.get(
                f"{server.url}/api/scrape/stream?mode={mode}", headers={"Origin": server.url}
            )
            await sweeps.until("document.querySelectorAll('#runs tbody tr').length === 1")
            await visitor.until_text("#run-title", "No run yet" if mode == "sweep" else "Run 2")
        await visitor.until_text("#run-status", "completed")
        await visitor.page.request.get(f"{server.url}/api/scrape/stream?mode=sweep", headers={"Origin": server.url})
        await sweeps.until("document.querySelectorAll('#runs tbody tr').length === 2")
        assert await visitor.text("#run-title") == "Run 2"


async def test_words_about_a_bookmaker_that_is_asked_less_are_exact(
    serve: Serve, visit: Visit, set_faults: SetFaults, sandbox: SandboxProcess
) -> None:
    """They are nothing but the reason, also after a partial sweep and after one that failed everywhere."""
    names = "|".join(platform.display_name for platform in sandbox.urls)
    less = rf"({names}) refuses requests and gets [\d.]+ requests per second instead of \d+"
    async with serve(sweep_interval_seconds=3600) as server, visit(server.url) as visitor:
        await visitor.until_contains("#sweeps", "Sweeps every 3600 s")
        await visitor.until_text("#connection", OVER_WEBSOCKET)
        for refusing, count in (("bet9ja",), 1), (tuple(sandbox.urls), len(sandbox.urls)):
            async with set_faults(dict.fromkeys(refusing, "403")):
                await visitor.page.request.get(
                    f"{server.url}/api/scrape/stream?mode=sweep", headers={"Origin": server.url}
                )
                await visitor.until(f"document.querySelector('#slowed').textContent.split('gets').length > {count}")
                for _ in range(2):
                    said = (await visitor.text("#slowed")).split(" · ")
                    assert [each for each in said if not re.fullmatch(less, each)] == []
                    await visitor.page.reload()


async def test_bookmaker_that_is_asked_less_shows_while_sweeps_go_on(
    serve: Serve, visit: Visit, set_faults: SetFaults
) -> None:
    """The open page says with the next sweep that a bookmaker refuses, and how many requests it gets."""
    async with serve(sweep_interval_seconds=2) as server, visit(server.url) as visitor:
        await visitor.until_contains("#sweeps", "Sweeps every 2 s")
        assert await visitor.text("#slowed") == ""
        async with set_faults({"bet9ja": "403"}):
            await visitor.until_contains("#slowed", "Bet9ja refuses requests and gets")
