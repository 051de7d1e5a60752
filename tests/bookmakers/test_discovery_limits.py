"""Endless lists are read up to a limit, which is reported, and never count as complete."""

from typing import Any

import orjson
import pytest
from aiohttp import web

from quart_odds.bookmakers import discovery, lists, open_client
from quart_odds.domain.odds import ListedCompetitions
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, ListLimitError
from tests.bookmakers.fake_site import FakeSite, serving, settings_for
from tests.bookmakers.wire import BETPAWA_V4, dumps


class Endless:
    """Serves BetPawa's lists: a number of competitions, and pages of a hundred new events up to a limit."""

    def __init__(self, competitions: int, events: int = 10**9) -> None:
        self.competitions = competitions
        self.events = events

    async def __call__(self, request: web.Request) -> web.Response:
        """Answer with the root or a page."""
        if "categories" in request.path:
            found = [{"competition": {"id": str(each), "name": "League"}} for each in range(self.competitions)]
            body: Any = {"withRegions": [{"regions": [{"region": {"name": "Country"}, "competitions": found}]}]}
        else:
            [query] = orjson.loads(request.query["q"])["queries"]
            first, skip = query["query"]["zones"]["competitions"][0], query["skip"]
            places = range(skip, min(self.events, skip + 100))
            body = {"responses": [{"responses": [{**BETPAWA_V4, "id": f"{first}-{place}"} for place in places]}]}
        return web.Response(body=dumps(body))


async def discovered(site: FakeSite) -> tuple[list[str], list[BookmakerError], ListedCompetitions]:
    """Return the discovered ids, the errors, and which lists are complete."""
    client = open_client(Platform.BETPAWA, settings_for(site.url))
    try:
        found = [listed.header.external_id async for listed in client.discover()]
        return found, client.discovery_errors, client.listed
    finally:
        await client.aclose()


@pytest.fixture(autouse=True)
def _low(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "MAX_EVENTS", 1_000)
    monkeypatch.setattr(discovery, "MAX_PAGES", 5)
    monkeypatch.setattr(discovery, "MAX_PAGES_IN_ALL", 20)
    monkeypatch.setattr(lists, "MAX_LISTINGS", 40)


async def test_a_list_without_an_end_is_read_up_to_so_many_pages() -> None:
    """Its events are used, but its competitions do not count as complete."""
    async with serving(Endless(1)) as site:
        found, errors, listed = await discovered(site)
    assert len(found) == len(set(found)) == 5 * 95 + 5
    assert [(type(each), str(each)) for each in errors] == [
        (ListLimitError, "BetPawa at competitions 0: a list of more than 5 pages")
    ]
    assert listed == ListedCompetitions()


async def test_lists_of_too_many_events_are_read_up_to_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """No further list is requested."""
    monkeypatch.setattr(discovery, "MAX_PAGES_IN_ALL", 1_000)
    async with serving(Endless(400)) as site:
        found, errors, listed = await discovered(site)
        assert len(site.requests) < 100
    assert len(found) == 1_000
    assert {type(each) for each in errors} == {ListLimitError}
    assert "lists of more than 1000 events in all" in str(errors[0])
    assert listed == ListedCompetitions()


async def test_lists_of_too_many_pages_are_read_up_to_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds even if the pages contain nothing new."""
    monkeypatch.setattr(discovery, "MAX_EVENTS", 10**6)
    async with serving(Endless(400)) as site:
        found, errors, listed = await discovered(site)
        assert len(site.requests) == 21
    assert found
    assert {type(each) for each in errors} == {ListLimitError}
    assert listed == ListedCompetitions()


async def test_a_root_of_too_many_lists_is_read_up_to_so_many() -> None:
    """Completely read lists do not count as complete either, because such a bookmaker cannot be trusted."""
    async with serving(Endless(1_000, events=3)) as site:
        found, errors, listed = await discovered(site)
        assert len(site.requests) == 21
    assert len(found) == 20 * 3
    assert any("100 lists of events, more than 40" in str(each) for each in errors)
    assert listed == ListedCompetitions()


async def test_within_the_limits_nothing_is_said() -> None:
    """The same site with a finite list."""
    async with serving(Endless(20, events=120)) as site:
        found, errors, listed = await discovered(site)
    assert len(found) == 2 * 120
    assert errors == []
    assert listed.is_tree_whole
    assert len(listed.whole) == 20


async def test_of_many_faults_the_first_are_kept_and_the_others_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A discovery full of errors uses no more memory than one with a few."""
    monkeypatch.setattr(discovery, "MAX_ERRORS", 5)
    monkeypatch.setattr(discovery, "MAX_PAGES_IN_ALL", 1_000)

    async def answer(request: web.Request) -> web.Response:
        if "categories" in request.path:
            return await Endless(400)(request)
        return web.Response(body=b'{"responses": 1}')

    async with serving(answer) as site:
        _, errors, _ = await discovered(site)
    assert len(errors) == 6
    assert errors[-1].reason == "35 more faults in lists"
