"""`/api/sse` and the streams of runs, rule by rule, through Quart's test client."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import orjson
import pytest

from quart_odds.broadcast import ODDS_UPDATES, SCRAPE_PROGRESS, LogBounds
from quart_odds.broadcast.framing import FRAME
from quart_odds.domain.runs import RunStatus
from quart_odds.errors import TooSoonError
from quart_odds.routes.access.limits import Client, ConnectionLimits
from quart_odds.scraping import broadcaster as broadcaster_module
from quart_odds.server.drain import LEAST_RETRY_MS, MOST_RETRY_MS, tell_restart
from quart_odds.websocket import odds_update_message, scrape_progress_message
from tests.broadcast.listeners import RecordingSink
from tests.routes.live.hub import END, Hub, progress, record, stream


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    """A hub that is closed at the end."""
    hub = Hub()
    yield hub
    hub.registry.close()
    hub.runs.broadcasters.close()


def _tell(hub: Hub, number: int) -> None:
    hub.registry.broadcast(odds_update_message([number], "bet9ja", 1), ODDS_UPDATES)


def _tell_progress(hub: Hub, number: int) -> None:
    hub.registry.broadcast(scrape_progress_message(progress(number)), SCRAPE_PROGRESS, retain=(1, "betpawa"))


async def test_head_of_a_stream(hub: Hub) -> None:
    """The stream is not cached or buffered by a proxy and has no length. `retry:` comes once, at the start."""
    async with stream(hub, "/api/sse") as live:
        assert live.status == 200
        assert live.headers["content-type"] == "text/event-stream"
        assert live.headers["cache-control"] == "no-store, no-transform"
        assert live.headers["x-accel-buffering"] == "no"
        assert "content-length" not in live.headers
        await live.until(1)
        assert re.match(rb"retry: \d{4}\n: connection_id [0-9a-f]{8}-\d+\n\nid: ", live.data)
        assert live.data.count(b"retry:") == 1


async def test_twin_sends_the_same_envelopes(hub: Hub) -> None:
    """`event:` is the type, `id:` the cursor, and `data:` exactly what the WebSocket sends."""
    _tell_progress(hub, 0)
    async with stream(hub, "/api/sse") as live, hub.client.websocket("/api/ws?cursor=1") as twin:
        await live.until(2)
        await twin.receive()
        _tell(hub, 1)
        blocks = await live.until(3)
        assert [each.event for each in blocks] == ["connection_ack", "scrape_progress", "odds_update"]
        for block in blocks[1:]:
            message = orjson.loads(await twin.receive())
            assert message.pop("id") == block.cursor
            assert message == block.value
            assert list(block.value) == ["type", "timestamp", "data"]


async def test_topics(hub: Hub) -> None:
    """Topics filter as on the WebSocket. An unknown name beside a known one is ignored."""
    async with stream(hub, "/api/sse?topics=odds_updates,nonsense") as live:
        (ack,) = await live.until(1)
        assert ack.value["data"]["topics"] == [ODDS_UPDATES]  # type: ignore[index]
        _tell_progress(hub, 1)
        _tell(hub, 2)
        assert (await live.until(2))[1].event == "odds_update"


async def test_no_valid_topic_is_a_bad_request(hub: Hub) -> None:
    """The problem names the field."""
    response = await hub.client.get("/api/sse?topics=nonsense")
    body = orjson.loads(await response.get_data())
    assert (response.status_code, response.content_type) == (400, "application/problem+json")
    assert [each["field"] for each in body["errors"]] == ["topics"]


@pytest.mark.parametrize("way", ["Last-Event-ID", "last_event_id", "since"])
async def test_resumes_from_a_cursor_however_it_comes(hub: Hub, way: str) -> None:
    """The cursor comes in the header of an EventSource that reconnects, or in the query of a first connection."""
    for number in range(5):
        _tell(hub, number)
    cursor = hub.registry.log.cursor_at(4)
    path, headers = ("/api/sse", {way: cursor}) if way == "Last-Event-ID" else (f"/api/sse?{way}={cursor}", {})
    async with stream(hub, path, **headers) as live:
        ack, *missed = await live.until(3)
        assert ack.value["data"]["recovered"] is True  # type: ignore[index]
        assert [each.value["data"]["event_ids"] for each in missed] == [[3], [4]]  # type: ignore[index]


async def test_header_wins_over_the_query(hub: Hub) -> None:
    """An EventSource opened with a cursor in its URL reconnects with a newer one in the header."""
    for number in range(5):
        _tell(hub, number)
    log = hub.registry.log
    async with stream(hub, f"/api/sse?since={log.cursor_at(2)}", **{"Last-Event-ID": log.cursor_at(5)}) as live:
        assert [each.cursor for each in await live.until(2)] == [log.cursor_at(5), log.cursor_at(6)]


async def test_cursor_that_leads_nowhere_is_reported(hub: Hub) -> None:
    """`recovered` is false, and the newest state follows, as on the WebSocket."""
    _tell_progress(hub, 3)
    async with stream(hub, "/api/sse?since=other-7") as live:
        ack, newest = await live.until(2)
        assert ack.value["data"]["recovered"] is False  # type: ignore[index]
        assert newest.event == "scrape_progress"


async def test_cursor_of_the_websocket_resumes_the_stream(hub: Hub) -> None:
    """There is only one log, so a client may move between the transports."""
    async with hub.client.websocket("/api/ws?cursor=1") as live:
        await live.receive()
        _tell(hub, 1)
        cursor = orjson.loads(await live.receive())["id"]
    _tell(hub, 2)
    async with stream(hub, "/api/sse", **{"Last-Event-ID": cursor}) as again:
        assert (await again.until(2))[1].value["data"]["event_ids"] == [2]  # type: ignore[index]


async def test_silence_is_broken_by_a_block_that_fires_no_event() -> None:
    """The block contains the cursor, so what a filter held back is not sent again."""
    hub = Hub(heartbeat_seconds=0.04)
    async with stream(hub, "/api/sse?topics=scrape_progress") as live:
        await live.until(1)
        _tell(hub, 1)
        async with asyncio.timeout(30):
            while f"\n\nid: {hub.registry.log.epoch}-1\n\n".encode() not in live.data:
                await live.read()
        assert len(await live.until(1)) == 1
    hub.registry.close()


async def test_stream_starts_a_run_and_ends_with_it(hub: Hub) -> None:
    """GET starts a run on purpose. Blocks have no `event:`, so onmessage receives them, and the end is clean."""
    async with stream(hub, "/api/scrape/stream") as live:
        assert hub.runs.started == ["api-stream"]
        broadcaster = hub.runs.broadcasters.active()[0]
        broadcaster.publish(progress(1))
        broadcaster.publish(END)
        blocks = await live.rest()
        assert [each.event for each in blocks] == ["", ""]
        assert [each.value for each in blocks] == [
            progress(1).model_dump(mode="json") | _times(blocks[0].value),
            END.model_dump(mode="json"),
        ]
        assert [each.cursor for each in blocks] == [broadcaster.log.cursor_at(2), broadcaster.log.cursor_at(3)]
    assert broadcaster.subscriber_count == 0


def _times(value: dict[str, object]) -> dict[str, object]:
    return {"timestamp": value["timestamp"]}


async def test_stream_attaches_to_the_run_that_is_active(hub: Hub) -> None:
    """It sends the run from its beginning, and starts no second one."""
    broadcaster = hub.runs.add(4)
    for number in range(3):
        broadcaster.publish(progress(number))
    async with stream(hub, "/api/scrape/stream") as live:
        assert [each.value["current"] for each in await live.until(3)] == [0, 1, 2]
    assert hub.runs.started == []


async def test_run_goes_on_when_its_listener_leaves(hub: Hub) -> None:
    """A run is not affected when a listener leaves."""
    async with stream(hub, "/api/scrape/stream") as live:
        hub.runs.broadcasters.active()[0].publish(progress(1))
        await live.until(1)
    broadcaster = hub.runs.broadcasters.active()[0]
    assert broadcaster.subscriber_count == 0
    broadcaster.publish(progress(2))


async def test_stream_with_a_cursor_never_starts_a_run(hub: Hub) -> None:
    """It resumes the run that the cursor names, or says why it cannot."""
    broadcaster = hub.runs.add(4)
    for number in range(4):
        broadcaster.publish(progress(number))
    cursor = broadcaster.log.cursor_at(3)
    async with stream(hub, "/api/scrape/stream", **{"Last-Event-ID": cursor}) as live:
        assert [each.value["current"] for each in await live.until(2)] == [2, 3]
    for bad, status in (("nonsense", 400), ("ab12-7", 400), ("r9-ab-7", 404), ("r" + "9" * 30 + "-ab-7", 400)):
        response = await hub.client.get(f"/api/scrape/stream?since={bad}")
        assert response.status_code == status
    assert hub.runs.started == []


async def test_observe_a_run_from_its_beginning_or_a_cursor(hub: Hub) -> None:
    """This works for active and ended runs, as long as they are in memory."""
    broadcaster = hub.runs.add(4)
    for number in range(3):
        broadcaster.publish(progress(number))
    async with stream(hub, "/api/scrape/runs/4/progress") as live:
        assert [each.value["current"] for each in await live.until(3)] == [0, 1, 2]
        broadcaster.publish(END)
        assert len(await live.rest()) == 4
    async with stream(hub, f"/api/scrape/runs/4/progress?since={broadcaster.log.cursor_at(3)}") as live:
        assert [each.value["phase"] for each in await live.rest()] == ["scraping", "completed"]


async def test_cursor_of_another_run_is_a_bad_request(hub: Hub) -> None:
    """It would resume a different run than requested."""
    hub.runs.add(4)
    response = await hub.client.get("/api/scrape/runs/4/progress?since=r5-ab-1")
    assert response.status_code == 400


async def test_event_source_comes_to_rest_on_a_finished_run(hub: Hub) -> None:
    """It reconnects after every clean end. With the cursor of the terminal progress it gets 204, and stops."""
    broadcaster = hub.runs.add(4)
    broadcaster.publish(progress(1))
    broadcaster.publish(END)
    for path in ("/api/scrape/runs/4/progress", "/api/scrape/stream"):
        async with stream(
            hub, path, **({} if "runs" in path else {"Last-Event-ID": broadcaster.log.cursor_at(2)})
        ) as live:
            cursor = (await live.rest())[-1].cursor
        response = await hub.client.get(path, headers={"Last-Event-ID": cursor})
        assert (response.status_code, await response.get_data()) == (204, b"")


async def test_run_that_is_long_over_is_reported_from_its_row(hub: Hub) -> None:
    """The stream is one block, the terminal progress. Its cursor then gets 204, on both paths."""
    hub.store.rows[7] = record(7, RunStatus.COMPLETED)
    async with stream(hub, "/api/scrape/runs/7/progress") as live:
        (block,) = await live.rest()
    assert (block.value["phase"], block.value["platform"], block.value["scrape_run_id"]) == ("completed", None, 7)
    for path in ("/api/scrape/runs/7/progress", "/api/scrape/stream"):
        response = await hub.client.get(path, headers={"Last-Event-ID": block.cursor})
        assert response.status_code == 204
    # A client that was listening when the server restarted learns how the run ended.
    async with stream(hub, "/api/scrape/stream", **{"Last-Event-ID": "r7-0ld3b0c4-12"}) as live:
        assert (await live.rest())[-1].value["phase"] == "completed"


async def test_run_of_another_process_and_run_that_never_was(hub: Hub) -> None:
    """A row that is running without a run in this process belongs to another process. Without a row, it is a 404."""
    hub.store.rows[7] = record(7, RunStatus.RUNNING)
    assert (await hub.client.get("/api/scrape/runs/7/progress")).status_code == 409
    response = await hub.client.get("/api/scrape/runs/8/progress")
    assert (response.status_code, response.content_type) == (404, "application/problem+json")


async def test_gap_on_a_runs_stream_has_a_name_of_its_own(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """This way onmessage receives only progress. The newest progress of each platform follows."""
    monkeypatch.setattr(broadcaster_module, "RUN_LOG_BOUNDS", LogBounds(2, 0, 0, 2, 1 << 20))
    broadcaster = hub.runs.add(4)
    for number in range(9):
        broadcaster.publish(progress(number))
    for query, missed in (("", 9), (f"?since={broadcaster.log.cursor_at(3)}", 7), ("?since=r4-0ther-2", None)):
        async with stream(hub, f"/api/scrape/runs/4/progress{query}") as live:
            gap, newest = await live.until(2)
            assert (gap.event, gap.value["code"], gap.value["missed"]) == ("gap", "gap", missed)
            assert (newest.event, newest.value["current"]) == ("", 8)


@pytest.mark.parametrize(
    "path", ["/api/sse", "/api/scrape/stream", "/api/scrape/runs/4/progress", "/api/scrape/runs/7/progress"]
)
async def test_head_answers_headers_starts_nothing_and_holds_nothing(hub: Hub, path: str) -> None:
    """HEAD gets the same headers, without body, run or listener."""
    broadcaster = hub.runs.add(4)
    hub.store.rows[7] = record(7, RunStatus.COMPLETED)
    async with asyncio.timeout(30):
        response = await hub.client.head(path)
    assert (response.status_code, response.content_type) == (200, "text/event-stream")
    assert response.headers["X-Accel-Buffering"] == "no"
    assert await response.get_data() == b""
    assert (hub.runs.started, broadcaster.subscriber_count, hub.registry.active_count) == ([], 0, 0)


async def test_head_of_what_there_is_not(hub: Hub) -> None:
    """HEAD gets the same status as GET."""
    assert (await hub.client.head("/api/scrape/runs/8/progress")).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://stranger.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Accept-Language": "en"}, 403),
        ({"User-Agent": "Mozilla/5.0"}, 403),
        ({"Cookie": "a=b"}, 403),
        ({"Referer": "http://stranger.example/"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://localhost"}, 200),
        ({}, 200),
    ],
)
async def test_pages_of_strangers_start_no_run(hub: Hub, headers: dict[str, str], status: int) -> None:
    """Otherwise an image or an EventSource on another site could start a scrape with a GET."""
    response = await hub.client.head("/api/scrape/stream", headers={"Host": "localhost", **headers})
    assert response.status_code == status


async def test_a_start_that_comes_too_soon_says_when_to_come_back(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is 200, the delay and an end: an EventSource that gets an error status never reconnects."""

    async def too_soon(*_: object, **__: object) -> None:
        raise TooSoonError("a moment ago", 1.234)

    monkeypatch.setattr(hub.runs, "start", too_soon)
    response = await hub.client.get("/api/scrape/stream")
    assert (response.status_code, response.content_type) == (200, "text/event-stream")
    assert await response.get_data() == b"retry: 1234\n\n"


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 503), ({"Accept": "text/event-stream"}, 200), ({"Last-Event-ID": "ab-1"}, 200)],
    ids=["a program", "an EventSource", "one that comes back"],
)
@pytest.mark.parametrize("why", ["full", "draining"])
async def test_no_room(headers: dict[str, str], status: int, why: str) -> None:
    """A program gets 503. That would stop an EventSource for good, so it is told when to reconnect. No run starts."""
    hub = Hub(max_connections=1 if why == "full" else 0)
    hub.services.is_draining = why == "draining"
    with hub.services.limits.admit(Client("10.0.0.1")):
        for path in ("/api/sse", "/api/scrape/stream"):
            if path == "/api/scrape/stream" and "Last-Event-ID" in headers:
                continue
            response = await hub.client.get(path, headers=headers)
            body = await response.get_data(as_text=False)
            assert response.status_code == status
            if status == 200:
                assert response.content_type == "text/event-stream"
                assert re.fullmatch(rb"retry: \d+\n\n", body)
            else:
                assert int(response.headers["Retry-After"]) > 0
    assert hub.runs.started == []
    hub.registry.close()


async def test_last_place_taken_meanwhile_is_no_broken_stream(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """If two requests pass the check for the last place, the second still gets a complete stream.

    It is told when to reconnect.
    """
    hub.services.limits = ConnectionLimits(1, 0)
    monkeypatch.setattr(ConnectionLimits, "check", _check_only_when_admitting())
    async with stream(hub, "/api/sse") as first:
        await first.until(1)
        async with stream(hub, "/api/sse") as second:
            assert await second.rest() == []
            assert re.fullmatch(rb"retry: \d+\n\n", second.data)
    assert hub.services.limits.count == 0


def _check_only_when_admitting() -> Callable[[ConnectionLimits, Client], None]:
    checks = iter(range(100))
    real = ConnectionLimits.check

    def check(self: ConnectionLimits, client: Client) -> None:
        # Each request is checked on arrival and again when it takes its place. On arrival, nobody was there.
        if next(checks) % 2:
            real(self, client)

    return check


async def test_drain_ends_streams_with_the_time_to_come_back(hub: Hub) -> None:
    """What was published before comes first, then `retry:` and a clean end."""
    hub.runs.add(4)
    async with stream(hub, "/api/sse") as everything, stream(hub, "/api/scrape/runs/4/progress") as run:
        await everything.until(1)
        await hub.until_listening(1)
        _tell(hub, 1)
        hub.services.is_draining = True
        tell_restart(hub.services)
        assert [each.event for each in await everything.rest()] == ["connection_ack", "odds_update"]
        await run.rest()
        for each in (everything, run):
            waits = [int(found) for found in re.findall(rb"retry: (\d+)\n", each.data)]
            assert len(waits) == 2
            assert each.data.endswith(b"retry: %d\n\n" % waits[-1])
            assert LEAST_RETRY_MS <= waits[-1] <= MOST_RETRY_MS


async def test_drain_gives_a_crowd_more_time_to_come_back(hub: Hub) -> None:
    """Ten thousand that all came back within five seconds would be more than a process can take."""
    sinks = [RecordingSink() for _ in range(10_000)]
    listening = [hub.registry.connect(sink, FRAME) for sink in sinks]
    hub.services.is_draining = True
    tell_restart(hub.services)
    waits = sorted(int(each.close_reason.removeprefix("retry_ms=")) for each in listening)
    assert LEAST_RETRY_MS <= waits[0] < 1000
    assert 14_000 < waits[-1] <= 15_000
    assert 7_000 < waits[len(waits) // 2] < 8_500, "spread evenly"


async def test_limits_are_given_back(hub: Hub) -> None:
    """A place is released however its stream ends."""
    broadcaster = hub.runs.add(4)
    async with stream(hub, "/api/sse") as live:
        await live.until(1)
        assert hub.services.limits.count == 1
    async with stream(hub, "/api/scrape/runs/4/progress") as live:
        broadcaster.publish(END)
        await live.rest()
    assert hub.services.limits.count == 0
    assert hub.registry.active_count == 0


def test_times_are_utc() -> None:
    """The times in a run's blocks are unambiguous."""
    moment = progress(1).model_dump(mode="json")["timestamp"]
    assert datetime.fromisoformat(moment).tzinfo == UTC


async def test_events_are_watched_while_a_stream_that_names_them_is_open(hub: Hub) -> None:
    """As over the WebSocket. Names that are not ids are a bad request."""
    async with stream(hub, "/api/sse?watch=7") as live:
        await live.until(1)
        assert 7 in hub.services.watched
    assert len(hub.services.watched) == 0
    response = await hub.client.get("/api/sse?watch=seven")
    assert response.status_code == 400
