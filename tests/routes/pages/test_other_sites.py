"""Pages of other sites in a real browser, over plain HTTP and a name: browsers then say least about a request's origin.

The tests try every way in which a page can make a browser send something. None starts, changes or reads anything. Our
own pages work under the same name.
"""

from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Page, async_playwright

from tests.routes.pages.conftest import Serve, chromium
from tests.routes.pages.visiting import ARGUMENTS, Visitor, until
from tests.server.serving import Server
from tests.tokens import TOKEN

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

OURS, EVIL = "odds.lan", "evil.lan"

ATTACKS = """
<!doctype html><title>evil</title><body><script>
const target = "TARGET";
const tries = [];
const attempt = (start) => tries.push(new Promise((done) => start(done)));
const element = (name, values) => attempt((done) => {
    const made = Object.assign(document.createElement(name), values, { onload: done, onerror: done });
    document.body.append(made);
});
const stream = `${target}/api/scrape/stream`;
element("img", { src: stream });
element("script", { src: stream });
element("script", { src: `${target}/api/settings` });
element("iframe", { src: stream });
element("iframe", { src: `${target}/` });
element("link", { rel: "stylesheet", href: stream });
element("video", { src: stream, onloadeddata: () => {} });
const post = (path, values) => fetch(`${target}${path}`, { method: "POST", mode: "no-cors", ...values });
for (const path of ["/api/scrape", "/runs", "/api/scheduler/pause", "/schedule/pause", "/api/cleanup/execute"]) {
    attempt((done) => post(path).finally(done));
    attempt((done) => post(path, { referrerPolicy: "no-referrer" }).finally(done));
    attempt((done) => post(path, { body: "{}", headers: { "Content-Type": "text/plain" } }).finally(done));
}
attempt((done) => fetch(stream, { mode: "no-cors", referrerPolicy: "no-referrer" }).finally(done));
attempt((done) => fetch(stream, { mode: "no-cors" }).finally(done));
const put = { method: "PUT", body: '{"oddsRetentionDays":1}' };
attempt((done) => fetch(`${target}/api/settings`, put).catch(done).then(done));
attempt((done) => { new EventSource(stream).onerror = done; });
attempt((done) => { new WebSocket(target.replace("http", "ws") + "/api/ws").onerror = done; });
navigator.sendBeacon(`${target}/api/scrape`);
for (const [number, action] of ["/runs", "/api/scrape", "/schedule/pause"].entries()) {
    const frame = document.createElement("iframe");
    frame.name = `frame${number}`;
    document.body.append(frame);
    attempt((done) => {
        frame.onload = done;
        const form = Object.assign(document.createElement("form"), {
            method: "post", action: `${target}${action}`, target: frame.name, enctype: "text/plain",
        });
        document.body.append(form);
        form.submit();
    });
}
Promise.all(tries).then(() => { document.title = `tried ${tries.length}`; });
</script>
"""

REBOUND = """async () => {
    const status = async (path, values) => (await fetch(path, values)).status;
    return [
        await status("/api/settings"),
        await status("/api/settings", { method: "PUT", body: '{"oddsRetentionDays":1}' }),
        await status("/api/scrape", { method: "POST" }),
        await status("/api/cleanup/execute", { method: "POST" }),
        await status("/api/scrape/stream"),
        await new Promise((done) => {
            const socket = new WebSocket(`ws://${location.host}/api/ws`);
            socket.onmessage = () => done("read");
            socket.onerror = () => done("refused");
        }),
    ];
}"""


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def named() -> AsyncIterator[Browser]:
    """A Chromium in which two names resolve to this machine, with no protection of pages that depends on this."""
    names = ", ".join(f"MAP {name} 127.0.0.1" for name in (OURS, EVIL))
    features = "LocalNetworkAccessChecks,LocalNetworkAccessChecksWebRTC,PrivateNetworkAccessChecks"
    arguments = [*ARGUMENTS, f"--host-resolver-rules={names}", f"--disable-features={features}"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=arguments)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(named: Browser) -> AsyncIterator[Page]:
    """Open a page in a separate browser context."""
    context = await named.new_context()
    yield await context.new_page()
    await context.close()


async def ask(server: Server, path: str) -> object:
    """Return the JSON of a response."""
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.get(f"{server.url}{path}", headers=dict(server.headers)) as answer,
    ):
        return await answer.json()


async def log_in(page: Page, server: Server) -> None:
    """Log in under our name, as somebody who opens a page there does."""
    await page.goto(f"http://{OURS}:{server.port}/")
    await page.get_by_label("Token").fill(TOKEN)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url(f"http://{OURS}:{server.port}/")


async def state(server: Server) -> list[object]:
    """Return everything that a page could have changed."""
    return [await ask(server, path) for path in ("/api/scrape/runs", "/api/settings", "/api/scheduler/status")]


async def test_a_page_of_another_site_changes_and_reads_nothing(serve: Serve, page: Page) -> None:
    """Images, scripts, frames, forms, fetches with and without a referrer, beacons, EventSource and WebSocket fail.

    Although the browser is logged in.
    """
    async with serve(allowed_hosts=OURS) as server:
        await log_in(page, server)
        before = await state(server)
        for name in (OURS, "127.0.0.1"):
            text = ATTACKS.replace("TARGET", f"http://{name}:{server.port}")

            async def evil(_: web.Request, text: str = text) -> web.Response:
                return web.Response(text=text, content_type="text/html")

            app = web.Application()
            app.router.add_get("/", evil)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                await page.goto(f"http://{EVIL}:{runner.addresses[0][1]}/", wait_until="commit")

                async def tried() -> bool:
                    return (await page.title()).startswith("tried ")

                await until(tried, "all attacks were tried")
            finally:
                await runner.cleanup()
            assert await state(server) == before, name


async def test_a_name_that_was_rebound_to_us_reaches_nothing(serve: Serve, page: Page) -> None:
    """A page of another site whose name resolves to us has an origin with our port, and still is not ours."""
    async with serve(allowed_hosts=OURS) as server:
        before = await state(server)
        url = f"http://{EVIL}:{server.port}/evil.html"
        await page.route(url, lambda route: route.fulfill(content_type="text/html", body="<title>rebound</title>"))
        await page.goto(url)
        assert await page.evaluate(REBOUND) == [421] * 5 + ["refused"]
        assert await state(server) == before


async def test_our_own_pages_work_under_a_name_over_plain_http(serve: Serve, page: Page) -> None:
    """The form starts a run, its page connects over WebSocket, and an EventSource starts one, too."""
    async with serve(allowed_hosts=OURS) as server:
        visitor = Visitor.at(page)
        await log_in(page, server)
        await visitor.until_text("#connection", "Live over WebSocket")
        await page.click("#start")
        await page.wait_for_url("**/runs/1")
        await visitor.until_text("#run-status", "completed")
        got = await page.evaluate(
            """() => new Promise((done) => {
                const events = new EventSource("/api/scrape/stream");
                events.onmessage = (event) => { events.close(); done(JSON.parse(event.data).scrape_run_id); };
                events.onerror = () => done("refused");
            })"""
        )
        assert got == 2
        # Chromium's message about a header, on any page over plain HTTP.
        assert [each for each in visitor.errors if "Cross-Origin-Opener-Policy" not in each] == []
