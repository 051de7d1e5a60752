"""`make docs` makes a site of the documents that is complete and asks no other host for anything."""

import asyncio
import functools
import http.server
import importlib.util
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from playwright.async_api import async_playwright

from tests.documents.blocks import ROOT
from tests.routes.pages.conftest import chromium, missing
from tests.routes.pages.visiting import ARGUMENTS

OF_PARTS = {"embedding.md", "mcp.md", "metrics.md", "operations.md", "python-client.md"}
"""Pages that the navigation names and a checkout may lack."""

FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "object": "data"}


class Requests(HTMLParser):
    """Collects what a browser asks for when it shows a page, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        if (name := FETCHED.get(tag)) and name in given:
            self.fetched.append(given[name])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does. Any warning is an error."""
    if importlib.util.find_spec("material") is None:
        missing("no mkdocs-material: pip install 'quart-odds[docs]'")
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def read(site: Path) -> dict[Path, Requests]:
    """What is in each page of the site."""
    found = {}
    for path in site.rglob("*.html"):
        found[path] = Requests()
        found[path].feed(path.read_text(encoding="utf-8"))
    return found


def test_every_document_is_a_page(site: Path) -> None:
    """So are the README, which is the home page, and the other files beside docs/."""
    for path in (ROOT / "docs").rglob("*.md"):
        assert (site / path.relative_to(ROOT / "docs").with_suffix(".html")).is_file(), path
    for name in ("index", "changelog", "contributing", "security"):
        assert (site / f"{name}.html").is_file()
    assert "Quart Odds scrapes football odds" in (site / "index.html").read_text(encoding="utf-8")


def test_every_document_is_in_the_navigation() -> None:
    """And the navigation names no other page."""
    named = {
        page
        for page in re.findall(r"^ +- .+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
        if page not in ("index.md", "changelog.md", "contributing.md", "security.md")
    }
    present = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert present - named == set()
    assert named - present <= OF_PARTS


def test_links_lead_to_pages_and_headings_of_the_site(site: Path, read: dict[Path, Requests]) -> None:
    """Also those to files outside docs/, which work on a page of the repository as well."""
    for path, page in read.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{path.relative_to(site)}: {link}"
            if parts.fragment and target in read:
                assert unquote(parts.fragment) in read[target].ids, f"{path.relative_to(site)}: {link}"


def test_files_of_the_program_that_a_page_links_to_are_shown(site: Path) -> None:
    """A module is a page with its text, and a folder is one with all of its files."""
    assert "scaling_model.py.html" in (site / "scaling.html").read_text(encoding="utf-8")
    assert ">def</span>" in (site / "source" / "benchmarks" / "scaling_model.py.html").read_text(encoding="utf-8")
    folder = (site / "source" / "tests" / "lagos_bets.html").read_text(encoding="utf-8")
    assert "pyproject.toml" in folder


def test_pages_name_no_other_host(site: Path, read: dict[Path, Requests]) -> None:
    """Scripts, styles, fonts and pictures are files of the site."""
    for path, page in read.items():
        foreign = [each for each in page.fetched if urlsplit(each).scheme not in ("", "data") or each.startswith("//")]
        assert foreign == [], path
    for path in site.rglob("*.css"):
        named = re.findall(r"(?:url\(|@import\s+)['\"]?((?:https?:)?//[^'\")]+)", path.read_text(encoding="utf-8"))
        assert named == [], path


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and logs nothing."""

    def log_message(self, *_: Any) -> None:
        """Do nothing."""


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    """The address at which the site is served."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.browser
async def test_a_browser_asks_no_other_host(address: str) -> None:
    """It shows pages and searches them with what the site has, without an error."""
    asked: list[str] = []
    errors: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        page = await browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("response", lambda answer: errors.append(answer.url) if answer.status >= 400 else None)
        await page.goto(f"{address}/concepts.html", wait_until="networkidle")
        async with asyncio.timeout(30):
            await page.locator("input.md-search__input").press_sequentially("cursor")  # it listens to keys
            await page.wait_for_selector(".md-search-result__item")
        await browser.close()
    assert errors == []
    assert {urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))} == {
        urlsplit(address).netloc
    }


def test_ci_builds_the_site() -> None:
    """`make install` has what the site needs, so no test of it is skipped in CI."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"--editable '\.\[[a-z,]*\bdocs\b[a-z,]*\]'", makefile)
    assert "mkdocs build --quiet --strict" in makefile
