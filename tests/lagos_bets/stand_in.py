"""A stand-in for Lagos Bets' API: one league with two events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

LEAGUE = {"id": "npfl", "name": "Premier League", "country": "Nigeria", "size": 2}


def event(external_id: str, sportradar: str, home: str, away: str) -> dict[str, Any]:
    """Return an event that starts tomorrow, with the markets that lists have."""
    starts = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    return {
        "id": external_id,
        "sportradar": sportradar,
        "home": home,
        "away": away,
        "starts": starts.isoformat(),
        "league": LEAGUE,
        "markets": [
            {"code": "RESULT", "open": True, "prices": {"home": 2.1, "draw": 3.2, "away": 3.75}},
            {"code": "GOALS", "line": 2.5, "open": True, "prices": {"over": 1.9, "under": "1.95"}},
            {"code": "CORNERS", "name": "Corners", "open": True, "prices": {"over": 1.8, "under": 1.9}},
        ],
    }


EVENTS = {
    each["id"]: each
    for each in (event("901", "70000901", "Enyimba", "Kano Pillars"), event("902", "70000902", "Rivers", "Plateau"))
}


@asynccontextmanager
async def lagos_bets() -> AsyncIterator[str]:
    """Run the API on a free port, and return its address."""

    async def leagues(_: web.Request) -> web.Response:
        return web.json_response({"leagues": [LEAGUE]})

    async def events(request: web.Request) -> web.Response:
        return web.json_response({"events": list(EVENTS.values()) if request.query["league"] == "npfl" else []})

    async def one(request: web.Request) -> web.Response:
        return web.json_response(EVENTS[request.match_info["id"]])

    app = web.Application()
    app.add_routes([web.get("/v1/leagues", leagues), web.get("/v1/events", events), web.get("/v1/events/{id}", one)])
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")
