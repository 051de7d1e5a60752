"""Runs over HTTP: starting, inspecting, cancelling and retrying them, in the real app with sandbox bookmakers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.scraping import runs
from tests.apps import Json, RunningApp, Sandbox, blocks, running_app, running_sandbox
from tests.platforms import FIRST_THREE

BETPAWA, SPORTYBET, BET9JA, *_ = Platform
EVENTS = 4
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with four events."""
    with running_sandbox("--events", str(EVENTS), "--markets", "10") as running:
        yield running


@pytest.fixture
async def running(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app whose bookmakers work."""
    sandbox.heal()
    async with running_app(tmp_path, sandbox.url) as opened:
        yield opened


@pytest.fixture
async def busy(sandbox: Sandbox, running: RunningApp) -> tuple[RunningApp, int]:
    """An app, and the id of a run that lasts as long as the test."""
    sandbox.strike("timeout", *FIRST_THREE)
    return running, await running.start()


async def problem(response: Any, status: int) -> Json:
    """Return the body of a response, which must be a problem with this status."""
    body: Json = await response.get_json()
    assert (response.status_code, response.content_type) == (status, PROBLEM), body
    assert body["status"] == status
    assert body.keys() >= {"type", "title", "detail", "instance"}
    return body


async def test_a_run_is_accepted_with_its_address_and_its_row_committed(
    busy: tuple[RunningApp, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The response links to the run; its row is committed, and it is the one active run."""
    monkeypatch.setattr(runs, "CANCELLED_START_SECONDS", 0)
    running, run_id = busy
    await running.client.post(f"/api/scrape/{run_id}/cancel")
    await running.published(run_id)
    response = await running.client.post("/api/scrape", json={"platforms": ["betpawa", "bet9ja", "betpawa"]})
    assert response.status_code == 202
    said = await response.get_json()
    run_id = said["scrape_run_id"]
    assert said["status"] == "running"
    assert response.headers["Location"] == said["links"]["self"] == f"/api/scrape/{run_id}"
    record = await running.parts.store.get_run(run_id)
    assert record is not None
    assert (record.status, record.trigger, record.platforms) == ("running", "api", (BETPAWA, BET9JA))
    assert await running.get("/api/scrape/runs/active") == [run_id]
    row = await running.get(said["links"]["self"])
    assert (row["status"], row["completed_at"], row["duration_ms"]) == ("running", None, None)
    assert [each["platform"] for each in row["platforms"]] == ["betpawa", "bet9ja"]
    assert [each["phase"] for each in await running.get(said["links"]["phases"])] == ["discovering", "discovering"]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"platforms": null}', b" \n"])
async def test_a_body_may_be_left_out(body: bytes, busy: tuple[RunningApp, int]) -> None:
    """Without a body, a run covers all bookmakers. Here it conflicts with the active run, which the problem names."""
    running, run_id = busy
    said = await problem(await running.client.post("/api/scrape", data=body), 409)
    assert said["scrape_run_id"] == run_id
    assert f"run {run_id} is active" in said["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "body"),
        (b"[]", "body"),
        (b'"betpawa"', "body"),
        (b"\xff", "body"),
        (b'{"platforms": "betpawa"}', "platforms"),
        (b'{"platforms": []}', "platforms"),
        (b'{"platforms": ["ladbrokes"]}', "platforms"),
        (b'{"platforms": [7, {}]}', "platforms"),
        (b'{"sport": "tennis"}', "sport"),
    ],
)
@pytest.mark.parametrize("path", ["/api/scrape", "/api/scrape/1/retry"])
async def test_a_body_that_makes_no_sense_starts_nothing(
    path: str, body: bytes, field: str, running: RunningApp
) -> None:
    """An invalid body is answered 400, with the name of the invalid field, and starts nothing."""
    said = await problem(await running.client.post(path, data=body), 400)
    assert field in {each["field"] for each in said["errors"]}
    assert await running.get("/api/scrape/runs") == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=lambda headers: ",".join(headers.values()),
)
async def test_nothing_is_started_or_changed_for_a_page_of_another_site(
    headers: dict[str, str], running: RunningApp
) -> None:
    """Every route that changes something answers 403; routes that read do not."""
    for method, path in [
        ("POST", "/api/scrape"),
        ("GET", "/api/scrape/stream"),
        ("POST", "/api/scrape/1/cancel"),
        ("POST", "/api/scrape/1/retry"),
        ("POST", "/api/scheduler/pause"),
        ("POST", "/api/scheduler/resume"),
        ("PUT", "/api/settings"),
        ("POST", "/api/cleanup/execute"),
    ]:
        response = await running.ask(method, path, headers)
        assert "Refused" in (await problem(response, 403))["detail"]
    assert await running.get("/api/scrape/runs") == []
    assert (await running.client.get("/api/scrape/runs", headers=headers)).status_code == 200


async def test_head_starts_nothing(running: RunningApp) -> None:
    """HEAD returns the headers of the stream and keeps no connection open."""
    response = await running.client.head("/api/scrape/stream")
    assert (response.status_code, await response.get_data()) == (200, b"")
    assert response.content_type.startswith("text/event-stream")
    assert await running.get("/api/scrape/runs") == []


async def test_the_stream_starts_a_run_and_tells_it_to_its_end(running: RunningApp) -> None:
    """The stream sends the same data as the run's own stream, and the row records what started the run."""
    response = await running.client.get("/api/scrape/stream")
    published = blocks(await response.get_data())
    assert published[-1]["phase"] == "completed"
    assert published == await running.published(1)
    [row] = await running.get("/api/scrape/runs")
    assert (row["trigger"], row["status"], row["events_scraped"]) == ("api-stream", "completed", 3 * EVENTS)


async def test_runs_are_listed_newest_first_in_pages_and_by_status(sandbox: Sandbox, running: RunningApp) -> None:
    """Runs are listed with their results; an invalid query is refused."""
    await running.scrape()
    sandbox.strike("403", *FIRST_THREE)
    await running.scrape(BETPAWA)
    sandbox.strike("403", SPORTYBET)
    await running.scrape()
    runs = await running.get("/api/scrape/runs")
    assert [(each["id"], each["status"]) for each in runs] == [(3, "partial"), (2, "failed"), (1, "completed")]
    assert runs[2]["platform_timings"].keys() == {"betpawa", "sportybet", "bet9ja"}
    assert runs[1]["platform_timings"] is None
    assert runs[0]["platform_timings"].keys() == {"betpawa", "bet9ja"}, "one that failed has no timing"
    assert [each["id"] for each in await running.get("/api/scrape/runs?limit=1&offset=1")] == [2]
    assert [each["id"] for each in await running.get("/api/scrape/runs?status=completed")] == [1]
    assert await running.get("/api/scrape/runs/active") == []
    history = await running.get("/api/scheduler/history?limit=2")
    assert (history["total"], [each["id"] for each in history["runs"]]) == (3, [3, 2])
    for query, field in [("limit=0", "limit"), ("limit=x", "limit"), ("offset=-1", "offset"), ("status=odd", "status")]:
        said = await problem(await running.client.get(f"/api/scrape/runs?{query}"), 400)
        assert [each["field"] for each in said["errors"]] == [field]


async def test_a_run_that_is_over_says_what_came_of_it(running: RunningApp) -> None:
    """A finished run shows its result at each bookmaker, and its phases in the order in which they began."""
    row, _ = await running.scrape()
    assert (row["scrape_run_id"], row["status"], row["errors"]) == (1, "completed", [])
    assert row["events_scraped"] == 3 * EVENTS
    assert row["started_at"].endswith("Z")
    assert row["completed_at"] > row["started_at"]
    for each in row["platforms"]:
        assert (each["events_found"], each["events_scraped"], each["error"]) == (EVENTS, EVENTS, None)
        assert each["mapped_markets"] > 0
    phases = await running.get("/api/scrape/runs/1/phases")
    assert [each["id"] for each in phases] == list(range(1, len(phases) + 1))
    assert [each["started_at"] for each in phases] == sorted(each["started_at"] for each in phases)
    of_betpawa = [each["phase"] for each in phases if each["platform"] == "betpawa"]
    assert of_betpawa == ["discovering", "scraping", "mapping", "storing", "completed"]
    assert all(each["ended_at"] for each in phases)


@pytest.mark.parametrize("path", ["/api/scrape/77", "/api/scrape/runs/77/phases", "/api/scrape/runs/77/progress"])
async def test_a_run_that_there_is_not(path: str, running: RunningApp) -> None:
    """Reading, cancelling and retrying an unknown run are answered 404."""
    assert "no run 77" in (await problem(await running.client.get(path), 404))["detail"]
    for action in ("cancel", "retry"):
        await problem(await running.client.post(f"/api/scrape/77/{action}"), 404)


async def test_a_cancelled_run_says_so_and_cannot_be_cancelled_again(busy: tuple[RunningApp, int]) -> None:
    """Cancelling is answered 202, followed by one terminal progress; cancelling again is answered 409."""
    running, run_id = busy
    response = await running.client.post(f"/api/scrape/{run_id}/cancel")
    assert (response.status_code, (await response.get_json())["status"]) == (202, "cancelling")
    published = await running.published(run_id)
    assert (published[-1]["phase"], published[-1]["error"]["error_type"]) == ("failed", "cancelled")
    assert (await running.get(f"/api/scrape/{run_id}"))["status"] == "cancelled"
    said = await problem(await running.client.post(f"/api/scrape/{run_id}/cancel"), 409)
    assert "is over" in said["detail"]


async def test_a_retry_scrapes_what_failed(sandbox: Sandbox, running: RunningApp) -> None:
    """A retry covers what failed, or what the body names; 409 if there is neither, or if the run is active."""
    sandbox.strike("403", SPORTYBET)
    await running.scrape()
    sandbox.heal()
    response = await running.client.post("/api/scrape/1/retry")
    said = await response.get_json()
    assert (response.status_code, said["platforms_retried"]) == (202, ["sportybet"])
    assert response.headers["Location"] == f"/api/scrape/{said['new_run_id']}"
    await running.published(said["new_run_id"])
    row = await running.get(f"/api/scrape/{said['new_run_id']}")
    assert (row["status"], row["trigger"], row["events_scraped"]) == ("completed", "retry:1", EVENTS)
    said = await problem(await running.client.post("/api/scrape/2/retry"), 409)
    assert "failed nowhere" in said["detail"]
    sandbox.strike("timeout", *FIRST_THREE)
    response = await running.client.post("/api/scrape/2/retry", json={"platforms": ["bet9ja"]})
    assert (await response.get_json())["platforms_retried"] == ["bet9ja"]
    said = await problem(await running.client.post("/api/scrape/3/retry"), 409)
    assert "still running" in said["detail"]


async def test_starts_at_the_same_moment_are_one_run(sandbox: Sandbox, running: RunningApp) -> None:
    """One start is accepted; the others are answered 409 with the id of its run."""
    sandbox.strike("timeout", *FIRST_THREE)
    answers = await asyncio.gather(*(running.client.post("/api/scrape") for _ in range(8)))
    assert sorted(each.status_code for each in answers) == [202, *[409] * 7]
    assert {(await each.get_json())["scrape_run_id"] for each in answers} == {1}


async def test_one_event_is_fetched_again_on_demand(sandbox: Sandbox, running: RunningApp) -> None:
    """An event is refreshed by its id or SportRadar id, with each bookmaker's result; an unknown event is a 404."""
    await running.scrape()
    event = (await running.get("/api/events?include_started=true&min_bookmakers=3"))["events"][0]
    response = await running.client.post(f"/api/events/{event['id']}/refresh")
    said = await response.get_json()
    assert (response.status_code, said["status"], said["platforms_failed"]) == (200, "completed", [])
    assert said["platforms_scraped"] == ["betpawa", "sportybet", "bet9ja"]
    sandbox.strike("403", BET9JA)
    response = await running.client.post(f"/api/scrape/event/{event['sportradar_id']}")
    said = await response.get_json()
    assert (said["status"], said["platforms_failed"]) == ("partial", ["bet9ja"])
    [failed] = [each for each in said["platform_results"] if not each["success"]]
    assert "refused (403)" in failed["error"]
    assert all(each["available"] for each in (await running.odds(BET9JA)).values())
    await problem(await running.client.post("/api/events/99999/refresh"), 404)
    await problem(await running.client.post("/api/scrape/event/nonsense"), 404)
    response = await running.client.post(f"/api/events/{event['id']}/refresh", headers={"Sec-Fetch-Site": "cross-site"})
    await problem(response, 403)
