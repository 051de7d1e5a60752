"""Sweeps: which lists are read, with how many requests, and what they prove."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from quart_odds.bookmakers import BookmakerClient, ClientPool, betpawa, client_pool, discovery, open_client
from quart_odds.bookmakers.kept_lists import DOUBTED_SECONDS, KEPT_SECONDS, KeptLists
from quart_odds.bookmakers.sweep import Choose
from quart_odds.bookmakers.transport import Transport
from quart_odds.domain.catalogue import CATALOGUE, market_number_of
from quart_odds.domain.odds import ListedCompetitions, ListedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import (
    BlockedError,
    IncompleteListError,
    ListLimitError,
    MalformedBodyError,
    ServerFaultError,
)
from quart_odds.sandbox.sites.answers import Ask
from tests.bookmakers.fake_site import settings_for
from tests.bookmakers.stand_in import StandIn, Upcoming

BETPAWA, SPORTYBET, BET9JA, MSPORT, *_ = Platform
MAIN = {"3743", "4693", "5000", "3795"}
PROMOTED = {"28000810", "28000850"}
"""1UP and 2UP of 1X2, which Bet9ja's lists carry too."""


@asynccontextmanager
async def opened(
    site: Transport, platform: Platform, kept: KeptLists | None = None, concurrency: int = 8
) -> AsyncIterator[BookmakerClient]:
    """Open a client of a bookmaker in this process."""
    overrides = {"request_tries": 1, f"{platform}_concurrency": concurrency}
    client = open_client(platform, settings_for("http://bookmaker.invalid", **overrides), transport=site, kept=kept)
    try:
        yield client
    finally:
        await client.aclose()


async def sweep(client: BookmakerClient, choose: Choose | None = None) -> list[ListedEvent]:
    """Collect everything that a sweep finds."""
    return [listed async for listed in client.sweep(choose)]


def ids(listed: Sequence[ListedEvent]) -> set[str]:
    """Return the bookmaker's ids, each of which must have come once."""
    found = {each.header.external_id for each in listed}
    assert len(found) == len(listed)
    return found


@pytest.mark.parametrize("platform", Platform)
async def test_a_sweep_finds_what_a_discovery_finds(platform: Platform) -> None:
    """The same events with the same prices, complete and without details."""
    site = StandIn(platform)
    async with opened(site, platform) as client:
        discovered = [listed async for listed in client.discover()]
        assert client.listed.is_tree_whole
        asked = len(site.asked)
        found = await sweep(client)
        assert client.discovery_errors == []
    by_id = {listed.header.external_id: listed for listed in found}
    assert len(by_id) == len(found) > 40
    assert by_id.keys() == {listed.header.external_id for listed in discovered}
    for listed in discovered:
        other = by_id[listed.header.external_id]
        assert (other.header, other.odds) == (listed.header, listed.odds)
    assert len(site.asked) - asked < asked
    odds = [listed.odds for listed in found if listed.odds is not None]
    assert len(odds) > 40 or platform is MSPORT
    markets = {CATALOGUE.by_number[market_number_of(key)].id for each in odds for key, _ in each.prices}
    assert markets == {BET9JA: (MAIN - {"3795"}) | PROMOTED, MSPORT: set()}.get(platform, MAIN)


# A list of all events, page by page


def pages_of(total: int, size: int) -> list[range]:
    """Spread events over pages of this size."""
    return [range(start, min(total, start + size)) for start in range(0, total, size)]


async def test_sportybet_is_swept_page_by_page() -> None:
    """All events with four markets, a hundred a page. The first page tells how many pages there are."""
    site = StandIn(SPORTYBET, events=260)
    async with opened(site, SPORTYBET) as client:
        found = await sweep(client)
        assert client.listed == ListedCompetitions(is_tree_whole=True)
        assert client.listed.covers("sr:tournament:17")
        assert client.discovery_errors == []
    count = len(site.asked)
    assert count > 2
    assert {ask.query["pageNum"] for ask in site.asked} == {str(number) for number in range(1, count + 1)}
    first = dict(site.asked[0].query)
    assert first == {
        "sportId": "sr:sport:1",
        "marketId": "1,10,18,29",
        "pageSize": "100",
        "pageNum": "1",
        "option": "2",
    }
    assert {name: read.requests for name, read in client.lists_read.items()} == {
        f"page {number}": 1 for number in range(1, count + 1)
    }
    assert all(read.is_complete for read in client.lists_read.values())
    assert sum(read.events for read in client.lists_read.values()) == len(ids(found))
    assert {listed.list_name for listed in found} == client.lists_read.keys()


async def test_pages_may_be_short_as_long_as_all_events_come() -> None:
    """Pages follow until all are seen. The next sweep knows how many there were, and reads them side by side."""
    site, kept = Upcoming(*pages_of(260, 40)), KeptLists()
    async with opened(site, SPORTYBET, kept) as client:
        assert len(ids(await sweep(client))) == 260
        assert (client.listed.is_tree_whole, client.discovery_errors) == (True, [])
        assert (site.asked, kept.pages) == ([1, 2, 3, 4, 5, 6, 7], 7)
        offered: list[Sequence[str]] = []
        assert len(ids(await sweep(client, lambda names: offered.append(names) or names))) == 260  # type: ignore[func-returns-value]
        assert offered == [tuple(f"page {number}" for number in range(2, 8))]
        site.pages = list(pages_of(260, 100))
        assert len(ids(await sweep(client))) == 260
        assert (client.listed.is_tree_whole, kept.pages) == (True, 3)
        site.asked.clear()
        assert len(ids(await sweep(client))) == 260
        assert site.asked == [1, 2, 3]


async def test_a_whole_list_counts_events_that_are_left_out() -> None:
    """The site's total has them too: in play, which are listed as such, and without human players."""
    site = Upcoming([1, 2, 3, 4])

    def change(number: int, body: Any) -> Any:
        events = body["data"]["tournaments"][0]["events"]
        events[0]["status"] = 1
        events[1]["eventSource"] = {"preMatchSource": {"sourceType": "BETER", "sourceId": "x"}}
        return body

    site.change = change
    async with opened(site, SPORTYBET) as client:
        found = await sweep(client)
        assert ids([each for each in found if not each.is_in_play]) == {"sr:match:70000003", "sr:match:70000004"}
        assert ids([each for each in found if each.is_in_play]) == {"sr:match:70000001"}
        assert (client.listed.is_tree_whole, client.discovery_errors) == (True, [])


def said(number: int, **data: object) -> Callable[[int, Any], Any]:
    """Return a change of a page's data."""

    def change(page: int, body: Any) -> Any:
        return {**body, "data": {**body["data"], **data}} if page == number else body

    return change


def spoiled(page: int, body: Any) -> Any:
    """Spoil an event of the second page."""
    if page == 2:
        body["data"]["tournaments"][0]["events"][5]["homeTeamName"] = ""
    return body


MOVED = "the list moved while it was read, so that events may be missing"


@pytest.mark.parametrize(
    ("pages", "total", "change", "found", "errors"),
    [
        (pages_of(250, 100), 251, None, 250, ["250 of 251 events were listed"]),
        (pages_of(250, 100), 249, None, 250, ["250 events were listed, although the site counts 249"]),
        ([range(100), range(40, 140)], 140, None, 140, [MOVED]),
        ([range(100), range(99, 199), range(200, 250)], 250, None, 249, [MOVED]),
        ([range(100), range(100)], 150, None, 100, [MOVED]),
        ([range(100), [], range(200, 250)], 250, None, 150, ["150 of 250 events were listed"]),
        (pages_of(250, 100), 250, said(2, totalNum=251), 250, [MOVED]),
        (pages_of(250, 100), 250, said(3, totalNum=249), 250, [MOVED]),
        (pages_of(250, 100), 250, said(2, totalNum=None), 250, ["no number", MOVED]),
        (pages_of(250, 100), 250, said(2, tournaments=None), 150, ["no list", "150 of 250 events were listed"]),
        (pages_of(250, 100), 250, lambda page, body: 503 if page == 3 else body, 200,
         ["a fault of the server (503)", "200 of 250 events were listed"]),
        (pages_of(250, 100), 250, lambda page, body: 403 if page == 2 else body, 150,
         ["refused (403)", "150 of 250 events were listed"]),
        (pages_of(250, 100), 250, spoiled, 249, ["an empty text"]),
        (pages_of(250, 100), 250, said(1, totalNum="many"), 100, ["no number"]),
        ([[]], 0, None, 0, []),
    ],
)  # fmt: skip
async def test_a_list_that_is_short_or_moves_or_fails_proves_nothing(
    pages: list[Sequence[int]], total: int, change: Callable[[int, Any], Any] | None, found: int, errors: list[str]
) -> None:
    """Its events are used, each once, and the fault is reported. No competition counts as listed."""
    site = Upcoming(*pages)
    site.total = total
    site.change = change or site.change
    async with opened(site, SPORTYBET) as client:
        assert len(ids(await sweep(client))) == found
        assert client.listed == ListedCompetitions()
        assert sorted(error.reason for error in client.discovery_errors) == sorted(errors)
        site.change, site.pages, site.total = (lambda _, body: body), [range(3)], 3
        assert len(ids(await sweep(client))) == 3
        assert (client.listed.is_tree_whole, client.discovery_errors) == (True, [])


async def test_errors_of_a_list_of_all_events_have_their_kind_and_place() -> None:
    """As errors of other lists."""
    site = Upcoming(*pages_of(250, 100))
    site.change = lambda page, body: 503 if page == 2 else body
    async with opened(site, SPORTYBET) as client:
        await sweep(client)
    assert [(type(error), str(error)) for error in client.discovery_errors] == [
        (ServerFaultError, "SportyBet at page 2 of all events: a fault of the server (503)"),
        (IncompleteListError, "SportyBet at all events: 150 of 250 events were listed"),
    ]
    assert not client.lists_read["page 2"].is_complete


async def test_without_its_first_page_a_list_of_all_events_is_not_available() -> None:
    """The page tells how many there are. It is the sweep's failure, as a tree that fails."""
    site = Upcoming(*pages_of(250, 100))
    site.change = lambda page, body: 403
    async with opened(site, SPORTYBET) as client:
        with pytest.raises(BlockedError, match="page 1 of all events"):
            await sweep(client)
        assert client.listed == ListedCompetitions()
    assert site.asked == [1]


async def test_only_the_chosen_pages_are_read() -> None:
    """Besides the first, in the given order. What was left out is no error, but nothing counts as listed."""
    site = Upcoming(*pages_of(550, 100))
    async with opened(site, SPORTYBET, concurrency=1) as client:
        found = await sweep(client, lambda names: [names[3], names[0]])
        assert site.asked == [1, 5, 2]
        assert len(ids(found)) == 300
        assert client.lists_read.keys() == {"page 1", "page 5", "page 2"}
        assert (client.listed, client.discovery_errors) == (ListedCompetitions(), [])
        assert len(ids(await sweep(client, lambda names: []))) == 100
        assert client.listed == ListedCompetitions()
        assert len(ids(await sweep(client, lambda names: [*names, *names]))) == 550
        assert client.listed.is_tree_whole
        with pytest.raises(ValueError, match="no list has the name 'page 9'"):
            await sweep(client, lambda names: ["page 9"])


async def test_pages_are_read_side_by_side() -> None:
    """All that may be asked at once, before any of them has answered."""
    site = Upcoming(*pages_of(550, 100))
    site.gate.clear()
    async with opened(site, SPORTYBET, concurrency=4) as client, aclosing(client.sweep()) as found:
        early = [await anext(found) for _ in range(100)]
        later = asyncio.ensure_future(anext(found))
        while len(site.asked) < 5:
            await asyncio.sleep(0)
        assert site.asked == [1, 2, 3, 4, 5]
        site.gate.set()
        rest = [await later, *[listed async for listed in found]]
        assert len(ids([*early, *rest])) == 550


async def test_a_sweep_that_is_left_ends_its_requests() -> None:
    """No task is left running, and nothing counts as listed."""
    site = Upcoming(*pages_of(550, 100))
    site.gate.clear()
    async with opened(site, SPORTYBET) as client:
        before = asyncio.all_tasks()
        async with aclosing(client.sweep()) as found:
            for _ in range(100):
                await anext(found)
            waiting = asyncio.ensure_future(anext(found))
            while len(site.asked) < 2:
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
        assert {task for task in asyncio.all_tasks() - before if "_list" in repr(task)} == set()
        assert client.listed == ListedCompetitions()


async def test_a_total_without_bounds_is_read_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is a list of pages that are too short, and neither proves anything."""
    monkeypatch.setattr(discovery, "MAX_PAGES", 5)
    site = Upcoming(*pages_of(1000, 100))
    for pages in (pages_of(1000, 100), pages_of(400, 20)):
        site = Upcoming(*pages)
        async with opened(site, SPORTYBET) as client:
            await sweep(client)
            assert site.asked == [1, 2, 3, 4, 5]
            assert [type(error) for error in client.discovery_errors] == [ListLimitError, IncompleteListError]
            assert "a list of more than 5 pages" in str(client.discovery_errors[0])
            assert client.listed == ListedCompetitions()


# Lists of a tree


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def is_tree(ask: Ask) -> bool:
    """Return whether a request asks for the tree."""
    return ask.path.endswith(("/GetSports", "/categories/list/2"))


@pytest.mark.parametrize("platform", [BETPAWA, BET9JA])
async def test_a_tree_is_kept_for_five_minutes(platform: Platform) -> None:
    """Without it a sweep has the same events. It proves nothing about competitions that are not in the tree."""
    site, clock = StandIn(platform), Clock()
    kept = KeptLists(clock)
    async with opened(site, platform, kept) as client:
        first = ids(await sweep(client))
        whole = client.listed.whole
        assert (client.listed.is_tree_whole, client.listed.broken) == (True, frozenset())
        assert len(whole) > 5
    for seconds, trees in ((10, 1), (KEPT_SECONDS - 11, 1), (1, 2), (KEPT_SECONDS - 1, 2), (1, 3)):
        clock.now += seconds
        before = sum(map(is_tree, site.asked))
        async with opened(site, platform, kept) as client:
            assert ids(await sweep(client)) == first
            is_new = sum(map(is_tree, site.asked)) > before
            assert client.listed == ListedCompetitions(whole, frozenset(), is_tree_whole=is_new)
            assert client.discovery_errors == []
        assert sum(map(is_tree, site.asked)) == trees


async def test_a_discovery_always_reads_the_tree_and_replaces_the_kept_one() -> None:
    """The sweep after it needs none."""
    site, clock = StandIn(BET9JA), Clock()
    kept = KeptLists(clock)
    async with opened(site, BET9JA, kept) as client:
        await sweep(client)
        clock.now += KEPT_SECONDS - 1
        assert [listed async for listed in client.discover()]
        assert client.listed.is_tree_whole
        clock.now += KEPT_SECONDS - 1
        await sweep(client)
        assert not client.listed.is_tree_whole
    assert sum(map(is_tree, site.asked)) == 2


async def test_a_kept_tree_that_lists_contradict_is_read_again_after_a_minute() -> None:
    """A match that has begun is still counted in the tree. Until then the list counts as incomplete."""
    site, clock = StandIn(BET9JA), Clock()
    async with opened(site, BET9JA, KeptLists(clock)) as client:
        every = await sweep(client)
        group = every[0].header.competition.external_id

        def change(ask: Ask, body: Any) -> Any:
            if ask.query.get("GROUPID") == group:
                body["D"]["E"].pop()
            elif is_tree(ask):
                for country in body["D"]["PAL"]["1"]["SG"].values():
                    if group in country["G"]:
                        country["G"][group]["NUM"] -= 1
            return body

        site.change = change
        for seconds, trees, broken in ((0, 1, {group}), (DOUBTED_SECONDS - 1, 1, {group}), (1, 2, set())):
            clock.now += seconds
            assert len(await sweep(client)) == len(every) - 1
            assert client.listed.broken == broken
            assert [type(error) for error in client.discovery_errors] == [IncompleteListError] * len(broken)
            assert sum(map(is_tree, site.asked)) == trees
        clock.now += KEPT_SECONDS - 1
        await sweep(client)
        assert sum(map(is_tree, site.asked)) == 2


async def test_a_tree_that_fails_is_the_sweeps_failure() -> None:
    """Once the kept one is too old. Until then it is not asked for."""
    site, clock = StandIn(BET9JA), Clock()
    async with opened(site, BET9JA, KeptLists(clock)) as client:
        first = ids(await sweep(client))
        site.change = lambda ask, body: 403 if is_tree(ask) else body
        assert ids(await sweep(client)) == first
        clock.now += KEPT_SECONDS
        with pytest.raises(BlockedError, match="the list of groups"):
            await sweep(client)
        assert client.listed == ListedCompetitions()
        with pytest.raises(BlockedError):
            await sweep(client)


async def test_the_faults_of_a_kept_tree_are_reported_by_each_sweep() -> None:
    """A tree that was not understood as a whole stays so."""
    site = StandIn(BET9JA)

    def change(ask: Ask, body: Any) -> Any:
        if is_tree(ask):
            body["D"]["PAL"]["1"]["SG"]["bad"] = {"SG_DESC": "Nowhere"}
        return body

    site.change = change
    async with opened(site, BET9JA) as client:
        for _ in range(2):
            assert ids(await sweep(client))
            assert [type(error) for error in client.discovery_errors] == [MalformedBodyError]
            assert not client.listed.is_tree_whole


@pytest.mark.parametrize("platform", [BETPAWA, BET9JA])
async def test_only_the_chosen_lists_are_read(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the given order. The competitions of the others count as incomplete."""
    monkeypatch.setattr(betpawa, "_COMPETITIONS_AT_ONCE", 2)
    site = StandIn(platform)
    offered: list[str] = []

    def choose(names: Sequence[str]) -> Sequence[str]:
        offered[:] = names
        return [names[-1], names[0]]

    async with opened(site, platform, concurrency=1) as client:
        every = await sweep(client)
        whole = client.listed.whole
        found = await sweep(client, choose)
        assert len(set(offered)) == len(offered) > 1
        assert list(client.lists_read) == [offered[-1], offered[0]]
        wanted = {listed.header.external_id for listed in every if listed.list_name in client.lists_read}
        assert ids(found) == wanted < ids(every)
        competitions = {listed.header.competition.external_id for listed in found}
        assert competitions <= client.listed.whole < whole
        assert client.listed.broken == whole - client.listed.whole
        assert client.discovery_errors == []
        with pytest.raises(ValueError, match="no list has the name 'elsewhere'"):
            await sweep(client, lambda names: ["elsewhere"])


async def test_a_list_that_fails_breaks_its_competition_alone() -> None:
    """As in a discovery."""
    site = StandIn(BET9JA)
    async with opened(site, BET9JA) as client:
        every = await sweep(client)
        group = every[0].header.competition.external_id
        name = every[0].list_name
        site.change = lambda ask, body: 500 if ask.query.get("GROUPID") == group else body
        found = await sweep(client)
        assert ids(found) == {each.header.external_id for each in every if each.list_name != name}
        assert client.listed.broken == {group}
        assert not client.listed.covers(group)
        assert [type(error) for error in client.discovery_errors] == [ServerFaultError]
        assert (client.lists_read[name].requests, client.lists_read[name].events) == (1, 0)
        assert not client.lists_read[name].is_complete


async def test_a_list_of_several_pages_costs_several_requests() -> None:
    """The policy needs to know what a list takes."""
    site = StandIn(BETPAWA, events=600)

    async with opened(site, BETPAWA) as client:
        await sweep(client)
        asked = sum("by-queries" in ask.path for ask in site.asked)
        assert sum(read.requests for read in client.lists_read.values()) == asked > len(client.lists_read)


async def test_clients_of_one_pool_share_the_kept_tree() -> None:
    """A sweep every few seconds opens a new client each time."""
    site = StandIn(BET9JA)
    pool = ClientPool(lambda: settings_for("http://bookmaker.invalid"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client_pool, "AiohttpTransport", lambda *_, **__: site)
        for _ in range(3):
            async with pool.client(BET9JA) as client:
                assert await sweep(client)
        await pool.aclose()
    assert sum(map(is_tree, site.asked)) == 1


async def test_other_tasks_run_between_the_events_of_a_page() -> None:
    """A page has up to a hundred events, and recording them all in one turn would hold every request up."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with opened(Upcoming(range(50)), SPORTYBET) as client, aclosing(client.sweep()) as found:
        counting = asyncio.create_task(count())
        seen = [turns async for _ in found]
        counting.cancel()
    assert len(set(seen)) == len(seen) == 50
