"""Who is connected, at the foot of the runs page: rendered by the server, and renewed in a real browser."""

from typing import Literal

import aiohttp
import pytest

from tests.routes.pages.conftest import Serve, Visit

SEEN = "document.querySelector('#connected').innerText"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
LOOKS: tuple[tuple[int, Literal["light", "dark"]], ...] = (
    (360, "light"),
    (360, "dark"),
    (1280, "light"),
    (1280, "dark"),
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_the_runs_page_shows_who_is_connected_and_keeps_up(serve: Serve, visit: Visit, axe: str) -> None:
    """By transport and topic; a listener that comes appears by itself. It fits, and is accessible, in every look."""
    async with serve() as server, aiohttp.ClientSession() as session, visit(f"{server.url}/runs") as visitor:
        await visitor.until_text("#connection", "Live over WebSocket")
        await visitor.until(f"/Listeners\\s+1\\b/.test({SEEN})")
        async with session.ws_connect(f"{server.url}/api/ws?topics=odds,alerts") as other:
            await other.receive()
            await visitor.until(f"/Listeners\\s+2\\b/.test({SEEN})")
            assert await visitor.value(f"/alerts\\s+1\\b/.test({SEEN})")
            assert await visitor.value(f"/WebSocket\\s+2\\b/.test({SEEN})")
            assert await visitor.value(f"/Furthest behind\\s+nobody/.test({SEEN})")
            await visitor.page.evaluate(axe)
            for width, scheme in LOOKS:
                await visitor.page.set_viewport_size({"width": width, "height": 860})
                await visitor.page.emulate_media(color_scheme=scheme)
                assert await visitor.value(OVERFLOW) == 0, (width, scheme)
                found = await visitor.value(
                    "axe.run('#connected').then(({ violations }) => violations.map((v) => v.id))"
                )
                assert found == [], (width, scheme)
        await visitor.until(f"/Listeners\\s+1\\b/.test({SEEN})")


async def test_it_is_there_without_script(serve: Serve, visit: Visit) -> None:
    """As of the moment of the page."""
    async with serve() as server, visit(f"{server.url}/runs", script=False) as visitor:
        assert "Listeners" in await visitor.text("#connected")
        assert "nobody" in await visitor.text("#connected")
