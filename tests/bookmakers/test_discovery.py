"""Discovery: which lists are requested, what is found, and which lists count as complete."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import orjson
import pytest
from aiohttp import web

from quart_odds.bookmakers import ClientPool
from quart_odds.domain.odds import ListedCompetitions
from quart_odds.domain.platforms import Platform
from quart_odds.errors import (
    BlockedError,
    IncompleteListError,
)
from tests.bookmakers.clients import EVENT, always, good, json_answer, listed, one_after_another, opened
from tests.bookmakers.fake_site import Handler, serving, settings_for
from tests.bookmakers.wire import (
    BET9JA,
    BET9JA_SPORTS,
    BETPAWA_CATEGORIES,
    BETPAWA_V4,
    SPORTYBET_DATA,
    SPORTYBET_TREE,
    with_,
)


def betpawa_site(pages: Mapping[int, list[Any]]) -> Handler:
    """Serve the categories, and pages of events by `skip`."""

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/categories/list/2"):
            return json_answer(BETPAWA_CATEGORIES)
        (query,) = orjson.loads(request.query["q"])["queries"]
        assert query["query"]["zones"]["competitions"] == ["77", "78"]
        return json_answer({"responses": [{"responses": pages.get(query["skip"], [])}]})

    return answer


async def test_betpawa_is_paged_past_a_hundred_events() -> None:
    """Pages are requested by skip and take until one is short. Each page repeats the end of the previous one."""
    events = [with_(BETPAWA_V4, str(number), "id") for number in range(230)]
    pages = {0: events[:100], 95: events[95:195], 190: events[190:]}
    async with serving(betpawa_site(pages)) as site, opened(Platform.BETPAWA, settings_for(site.url)) as client:
        headers = await listed(client)
    assert [header.external_id for header in headers] == [str(number) for number in range(230)]
    assert client.discovery_errors == []
    assert client.listed == ListedCompetitions(frozenset({"77", "78"}), frozenset(), is_tree_whole=True)
    assert len(site.requests) == 4


@pytest.mark.parametrize(
    "second",
    [slice(96, 196), slice(94, 194), slice(97, 98), slice(0, 0), slice(0, 100)],
    ids=["one left", "one came", "nearly all left", "all left", "the same page again"],
)
async def test_a_list_of_betpawa_that_moves_between_two_pages_is_not_whole(second: slice) -> None:
    """The shift is reported, the events are used, and the discovery ends."""
    events = [with_(BETPAWA_V4, str(number), "id") for number in range(230)]
    pages = {0: events[:100], 95: events[second], 190: events[190:]}
    async with serving(betpawa_site(pages)) as site, opened(Platform.BETPAWA, settings_for(site.url)) as client:
        found = {header.external_id for header in await listed(client)}
    assert found >= {event["id"] for event in events[:100] + events[second]}
    assert client.listed == ListedCompetitions(frozenset(), frozenset({"77", "78"}), is_tree_whole=True)
    errors = {(type(error), str(error)) for error in client.discovery_errors}
    words = "BetPawa at competitions 77, 78: the list moved while it was read, so that events may be missing"
    assert errors == {(IncompleteListError, words)}


async def test_an_event_of_betpawa_that_is_not_understood_makes_its_list_not_whole() -> None:
    """The invalid event could be any of those listed before."""
    events = [with_(BETPAWA_V4, str(number), "id") for number in range(3)]
    pages = {0: [*events, {"id": "9"}]}
    async with serving(betpawa_site(pages)) as site, opened(Platform.BETPAWA, settings_for(site.url)) as client:
        assert len(await listed(client)) == 3
    assert client.listed.broken == {"77", "78"}


async def test_sportybet_lists_each_tournament() -> None:
    """The request is a POST with a plain list as JSON."""

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/popularAndSportList"):
            return json_answer(SPORTYBET_TREE)
        return json_answer({"bizCode": 10000, "data": [{"id": "sr:tournament:5", "events": [SPORTYBET_DATA]}]})

    async with serving(answer) as site, opened(Platform.SPORTYBET, settings_for(site.url)) as client:
        assert [header.external_id for header in await listed(client)] == ["sr:match:70000001"]
    tree, page = site.requests
    assert dict(tree.query) == {"sportId": "sr:sport:1", "timeline": "", "productId": "3"}
    assert (page.method, page.headers["content-type"]) == ("POST", "application/json;charset=UTF-8")
    assert orjson.loads(site.bodies[1]) == [
        {"sportId": "sr:sport:1", "marketId": "1,10,18,29", "tournamentId": [["sr:tournament:5"]]}
    ]


async def test_bet9ja_lists_each_group() -> None:
    """Requests use the group ids of the tree."""

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/GetSports"):
            return json_answer(BET9JA_SPORTS)
        return json_answer({"R": "OK", "D": {"E": [BET9JA["D"]]}})

    async with serving(answer) as site, opened(Platform.BET9JA, settings_for(site.url)) as client:
        assert [header.external_id for header in await listed(client)] == ["601"]
    assert dict(site.requests[1].query) == {"GROUPID": "170", "DISP": "0", "GROUPMARKETID": "1", "matches": "true"}


def many_groups(count: int, broken: Callable[[str], web.Response | None], *, counted: bool = False) -> Handler:
    """Serve a Bet9ja with many groups of one event each. Some are broken; the tree may count their events."""
    size = {"NUM": 1} if counted else {}
    groups = {str(number): {"G_DESC": f"Division {number}", **size} for number in range(1, count + 1)}

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/GetSports"):
            return json_answer({"R": "OK", "D": {"PAL": {"1": {"SG": {"10": {"SG_DESC": "Nowhere", "G": groups}}}}}})
        group = request.query["GROUPID"]
        return broken(group) or json_answer({"R": "OK", "D": {"E": [{**BET9JA["D"], "ID": int(group)}]}})

    return answer


async def test_a_competition_that_fails_costs_no_other() -> None:
    """The error is kept with its context, and the next discovery starts afresh."""
    handler = many_groups(5, lambda group: web.Response(status=403) if group == "3" else None)
    async with serving(handler) as site, opened(Platform.BET9JA, settings_for(site.url)) as client:
        assert sorted(header.external_id for header in await listed(client)) == ["1", "2", "4", "5"]
        (error,) = client.discovery_errors
        assert isinstance(error, BlockedError)
        assert error.where == "group 3 (Nowhere, Division 3)"
        site.handler = many_groups(5, lambda group: None)
        assert len(await listed(client)) == 5
        assert client.discovery_errors == []


def sportybet_site(sizes: tuple[object, object, object], events: list[Any]) -> Handler:
    """Serve one tournament with these events, and the event counts of the sport, country and tournament."""
    sport, country, tournament = sizes
    countries = SPORTYBET_TREE["data"]["sportList"][1]["categories"][:1]
    tree = with_(SPORTYBET_TREE, countries, "data", "sportList", 1, "categories")
    tree = with_(tree, sport, "data", "sportList", 1, "eventSize")
    tree = with_(tree, country, "data", "sportList", 1, "categories", 0, "eventSize")
    tree = with_(tree, tournament, "data", "sportList", 1, "categories", 0, "tournaments", 0, "eventSize")

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/popularAndSportList"):
            return json_answer(tree)
        return json_answer({"bizCode": 10000, "data": [{"id": "sr:tournament:5", "events": events}]})

    return answer


async def test_a_list_that_is_shorter_than_the_tree_counts_is_not_whole() -> None:
    """Each event counts once. Invalid events count too, but make the list incomplete by themselves."""
    events = [with_(SPORTYBET_DATA, f"sr:match:{70000000 + number}", "eventId") for number in range(10)]
    for listed_events, is_whole, words in (
        (events, True, []),
        ([*events, *events], True, []),
        (events[:9], False, ["9 of 10 events were listed"]),
        ([*events[:9], events[0]], False, ["9 of 10 events were listed"]),
        ([*events[:9], {"eventId": "sr:match:1"}], False, ["no text"]),
    ):
        handler = sportybet_site((10, 10, 10), listed_events)
        async with serving(handler) as site, opened(Platform.SPORTYBET, settings_for(site.url)) as client:
            await listed(client)
        assert client.listed.whole == (frozenset({"sr:tournament:5"}) if is_whole else frozenset())
        assert client.listed.broken == (frozenset() if is_whole else frozenset({"sr:tournament:5"}))
        assert [error.reason for error in client.discovery_errors] == words


@pytest.mark.parametrize(
    ("sizes", "is_whole"),
    [
        ((1, 1, 1), True),
        ((None, None, None), True),
        (("1", "1", "1"), True),
        ((2, 1, 1), False),
        ((1, 2, 1), False),
        ((1, 1, 0), False),
        ((True, -1, 0.5), True),
    ],
)
async def test_a_tree_that_counts_more_than_it_names_is_not_whole(
    sizes: tuple[object, object, object], is_whole: bool
) -> None:
    """A competition missing from the tree may still have events. Completeness of the listed ones is not affected."""
    handler = sportybet_site(sizes, [SPORTYBET_DATA])
    async with serving(handler) as site, opened(Platform.SPORTYBET, settings_for(site.url)) as client:
        await listed(client)
    assert client.listed.is_tree_whole is is_whole
    assert client.listed.whole == {"sr:tournament:5"}
    assert [type(error) for error in client.discovery_errors] == ([] if is_whole else [IncompleteListError])


async def test_what_a_discovery_left_out_is_known_by_competition() -> None:
    """One competition fails, one is short, the others are complete. The next discovery starts afresh."""
    handler = many_groups(
        4,
        lambda group: {"1": web.Response(status=403), "2": json_answer({"R": "OK", "D": {"E": []}})}.get(group),
        counted=True,
    )
    async with serving(handler) as site, opened(Platform.BET9JA, settings_for(site.url)) as client:
        assert client.listed == ListedCompetitions()
        await listed(client)
        assert client.listed == ListedCompetitions(frozenset({"3", "4"}), frozenset({"1", "2"}), is_tree_whole=True)
        assert "Bet9ja at Nowhere, Division 2: 0 of 1 events were listed" in map(str, client.discovery_errors)
        async with aclosing(client.discover()) as found:
            await anext(found)
        assert client.listed == ListedCompetitions()
        site.handler = many_groups(4, lambda group: None, counted=True)
        await listed(client)
        assert client.listed == ListedCompetitions(frozenset("1234"), frozenset(), is_tree_whole=True)


async def test_an_empty_answer_is_asked_for_again_in_a_discovery_too() -> None:
    """This holds for the root and for a list."""
    empty: set[str] = set()

    def once(name: str) -> web.Response | None:
        if name in empty:
            return None
        empty.add(name)
        return web.Response()

    handler = many_groups(2, once)

    async def answer(request: web.Request) -> web.StreamResponse:
        return (once("root") if request.path.endswith("/GetSports") else None) or await handler(request)

    async with serving(answer) as site, opened(Platform.BET9JA, settings_for(site.url)) as client:
        assert len(await listed(client)) == 2
        assert client.discovery_errors == []
    assert client.requests == 6


async def test_a_bookmaker_that_refuses_lists_is_left_alone() -> None:
    """After twenty refusals in a row no more requests are sent, and the remaining lists fail."""
    handler = many_groups(60, lambda group: web.Response(status=403))
    async with serving(handler) as site:
        async with opened(Platform.BET9JA, settings_for(site.url, bet9ja_concurrency=1)) as client:
            assert await listed(client) == []
        assert len(site.requests) == 1 + 20
    assert len(client.discovery_errors) == 60
    assert "left alone" in str(client.discovery_errors[-1])


async def test_clients_of_one_pool_share_the_throttle_and_the_connections() -> None:
    """All clients share the slots, the delay between starts, the requested pause and the count of refusals."""

    async def slowly(request: web.Request) -> web.Response:
        await asyncio.sleep(0.01)
        return good()

    async def fetch(pool: ClientPool) -> None:
        async with pool.client(Platform.BETPAWA) as client:
            await client.fetch(EVENT)
            assert client.requests == 1

    async with serving(slowly) as site:
        settings = settings_for(site.url, betpawa_concurrency=3)
        async with ClientPool(lambda: settings) as pool:
            await asyncio.gather(*(fetch(pool) for _ in range(30)))
            assert site.most_under_way == 3
            assert len(site.connections) == 3
            settings = settings_for(site.url, betpawa_concurrency=1, betpawa_delay_ms=40)
            site.most_under_way = 0
            site.started_at.clear()
            await asyncio.gather(*(fetch(pool) for _ in range(4)))
            assert site.most_under_way == 1
            gaps = [later - earlier for earlier, later in pairwise(site.started_at)]
            assert min(gaps) >= 0.03
            site.handler = one_after_another(lambda: web.Response(status=429, headers={"retry-after": "1"}), good)
            site.started_at.clear()
            first = asyncio.create_task(pool_fetch(pool))
            while not site.started_at:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            await asyncio.gather(first, pool_fetch(pool))
            assert [at - site.started_at[0] >= 0.95 for at in site.started_at[1:]] == [True, True]
            site.handler = always(lambda: web.Response(status=403))
            site.requests.clear()
            errors = await asyncio.gather(*(pool_fetch(pool) for _ in range(60)), return_exceptions=True)
            assert {type(error) for error in errors} == {BlockedError}
            assert len(site.requests) == 20


async def pool_fetch(pool: ClientPool) -> None:
    """Do one piece of work: open a client, fetch, and count the refusal."""
    async with pool.client(Platform.BETPAWA) as client:
        try:
            await client.fetch(EVENT)
        except BlockedError:
            client.count_refusal()
            raise


async def test_a_list_of_competitions_that_fails_is_the_discoverys_failure() -> None:
    """Without it there is nothing to discover."""
    async with (
        serving(always(lambda: web.Response(status=403, text="<html>"))) as site,
        opened(Platform.BET9JA, settings_for(site.url)) as client,
    ):
        with pytest.raises(BlockedError) as caught:
            await listed(client)
    assert caught.value.where == "the list of groups"


async def test_events_flow_while_others_are_still_listed() -> None:
    """The first event arrives before the last competition has answered."""
    release = asyncio.Event()
    handler = many_groups(3, lambda group: None)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query.get("GROUPID") == "2":
            await release.wait()
        return await handler(request)

    async with (
        serving(answer) as site,
        opened(Platform.BET9JA, settings_for(site.url)) as client,
        aclosing(client.discover()) as found,
    ):
        early = {(await anext(found)).header.external_id, (await anext(found)).header.external_id}
        assert early == {"1", "3"}
        release.set()
        assert [listed.header.external_id async for listed in found] == ["2"]


async def test_a_discovery_that_is_left_ends_its_requests() -> None:
    """No task is left running."""
    handler = many_groups(3, lambda group: None)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query.get("GROUPID") == "2":
            await asyncio.sleep(60)
        return await handler(request)

    async with serving(answer) as site, opened(Platform.BET9JA, settings_for(site.url)) as client:
        before = asyncio.all_tasks()
        async with aclosing(client.discover()) as found:
            await anext(found)
        assert {task for task in asyncio.all_tasks() - before if "_list" in repr(task)} == set()
