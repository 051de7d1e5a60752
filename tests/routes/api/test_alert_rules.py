"""Rules of alerts over HTTP, and what fires: in the table, on the topic, and for targets."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from quart_odds.alerts.values import TargetKind
from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from tests.alerts.receiving import receiving
from tests.apps import RunningApp, running_app
from tests.odds.making import X1, header, key, mapped

NOWHERE = "http://127.0.0.1:9"
RULES = "/api/alerts/rules"
HOME = key("1x2_ft", "1")
WHEN = {"kind": "price", "event_id": 1, "market": "1x2_ft", "outcome": "1", "over": 2.5}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app that has one event, with the home side at 2.4."""
    async with running_app(tmp_path, NOWHERE, alerts_allow_private=True, request_tries=1) as opened:
        await price(opened, 2.4)
        await opened.parts.odds_service.confirm()
        yield opened


async def price(running: RunningApp, odds: float) -> None:
    """Let the home side have this price at BetPawa."""
    await running.parts.odds_service.record(mapped(header(), {**X1, HOME: odds}), utc_now())


async def ask(running: RunningApp, method: str, path: str, body: object = None, status: int = 200) -> Any:
    """Return the JSON of a response with this status."""
    words: dict[str, Any] = {} if body is None else {"json": body}
    response = await running.client.open(path, method=method, **words)
    assert response.status_code == status, await response.get_data()
    return await response.get_json()


async def alerts(running: RunningApp, count: int = 1) -> list[Any]:
    """Wait until that many alerts are stored, and return them, newest first."""
    async with asyncio.timeout(30):
        while len(found := (await running.get("/api/alerts"))["alerts"]) < count:
            await asyncio.sleep(0.01)
    return list(found)


async def test_a_rule_is_added_changed_and_removed(running: RunningApp) -> None:
    """What is not named stays, and what is left out has a default."""
    rule = await ask(running, "POST", RULES, {"name": "home", "when": WHEN}, 201)
    assert rule["when"] == {**WHEN, "line": None, "bookmaker": None, "under": None, "margin_percent": 2}
    assert (rule["targets"], rule["cooldown_seconds"], rule["enabled"]) == ([], 300, True)
    path = f"{RULES}/{rule['id']}"
    assert await running.get(RULES) == {"rules": [rule]}
    assert await running.get(path) == rule
    changed = await ask(running, "PUT", path, {"enabled": False, "cooldown_seconds": 0})
    assert changed == {**rule, "enabled": False, "cooldown_seconds": 0, "changed_at": changed["changed_at"]}
    assert await ask(running, "DELETE", path) == {"id": rule["id"], "removed": True}
    for method in ("GET", "PUT", "DELETE"):
        problem = await ask(running, method, path, {} if method == "PUT" else None, 404)
        assert problem["detail"] == f"there is no rule {rule['id']}"


async def test_a_wrong_rule_is_refused(running: RunningApp) -> None:
    """The field is named with what is allowed."""
    for body, field, said in (
        ({"when": {**WHEN, "market": "nonsense"}}, "when.price.market", "GET /api/coverage/markets lists all"),
        ({"when": {**WHEN, "outcome": "9"}}, "when.price.outcome", "it has 1, X, 2"),
        (
            {"when": {**WHEN, "bookmaker": "x"}},
            "when.price.bookmaker",
            "'betpawa', 'sportybet', 'bet9ja', 'msport' or 'betking'",
        ),
        ({"when": {**WHEN, "event_id": 7}}, "when.event_id", "there is no event 7"),
        ({"when": {"kind": "horoscope"}}, "when", "expected tags: 'price', "),
        ({"when": {"kind": "opportunity", "of": "x", "over_percent": 1}}, "when.opportunity.of", "'value' or 'middle'"),
        ({"targets": [7]}, "targets", "there is no such target among 7"),
        ({"cooldown_seconds": -1}, "cooldown_seconds", "greater than or equal to 0"),
        ({"name": ""}, "name", "give a name"),
        ({"color": "red"}, "color", "is not known"),
    ):
        problem = await ask(running, "POST", RULES, {"name": "home", "when": WHEN, **body}, 400)
        (error,) = problem["errors"]
        assert (error["field"], said in error["message"]) == (field, True), problem
    assert await running.get(RULES) == {"rules": []}


async def test_an_alert_is_listed_told_and_delivered(running: RunningApp) -> None:
    """On the topic only those get it who name it."""
    async with receiving() as receiver:
        target = await running.parts.alerts.targets.add(TargetKind.WEBHOOK, "hook", f"{receiver.url}/hook")
        await ask(running, "POST", RULES, {"name": "home", "when": WHEN, "targets": [target.id]}, 201)
        async with (
            running.client.websocket("/api/ws?topics=alerts") as named,
            running.client.websocket("/api/ws") as unnamed,
        ):
            assert orjson.loads(await named.receive())["data"]["topics"] == ["alerts"]
            assert "alerts" not in orjson.loads(await unnamed.receive())["data"]["topics"]
            await price(running, 2.6)
            async with asyncio.timeout(30):
                message = orjson.loads(await named.receive())
                assert orjson.loads(await unnamed.receive())["type"] == "odds_update"
        await receiver.until(1)
    (alert,) = await alerts(running)
    assert message["type"] == "alert"
    assert message["timestamp"] == alert["fired_at"]
    assert message["data"] == {"id": alert["id"], "title": alert["title"], "text": alert["text"], **alert["data"]}
    assert (alert["rule"], alert["kind"], alert["data"]["odds"]) == ("home", "price", 2.6)
    body = orjson.loads(receiver.requests[0].body)
    assert (body["type"], body["data"], body["text"]) == ("alert", alert["data"], alert["text"])
    async with asyncio.timeout(30):
        while (await alerts(running))[0]["deliveries"][0]["state"] != "delivered":
            await asyncio.sleep(0.01)
    (delivery,) = (await alerts(running))[0]["deliveries"]
    assert delivery.items() >= {"target": "hook", "attempts": 1, "reason": None, "next_at": None}.items()


async def test_a_run_that_fails_fires(running: RunningApp) -> None:
    """And so do the bookmakers that failed in it."""
    await ask(running, "POST", RULES, {"name": "runs", "when": {"kind": "run"}}, 201)
    failing = {"kind": "bookmaker", "on": ["failing"], "bookmaker": "bet9ja"}
    await ask(running, "POST", RULES, {"name": "bet9ja", "when": failing}, 201)
    row, _ = await running.scrape(*Platform)
    assert row["status"] == "failed"
    found = {alert["kind"]: alert for alert in await alerts(running, 2)}
    assert found["run"]["data"]["run_id"] == row["scrape_run_id"]
    assert found["bookmaker"]["data"]["bookmaker"] == "bet9ja"


async def test_a_run_that_a_crash_interrupted_fires_at_the_next_start(tmp_path: Path) -> None:
    """The rules are read before the runs of the process that died are ended."""
    async with running_app(tmp_path, NOWHERE) as running:
        await ask(running, "POST", RULES, {"name": "runs", "when": {"kind": "run"}}, 201)
        run_id = await running.parts.store.create_run(trigger="api", platforms=list(Platform), started_at=utc_now())
    async with running_app(tmp_path, NOWHERE) as running:
        (alert,) = await alerts(running)
    assert (alert["data"]["run_id"], alert["data"]["status"]) == (run_id, "interrupted")


async def test_alerts_are_listed_in_pages(running: RunningApp) -> None:
    """A wrong query is refused."""
    assert await running.get("/api/alerts?limit=1&before=9&rule_id=1") == {"alerts": []}
    for query in ("limit=0", "limit=201", "before=x", "rule_id=0"):
        await ask(running, "GET", f"/api/alerts?{query}", None, 400)
