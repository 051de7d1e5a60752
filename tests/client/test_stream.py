"""Streams against a server that a test controls message by message: resuming, gaps, transports, waits and ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from quart_odds_client import (
    AddressError,
    AnyMessage,
    ConnectionAck,
    ConnectionRefused,
    Gap,
    OddsFilter,
    Options,
    ProtocolError,
    ScrapeProgress,
    ServerNotice,
    ServerUnreachableError,
    StateChange,
    Stream,
    TokenError,
    UnknownMessage,
    connect,
)
from tests.bookmakers.fake_site import closed_port, serving
from tests.routes.pages.noding import EPOCH, FakeServer, Line, fake_server

AT = "2026-11-22T10:00:00.000Z"
QUICK = Options(least_wait_seconds=0.01, most_wait_seconds=0.02, upgrade_seconds=1000.0)


@pytest.fixture
async def fake() -> AsyncIterator[FakeServer]:
    """A server that the test controls."""
    async with asyncio.timeout(30), fake_server() as opened:
        yield opened


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """Fail a test that leaves a task behind."""
    before = asyncio.all_tasks()
    yield
    left = [each for each in asyncio.all_tasks() - before if "quart-odds-client" in each.get_name()]
    assert left == []


def progress(number: int) -> dict[str, Any]:
    """Return the data of a progress that a test recognises by its number."""
    return {"phase": "scraping", "current": number, "total": 99, "timestamp": AT}


async def opened(stream: Stream, fake: FakeServer, number: int = 1, **ack: Any) -> Line:
    """Open a stream while the server acknowledges it. Returns the server's end of it."""
    opening = asyncio.create_task(stream.__aenter__())
    line = await fake.line(number)
    await line.acknowledge(**ack)
    await opening
    return line


async def numbers(stream: Stream, count: int) -> list[int]:
    """Return the next progresses, by their number; whatever else comes is left out."""
    found: list[int] = []
    async for message in stream:
        if isinstance(message, ScrapeProgress):
            found.append(message.data.current)
        if len(found) == count:
            break
    return found


async def next_of(stream: Stream, kind: type[Any]) -> Any:
    """Return the next message of a type."""
    async for message in stream:
        if isinstance(message, kind):
            return message
    raise AssertionError("the stream ended")


@pytest.mark.parametrize("transport", ["websocket", "sse"])
async def test_a_lost_connection_is_resumed_after_the_last_message(fake: FakeServer, transport: Any) -> None:
    """The query of the second connection has the cursor, and the caller sees each message once."""
    stream = connect(fake.url, topics=["scrape_progress"], transport=transport, options=QUICK)
    line = await opened(stream, fake)
    asked = {"topics": "scrape_progress"} | ({"cursor": "1"} if transport == "websocket" else {})
    assert (line.transport, line.query) == (transport, asked)
    await line.send("scrape_progress", progress(1), 7)
    assert await numbers(stream, 1) == [1]
    assert stream.cursor == f"{EPOCH}-7"
    reading = asyncio.create_task(numbers(stream, 1))
    await line.end()
    line = await fake.line(2)
    assert line.query == asked | {"since": f"{EPOCH}-7"}
    await line.acknowledge(7)
    await line.send("scrape_progress", progress(2), 8)
    assert await reading == [2]
    await stream.aclose()


async def test_an_id_without_data_moves_the_cursor(fake: FakeServer) -> None:
    """A silent event stream tells where it is, for the next connection."""
    stream = connect(fake.url, transport="sse", options=QUICK)
    line = await opened(stream, fake)
    assert isinstance(line.answer, web.StreamResponse)
    await line.answer.write(b": hello\n\nid: " + f"{EPOCH}-50".encode() + b"\r\n\r\n")
    reading = asyncio.create_task(numbers(stream, 1))
    await line.end()
    line = await fake.line(2)
    assert line.query["since"] == f"{EPOCH}-50"
    await line.acknowledge(50)
    await line.send("scrape_progress", progress(1), 51)
    assert await reading == [1]
    await stream.aclose()


@pytest.mark.parametrize("transport", ["websocket", "sse"])
async def test_the_server_says_how_long_to_wait(fake: FakeServer, transport: Any) -> None:
    """In the reason of the close frame, or in a second `retry:`."""
    waits: list[float] = []
    states: list[StateChange] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    stream = connect(fake.url, transport=transport, sleep=sleep, on_state=states.append)
    line = await opened(stream, fake)
    reading = asyncio.create_task(numbers(stream, 1))
    if transport == "websocket":
        await line.end(reason="restarting, retry_ms=7000")
    else:
        assert isinstance(line.answer, web.StreamResponse)
        await line.answer.write(b"retry: 7000\n\n")
        line.is_over.set()
    line = await fake.line(2)
    await line.acknowledge(2)
    await line.send("scrape_progress", progress(1), 3)
    assert await reading == [1]
    assert waits == [pytest.approx(7, abs=1)]
    await stream.aclose()
    assert [each.state for each in states] == ["connecting", "live", "waiting", "connecting", "live", "closed"]
    assert (states[1].transport, states[2].retry_in_seconds) == (transport, 7.0)


async def test_what_is_gone_for_good_is_a_gap(fake: FakeServer) -> None:
    """After a restart, and to a reader that is too slow: with the number of messages, where it is known."""
    stream = connect(fake.url, transport="websocket", since="old-1", options=QUICK)
    line = await opened(stream, fake, recovered=False)
    assert line.query["since"] == "old-1"
    found: list[AnyMessage] = [await anext(stream), await anext(stream)]
    assert isinstance(found[0], ConnectionAck)
    assert isinstance(found[1], Gap)
    assert (found[1].missed, found[1].reason) == (None, "restart")
    await line.send("error", {"code": "gap", "detail": "4 messages were missed", "missed": 4}, 9)
    gap = await anext(stream)
    assert isinstance(gap, Gap)
    assert (gap.missed, gap.reason, stream.cursor) == (4, "slow", f"{EPOCH}-9")
    await stream.aclose()


async def test_unknown_types_and_fields_are_kept(fake: FakeServer) -> None:
    """The protocol grows: what is new is passed on, and is no error."""
    stream = connect(fake.url, transport="websocket")
    line = await opened(stream, fake)
    await line.send("weather", {"rain": True}, 2)
    await line.send("scrape_progress", progress(1) | {"phase": "dreaming", "mood": "good"}, 3)
    unknown = await next_of(stream, UnknownMessage)
    assert (unknown.type, unknown.data, unknown.id) == ("weather", {"rain": True}, f"{EPOCH}-2")
    known = await next_of(stream, ScrapeProgress)
    assert (known.data.phase, known.data.model_extra) == ("dreaming", {"mood": "good"})
    await stream.aclose()


async def test_without_websockets_it_uses_server_sent_events(fake: FakeServer) -> None:
    """And returns to WebSocket when that gets through again, without a loss or a repetition."""
    fake.takes_websocket = False
    stream = connect(fake.url, options=Options(upgrade_seconds=0.01))
    line = await opened(stream, fake)
    assert (line.transport, stream.transport) == ("sse", "sse")
    fake.takes_websocket = True
    await line.send("scrape_progress", progress(1), 2)
    reading = asyncio.create_task(numbers(stream, 3))

    async def until_probed() -> Line:
        # Each message gives the client a turn to look whether it is time.
        while len(fake.lines) < 2:
            await line.send("scrape_progress_", {}, None)
            await asyncio.sleep(0.02)
        return fake.lines[1]

    probe = await until_probed()
    assert (probe.transport, "since" in probe.query) == ("websocket", False)
    await probe.acknowledge(2)
    await probe.is_over.wait()
    await line.send("scrape_progress", progress(2), 3)
    back = await fake.line(3)
    assert back.transport == "websocket"
    seen = int(back.query["since"].rpartition("-")[2])
    await back.acknowledge(seen)
    for number in range(seen, 4):
        await back.send("scrape_progress", progress(number), number + 1)
    assert await reading == [1, 2, 3]
    assert stream.transport == "websocket"
    await stream.aclose()


async def test_a_silent_websocket_is_asked_and_given_up(fake: FakeServer) -> None:
    """An answer to a ping lets it live; without one, the stream reconnects."""
    options = Options(ping_seconds=0.05, answer_seconds=0.5, least_wait_seconds=0.01, most_wait_seconds=0.02)
    stream = connect(fake.url, transport="websocket", options=options)
    line = await opened(stream, fake)
    reading = asyncio.create_task(numbers(stream, 1))
    for number in (1, 2):
        assert (await line.asked(number))["type"] == "ping"
        await line.send("pong", {})
    again = await fake.line(2)
    assert again.query["since"] == f"{EPOCH}-1"
    await again.acknowledge(1)
    await again.send("scrape_progress", progress(1), 2)
    assert await reading == [1]
    await stream.aclose()


async def test_a_silent_event_stream_is_given_up(fake: FakeServer) -> None:
    """The server sends something every fifteen seconds; a stream that does not is dead."""
    stream = connect(
        fake.url, transport="sse", options=Options(silence_seconds=0.1, least_wait_seconds=0.01, most_wait_seconds=0.02)
    )
    await opened(stream, fake)
    reading = asyncio.create_task(numbers(stream, 1))
    again = await fake.line(2)
    await again.acknowledge(1)
    await again.send("scrape_progress", progress(1), 2)
    assert await reading == [1]
    await stream.aclose()


async def test_a_reader_that_takes_its_time_holds_the_server_up(fake: FakeServer) -> None:
    """Nothing is read ahead beyond a buffer: the server's writes wait, and not the client's memory grows."""
    stream = connect(fake.url, transport="websocket")
    line = await opened(stream, fake)
    sent = 0

    async def send() -> None:
        nonlocal sent
        for number in range(2, 2000):
            await line.send("scrape_progress", progress(number) | {"message": "x" * 16_000}, number)
            sent = number

    sending = asyncio.create_task(send())
    last = -1
    while last != sent:
        last = sent
        await asyncio.sleep(0.3)
    assert sent < 1900
    assert len(await numbers(stream, 1998)) == 1998
    await sending
    await stream.aclose()


async def test_a_read_that_is_cancelled_loses_nothing(fake: FakeServer) -> None:
    """On both transports, so that a caller may wait with a time limit, again and again."""
    for number, transport in enumerate(("websocket", "sse"), start=1):
        stream = connect(fake.url, transport=transport)  # type: ignore[arg-type]
        line = await opened(stream, fake, number)
        assert isinstance(await anext(stream), ConnectionAck)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(stream), 0.02)
        await line.send("scrape_progress", progress(5), 2)
        assert await numbers(stream, 1) == [5]
        assert stream.state == "live"
        await stream.aclose()


async def test_short_reads_come_back_all_the_same(fake: FakeServer) -> None:
    """An attempt to connect takes longer than the caller waits: it goes on, and the next read has it."""
    stream = connect(fake.url, transport="websocket", options=QUICK)
    line = await opened(stream, fake)
    assert isinstance(await anext(stream), ConnectionAck)
    await line.end()

    async def answer_late() -> None:
        again = await fake.line(2)
        await asyncio.sleep(0.2)
        await again.acknowledge(1)
        await again.send("scrape_progress", progress(1), 2)

    answering = asyncio.create_task(answer_late())
    found: list[AnyMessage] = []
    while len(found) < 2:
        with contextlib.suppress(TimeoutError):
            found.append(await asyncio.wait_for(anext(stream), 0.05))
    assert [type(each) for each in found] == [ConnectionAck, ScrapeProgress]
    assert len(fake.lines) == 2
    await answering
    await stream.aclose()


async def test_opening_may_be_cancelled(fake: FakeServer) -> None:
    """The connection that has no first message yet is closed."""
    stream = connect(fake.url, transport="websocket")
    opening = asyncio.create_task(stream.__aenter__())
    line = await fake.line(1)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await line.is_over.wait()
    assert stream.state == "closed"


async def test_closing_ends_a_read_of_another_task(fake: FakeServer) -> None:
    """While it listens, and while it waits for another attempt."""
    stream = connect(fake.url, transport="websocket", options=Options(least_wait_seconds=100))
    line = await opened(stream, fake)
    reading = asyncio.create_task(numbers(stream, 9))
    await asyncio.sleep(0)
    await stream.aclose()
    assert await reading == []
    assert (stream.state, stream.transport) == ("closed", None)
    await line.is_over.wait()

    stream = connect(fake.url, transport="websocket", options=Options(least_wait_seconds=100, most_wait_seconds=100))
    line = await opened(stream, fake, 2)
    reading = asyncio.create_task(numbers(stream, 9))
    await line.end(reason="no word of a wait")
    while stream.state != "waiting":
        await asyncio.sleep(0.01)
    await stream.aclose()
    assert await reading == []


async def test_only_one_task_reads(fake: FakeServer) -> None:
    """A second one gets an error, and the first one goes on."""
    stream = connect(fake.url, transport="websocket")
    line = await opened(stream, fake)
    reading = asyncio.create_task(numbers(stream, 1))
    await asyncio.sleep(0.01)
    with pytest.raises(RuntimeError, match="another task"):
        await anext(stream)
    await line.send("scrape_progress", progress(1), 2)
    assert await reading == [1]
    await stream.aclose()


async def test_a_filter_that_is_not_possible_is_refused_with_the_reason(fake: FakeServer) -> None:
    """The server says what is wrong, and closes with 1008: another attempt would end in the same way."""
    stream = connect(fake.url, transport="websocket", odds=OddsFilter.of(market="all"))
    opening = asyncio.create_task(stream.__aenter__())
    line = await fake.line(1)
    assert line.query == {"topics": "odds", "market": "all", "cursor": "1"}
    await line.send("error", {"code": "invalid_filter", "detail": "market: all needs 1 to 100 events"})
    await line.end(1008, "invalid filter")
    with pytest.raises(ConnectionRefused, match="all needs 1 to 100 events") as caught:
        await opening
    assert (caught.value.status, caught.value.code) == (None, 1008)
    assert stream.state == "closed"


@pytest.mark.parametrize("code", [1008, 1009, 4401])
async def test_a_connection_that_is_closed_for_good_is_an_error(fake: FakeServer, code: int) -> None:
    """Another attempt would end in the same way: the client is wrong, or its token is over."""
    stream = connect(fake.url, transport="websocket", options=QUICK)
    line = await opened(stream, fake)
    await line.end(code, "not any more")
    with pytest.raises(ConnectionRefused, match=f"close code {code}: not any more"):
        await next_of(stream, ScrapeProgress)
    assert len(fake.lines) == 1


async def test_a_notice_does_not_end_the_stream(fake: FakeServer) -> None:
    """Such as one of the topics that do not exist, or that the server is cut off from its log."""
    stream = connect(fake.url, topics=["scrape_progress", "nonsense"], transport="websocket")
    opening = asyncio.create_task(stream.__aenter__())
    line = await fake.line(1)
    await line.send("error", {"code": "invalid_topic", "detail": "there is no topic 'nonsense'"})
    await line.acknowledge(1)
    await opening
    notice = await next_of(stream, ServerNotice)
    assert notice.data.code == "invalid_topic"
    assert isinstance(await anext(stream), ConnectionAck)
    await stream.aclose()


async def test_a_connection_that_is_refused_later_is_an_error(fake: FakeServer) -> None:
    """For example because a token no longer counts: the stream ends, and says why."""
    stream = connect(fake.url, transport="websocket", options=QUICK)
    line = await opened(stream, fake)
    assert isinstance(await anext(stream), ConnectionAck)
    fake.takes_websocket = False
    await line.end()
    with pytest.raises(ConnectionRefused, match="status 403"):
        await anext(stream)
    assert stream.state == "closed"
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


@pytest.mark.parametrize("transport", ["websocket", "sse", "auto"])
async def test_a_refusal_has_the_status_and_what_the_server_says(transport: Any) -> None:
    """Over WebSocket, too, where the body of the refusal cannot be read."""
    seen: list[str | None] = []

    async def refuse(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        body = {"type": "about:blank", "title": "Unauthorized", "status": 401, "detail": "this token is not known"}
        return web.json_response(body, status=401, content_type="application/problem+json")

    async with serving(refuse) as site:
        with pytest.raises(ConnectionRefused, match="status 401: this token is not known") as caught:
            await connect(site.url, transport=transport, token="s3cret").__aenter__()
    assert (caught.value.status, caught.value.detail) == (401, "this token is not known")
    assert set(seen) == {"Bearer s3cret"}
    assert "s3cret" not in str(caught.value)


async def test_no_server_is_an_error_at_first() -> None:
    """There is nothing to reconnect to. The error does not show a password."""
    url = closed_port()
    with pytest.raises(ServerUnreachableError, match=f"no Quart Odds server at {url}") as caught:
        await connect(url.replace("//", "//user:hidden@")).__aenter__()
    assert "hidden" not in str(caught.value)


async def test_a_server_that_does_not_answer_is_an_error_at_first(fake: FakeServer) -> None:
    """A connection that gets no first message in time counts as none."""
    with pytest.raises(ServerUnreachableError, match="no answer"):
        await connect(fake.url, options=Options(open_seconds=0.1)).__aenter__()


@pytest.mark.parametrize("text", ["hello", "[]", "{}", "7", '{"type": "scrape_progress", "data": {"current": "many"}}'])
async def test_another_server_is_an_error(text: str) -> None:
    """It answers, but not as Quart Odds does."""

    async def talk(request: web.Request) -> web.StreamResponse:
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        await answer.send_str(text)
        await answer.receive()
        return answer

    async with serving(talk) as site:
        with pytest.raises(ProtocolError, match="not as Quart Odds does"):
            await connect(site.url, transport="websocket").__aenter__()


async def test_a_page_is_no_event_stream() -> None:
    """Such as that of a proxy that knows better."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<h1>Welcome</h1>", content_type="text/html")

    async with serving(page) as site:
        with pytest.raises(ProtocolError, match="text/html is not an event stream"):
            await connect(site.url, transport="sse").__aenter__()


@pytest.mark.parametrize("token", ["", "two words", "ümlaut", "line\nbreak"])
def test_a_token_that_cannot_be_sent_is_an_error(token: str) -> None:
    """Before anything is sent, and without showing it."""
    with pytest.raises(TokenError, match="visible ASCII") as caught:
        connect("http://127.0.0.1:1", token=token)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ws://127.0.0.1", "http://", "nonsense", "http://[::1"])
def test_a_text_that_is_no_address_is_an_error(url: str) -> None:
    """The error shows a valid example."""
    with pytest.raises(AddressError, match="give one such as http"):
        connect(url)


async def test_the_server_may_be_below_a_path(fake: FakeServer) -> None:
    """The routes are below the path of the URL."""
    asked: list[str] = []

    async def refuse(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=404)

    async with serving(refuse) as site:
        with pytest.raises(ConnectionRefused):
            await connect(f"{site.url}/odds/").__aenter__()
    assert asked == ["/odds/api/ws", "/odds/api/sse"]
