"""Every example in the documents works, as it is written, with a server of stand-in bookmakers."""

import asyncio
import contextlib
import importlib.util
import itertools
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from tests.documents.blocks import ROOT, Block, blocks_of, pages, unread
from tests.documents.running import Reader, judge
from tests.routes.pages.conftest import chromium
from tests.routes.pages.visiting import ARGUMENTS
from tests.server.serving import Server, curl, served

SANDBOX = ("--sandbox", "--events", "30", "--latency-ms", "5")
SERVE = (sys.executable, "-m", "quart_odds", "serve", "--bind", "127.0.0.1:0", *SANDBOX)
TOOLS = {"bash": ("bash", "curl", "jq"), "js": ("node",), "python": ()}
PAGES = [path for path in pages() if any(block.kind != "not run" for block in blocks_of(path))]
QUIET_SECONDS = 30


@dataclass(frozen=True)
class Place:
    """A server that has odds, and its database."""

    server: Server
    database: Path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """A server of stand-in bookmakers after one run."""
    folder = tmp_path_factory.mktemp("server")
    async with served(folder, {"log_level": "warning"}, SERVE) as server:
        await curl(server, "/api/scrape/stream")
        yield Place(server, folder / "odds.db")


def is_missing(block: Block) -> str | None:
    """Return a program or a package that a block needs and this machine lacks."""
    if block.needed and importlib.util.find_spec(block.needed) is None:
        return f"package {block.needed}"
    return next((tool for tool in TOOLS[block.language] if shutil.which(tool) is None), None)


def is_plain_python(block: Block) -> bool:
    """Return whether a block is Python that ends by itself."""
    return block.language == "python" and block.kind != "endless"


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
async def test_the_examples_of_a_page_work(path: Path, place: Place, tmp_path: Path) -> None:
    """One after the other, in one folder: a page may use what its earlier examples have made."""
    blocks = [block for block in blocks_of(path) if block.kind != "not run"]
    if os.environ.get("CI") == "true":
        assert list(filter(None, map(is_missing, blocks))) == []
    blocks = [block for block in blocks if not is_missing(block)]
    if not blocks:
        pytest.skip("this machine lacks what all examples of the page need")
    async with contextlib.AsyncExitStack() as stack:
        browser = None
        if any(block.kind == "browser" for block in blocks):
            playwright = await stack.enter_async_context(async_playwright())
            browser = await playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
            stack.push_async_callback(browser.close)
        reader = Reader(tmp_path, place.server, place.database, browser)
        reader.prepare()
        for is_plain, group in itertools.groupby(blocks, is_plain_python):
            await no_run(place.server)
            if is_plain:
                await reader.tries_together(list(group))
            else:
                for block in group:
                    await no_run(place.server)
                    await reader.tries(block)


async def no_run(server: Server) -> None:
    """Wait until no run is active: an example may start one."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(QUIET_SECONDS):
        while True:
            async with session.get(f"{server.url}/api/scrape/runs/active?mode=all") as answer:
                if not await answer.json():
                    return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_comments_about_examples_are_read(path: Path) -> None:
    """Each stands right before a block, and says something that a test understands."""
    blocks_of(path)
    assert unread(path) == []


def test_examples_that_are_not_run_say_why() -> None:
    """A comment needs a reason, and blocks have languages that a test knows."""
    for path in pages():
        assert all(block.kind != "not run" or len(block.reason) > 10 for block in blocks_of(path)), path
        languages = set(re.findall(r"^```([a-z]+)$", path.read_text(encoding="utf-8"), re.MULTILINE))
        assert not languages & {"sh", "shell", "console", "javascript", "py"}, path  # they would not be run


@pytest.mark.parametrize(
    ("kind", "printed"),
    [
        ("", ""),
        ("silent", "something"),
        ("", '{"events": ['),
        ("", '{"type": "about:blank", "title": "Not Found", "status": 404, "detail": "no such event"}'),
        ("", 'data: {"type": "odds_image"}\ndata: {"type":'),
    ],
    ids=["nothing", "something", "cut JSON", "a problem", "a cut event stream"],
)
def test_nonsense_is_noticed(kind: str, printed: str) -> None:
    """An example that prints nothing, half of an answer or a refusal is wrong, whatever its exit code."""
    with pytest.raises(AssertionError):
        judge(Block("page.md", 1, "bash", "", kind, ""), printed)
