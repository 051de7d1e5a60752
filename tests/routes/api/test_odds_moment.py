"""Responses that are built in several steps show one moment, and a stream that breaks off does not look complete."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import hypercorn.asyncio.run
import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Blueprint, Quart, Response
from structlog.testing import capture_logs

from quart_odds.broadcast import Flusher, Subscriber
from quart_odds.domain.catalogue import CATALOGUE, pack_key
from quart_odds.domain.platforms import Platform
from quart_odds.odds.cache import OddsCache
from quart_odds.routes.api import coverage, events_csv, streamed
from quart_odds.routes.api.encoded import encode_detail
from quart_odds.routes.live import sse
from quart_odds.routes.live.place import LivePlace
from quart_odds.server.fast_lane import LiveTCPServer
from tests.odds.making import NOW, OVER_UNDER, STALE_AFTER, X1, header, key, mapped
from tests.odds.serving import Served, served

HOME = key("1x2_ft", "1")
MANY = {
    pack_key(each.number, o.index, 2.5 if each.has_line else None): 2.0
    for each in CATALOGUE.markets
    for o in each.outcomes
}
Lane = Callable[[pytest.MonkeyPatch], None]


class AlwaysDue:
    """A cooperative yield that is due at every step."""

    is_due = True


async def turn(app: Served, generation: int, count: int) -> None:
    """Record this many matches at two bookmakers: in odd generations they share an id, in even ones they have none.

    Each generation therefore empties or creates every event.
    """
    for number in range(count):
        for platform in (Platform.BETPAWA, Platform.SPORTYBET):
            named = str(10 * number + 11) if generation % 2 else None
            event = header(
                platform, f"{platform}-{number}", named, kickoff=app.now + timedelta(hours=3, minutes=number)
            )
            await app.odds_service.record(mapped(event, MANY | {HOME: 2.0 + generation / 100}), app.now)
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "path",
    [
        "/api/events/{id}",
        "/api/events/{id}/history?market=3743",
        "/api/events/{id}/markets/3743/margin-history",
        "/api/palimpsest/events",
        "/api/coverage/markets",
        "/api/opportunities",
        "/api/events?sort=changed",
        "/api/events.csv?all_markets=true",
    ],
)
async def test_nothing_breaks_while_events_are_matched_anew(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every response is complete, or a 404 for an event that no longer exists; none is a 500."""
    for module in (coverage, events_csv):
        monkeypatch.setattr(module, "CooperativeYield", AlwaysDue)
    async with served(filled=False) as app:
        await turn(app, 0, 4)
        statuses: set[int] = set()
        for generation in range(1, 5):
            scrape = asyncio.create_task(turn(app, generation, 4))
            while not scrape.done():
                asked = [path.format(id=each) for each in app.odds_service.cache.events] if "{id}" in path else [path]
                answers = await asyncio.gather(*(app.client.get(each) for each in asked))
                statuses |= {answer.status_code for answer in answers}
                await asyncio.sleep(0)
            await scrape
    assert 200 in statuses
    assert statuses <= {200, 404}


async def test_detail_is_of_the_moment_at_which_it_was_begun() -> None:
    """Changes during encoding are in the next response."""
    cache = OddsCache()
    for platform in Platform:
        cache.apply(mapped(header(platform, platform), X1), NOW)
    event = cache.events[1]
    encoding = asyncio.create_task(encode_detail(event, NOW, STALE_AFTER))
    await asyncio.sleep(0)
    for platform in Platform:
        cache.apply(mapped(header(platform, platform, None), X1 | {HOME: 9.0} | OVER_UNDER), NOW + timedelta(minutes=1))
    body = json.loads((await encoding)[0].content)
    assert [each["bookmaker_slug"] for each in body["markets_by_bookmaker"]] == list(Platform)
    for each in body["markets_by_bookmaker"]:
        assert [one["odds"] for market in each["markets"] for one in market["outcomes"]] == [2.4, 3.3, 3.0]
    assert body["best_prices"][0]["outcomes"][0]["bookmakers"] == list(Platform)


async def test_detail_that_was_overtaken_is_not_kept_for_the_newer_state() -> None:
    """A detail that changed while it was encoded is not kept."""
    async with served(filled=False) as app:
        event = header(kickoff=app.now + timedelta(hours=1))
        await app.odds_service.record(mapped(event, X1), app.now)
        bodies, booked = app.parts.event_bodies, app.odds_service.cache.events[1]
        encoding = asyncio.create_task(bodies.detail(booked))
        await asyncio.sleep(0)
        await app.odds_service.record(mapped(event, X1 | {HOME: 9.0}), app.now)
        first, second = json.loads((await encoding).content), json.loads((await bodies.detail(booked)).content)
    shown = [body["markets_by_bookmaker"][0]["markets"][0]["outcomes"][0]["odds"] for body in (first, second)]
    assert shown == [2.4, 9.0]


async def test_opportunities_are_all_of_the_moment_at_which_they_are_reported() -> None:
    """An opportunity that ended during the search is not listed."""
    over, under = OVER_UNDER
    async with served(filled=False) as app:

        async def offer(number: int, odds: float) -> None:
            for platform, prices in (
                (Platform.BETPAWA, {over: odds, under: 1.7}),
                (Platform.BET9JA, {over: 1.7, under: odds}),
            ):
                kickoff = app.now + timedelta(hours=number)
                event = header(platform, f"{platform}-{number}", str(number), kickoff=kickoff)
                await app.odds_service.record(mapped(event, prices), app.now)

        for number in (1, 2, 3):
            await offer(number, 2.2)
        asking = asyncio.create_task(app.client.get("/api/opportunities"))
        engine = app.parts.opportunities
        while 1 not in engine._found:
            await asyncio.sleep(0)
        assert 3 not in engine._found
        await offer(1, 1.6)
        body = await (await asking).get_json()
    assert sorted(each["id"] for each in body["opportunities"]) == [2, 3]


async def test_event_that_is_matched_anew_meanwhile_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that joins another before that one is counted is not counted twice."""
    monkeypatch.setattr(coverage, "CooperativeYield", AlwaysDue)
    async with served(filled=False) as app:

        async def offer(platform: Platform, named: str | None) -> None:
            event = header(platform, platform, named, kickoff=app.now + timedelta(hours=3))
            await app.odds_service.record(mapped(event, X1), app.now)

        await offer(Platform.SPORTYBET, None)
        await offer(Platform.BETPAWA, "11")
        asking = asyncio.create_task(app.client.get("/api/coverage/markets"))
        while not app.parts.market_numbers._found:
            await asyncio.sleep(0)
        assert list(app.parts.market_numbers._found) == [1]
        await offer(Platform.SPORTYBET, "11")
        body = await (await asking).get_json()
        again: Any = await app.json("/api/coverage/markets")
    for answer in (body, again):
        (market,) = [each for each in answer["markets"] if each["market_id"] == "3743"]
        assert market["events"] == {"betpawa": 1, "sportybet": 1, "bet9ja": 0, "msport": 0, "betking": 0}


def standard_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain Hypercorn."""


def fast_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypercorn as our launcher runs it."""
    monkeypatch.setattr(hypercorn.asyncio.run, "TCPServer", LiveTCPServer)


@asynccontextmanager
async def on_a_socket(app: Quart) -> AsyncIterator[int]:
    """Serve the app with Hypercorn on a free port."""
    sock = socket.create_server(("127.0.0.1", 0))
    port: int = sock.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{sock.detach()}"]
    config.errorlog = config.accesslog = None
    config.graceful_timeout = 0.5
    stop = asyncio.Event()
    server = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))
    try:
        yield port
    finally:
        stop.set()
        await server


async def ask(port: int, path: str, version: str = "1.1") -> tuple[bytes, bytes]:
    """Return the head and the body of a response as bytes."""
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/{version}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        return head, body


def breaking_at(event_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make one event raise an error in the CSV export."""
    rows_of = events_csv.rows_of

    def broken(event: Any, all_markets: bool) -> Any:
        if event.id == event_id:
            raise ValueError("this event cannot be shown")
        return rows_of(event, all_markets)

    monkeypatch.setattr(events_csv, "rows_of", broken)


@pytest.mark.parametrize("lane", [standard_lane, fast_lane])
async def test_csv_that_breaks_off_does_not_end_as_if_whole(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection ends without the last chunk, and the log names the event that failed."""
    lane(monkeypatch)
    async with served() as app, on_a_socket(app.client.app) as port:
        head, whole = await ask(port, "/api/events.csv")
        assert b" 200" in head.split(b"\r\n")[0]
        assert whole.endswith(b"\r\n0\r\n\r\n")
        breaking_at(2, monkeypatch)
        with capture_logs() as logs:
            head, cut = await ask(port, "/api/events.csv")
    assert b" 200" in head.split(b"\r\n")[0]
    assert not cut.endswith(b"0\r\n\r\n")
    assert len(cut) < len(whole)
    assert [(each["event"], each["filename"], str(each["exc_info"])) for each in logs] == [
        ("response.broken_off", "events.csv", "this event cannot be shown")
    ]
    assert logs[0]["exc_info"].__notes__ == ["in event 2"]


async def test_csv_may_take_longer_than_other_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The export may take longer than the default response timeout, which a slow connection needs."""
    monkeypatch.setattr(events_csv, "CooperativeYield", AlwaysDue)
    async with served() as app, on_a_socket(app.client.app) as port:
        rows_of = events_csv.rows_of

        def slow(event: Any, all_markets: bool) -> Any:
            time.sleep(0.05)
            return rows_of(event, all_markets)

        monkeypatch.setattr(events_csv, "rows_of", slow)
        app.client.app.config["RESPONSE_TIMEOUT"] = 0.02
        _, body = await ask(port, "/api/events.csv")
    assert body.endswith(b"\r\n0\r\n\r\n")


@pytest.mark.parametrize("lane", [standard_lane, fast_lane])
async def test_csv_for_a_client_without_chunks_has_its_length(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    """For HTTP/1.0, the Content-Length shows whether the export is complete; an error is a 500."""
    lane(monkeypatch)
    monkeypatch.setattr(streamed, "SPOOL_BYTES", 100)
    monkeypatch.setattr(streamed, "SENT_BYTES", 200)
    async with served() as app, on_a_socket(app.client.app) as port:
        head, body = await ask(port, "/api/events.csv", "1.0")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
        assert lengths == [b"content-length: %d" % len(body)]
        assert body.decode() == await (await app.client.get("/api/events.csv")).get_data(as_text=True)
        breaking_at(2, monkeypatch)
        head, _ = await ask(port, "/api/events.csv", "1.0")
    assert b" 500" in head.split(b"\r\n")[0]


async def test_stream_of_events_that_was_cut_does_not_end_as_if_whole() -> None:
    """On the standard lane, where we cannot cut the connection, the last chunk is missing."""

    class Cutting:
        """A flusher that cuts its subscriber at once."""

        def catch_up(self, subscriber: Any) -> None:
            subscriber.sink.write(b"data: 1\n\n")
            subscriber.sink.abort()

        def remove(self, subscriber: Any) -> None:
            """Remove nothing: this flusher keeps no subscribers."""

    class Listening:
        """A subscriber with nothing but a sink."""

        close_reason = ""

        def __init__(self, sink: Any) -> None:
            self.sink = sink

    def connect(sink: Any, framing: object) -> tuple[Subscriber, Flusher]:
        return Listening(sink), Cutting()  # type: ignore[return-value]

    blueprint = Blueprint("cut", __name__)

    @blueprint.get("/cut")
    async def cut() -> Response:
        async def blocks() -> AsyncIterator[bytes]:
            yield b"retry: 1\n\n"
            async for block in sse._standard(connect, cast(LivePlace, SimpleNamespace(hold=lambda *_: None))):
                yield block

        return Response(blocks(), content_type="text/event-stream")

    app = Quart("cut_app")
    app.register_blueprint(blueprint)
    async with on_a_socket(app) as port:
        head, body = await ask(port, "/cut")
    assert b" 200" in head.split(b"\r\n")[0]
    assert b"retry: 1" in body
    assert not body.endswith(b"0\r\n\r\n")
