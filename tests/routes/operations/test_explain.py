"""`/api/hub/explain`: what became of a message at a connection, over the real routes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from quart_odds.broadcast import ODDS_UPDATES, SCRAPE_PROGRESS
from quart_odds.routes.api import processes
from quart_odds.routes.operations import explain
from quart_odds.websocket.messages import odds_update_message
from tests.apps import Json, RunningApp, running_app, running_sandbox
from tests.platforms import FIRST_THREE
from tests.redis_servers import running_redis

NOWHERE = "http://127.0.0.1:9"
PATIENCE_SECONDS = 30


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app without data."""
    async with running_app(tmp_path, NOWHERE) as opened:
        yield opened


async def asked(running: RunningApp, connection_id: str, query: str = "") -> Json:
    """Return the answer about a connection."""
    answer: Json = await running.get(f"/api/hub/explain?connection={connection_id}{query}")
    return answer


async def test_a_connection_and_its_messages_are_explained(running: RunningApp) -> None:
    """By the id of its ack, from its begin to after its end; a message by its cursor or its number."""
    registry = running.parts.registry
    async with running.client.websocket("/api/ws?topics=odds_updates&cursor=1") as listener:
        ack = await listener.receive_json()
        connection_id = ack["data"]["connection_id"]
        registry.broadcast({"type": "scrape_progress", "data": {}}, SCRAPE_PROGRESS)
        registry.broadcast(odds_update_message([1], FIRST_THREE[0], 1), ODDS_UPDATES)
        told = await listener.receive_json()
        answer = await asked(running, connection_id, f"&cursor={told['id']}")
        message = answer.pop("message")
        assert (message["seq"], message["result"], message["by"]) == (2, "delivered", None)
        assert answer.pop("age_seconds") >= 0
        assert answer == {
            "connection_id": connection_id,
            "process": {"name": running.parts.store.holder, "worker": None},
            "transport": "websocket",
            "lane": "standard",
            "scrape_run_id": None,
            "topics": ["odds_updates"],
            "filter": None,
            "cursor": told["id"],
            "state": "waiting",
            "ending": None,
            "ended_seconds_ago": None,
            "lag_entries": 0,
            "lag_seconds": 0.0,
            "stalled_seconds": None,
            "untaken_bytes": 0,
        }
        message = (await asked(running, connection_id, "&seq=1"))["message"]
        assert (message["result"], message["by"]) == ("filtered_out", "topic")
        assert (await asked(running, connection_id, "&seq=3"))["message"]["result"] == "not_published"
        assert (await asked(running, connection_id))["message"] is None
        assert (await asked(running, connection_id, "&cursor=beef-1"))["message"]["result"] == "unknown"
    registry.broadcast(odds_update_message([1], FIRST_THREE[0], 1), ODDS_UPDATES)
    answer = await asked(running, connection_id, "&seq=3")
    assert (answer["state"], answer["ending"]) == ("ended", "closed")
    assert answer["ended_seconds_ago"] >= 0
    assert answer["message"]["result"] == "after_connection"


async def test_the_filter_of_a_connection_is_told(running: RunningApp) -> None:
    """As messages show it, and the newest one if it was changed."""
    async with running.client.websocket("/api/ws?topics=odds&event_id=12,15") as listener:
        connection_id = (await listener.receive_json())["data"]["connection_id"]
        assert (await asked(running, connection_id))["filter"]["event_id"] == [12, 15]
        await listener.send_json({"type": "subscribe", "topics": ["odds"], "filter": {"event_id": [7]}})
        while (await listener.receive_json())["type"] != "subscription_update":
            pass
        assert (await asked(running, connection_id))["filter"]["event_id"] == [7]


async def test_the_stream_of_a_run_has_an_id_too(tmp_path: Path) -> None:
    """It is in the first comment of the stream, and the answer names the run."""
    with running_sandbox("--events", "2", "--markets", "10") as sandbox:
        async with running_app(tmp_path, sandbox.url) as running:
            response = await running.client.get("/api/scrape/stream")
            text = str(await response.get_data(as_text=True))
            first, comment, *_ = text.splitlines()
            assert first.startswith("retry: ")
            connection_id = comment.removeprefix(": connection_id ")
            cursor = next(line.removeprefix("id: ") for line in text.splitlines() if line.startswith("id: "))
            answer = await asked(running, connection_id, f"&cursor={cursor}")
            assert (answer["transport"], answer["scrape_run_id"], answer["ending"]) == ("sse", 1, "completed")
            assert answer["message"]["result"] == "delivered"


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("", 400, "connection"),
        ("connection=x", 404, None),
        ("connection=x&cursor=1", 400, "cursor"),
        ("connection=x&seq=0", 400, "seq"),
        ("connection=x&seq=1&cursor=beef-1", 400, "seq"),
    ],
)
async def test_what_cannot_be_answered_is_refused(
    running: RunningApp, query: str, status: int, field: str | None
) -> None:
    """With the field that is wrong."""
    response = await running.client.get(f"/api/hub/explain?{query}")
    body = await response.get_json()
    assert response.status_code == status
    assert [each["field"] for each in body.get("errors", ())] == ([] if field is None else [field])


async def test_a_connection_that_is_not_remembered_is_not_found(running: RunningApp) -> None:
    """Its number alone says nothing of it."""
    connection_id = running.parts.registry.figures.id_of(99)
    response = await running.client.get(f"/api/hub/explain?connection={connection_id}")
    assert response.status_code == 404
    assert "15 minutes" in (await response.get_json())["detail"]


async def test_any_process_answers_for_the_writer_and_names_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection of the writer is described by it; for one of another process, that process is named."""
    with running_redis() as redis:
        async with (
            running_app(tmp_path, NOWHERE, engine_url=redis.url) as writer,
            running_app(tmp_path, NOWHERE, engine_url=redis.url) as follower,
        ):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while any(
                    (cluster := processes.cluster_report(each.parts)) is None or len(cluster.processes) < 2
                    for each in (writer, follower)
                ):
                    await asyncio.sleep(0.01)
            async with (
                writer.client.websocket("/api/ws") as of_writer,
                follower.client.websocket("/api/ws") as of_follower,
            ):
                ids = [(await each.receive_json())["data"]["connection_id"] for each in (of_writer, of_follower)]
                answer = await asked(follower, ids[0])
                assert answer["process"]["name"] == writer.parts.store.holder
                assert answer["ending"] is None
                response = await writer.client.get(f"/api/hub/explain?connection={ids[1]}")
                body = await response.get_json()
                assert response.status_code == 404
                assert body["process"] == {"name": follower.parts.store.holder, "worker": None}

                async def nobody() -> None:
                    return None

                monkeypatch.setattr(explain, "asked_of_writer", nobody)
                response = await follower.client.get(f"/api/hub/explain?connection={ids[0]}")
                assert (await response.get_json())["process"]["name"] == writer.parts.store.holder
