"""A WebSocket in place of the server's for the topic `odds`: images of what the API says, and changes that a test makes."""

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import orjson
from playwright.async_api import Page, WebSocketRoute

from quart_odds.domain.clock import iso_z, utc_now
from tests.server.serving import Server

Json = dict[str, Any]
EPOCH = "0ddba11"


class OddsLine:
    """Answers a page's filters with the events of the API. `filters` has all filters, `events` what was sent last."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.filters: list[Json] = []
        self.events: dict[int, Json] = {}
        self.images = 0
        self._route: WebSocketRoute | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._seq = 0

    async def attach(self, page: Page) -> None:
        """Take the place of the server for this page, which has to be loaded afterwards."""
        await page.route_web_socket("**/api/ws*", self._open)

    def _open(self, route: WebSocketRoute) -> None:
        self._route = route
        route.on_message(lambda text: self._later(orjson.loads(text)))
        self.send("connection_ack", {"topics": [], "recovered": True, "epoch": EPOCH})
        query = {name: values[0] for name, values in parse_qs(urlsplit(route.url).query).items()}
        if "odds" in query.get("topics", "").split(","):
            ids = [int(each) for each in query["event_id"].split(",")]
            self._start(self._image({"event_id": ids, "market": query["market"]}))

    def _later(self, message: Json) -> None:
        if message["type"] == "subscribe":
            self.send("subscription_update", {"topics": ["odds"], "filter": message["filter"]})
            self._start(self._image(message["filter"]))

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _image(self, filtered: Json) -> None:
        self.filters.append(filtered)
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            for number in filtered["event_id"]:
                async with session.get(f"{self.server.url}/api/events/{number}") as answer:
                    event = await answer.json()
                del event["best_prices"]
                market = filtered.get("market", "main")
                for each in event["markets_by_bookmaker"]:
                    if market not in ("main", "all"):
                        each["markets"] = [one for one in each["markets"] if one["betpawa_market_id"] in market]
                self.events[number] = event
        self.send(
            "odds_image",
            {"events": [self.events[each] for each in filtered["event_id"]], "final": True, "scope": "all"},
        )
        self.images += 1

    def send(self, kind: str, data: Json) -> None:
        """Send a message with a cursor."""
        assert self._route is not None
        self._seq += 1
        message = {"type": kind, "timestamp": iso_z(utc_now()), "data": data, "id": f"{EPOCH}-{self._seq}"}
        self._route.send(orjson.dumps(message).decode())

    def change(self, number: int, source: str, seen_at: str, *changes: Json) -> None:
        """Send a change of prices. Fields that are not given are those of an active plain 1X2 price."""
        usual = {"market_id": "3743", "line": None, "previous": 2.0, "is_active": True, "available": True}
        usual |= {"promotion": None, "market_promotion": None}
        data = {"event_id": number, "sportradar_id": None, "source": source, "seen_at": seen_at}
        self.send("odds_change", data | {"source_changed_at": None, "changes": [usual | each for each in changes]})
