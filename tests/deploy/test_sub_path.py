"""Below a path of another site, behind real proxies: every page, script, link, form and stream in a real browser."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Response, async_playwright

from quart_odds.sandbox import SandboxOptions, SandboxProcess, sandbox_process
from tests.deploy.proxies import SITE, Certificate, Proxy, running_proxy
from tests.platforms import FIRST_THREE
from tests.routes.pages.conftest import chromium
from tests.routes.pages.visiting import ARGUMENTS, Visitor
from tests.server.serving import Server, at, served
from tests.tokens import TOKEN

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

ROOT = "/odds"
LISTEN = """async () => {
    const { LiveClient } = await import(document.querySelector("script[type=module]").src.replace(/[^/]*$/, "live.js"));
    const base = location.origin + "/odds";
    const transports = [];
    for (const options of [{ base }, { base: base + "/", WebSocket: null }]) {
        const live = new LiveClient(options);
        await new Promise((done) => live.addEventListener("state", () => live.transport && done()) ?? live.open());
        transports.push(live.transport);
        live.close();
    }
    const source = new EventSource("/odds/api/sse");
    await new Promise((done, failed) => {
        source.addEventListener("connection_ack", done);
        source.onerror = failed;
    });
    source.close();
    return transports;
}"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sandbox() -> AsyncIterator[SandboxProcess]:
    """Stand-in bookmakers."""
    async with sandbox_process(
        SandboxOptions(events=12, latency_ms=5, move=0, markets=10, bookmakers=FIRST_THREE)
    ) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(sandbox: SandboxProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server below a path."""
    settings = {
        **at(sandbox.urls),
        "root_path": ROOT,
        "allowed_hosts": SITE,
        "trusted_proxies": "127.0.0.1",
        "refresh_cooldown_seconds": 0,
        "scrape_interval_minutes": 60,
        "log_level": "warning",
    }
    async with served(tmp_path_factory.mktemp("server"), settings) as server:
        yield server


@pytest.fixture(
    scope="module",
    params=["nginx", *(pytest.param(each, marks=pytest.mark.endurance) for each in ("nginx that strips", "caddy"))],
)
def proxy(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    certificate: Certificate,
    server: Server,
) -> Iterator[Proxy]:
    """The proxies, which serve the server below /odds of another site. One of them strips the prefix."""
    name, _, strips = request.param.partition(" ")
    stripping = "rewrite ^/odds/(.*)$ /$1 break; proxy_pass http://$quart_odds;"
    changes = {"proxy_pass http://$quart_odds;": stripping} if strips else {}
    ports = [server.port] * 2
    folder = tmp_path_factory.mktemp(name)
    with running_proxy(name, folder, certificate, ports, below_path=True, changes=changes) as proxy:
        yield proxy


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium, for which the site is on this machine, and its certificate is good."""
    options = (f"--host-resolver-rules=MAP {SITE} 127.0.0.1", "--ignore-certificate-errors")
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=chromium(), args=[*ARGUMENTS, *options])
        yield opened
        await opened.close()


class Traffic:
    """What a browser asked for: addresses of requests and WebSockets, and responses that are errors."""

    def __init__(self, visitor: Visitor) -> None:
        self.paths: set[str] = set()
        self.errors: list[str] = []
        page = visitor.page
        page.on("request", lambda request: self.paths.add(urlsplit(request.url).path))
        page.on("websocket", lambda websocket: self.paths.add(urlsplit(websocket.url).path))
        page.on("response", self._note)

    def _note(self, answer: Response) -> None:
        if answer.status >= 400:
            self.errors.append(f"{answer.status} {answer.url}")


async def test_every_page_works_below_the_path(proxy: Proxy, browser: Browser) -> None:
    """Whoever follows links, sends forms and listens stays below the path, whether the proxy keeps it or strips it."""
    async with await browser.new_context(viewport={"width": 1280, "height": 860}) as context:
        page = await context.new_page()
        visitor = Visitor.at(page)
        traffic = Traffic(visitor)
        await page.goto(f"{proxy.url}{ROOT}")
        assert page.url == f"{proxy.url}{ROOT}/login?next=/"
        await page.get_by_label("Token").fill(TOKEN)
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_url(f"{proxy.url}{ROOT}/")
        (cookie,) = await context.cookies()
        assert (cookie["name"], cookie["secure"], cookie["httpOnly"]) == ("__Host-quart_odds_session", True, True)
        await visitor.until_contains("#connection", "Live over WebSocket")
        await page.get_by_role("button", name="Pause").click()
        await page.get_by_role("button", name="Resume").click()
        await visitor.until_contains(".schedule", "Pause")
        await page.get_by_role("button", name="Start a scrape").click()
        await page.wait_for_url(re.compile(f"{re.escape(proxy.url)}{ROOT}/runs/[0-9]+$"))
        await visitor.until_text("#run-status", "completed")

        await page.get_by_role("link", name="Odds", exact=True).click()
        await visitor.until_count(".rows .r", 10)
        await page.get_by_role("link", name="Double chance").click()
        await visitor.until_contains(".grid-head .g", "1X")
        team = (await visitor.text(".rows .m a")).partition(" – ")[0]
        await page.locator("#search").fill(team)
        await visitor.until("document.querySelectorAll('.rows .r').length < 5")
        assert urlsplit(page.url).path == f"{ROOT}/odds"
        assert "search=" in page.url
        await page.reload()
        await page.locator(".rows .m a").first.click()
        await visitor.until_count("#chart svg", 1)
        await page.get_by_role("button", name="Refresh now").click()
        await visitor.until_text("#refresh-said", "Fetched.")
        await page.locator("#markets tbody a").last.click()
        await visitor.until("location.search.includes('market=')")

        for name, words in (("Runs", "Run"), ("API", "API"), ("Quart Odds", "Run")):
            await page.get_by_role("link", name=name, exact=True).first.click()
            await visitor.until_contains("h1", words)
        assert await page.evaluate(LISTEN) == ["websocket", "sse"]
        assert traffic.errors == []
        outside = {path for path in traffic.paths if not path.startswith(f"{ROOT}/")}
        assert outside == {ROOT}
        expected = {f"{ROOT}/api/ws", f"{ROOT}/api/sse", f"{ROOT}/odds/rows", f"{ROOT}/schedule/pause", f"{ROOT}/docs"}
        assert traffic.paths >= expected
        assert visitor.errors == []
    for path in ("/oddsy", "/api/health", "/"):
        await assert_not_ours(proxy, path)


async def assert_not_ours(proxy: Proxy, path: str) -> None:
    """Assert that a path outside ours does not reach the server."""
    process = await asyncio.create_subprocess_exec(*proxy.curl(path), stdout=asyncio.subprocess.PIPE)
    body, _ = await process.communicate()
    assert b"quart" not in body.lower(), path
