"""A visitor: a page in a real browser, the errors in its console, and waiting for its content."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Page, expect

PATIENCE_SECONDS = 30.0

ARGUMENTS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

BROKEN_LINE = ("WebSocket connection to", "net::ERR_", "Failed to load resource")
"""What Chromium itself logs when a connection fails. Only tests that break connections may see it."""


@dataclass
class Visitor:
    """A page, and the errors on it."""

    page: Page
    errors: list[str] = field(default_factory=list)

    @classmethod
    def at(cls, page: Page) -> "Visitor":
        """Watch a page that has not loaded anything yet."""
        visitor = cls(page)
        page.on("console", lambda message: visitor._note(message.type, message.text))
        page.on("pageerror", lambda error: visitor.errors.append(f"uncaught: {error}"))
        return visitor

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.errors.append(f"{kind}: {text}")

    def forgive_broken_lines(self) -> None:
        """Forget what the browser logged about connections that the test broke."""
        self.errors = [each for each in self.errors if not any(words in each for words in BROKEN_LINE)]

    async def text(self, selector: str) -> str:
        """Return the text of an element."""
        return (await self.page.locator(selector).first.inner_text()).strip()

    async def number(self, selector: str) -> int:
        """Return the number in an element."""
        return int((await self.text(selector)).replace(",", ""))

    async def value(self, script: str) -> Any:
        """Return the result of a script. The test that wrote the script knows its type."""
        return await self.page.evaluate(script)

    async def until_text(self, selector: str, *wanted: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until an element has one of these texts."""

        async def says() -> bool:
            return await self.text(selector) in wanted

        await until(says, f"{selector} says {' or '.join(wanted)}", seconds)

    async def until_contains(self, selector: str, words: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until such an element exists and the first one contains this text, such as after a click on a link."""
        await expect(self.page.locator(selector).first).to_contain_text(words, timeout=seconds * 1000)

    async def until_count(self, selector: str, least: int, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the page shows at least this many of these elements, for example after a click on a link."""

        async def shows() -> bool:
            return await self.page.locator(selector).count() >= least

        await until(shows, f"{least} or more {selector}", seconds)

    async def until(self, script: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until a script returns something true. Playwright's own wait needs `unsafe-eval`, which we forbid."""

        async def holds() -> bool:
            return bool(await self.page.evaluate(script))

        await until(holds, script, seconds)


async def until(condition: Callable[[], Awaitable[bool]], words: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until a condition holds. Raises AssertionError that names it otherwise."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not await condition():
        assert loop.time() < end, f"not within {seconds:g} s: {words}"
        await asyncio.sleep(0.05)
