"""Requests of the clients against small real servers: their content, retries, and the error for each failure."""

import asyncio
import gzip
import socket
import zlib
from collections.abc import Awaitable, Callable, Mapping

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from quart_odds.bookmakers import decode
from quart_odds.bookmakers.transport import AiohttpTransport, Answer
from quart_odds.domain.platforms import Platform
from quart_odds.errors import (
    BlockedError,
    BookmakerError,
    EmptyBodyError,
    MalformedBodyError,
    NotFoundError,
    RateLimitedError,
    ServerFaultError,
    UnreachableError,
)
from tests.bookmakers.clients import EVENT, always, compressed, good, json_answer, one_after_another, opened
from tests.bookmakers.fake_site import FakeSite, closed_port, serving, settings_for
from tests.bookmakers.wire import (
    BET9JA,
    BETPAWA_V4,
    SPORTYBET,
    asked,
    dumps,
)


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


async def test_a_closed_transport_opens_nothing_again() -> None:
    """What still asks then, such as a request that is tried again, would leave a session that nobody closes."""
    transport = AiohttpTransport(Platform.BETPAWA, proxy=None, max_body_bytes=1000)

    async def grow(_: int) -> None:
        pass

    await transport.aclose()
    with pytest.raises(UnreachableError, match="its connections are closed"):
        await transport.request(
            "GET", "http://127.0.0.1:9/", headers={}, params={}, body=None, timeout_seconds=5, grow=grow
        )


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
