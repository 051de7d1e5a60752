"""The clients against small real servers: their requests, their resilience, and the error for each kind of failure."""

import asyncio
import gzip
import socket
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from quart_odds.bookmakers import BookmakerClient, ClientPool, decode, open_client
from quart_odds.bookmakers.sites import SITES
from quart_odds.bookmakers.transport import AiohttpTransport, Answer, Transport
from quart_odds.domain.odds import EventHeader, ListedCompetitions
from quart_odds.domain.platforms import Platform
from quart_odds.errors import (
    BlockedError,
    BookmakerError,
    EmptyBodyError,
    IncompleteListError,
    MalformedBodyError,
    NotFoundError,
    RateLimitedError,
    ServerFaultError,
    UnreachableError,
)
from quart_odds.settings import Settings
from tests.bookmakers.fake_site import FakeSite, Handler, closed_port, serving, settings_for
from tests.bookmakers.wire import (
    BET9JA,
    BET9JA_SPORTS,
    BETPAWA_CATEGORIES,
    BETPAWA_V4,
    SPORTYBET,
    SPORTYBET_DATA,
    SPORTYBET_TREE,
    asked,
    dumps,
    with_,
)

EVENT = asked(Platform.BETPAWA, "501")


@asynccontextmanager
async def opened(
    platform: Platform, settings: Settings, transport: Transport | None = None
) -> AsyncIterator[BookmakerClient]:
    """Open a client and close it afterwards."""
    client = open_client(platform, settings, transport=transport)
    try:
        yield client
    finally:
        await client.aclose()


def json_answer(body: object, status: int = 200) -> web.Response:
    """Build a JSON answer."""
    return web.Response(body=dumps(body), status=status, content_type="application/json")


def compressed(plain: bytes) -> web.Response:
    """Build a gzip answer."""
    return web.Response(body=gzip.compress(plain), headers={"content-encoding": "gzip"})


def always(make: Callable[[], web.Response]) -> Handler:
    """Return a handler that answers every request alike."""

    async def answer(request: web.Request) -> web.Response:
        return make()

    return answer


def one_after_another(*makes: Callable[[], web.Response]) -> Handler:
    """Return a handler that gives these answers in order and then repeats the last one."""
    left = list(makes)

    async def answer(request: web.Request) -> web.Response:
        return left.pop(0)() if len(left) > 1 else left[0]()

    return answer


def good() -> web.Response:
    """Return the event that most tests request."""
    return json_answer(BETPAWA_V4)


async def listed(client: BookmakerClient) -> list[EventHeader]:
    """Collect everything that a discovery finds."""
    return [header async for header in client.discover()]


async def test_fetch_asks_betpawa_as_it_wants_to_be_asked() -> None:
    """v4 and JSON, with the brand and with encodings that we can decode. The body is passed on unchanged."""
    async with serving(always(good)) as site, opened(Platform.BETPAWA, settings_for(site.url)) as client:
        raw = await client.fetch(EVENT)
    (request,) = site.requests
    assert request.path == "/api/sportsbook/v4/events/501"
    assert request.headers["accept"] == "application/json"
    assert request.headers["x-pawa-brand"] == "betpawa-nigeria"
    assert request.headers["accept-encoding"] == "gzip, deflate"
    assert raw.content == dumps(BETPAWA_V4)
    assert client.requests == 1
    assert decode(raw).header.external_id == "501"


async def test_fetch_asks_sportybet_for_the_pre_match_product() -> None:
    """The request has the event's id with its colons, product 3, and the site's own headers."""
    header = asked(Platform.SPORTYBET, "sr:match:70000001")
    answer = always(lambda: json_answer(SPORTYBET))
    async with serving(answer) as site, opened(Platform.SPORTYBET, settings_for(site.url)) as client:
        raw = await client.fetch(header)
    (request,) = site.requests
    assert request.path == "/api/ng/factsCenter/event"
    assert dict(request.query) == {"eventId": "sr:match:70000001", "productId": "3"}
    assert (request.headers["clientid"], request.headers["operid"], request.headers["platform"]) == ("web", "2", "web")
    assert decode(raw).header.sportradar_id == "70000001"


async def test_fetch_asks_bet9ja_with_a_referer() -> None:
    """Bet9ja's CDN rejects requests without one."""
    answer = always(lambda: json_answer(BET9JA))
    async with serving(answer) as site, opened(Platform.BET9JA, settings_for(site.url)) as client:
        raw = await client.fetch(asked(Platform.BET9JA, "601"))
    (request,) = site.requests
    assert request.path == "/desktop/feapi/PalimpsestAjax/GetEvent"
    assert dict(request.query) == {"EVENTID": "601"}
    assert request.headers["referer"] == f"{site.url}/"
    assert "Mozilla" in request.headers["user-agent"]
    assert len(decode(raw).prices) == 22


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda plain: zlib.compress(plain, wbits=-15)),
    ],
)
async def test_a_compressed_body_stays_compressed_until_it_is_decoded(
    encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    """Decompression would block the event loop."""
    content = compress(dumps(BETPAWA_V4))
    answer = always(lambda: web.Response(body=content, headers={"content-encoding": encoding}))
    async with serving(answer) as site, opened(Platform.BETPAWA, settings_for(site.url)) as client:
        raw = await client.fetch(EVENT)
    assert (raw.content, raw.content_encoding) == (content, encoding)
    assert decode(raw).header.external_id == "501"


@pytest.mark.parametrize(
    ("make", "error", "requests"),
    [
        (lambda: web.Response(status=403, text="<html>Access Denied</html>"), BlockedError, 1),
        (lambda: web.Response(status=401), BlockedError, 1),
        (lambda: web.Response(status=405), BlockedError, 1),
        (lambda: web.Response(status=202), BlockedError, 1),
        (lambda: web.Response(text="\n <!doctype html><title>Access Denied</title>"), BlockedError, 1),
        (lambda: compressed(b"<html>Access Denied</html>" * 50), BlockedError, 1),
        (lambda: web.Response(), EmptyBodyError, 3),
        (lambda: web.Response(text=" \r\n"), EmptyBodyError, 3),
        (lambda: compressed(b""), EmptyBodyError, 3),
        (lambda: json_answer({"error": "NOT_FOUND"}, 404), NotFoundError, 1),
        (lambda: web.Response(status=429), RateLimitedError, 3),
        (lambda: web.Response(status=429, headers={"retry-after": "3600"}), RateLimitedError, 1),
        (lambda: web.Response(status=500), ServerFaultError, 3),
        (lambda: web.Response(status=503), ServerFaultError, 3),
        (lambda: json_answer({"serverMessage": "The maximum number of events is 100"}, 400), MalformedBodyError, 1),
        (lambda: web.Response(status=204), MalformedBodyError, 1),
        (lambda: web.Response(status=302, headers={"location": "/again"}), MalformedBodyError, 1),
    ],
)
async def test_a_status_becomes_its_error(
    make: Callable[[], web.Response], error: type[BookmakerError], requests: int
) -> None:
    """Each error names the bookmaker and the event. Only temporary errors are retried."""
    async with serving(always(make)) as site, opened(Platform.BETPAWA, settings_for(site.url)) as client:
        with pytest.raises(error) as caught:
            await client.fetch(EVENT)
    assert type(caught.value) is error
    assert caught.value.platform is Platform.BETPAWA
    assert caught.value.where == "event 501"
    assert client.requests == requests


@pytest.mark.parametrize(
    "fault",
    [
        lambda: web.Response(status=500),
        lambda: web.Response(status=429),
        lambda: web.Response(status=429, headers={"retry-after": "0"}),
        lambda: web.Response(),
        lambda: compressed(b"\n"),
    ],
)
async def test_a_passing_fault_is_tried_again(fault: Callable[[], web.Response]) -> None:
    """The second answer is used."""
    handler = one_after_another(fault, good)
    async with serving(handler) as site, opened(Platform.BETPAWA, settings_for(site.url)) as client:
        assert decode(await client.fetch(EVENT)).header.external_id == "501"
    assert client.requests == 2


async def test_retry_after_is_honoured_by_all_requests() -> None:
    """No request is sent to the bookmaker before the time that it asked for."""
    handler = one_after_another(lambda: web.Response(status=429, headers={"retry-after": "1"}), good)
    async with serving(handler) as site, opened(Platform.BETPAWA, settings_for(site.url)) as client:
        first = asyncio.create_task(client.fetch(EVENT))
        while not site.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        await asyncio.gather(first, client.fetch(EVENT))
    assert [at - site.started_at[0] >= 0.95 for at in site.started_at[1:]] == [True, True]


async def test_a_refused_connection_is_unreachable() -> None:
    """The number of tries comes from the settings."""
    async with opened(Platform.BETPAWA, settings_for(closed_port(), request_tries=2)) as client:
        with pytest.raises(UnreachableError, match=r"no connection to 127\.0\.0\.1"):
            await client.fetch(EVENT)
        assert client.requests == 2


async def test_a_name_without_an_address_is_unreachable() -> None:
    """The error contains the host name."""
    transport = AiohttpTransport(Platform.BETPAWA, proxy=None, max_body_bytes=10_000, resolver=NoNames())
    settings = settings_for("http://bookmaker.invalid", request_tries=1)
    async with opened(Platform.BETPAWA, settings, transport) as client:
        with pytest.raises(UnreachableError, match="no address for bookmaker"):
            await client.fetch(EVENT)


async def test_a_slow_drip_is_bounded_by_the_time_for_the_whole_answer() -> None:
    """Receiving a byte now and then does not keep a request alive."""

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": "100000"})
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    settings = {"request_timeout_seconds": 0.3, "request_tries": 1}
    async with serving(drip) as site, opened(Platform.BETPAWA, settings_for(site.url, **settings)) as client:
        with pytest.raises(UnreachableError, match=r"no answer within 0\.3 s"):
            await client.fetch(EVENT)


async def test_a_cut_connection_is_tried_again() -> None:
    """A body shorter than its announced length is not accepted."""

    async def cut(request: web.Request) -> web.StreamResponse:
        if len(site.requests) > 1:
            return good()
        response = web.StreamResponse(headers={"content-length": "100000"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(cut) as site, opened(Platform.BETPAWA, settings_for(site.url)) as client:
        assert decode(await client.fetch(EVENT)).header.external_id == "501"
    assert client.requests == 2


async def test_a_redirect_loop_ends() -> None:
    """A few redirects are followed. The failure is not retried."""

    async def again(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"location": f"{request.path}0"})

    async with serving(again) as site, opened(Platform.BETPAWA, settings_for(site.url)) as client:
        with pytest.raises(MalformedBodyError, match="redirects"):
            await client.fetch(EVENT)
    assert len(site.requests) <= 5
    assert client.requests == 1


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:1/",
        "http://localhost:{port}/",
        "https://127.0.0.1:{port}/",
        "//evil.example/",
        "http://u:p@127.0.0.1:{port}/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/",
        "http://[",
        "http://127.0.0.1:99999/",
        "",
        None,
    ],
)
async def test_a_redirect_elsewhere_is_not_followed(location: str | None) -> None:
    """Another host, port or scheme, a private address, or no location. The error does not reveal the target."""

    async def elsewhere(request: web.Request) -> web.Response:
        port = request.url.port
        headers = {} if location is None else {"location": location.format(port=port)}
        return web.Response(status=302, headers=headers, body=b"what was found there")

    async with serving(elsewhere) as site, opened(Platform.BETPAWA, settings_for(site.url)) as client:
        with pytest.raises(MalformedBodyError) as caught:
            await client.fetch(EVENT)
    assert caught.value.reason == "a redirect to another site"
    assert len(site.requests) == 1


async def test_a_redirect_on_the_same_host_is_followed() -> None:
    """The redirect gives a path or a full URL."""

    async def there(request: web.Request) -> web.Response:
        if request.path == "/there":
            return good()
        location = "/there" if len(site.requests) == 1 else f"{site.url}/there"
        return web.Response(status=307, headers={"location": location})

    async with serving(there) as site, opened(Platform.BETPAWA, settings_for(site.url)) as client:
        for _ in range(2):
            assert decode(await client.fetch(EVENT)).header.external_id == "501"


@pytest.mark.parametrize(
    ("start", "location", "is_followed"),
    [
        ("https://www.betpawa.ng/a", "https://betpawa.ng/b", True),
        ("https://www.betpawa.ng/a", "https://www.sportybet.com/b", False),
        ("https://www.betpawa.ng/a", "http://www.betpawa.ng/b", False),
        ("https://www.betpawa.ng/a", "https://betpawa.ng:8443/b", False),
        ("http://stand-in.example/a", "http://betpawa.ng/b", False),
    ],
)
def test_a_bookmaker_may_lead_to_hosts_of_its_own(start: str, location: str, is_followed: bool) -> None:
    """Only to its declared hosts, with the same scheme and port."""
    hosts = SITES[Platform.BETPAWA].hosts
    transport = AiohttpTransport(Platform.BETPAWA, proxy=None, max_body_bytes=1000, hosts=hosts)
    if is_followed:
        assert str(transport._target(URL(start), location)) == location
    else:
        with pytest.raises(MalformedBodyError):
            transport._target(URL(start), location)


async def test_a_body_that_is_too_large_is_not_read_to_its_end() -> None:
    """The limit applies to the bytes on the wire, before decompression."""
    answer = always(lambda: web.Response(body=b" " * 60_000))
    settings = {"max_body_bytes": 10_000}
    async with serving(answer) as site, opened(Platform.BETPAWA, settings_for(site.url, **settings)) as client:
        with pytest.raises(MalformedBodyError, match="more than 10000 bytes"):
            await client.fetch(EVENT)
        assert client.requests == 1


async def test_a_gzip_bomb_is_refused_when_it_is_decoded() -> None:
    """The body is small on the wire. The limit from the settings travels with it to the decoder."""
    bomb = gzip.compress(b" " * 5_000_000)
    answer = always(lambda: web.Response(body=bomb, headers={"content-encoding": "gzip"}))
    settings = {"max_body_bytes": 50_000}
    async with serving(answer) as site, opened(Platform.BETPAWA, settings_for(site.url, **settings)) as client:
        raw = await client.fetch(EVENT)
    with pytest.raises(MalformedBodyError, match="more than 50000 bytes"):
        decode(raw)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b" " * 100 + b"<html><title>Access Denied</title></html>", BlockedError),
        (dumps(BETPAWA_V4)[:200], MalformedBodyError),
        (b"[]", MalformedBodyError),
    ],
)
async def test_what_is_no_event_is_found_out_when_it_is_decoded(content: bytes, error: type[BookmakerError]) -> None:
    """This also covers answers with status 200."""
    async with (
        serving(always(lambda: web.Response(body=content))) as site,
        opened(Platform.BETPAWA, settings_for(site.url)) as client,
    ):
        raw = await client.fetch(EVENT)
    with pytest.raises(error) as caught:
        decode(raw)
    assert caught.value.where == "event 501"


async def test_a_proxy_is_used() -> None:
    """The request goes to the proxy and contains the bookmaker's full URL."""
    async with serving(always(good)) as proxy:
        settings = settings_for("http://bookmaker.invalid", betpawa_proxy=proxy.url)
        async with opened(Platform.BETPAWA, settings) as client:
            await client.fetch(EVENT)
    (request,) = proxy.requests
    assert request.headers["host"] == "bookmaker.invalid"


async def test_connections_are_kept_and_limited() -> None:
    """Twenty requests use no more sockets than concurrent requests are allowed."""

    async def slowly(request: web.Request) -> web.Response:
        await asyncio.sleep(0.01)
        return good()

    async with (
        serving(slowly) as site,
        opened(Platform.BETPAWA, settings_for(site.url, betpawa_concurrency=3)) as client,
    ):
        await asyncio.gather(*(client.fetch(EVENT) for _ in range(20)))
    assert site.most_under_way == 3
    assert len(site.connections) <= 3


async def test_a_cancelled_fetch_gives_its_place_back() -> None:
    """With a single slot, the next request gets through."""
    waiting = asyncio.Event()

    async def hang_once(request: web.Request) -> web.Response:
        if len(site.requests) == 1:
            waiting.set()
            await asyncio.sleep(60)
        return good()

    async with (
        serving(hang_once) as site,
        opened(Platform.BETPAWA, settings_for(site.url, betpawa_concurrency=1)) as client,
    ):
        task = asyncio.create_task(client.fetch(EVENT))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.fetch(EVENT)


class NoNames(AbstractResolver):
    """A resolver that knows no names, so that the test uses no network."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Fail for every name."""
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    async def close(self) -> None:
        """Do nothing."""


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
        {"sportId": "sr:sport:1", "marketId": "1", "tournamentId": [["sr:tournament:5"]]}
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
        async with aclosing(client.discover()) as found:  # type: ignore[type-var]
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
        aclosing(client.discover()) as found,  # type: ignore[type-var]
    ):
        early = {(await anext(found)).external_id, (await anext(found)).external_id}
        assert early == {"1", "3"}
        release.set()
        assert [header.external_id async for header in found] == ["2"]


async def test_a_discovery_that_is_left_ends_its_requests() -> None:
    """No task is left running."""
    handler = many_groups(3, lambda group: None)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query.get("GROUPID") == "2":
            await asyncio.sleep(60)
        return await handler(request)

    async with serving(answer) as site, opened(Platform.BET9JA, settings_for(site.url)) as client:
        before = asyncio.all_tasks()
        async with aclosing(client.discover()) as found:  # type: ignore[type-var]
            await anext(found)
        assert {task for task in asyncio.all_tasks() - before if "_list" in repr(task)} == set()


class CannedTransport:
    """A Transport in place of aiohttp. Gives one answer and records the requests."""

    def __init__(self, content: bytes) -> None:
        self.urls: list[str] = []
        self.is_closed = False
        self._content = content

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str],
        body: bytes | None,
        timeout_seconds: float,
        grow: Callable[[int], Awaitable[None]],
    ) -> Answer:
        """See Transport."""
        self.urls.append(url)
        return Answer(200, {}, self._content)

    async def aclose(self) -> None:
        """See Transport."""
        self.is_closed = True


async def test_another_transport_takes_the_place_of_aiohttp() -> None:
    """A client needs nothing else, and closes the transport."""
    transport = CannedTransport(dumps(BETPAWA_V4))
    async with opened(Platform.BETPAWA, settings_for("https://www.example.com"), transport) as client:
        await client.fetch(EVENT)
    assert transport.urls == ["https://www.example.com/api/sportsbook/v4/events/501"]
    assert transport.is_closed


def test_the_server_is_a_fake() -> None:
    """A FakeSite has recorded nothing before the first request."""
    assert FakeSite(always(good)).most_under_way == 0
