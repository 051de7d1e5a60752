"""A real Chromium, stand-in bookmakers and served apps for the tests of the pages."""

import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox import SandboxOptions, SandboxProcess, sandbox_process
from tests.platforms import FIRST_THREE
from tests.routes.pages.visiting import ARGUMENTS, Visitor
from tests.server.serving import Server, at, served

EVENTS = 30
LATENCY_MS = 50
NODE_MODULES = Path(__file__).parents[3] / ".make" / "node_modules"
"""Packages from npm, which `.ci/run` installs."""

AXE = NODE_MODULES / "axe-core" / "axe.min.js"

Visit = Callable[..., AbstractAsyncContextManager[Visitor]]
Serve = Callable[..., AbstractAsyncContextManager[Server]]
SetFaults = Callable[[dict[str, object]], "contextlib._AsyncGeneratorContextManager[None]"]


def missing(what: str) -> None:
    """Skip the test, or fail it if everything has to be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def chromium() -> str | None:
    """The program of the system's Chromium. Without one, the test is skipped, or fails in CI."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        missing("no chromium or chromium-browser in the PATH: install it to run the tests of the pages")
    return program


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium."""
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        yield opened
        await opened.close()


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def sandbox() -> AsyncIterator[SandboxProcess]:
    """Stand-in bookmakers for all tests."""
    async with sandbox_process(
        SandboxOptions(events=EVENTS, latency_ms=LATENCY_MS, move=0, markets=20, bookmakers=FIRST_THREE)
    ) as opened:
        yield opened


@pytest.fixture
def set_faults(sandbox: SandboxProcess) -> SetFaults:
    """Make stand-in bookmakers fail for the duration of a block."""

    @contextlib.asynccontextmanager
    async def misbehaving(faults: dict[str, object]) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            address = f"{sandbox.url}/_sandbox/faults"
            async with session.post(address, json=faults):
                pass
            try:
                yield
            finally:
                async with session.post(address, json=dict.fromkeys(faults)):
                    pass

    return misbehaving


@pytest.fixture
def serve(sandbox: SandboxProcess, tmp_path: Path) -> Serve:
    """Serve an app over the stand-in bookmakers. The number of concurrent `requests` at each sets a run's duration."""

    def serving(requests: int = 4, **settings: object) -> AbstractAsyncContextManager[Server]:
        slowly = {f"{platform}_concurrency": requests for platform in Platform}
        quick = {"refresh_cooldown_seconds": 0, "request_tries": 1, "drain_seconds": 0, "log_level": "warning"}
        return served(tmp_path, at(sandbox.urls) | slowly | quick | settings)

    return serving


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def scraped(sandbox: SandboxProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A served app that has a run and odds, for tests that only read."""
    folder = tmp_path_factory.mktemp("scraped")
    async with served(folder, at(sandbox.urls) | {"log_level": "warning", "refresh_cooldown_seconds": 0}) as server:
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            for _ in range(2):
                async with session.get(f"{server.url}/api/scrape/stream") as stream:
                    await stream.read()
        yield server


@pytest.fixture
def visit(browser: Browser) -> Visit:
    """Open a page in a separate browser context. At the end its console must be empty.

    With `is_line_broken`, the browser's own messages about failed connections are ignored.
    """

    @contextlib.asynccontextmanager
    async def visiting(
        url: str, *, script: bool = True, width: int = 1280, scheme: str = "light", is_line_broken: bool = False
    ) -> AsyncIterator[Visitor]:
        context = await browser.new_context(
            viewport={"width": width, "height": 860},
            java_script_enabled=script,
            color_scheme="dark" if scheme == "dark" else "light",
        )
        try:
            visitor = Visitor.at(await context.new_page())
            await visitor.page.goto(url)
            yield visitor
        finally:
            await context.close()
        if is_line_broken:
            visitor.forgive_broken_lines()
        assert visitor.errors == []

    return visiting


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, an accessibility checker."""
    if not AXE.is_file():
        missing(f"no axe-core at {AXE}: npm install --no-save --prefix .make axe-core@4")
    return AXE.read_text()
