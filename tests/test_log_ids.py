"""Log lines of runs and of connections have their ids, and lines of anything else have none of them."""

import logging
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from quart.testing import WebsocketResponseError

from quart_odds.broadcast import ODDS_UPDATES
from quart_odds.broadcast.framing import FRAME
from quart_odds.routes.live.place import LivePlace
from quart_odds.scraping import coordinator
from quart_odds.websocket.messages import odds_update_message
from tests.apps import Sandbox, running_app, running_sandbox
from tests.broadcast.listeners import BrokenSink, ManualClock, RecordingSink
from tests.platforms import FIRST_THREE

NOWHERE = "http://127.0.0.1:9"
Lines = list[MutableMapping[str, Any]]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with four events."""
    with running_sandbox("--events", "4", "--markets", "10") as running:
        yield running


@pytest.fixture
def lines() -> Lines:
    """All lines that are logged, debug included, with what the context adds."""
    kept: Lines = []

    def keep(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        kept.append(dict(event))
        raise structlog.DropEvent

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, keep],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        cache_logger_on_first_use=False,
    )
    return kept


async def test_each_line_of_a_run_has_its_id(
    tmp_path: Path, sandbox: Sandbox, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of its tasks, and of the requests that it sends. A second run has another id."""
    marked = coordinator.Coordinator._judge

    def judge(self: coordinator.Coordinator, *given: Any) -> None:
        structlog.get_logger().info("of a task", platform=str(given[0].tracker.platform))
        marked(self, *given)

    monkeypatch.setattr(coordinator.Coordinator, "_judge", judge)
    async with running_app(tmp_path, sandbox.url) as running:
        await running.scrape()
        await running.scrape()
        structlog.get_logger().info("of nobody")
        writing = running.parts.odds_service.writer
        assert writing.waiting == 0
    for event, count in (("run.started", 1), ("of a task", len(FIRST_THREE)), ("run.ended", 1)):
        found = [each for each in lines if each["event"] == event]
        assert [each["run_id"] for each in found] == [1] * count + [2] * count
    assert all("run_id" not in each for each in lines if each["event"] == "of nobody")
    assert all(each.get("run_id") == each["scrape_run_id"] for each in lines if "scrape_run_id" in each)


async def test_what_works_for_all_runs_has_the_id_of_none(
    tmp_path: Path, sandbox: Sandbox, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task that writes odds is begun by some run, and goes on for others."""
    async with running_app(tmp_path, sandbox.url) as running:
        store = running.parts.store
        write = store.write

        async def writing(*given: Any) -> None:
            structlog.get_logger().info("of the writer")
            await write(*given)

        monkeypatch.setattr(store, "write", writing)
        await running.scrape()
    found = [each for each in lines if each["event"] == "of the writer"]
    assert found
    assert all("run_id" not in each for each in found)


async def test_each_line_of_a_connection_has_its_id(
    tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of its route, on WebSocket and on SSE, and no secret that its address has."""
    begun = LivePlace.__init__

    def begin(self: LivePlace, *given: Any) -> None:
        structlog.get_logger().info("of a route")
        begun(self, *given)

    monkeypatch.setattr(LivePlace, "__init__", begin)
    async with running_app(tmp_path, NOWHERE) as running:
        ids = []
        for _ in range(2):
            async with running.client.websocket("/api/ws?topics=odds_updates") as listener:
                ids.append((await listener.receive_json())["data"]["connection_id"])
        async with running.client.request("/api/sse") as connection:
            await connection.send_complete()
            while b"connection_ack" not in (data := await connection.receive()):
                pass
            await connection.disconnect()
        headers = {"Authorization": "Bearer TOKENSECRET"}
        for query, given in (("?ticket=TICKETSECRET", {}), ("?token=TOKENSECRET", {}), ("", headers)):
            with pytest.raises(WebsocketResponseError):
                async with running.client.websocket(f"/api/ws{query}", headers=given) as listener:
                    await listener.receive()
        structlog.get_logger().info("of nobody")
    found = [each["connection_id"] for each in lines if each["event"] == "of a route"]
    assert found[:2] == ids
    assert found[2].encode() in data
    assert len(set(found)) == 3
    assert all("connection_id" not in each for each in lines if each["event"] == "of nobody")
    assert "SECRET" not in str(lines)


async def test_a_line_of_the_hub_names_the_connection_that_it_is_about(
    tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not the first one, whose request began the hub's timers, nor the run whose message is written."""
    async with running_app(tmp_path, NOWHERE) as running:
        registry = running.parts.registry
        clock = ManualClock()
        monkeypatch.setattr(registry.flusher.upkeep, "_clock", clock)
        async with running.client.websocket("/api/ws") as listener:
            await listener.receive_json()
            sink = RecordingSink()
            slow = registry.connect(sink, FRAME)
            registry.flusher.flush()
            sink.stall()
            for number in range(2):
                registry.broadcast(odds_update_message([number + 1], FIRST_THREE[0], 1), ODDS_UPDATES)
                await listener.receive()
            for _ in range(3):
                registry.flusher.upkeep.tick()
                clock.advance(20)
            broken = registry.connect(BrokenSink(), FRAME)
            with structlog.contextvars.bound_contextvars(run_id=5):
                registry.broadcast(odds_update_message([1], FIRST_THREE[0], 1), ODDS_UPDATES)
            await listener.receive()
    by_event = {each["event"]: each for each in lines}
    assert by_event["subscriber.cut"]["connection_id"] == registry.figures.id_of(slow.number)
    assert by_event["subscriber.failed"]["connection_id"] == registry.figures.id_of(broken.number)
    assert "run_id" not in by_event["subscriber.failed"]
