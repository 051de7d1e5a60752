"""The registry: its operations over one log, and what `broadcast_registry` refers to in each context."""

import asyncio

import pytest
from quart import Quart

from quart_odds.broadcast import (
    ALERTS,
    DEFAULT_TOPICS,
    ODDS,
    ODDS_UPDATES,
    OPPORTUNITIES,
    SCRAPE_PROGRESS,
    TOPICS,
    BroadcastRegistry,
    broadcast_registry,
    current_registry,
    use_registry,
)
from quart_odds.broadcast import context as broadcast_context
from quart_odds.broadcast.framing import FRAME, TEXT_WITH_CURSOR
from tests.broadcast.listeners import RecordingSink, handshake, make_registry, message, numbers, read_messages


async def test_counts() -> None:
    """Listeners are counted in total and per topic. One without topics counts for no topic."""
    registry = make_registry()
    everything = registry.connect(RecordingSink(), FRAME)
    nothing = registry.connect(RecordingSink(), FRAME, topics={ODDS_UPDATES})
    assert registry.active_count == 2
    assert registry.topic_counts == {ALERTS: 0, ODDS: 0, ODDS_UPDATES: 2, OPPORTUNITIES: 0, SCRAPE_PROGRESS: 1}
    registry.reselect(nothing, ())
    registry.flusher.flush()
    assert registry.topic_counts == {ALERTS: 0, ODDS: 0, ODDS_UPDATES: 1, OPPORTUNITIES: 0, SCRAPE_PROGRESS: 1}
    registry.disconnect(everything)
    assert registry.active_count == 1
    assert registry.topic_counts == {ALERTS: 0, ODDS: 0, ODDS_UPDATES: 0, OPPORTUNITIES: 0, SCRAPE_PROGRESS: 0}
    registry.close()


async def test_hello_then_newest_state_then_what_comes() -> None:
    """The first message is the handshake; messages published in the same loop iteration are not lost."""
    registry = make_registry()
    registry.broadcast(message(1), SCRAPE_PROGRESS, retain=("run", "a"))
    sink = RecordingSink()
    registry.connect(sink, TEXT_WITH_CURSOR, handshake=handshake)
    registry.broadcast(message(2), SCRAPE_PROGRESS, retain=("run", "a"))
    registry.flusher.flush()
    taken = read_messages(sink.received, TEXT_WITH_CURSOR)
    assert numbers(taken) == ["hello", 1, 2]
    assert taken[0].value["cursor"] == f"{registry.log.epoch}-1"
    registry.close()


async def test_a_new_selection_counts_from_here_on() -> None:
    """The last one counts, even before the client has reached those before it."""
    registry = make_registry()
    sink = RecordingSink()
    subscriber = registry.connect(sink, FRAME, topics={ODDS_UPDATES})
    registry.reselect(subscriber, TOPICS)
    registry.reselect(subscriber, [SCRAPE_PROGRESS])
    assert subscriber.wanted_topics == {SCRAPE_PROGRESS}
    registry.broadcast(message(1), ODDS_UPDATES)
    registry.broadcast(message(2), SCRAPE_PROGRESS)
    registry.flusher.flush()
    assert numbers(read_messages(sink.received, FRAME)) == [2]
    registry.close()


async def test_broadcast_all_reaches_everyone_and_moves_no_cursor() -> None:
    """The message reaches every listener, whatever its topics, and nobody can resume from it."""
    registry = make_registry()
    sinks = [RecordingSink(), RecordingSink()]
    for sink, topic in zip(sinks, sorted(DEFAULT_TOPICS), strict=True):
        registry.connect(sink, FRAME, topics={topic})
    registry.broadcast_all({"type": "notice"})
    registry.flusher.flush()
    assert [numbers(read_messages(sink.received, FRAME)) for sink in sinks] == [["notice"], ["notice"]]
    assert registry.log.next_seq == 1
    registry.close()


def test_unknown_topic_is_refused() -> None:
    """Publishing to an unknown topic is a programming error, and raises."""
    with pytest.raises(ValueError, match="no message goes to the topic 'odds' whole; those are alerts, odds_updates, "):
        make_registry().broadcast(message(1), "odds")


def _app(registry: BroadcastRegistry) -> Quart:
    app = Quart("test")
    broadcast_context.init_app(app, registry)

    @app.get("/count")
    async def count() -> str:
        return str(id(current_registry()))

    @app.websocket("/count")
    async def count_live() -> None:
        from quart import websocket

        await websocket.send(str(broadcast_registry.active_count))

    return app


async def test_registry_is_the_one_of_the_app_that_is_asked() -> None:
    """Two apps in one process never see each other's listeners: in requests, WebSockets, app contexts and tasks."""
    first, second = make_registry(), make_registry()
    first.connect(RecordingSink(), FRAME)
    apps = _app(first), _app(second)
    for app, registry in zip(apps, (first, second), strict=True):
        async with app.test_app() as running:
            client = running.test_client()
            assert (await (await client.get("/count")).get_data(as_text=True)) == str(id(registry))
            async with client.websocket("/count") as live:
                assert await live.receive() == str(registry.active_count)
            async with app.app_context():
                assert current_registry() is registry
                assert await asyncio.create_task(_here()) is registry
            seen: list[BroadcastRegistry] = []

            async def look(seen: list[BroadcastRegistry] = seen) -> None:
                seen.append(current_registry())

            app.add_background_task(look)
        assert seen == [registry]
    first.close()


async def _here() -> BroadcastRegistry:
    return current_registry()


async def test_registry_can_be_lent_to_a_context() -> None:
    """A registry can be lent in tests and tools, also within an app, and the app's own returns afterwards."""
    own, lent = make_registry(), make_registry()
    async with _app(own).app_context():
        with use_registry(lent) as registry:
            assert registry is lent
            assert current_registry() is lent
        assert current_registry() is own


def test_outside_of_any_context_the_error_says_what_to_do() -> None:
    """The error is a helpful sentence, not an AttributeError."""
    with pytest.raises(RuntimeError, match="use_registry"):
        assert broadcast_registry.active_count
