"""An alert from the price to its receivers, at a server that is killed in between."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox import SandboxOptions, sandbox_process
from tests.alerts.receiving import receiving
from tests.alerts.test_webhook import verify
from tests.platforms import FIRST_THREE
from tests.server.serving import Json, Server, at, curl, served
from tests.traffic import traffic

HOME = {"market": "1x2_ft", "line": None, "outcome": "1", "bookmaker": "betpawa"}


async def ask(server: Server, method: str, path: str, body: object = None) -> Any:
    """Return the JSON of a successful response."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{server.url}{path}", json=body) as response,
    ):
        assert response.status < 300, await response.text()
        traffic().answer(method, path, response.status, response.content_type, await response.read())
        return await response.json()


async def deliveries(server: Server) -> Json:
    """Return the deliveries of the only alert, by target; none before it fired."""
    alerts = (await ask(server, "GET", "/api/alerts"))["alerts"]
    assert len(alerts) <= 1
    return {each["target"]: each for alert in alerts for each in alert["deliveries"]}


async def until(read: Callable[[], Awaitable[Json]], is_so: Callable[[Json], bool]) -> Json:
    """Read something until it is so, and return it."""
    async with asyncio.timeout(40):
        while not is_so(found := await read()):
            await asyncio.sleep(0.05)
    return found


async def test_an_alert_survives_a_kill_and_verifies_at_its_receiver(tmp_path: Path) -> None:
    """A price crosses: the rule fires once, and is delivered after failures and a kill -9, through Apprise as well."""
    async with (
        receiving() as hook,
        receiving() as phone,
        sandbox_process(SandboxOptions(events=3, latency_ms=0, move=0, markets=10, bookmakers=FIRST_THREE)) as sandbox,
    ):
        hook.status = 500
        settings = {
            **at(sandbox.urls),
            "alerts_allow_private": "true",
            "alerts_retry_seconds": 0.1,
            "refresh_cooldown_seconds": 0,
        }
        async with served(tmp_path, settings) as server:
            await curl(server, "/api/scrape/stream")
            page = await ask(server, "GET", "/api/events?include_started=true")
            event = next(
                each
                for each in page["events"]
                if each["sportradar_id"] and each["bookmakers"][0]["bookmaker_slug"] == "betpawa"
            )

            refresh = f"/api/events/{event['id']}/refresh"

            async def set_price(odds: float) -> None:
                change = {**HOME, "sportradar_id": event["sportradar_id"], "odds": odds}
                async with (
                    aiohttp.ClientSession() as session,
                    session.post(f"{sandbox.urls[Platform.BETPAWA]}/_sandbox/odds", json=change) as response,
                ):
                    assert response.status == 200, await response.text()
                await ask(server, "POST", refresh)

            await set_price(2.0)
            target = {"kind": "webhook", "name": "hook", "url": f"{hook.url}/hook"}
            webhook = await ask(server, "POST", "/api/alerts/targets", target)
            target = {"kind": "apprise", "name": "phone", "url": f"{phone.url.replace('http', 'json')}/phone"}
            apprise = await ask(server, "POST", "/api/alerts/targets", target)
            when = {
                "kind": "price",
                "event_id": event["id"],
                "market": "1x2_ft",
                "outcome": "1",
                "bookmaker": "betpawa",
                "over": 2.5,
            }
            body = {"name": "home", "when": when, "targets": [webhook["id"], apprise["id"]]}
            await ask(server, "POST", "/api/alerts/rules", body)
            assert (await ask(server, "GET", "/api/alerts"))["alerts"] == []
            await set_price(3.0)
            await until(partial(deliveries, server), lambda found: found.get("hook", {}).get("attempts", 0) >= 2)
            server.process.kill()
            await server.process.wait()
        attempts = len(hook.requests)
        hook.status = 200
        async with served(tmp_path, settings) as server:
            requests = await hook.until(attempts + 1)
            await phone.until(1)
            found = await until(
                partial(deliveries, server), lambda found: {each["state"] for each in found.values()} == {"delivered"}
            )
            # The price is still beyond: neither the restart nor another fetch fires again.
            await ask(server, "POST", refresh)
            assert len((await ask(server, "GET", "/api/alerts"))["alerts"]) == 1
    assert found["hook"]["attempts"] >= 3
    assert {request.headers["Quart-Odds-Id"] for request in requests} == {orjson.loads(requests[0].body)["id"]}
    assert {request.body for request in requests} == {requests[0].body}
    assert verify()(webhook["secret"], requests[-1].headers, requests[-1].body)
    data = orjson.loads(requests[-1].body)["data"]
    assert (data["event_id"], data["odds"], data["over"]) == (event["id"], 3.0, 2.5)
    assert "at BetPawa is 3.00, over 2.5" in orjson.loads(phone.requests[0].body)["message"]
