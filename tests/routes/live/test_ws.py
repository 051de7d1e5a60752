"""`/api/ws`, rule by rule: what a client may rely on, through Quart's test client."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from quart.testing.connections import WebsocketDisconnectError, WebsocketResponseError
from quart.typing import TestWebsocketConnectionProtocol as LiveConnection

from quart_odds.broadcast import ODDS_UPDATES, SCRAPE_PROGRESS, LogBounds
from quart_odds.routes.live import conversation
from quart_odds.server.drain import tell_restart
from quart_odds.websocket import odds_update_message, scrape_progress_message
from tests.routes.live.hub import END, Hub, progress


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    """A hub that is closed at the end."""
    hub = Hub()
    yield hub
    hub.registry.close()


def _tell(hub: Hub, number: int) -> None:
    hub.registry.broadcast(odds_update_message([number], "bet9ja", 1), ODDS_UPDATES)


def _tell_progress(hub: Hub, number: int) -> None:
    message = scrape_progress_message(progress(number))
    hub.registry.broadcast(message, SCRAPE_PROGRESS, retain=(1, "betpawa"))


async def _json(live: LiveConnection) -> dict[str, Any]:
    async with asyncio.timeout(30):
        value = await live.receive_json()
    assert isinstance(value, dict)
    return value


async def _code(live: LiveConnection) -> int:
    async with asyncio.timeout(30):
        try:
            while True:
                await live.receive()
        except WebsocketDisconnectError as error:
            return int(error.args[0])


async def _connected(hub: Hub, count: int) -> None:
    async with asyncio.timeout(30):
        while hub.registry.active_count != count:
            await asyncio.sleep(0)


async def _asked(live: LiveConnection, said: str | bytes) -> dict[str, Any]:
    await live.send(said)
    return await _json(live)


@pytest.mark.parametrize(
    ("query", "topics"),
    [
        ("", [ODDS_UPDATES, SCRAPE_PROGRESS]),
        ("?topics=", [ODDS_UPDATES, SCRAPE_PROGRESS]),
        ("?topics=scrape_progress", [SCRAPE_PROGRESS]),
        ("?topics=scrape_progress,%20odds_updates,", [ODDS_UPDATES, SCRAPE_PROGRESS]),
    ],
)
async def test_first_message_is_the_ack(hub: Hub, query: str, topics: list[str]) -> None:
    """It has the topics, sorted, and the log and position of the client. It has exactly three keys."""
    _tell(hub, 1)
    async with hub.client.websocket(f"/api/ws{query}") as live:
        ack = await _json(live)
        assert list(ack) == ["type", "timestamp", "data"]
        assert ack["type"] == "connection_ack"
        epoch = hub.registry.log.epoch
        connection_id = ack["data"].pop("connection_id")
        assert hub.registry.figures.number_of(connection_id) == 1
        assert ack["data"] == {"topics": topics, "epoch": epoch, "recovered": True, "cursor": f"{epoch}-1"}


async def test_messages_come_in_order_with_three_keys(hub: Hub) -> None:
    """A client gets what is published after the ack, only on the topics it asked for."""
    async with hub.client.websocket("/api/ws?topics=odds_updates") as live:
        await _json(live)
        for number in range(3):
            _tell(hub, number)
            _tell_progress(hub, number)
        for number in range(3):
            message = await _json(live)
            assert list(message) == ["type", "timestamp", "data"]
            assert message["data"]["event_ids"] == [number]


async def test_unknown_topic_is_reported_and_the_valid_ones_stand(hub: Hub) -> None:
    """The ack comes first, then the error, and the connection stays open."""
    async with hub.client.websocket("/api/ws?topics=odds_updates,nonsense") as live:
        ack, error = await _json(live), await _json(live)
        assert ack["data"]["topics"] == [ODDS_UPDATES]
        assert (error["type"], error["data"]["code"]) == ("error", "invalid_topic")
        assert "'nonsense'" in error["data"]["detail"]
        _tell(hub, 1)
        assert (await _json(live))["type"] == "odds_update"


async def test_no_valid_topic_closes_with_1008(hub: Hub) -> None:
    """The error comes before the close."""
    async with hub.client.websocket("/api/ws?topics=nonsense") as live:
        assert (await _json(live))["data"]["code"] == "invalid_topic"
        assert await _code(live) == 1008
    assert hub.registry.active_count == 0
    assert hub.services.limits.count == 0


async def test_late_joiner_gets_the_newest_state_of_each_platform_of_a_run(hub: Hub) -> None:
    """The state comes after the ack and before new messages, and has nothing of ended runs."""
    hub.registry.broadcast(scrape_progress_message(END), SCRAPE_PROGRESS, retain=(0, None), ends=True)
    for number in range(4):
        _tell_progress(hub, number)
    async with hub.client.websocket("/api/ws") as live:
        assert (await _json(live))["type"] == "connection_ack"
        _tell_progress(hub, 4)
        assert [(await _json(live))["data"]["current"] for _ in range(2)] == [3, 4]


async def test_ping_subscribe_and_unsubscribe(hub: Hub) -> None:
    """Requests are answered in the client's order, and a change of topics applies from its answer on."""
    async with hub.client.websocket("/api/ws?topics=odds_updates") as live:
        await _json(live)
        pong = await _asked(live, '{"type":"ping"}')
        assert (pong["type"], pong["data"]) == ("pong", {})
        update = await _asked(live, '{"type":"subscribe","topics":["scrape_progress"]}')
        assert (update["type"], update["data"]) == ("subscription_update", {"topics": [ODDS_UPDATES, SCRAPE_PROGRESS]})
        _tell_progress(hub, 7)
        assert (await _json(live))["data"]["current"] == 7
        update = await _asked(live, '{"type":"unsubscribe","topics":["odds_updates"]}')
        assert update["data"]["topics"] == [SCRAPE_PROGRESS]
        _tell(hub, 1)
        _tell_progress(hub, 8)
        assert (await _json(live))["data"]["current"] == 8
        update = await _asked(live, '{"type":"unsubscribe","topics":["scrape_progress"]}')
        assert update["data"]["topics"] == []


@pytest.mark.odd_input
async def test_subscribing_to_what_there_is_not(hub: Hub) -> None:
    """Unknown topics get an error. Known topics take effect and are answered."""
    async with hub.client.websocket("/api/ws?topics=odds_updates") as live:
        await _json(live)
        error = await _asked(live, '{"type":"subscribe","topics":["scrape_progress","nonsense"]}')
        assert error["data"]["code"] == "invalid_topic"
        assert (await _json(live))["data"]["topics"] == [ODDS_UPDATES, SCRAPE_PROGRESS]
        assert (await _asked(live, '{"type":"subscribe","topics":["nonsense"]}'))["data"]["code"] == "invalid_topic"
        assert (await _asked(live, '{"type":"ping"}'))["type"] == "pong"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("", "invalid_json"),
        ("{", "invalid_json"),
        ("\x00", "invalid_json"),
        ("[" * 2000, "invalid_json"),
        ("[]", "invalid_message"),
        ("1", "invalid_message"),
        ("null", "invalid_message"),
        ("{}", "invalid_message"),
        ('{"type":7}', "invalid_message"),
        ('{"type":"subscribe"}', "invalid_message"),
        ('{"type":"subscribe","topics":"odds_updates"}', "invalid_message"),
        ('{"type":"subscribe","topics":[1]}', "invalid_message"),
        ('{"type":"dance"}', "unknown_type"),
        ('{"type":"' + "x" * 4090 + '"}', "too_large"),
        (b"\x00\x01", "invalid_message"),
        (b'{"type":"ping"}', "invalid_message"),
    ],
)
async def test_what_makes_no_sense_is_answered_and_the_connection_lives_on(
    hub: Hub, said: str | bytes, code: str
) -> None:
    """Each mistake has its own code."""
    async with hub.client.websocket("/api/ws") as live:
        await _json(live)
        error = await _asked(live, said)
        assert (error["type"], error["data"]["code"]) == ("error", code)
        assert len(error["data"]["detail"]) < 200
        assert (await _asked(live, '{"type":"ping"}'))["type"] == "pong"


async def test_too_many_messages_are_reported_and_a_flood_ends_with_1008(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client first gets `rate_limited` on an open connection. Only repeated abuse closes it."""
    monkeypatch.setattr(conversation, "MESSAGES_AT_ONCE", 5.0)
    monkeypatch.setattr(conversation, "MOST_OFFENCES", 10)
    async with hub.client.websocket("/api/ws") as live:
        await _json(live)
        answers = [await _asked(live, '{"type":"ping"}') for _ in range(9)]
        assert [each["type"] for each in answers[:5]] == ["pong"] * 5
        assert answers[-1]["data"]["code"] == "rate_limited"
        for _ in range(40):
            await live.send("{")
        assert await _code(live) == 1008
    assert hub.registry.active_count == 0


async def test_good_messages_take_back_bad_ones(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only repeated abuse closes a connection, and one mistake in two messages is not abuse."""
    monkeypatch.setattr(conversation, "MESSAGES_AT_ONCE", 1000.0)
    monkeypatch.setattr(conversation, "MOST_OFFENCES", 3)
    async with hub.client.websocket("/api/ws") as live:
        await _json(live)
        for _ in range(20):
            assert (await _asked(live, "{"))["type"] == "error"
            assert (await _asked(live, '{"type":"ping"}'))["type"] == "pong"


@pytest.mark.parametrize("query", ["?cursor=1", "?cursor=yes", "?since="])
async def test_cursors_are_a_fourth_key_for_those_who_ask(hub: Hub, query: str) -> None:
    """`id` is on every message, including answers, and its cursor resumes right after that message."""
    async with hub.client.websocket(f"/api/ws{query}") as live:
        ack = await _json(live)
        assert list(ack) == ["type", "timestamp", "data", "id"]
        assert ack["id"] == ack["data"]["cursor"]
        _tell(hub, 1)
        message = await _json(live)
        assert list(message) == ["type", "timestamp", "data", "id"]
        pong = await _asked(live, '{"type":"ping"}')
        assert pong["id"] == message["id"] == f"{hub.registry.log.epoch}-1"


async def test_cursor_0_asks_for_none(hub: Hub) -> None:
    """A value of 0 is the same as no parameter."""
    async with hub.client.websocket("/api/ws?cursor=0") as live:
        assert list(await _json(live)) == ["type", "timestamp", "data"]


async def test_since_resumes_in_order_once(hub: Hub) -> None:
    """What came after the cursor comes first, then live messages. `recovered` is true, and there is no snapshot."""
    for number in range(6):
        _tell_progress(hub, number)
    async with hub.client.websocket(f"/api/ws?since={hub.registry.log.cursor_at(4)}") as live:
        assert (await _json(live))["data"]["recovered"] is True
        _tell_progress(hub, 6)
        messages = [await _json(live) for _ in range(4)]
        assert [each["data"]["current"] for each in messages] == [3, 4, 5, 6]
        assert [each["id"].rpartition("-")[2] for each in messages] == ["4", "5", "6", "7"]


async def test_since_that_the_log_no_longer_reaches() -> None:
    """`recovered` is false, with the count. The newest state comes first, including ended runs, then live messages."""
    hub = Hub(bounds=LogBounds(4, 0, 0.0, 4, 1 << 20))
    for number in range(10):
        _tell_progress(hub, number)
    hub.registry.broadcast(scrape_progress_message(END), SCRAPE_PROGRESS, retain=(1, None), ends=True)
    for number in range(10):
        _tell(hub, number)
    async with hub.client.websocket(f"/api/ws?since={hub.registry.log.cursor_at(3)}") as live:
        ack = await _json(live)
        assert (ack["data"]["recovered"], ack["data"]["missed"]) == (False, 19)
        newest = [await _json(live) for _ in range(2)]
        assert [each["data"]["phase"] for each in newest] == ["scraping", "completed"]
        _tell(hub, 99)
        assert (await _json(live))["data"]["event_ids"] == [99]
    hub.registry.close()


async def test_what_is_missed_is_counted_by_the_topics_that_are_asked_for() -> None:
    """If only odds were published, a listener to progress missed nothing; one to odds learns how much."""
    hub = Hub(bounds=LogBounds(4, 0, 0.0, 4, 1 << 20))
    _tell_progress(hub, 0)
    for number in range(20):
        _tell(hub, number)
    cursor = f"{hub.registry.log.epoch}-1"
    async with hub.client.websocket(f"/api/ws?topics=scrape_progress&since={cursor}") as live:
        ack = (await _json(live))["data"]
        assert (ack["recovered"], "missed" in ack) == (True, False)
        _tell_progress(hub, 1)
        assert (await _json(live))["type"] == "scrape_progress"
    async with hub.client.websocket(f"/api/ws?topics=odds_updates&since={cursor}") as live:
        ack = (await _json(live))["data"]
        assert (ack["recovered"], ack["missed"]) == (False, 20)


@pytest.mark.parametrize("cursor", ["deadbeef-3", "nonsense", "%00", "r1-ab-1", "-"])
async def test_since_of_another_epoch(hub: Hub, cursor: str) -> None:
    """What was missed is unknown, and the ack says so."""
    _tell_progress(hub, 1)
    async with hub.client.websocket(f"/api/ws?since={cursor}") as live:
        ack = await _json(live)
        assert (ack["data"]["recovered"], ack["data"]["missed"]) == (False, None)
        assert (await _json(live))["data"]["current"] == 1


async def test_cursor_moves_between_topics_and_transports(hub: Hub) -> None:
    """There is only one log, so a cursor from one set of topics works with any other."""
    async with hub.client.websocket("/api/ws?topics=odds_updates&cursor=1") as live:
        await _json(live)
        _tell(hub, 1)
        cursor = (await _json(live))["id"]
    _tell_progress(hub, 2)
    async with hub.client.websocket(f"/api/ws?topics=scrape_progress&since={cursor}") as live:
        assert (await _json(live))["data"]["recovered"] is True
        assert (await _json(live))["data"]["current"] == 2


@pytest.mark.parametrize(
    ("headers", "is_let_in"),
    [
        ({}, True),
        ({"Origin": "http://localhost"}, True),
        ({"Origin": "https://friend.example"}, True),
        ({"Origin": "https://stranger.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://localhost.stranger.example"}, False),
    ],
)
async def test_pages_of_strangers_are_refused_before_the_handshake(headers: dict[str, str], is_let_in: bool) -> None:
    """They get a real 403 and a problem. Programs without an origin may connect."""
    hub = Hub(allowed_origins="https://friend.example")
    async with hub.client.websocket("/api/ws", headers={"Host": "localhost", **headers}) as live:
        if is_let_in:
            assert (await _json(live))["type"] == "connection_ack"
        else:
            async with asyncio.timeout(30):
                with pytest.raises(WebsocketResponseError) as caught:
                    await live.receive()
            response = caught.value.response
            assert response.status_code == 403
            assert response.content_type == "application/problem+json"
            assert orjson.loads(await response.get_data())["status"] == 403
    hub.registry.close()


async def test_one_connection_too_many_is_refused_with_503() -> None:
    """It is refused before the handshake. A place that becomes free is available at once."""
    hub = Hub(max_connections=1)
    async with hub.client.websocket("/api/ws") as live:
        await _json(live)
        async with hub.client.websocket("/api/ws") as other:
            async with asyncio.timeout(30):
                with pytest.raises(WebsocketResponseError) as caught:
                    await other.receive()
            assert caught.value.response.status_code == 503
            assert caught.value.response.headers["Retry-After"] == "10"
    async with hub.client.websocket("/api/ws") as live:
        assert (await _json(live))["type"] == "connection_ack"
    assert hub.services.limits.count == 0
    hub.registry.close()


async def test_drain_tells_everyone_to_come_back_and_refuses_newcomers(hub: Hub) -> None:
    """What was published before comes first, then 1012."""
    async with hub.client.websocket("/api/ws?topics=odds_updates") as live:
        await _json(live)
        _tell(hub, 1)
        hub.services.is_draining = True
        tell_restart(hub.services)
        assert (await _json(live))["data"]["event_ids"] == [1]
        assert await _code(live) == 1012
        async with hub.client.websocket("/api/ws") as other:
            async with asyncio.timeout(30):
                with pytest.raises(WebsocketResponseError) as caught:
                    await other.receive()
            assert caught.value.response.status_code == 503


async def test_leaving_leaves_nothing_behind(hub: Hub) -> None:
    """Neither a listener nor an occupied place remains."""
    for _ in range(3):
        async with hub.client.websocket("/api/ws") as live:
            await _json(live)
            assert hub.registry.active_count == 1
    assert hub.registry.active_count == 0
    assert hub.services.limits.count == 0


async def test_answers_that_nobody_takes_end_the_connection(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends requests and never reads is not answered forever."""
    monkeypatch.setattr(conversation, "MOST_WAITING", 3)
    monkeypatch.setattr(conversation, "MESSAGES_AT_ONCE", 1000.0)
    async with hub.client.websocket("/api/ws") as live:
        await _json(live)
        (subscriber,) = hub.registry.flusher.subscribers
        subscriber.sink.write(b"\n")
        for _ in range(20):
            await live.send('{"type":"ping"}')
        assert await _code(live) == 1008


async def test_events_are_watched_while_a_client_that_names_them_is_connected(hub: Hub) -> None:
    """Two clients may watch the same event. Names that are not ids end the connection with the reason."""
    async with hub.client.websocket("/api/ws?watch=7,12") as live:
        assert (await _json(live))["type"] == "connection_ack"
        async with hub.client.websocket("/api/ws?watch=7") as other:
            assert (await _json(other))["type"] == "connection_ack"
            assert 7 in hub.services.watched
            assert 12 in hub.services.watched
        await _connected(hub, 1)
        assert 7 in hub.services.watched
    await _connected(hub, 0)
    assert len(hub.services.watched) == 0
    async with hub.client.websocket("/api/ws?watch=seven") as live:
        assert (await _json(live))["data"]["code"] == "invalid_watch"
        assert await _code(live) == 1008
