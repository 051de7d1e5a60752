"""The topic `opportunities` in a running app."""

import asyncio
from datetime import timedelta
from pathlib import Path

from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from tests.apps import running_app
from tests.odds.making import header, key, mapped

NOWHERE = "http://127.0.0.1:9"
OVER, UNDER = key("over_under_ft", "Over", 2.5), key("over_under_ft", "Under", 2.5)


async def test_a_listener_is_told_what_a_fetch_brings_and_the_api_lists_it(tmp_path: Path) -> None:
    """Nobody asks for a search: the app does it when odds change."""
    async with running_app(tmp_path, NOWHERE) as app, asyncio.timeout(30):
        service, now = app.parts.odds_service, utc_now()
        async with app.client.websocket("/api/ws?topics=opportunities") as live:
            assert (await live.receive_json())["data"]["topics"] == ["opportunities"]
            for platform, odds in ((Platform.BETPAWA, {OVER: 2.1}), (Platform.SPORTYBET, {UNDER: 2.1})):
                await service.record(mapped(header(platform, kickoff=now + timedelta(hours=2)), odds), now)
            message = await live.receive_json()
        listed = await app.get("/api/opportunities")
    assert (message["type"], message["data"]["change"], message["data"]["margin"]) == ("opportunity", "appeared", 5.0)
    (found,) = listed["opportunities"]
    assert found["first_seen_at"] == message["data"]["first_seen_at"]
