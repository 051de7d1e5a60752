"""Addresses that nothing has: a page in a browser, a problem for programs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.apps import RunningApp, running_app

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApp]:
    """An app that scrapes nothing."""
    folder: Path = tmp_path_factory.mktemp("unknown")
    async with running_app(folder, "http://127.0.0.1:9") as opened:
        yield opened


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", ["/nowhere", "/odds/first", "/runs/1/2", "/static/none.js"])
async def test_unknown_address_is_a_page_in_a_browser(path: str, running: RunningApp) -> None:
    """It says so, has the navigation, and the policy of pages. A program still gets a problem."""
    answer = await running.client.get(path, headers=HTML)
    text = await answer.get_data(as_text=True)
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert 'href="/odds"' in text
    assert "There is nothing at this address" in text or "/static" in path
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    answer = await running.client.get(path)
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")


@pytest.mark.asyncio(loop_scope="module")
async def test_address_that_takes_no_visit_is_a_page_too(running: RunningApp) -> None:
    """A reader comes to the address of a form by reloading what failed."""
    answer = await running.client.get("/schedule/pause", headers=HTML)
    assert (answer.status_code, answer.mimetype) == (405, "text/html")
    assert "POST" in answer.headers["Allow"]


@pytest.mark.asyncio(loop_scope="module")
async def test_unknown_address_of_the_api_is_a_problem_for_everybody(running: RunningApp) -> None:
    """Also in a browser: whoever looks there wants to see what programs get."""
    answer = await running.client.get("/api/nowhere", headers=HTML)
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
