"""What checks the traffic of all tests finds what the documents do not say, and names the place."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from quart import Response

from tests.apps import RunningApp, running_app
from tests.traffic import WATCH, traffic

NOWHERE = "http://127.0.0.1:9"


async def found(running: RunningApp, path: str, response: Response) -> list[str]:
    """Return what is found if a route answers with this response."""
    [rule] = [rule for rule in running.app.url_map.iter_rules() if rule.rule == path]

    async def answer(**_: object) -> Response:
        return response

    before = running.app.view_functions[rule.endpoint]
    running.app.view_functions[rule.endpoint] = answer
    await running.client.get(path)
    running.app.view_functions[rule.endpoint] = before
    return WATCH.taken()


def json(body: object, status: int = 200, content_type: str = "application/json") -> Response:
    """Return a response with JSON."""
    return Response(orjson.dumps(body), status, content_type=content_type)


async def test_answers_outside_the_document_are_found(tmp_path: Path) -> None:
    """A status, a content type, a missing field, another one, and a value of another type, with the JSON pointer."""
    good: dict[str, Any] = {"total_runs": 1, "runs_24h": 1, "avg_duration_seconds": None}
    path, where = "/api/scrape/stats", "GET /api/scrape/stats"
    async with running_app(tmp_path, NOWHERE) as running:
        assert await found(running, path, json(good)) == []
        assert await found(running, path, json(good, 418)) == [f"{where} 418: this status is not documented"]
        [said] = await found(running, path, json(good, content_type="text/plain"))
        assert said == f"{where} 200: the content type 'text/plain' is not documented"
        [said] = await found(running, path, json({"total_runs": 1, "runs_24h": 1}))
        assert said.startswith(f"{where} 200 /: ")
        assert "avg_duration_seconds" in said
        [said] = await found(running, path, json({**good, "more": 1}))
        assert said.startswith(f"{where} 200 /: ")
        assert "more" in said
        [said] = await found(running, path, json({**good, "runs_24h": "x"}))
        assert said.startswith(f"{where} 200 /runs_24h: ")
        said = (await found(running, path, json({"title": "x"}, 503, "application/problem+json")))[0]
        assert said.startswith(f"{where} 503 /: ")


async def test_accepted_requests_outside_the_document_are_found(tmp_path: Path) -> None:
    """Unless the test sends nonsense on purpose."""
    async with running_app(tmp_path, NOWHERE) as running:
        assert (await running.client.get("/api/events?tournament_id=7")).status_code == 200
        assert WATCH.taken() == []
        assert (await running.client.get("/api/events?tournament_id=-7")).status_code == 200
        [said] = WATCH.taken()
        assert said.startswith("the accepted request GET /api/events ?tournament_id=-7 /: ")
        WATCH.begin(is_odd=True)
        assert (await running.client.get("/api/events?tournament_id=-7")).status_code == 200
        assert WATCH.taken() == []


def test_messages_outside_the_document_are_found() -> None:
    """One of another type, one with a field too many, and a step of a run without one."""
    pong = {"type": "pong", "timestamp": "2026-11-22T10:00:00.123Z", "data": {}}
    traffic().message(pong, "/api/ws")
    assert WATCH.taken() == []
    for message, words in (
        ({**pong, "type": "ding"}, "no message 'ding' is documented"),
        ({**pong, "data": {"more": 1}}, "pong /data: "),
        ({**pong, "timestamp": "now"}, "pong /timestamp: "),
    ):
        traffic().message(message, "/api/ws")
        assert words in WATCH.taken()[0]
    traffic().block("/api/scrape/stream", 'id: r1-x-1\ndata: {"phase":"scraping"}', "a stream")
    with pytest.raises(AssertionError, match=r"(?s)traffic that the documents do not describe.*a stream progress /: "):
        WATCH.check()


async def test_blocks_of_streams_and_answers_of_websockets_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that the app sends, of a type that the document does not have."""
    async with running_app(tmp_path, NOWHERE) as running:
        monkeypatch.delitem(traffic().asyncapi["channels"]["hub"]["messages"], "connection_ack")
        async with running.client.websocket("/api/ws") as websocket:
            await websocket.receive()
        assert WATCH.taken() == ["/api/ws: no message 'connection_ack' is documented"]
