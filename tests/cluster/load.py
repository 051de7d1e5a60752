"""Requests that change something, at random processes, and what their answers promised."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from quart_odds.cluster.commands import EXPIRY_MS, NOT_CARRIED_OUT
from tests.server.serving import Json, Server

PAUSE_SECONDS = (0.05, 0.8)
ANSWER_SECONDS = 15.0
FIRST_VALUE = 31
LAST_VALUE = 3650
"""The setting that is changed: for how many days odds are kept. Nothing is as old as the least of these."""


@dataclass
class Change:
    """A change of the setting. `is_done` is None if it is not known whether the server carried it out."""

    value: int
    sent: float
    answered: float
    is_done: bool | None


class Load:
    """Starts runs, refreshes events and changes a setting, one request of each kind at a time.

    `runs` has the ids of acknowledged runs, `refreshed` when the last acknowledged refresh of an event at a bookmaker
    was sent (seconds since 1970), `changes` the changes of the setting in order.
    """

    def __init__(self, pick: Callable[[], Server], randomness: random.Random) -> None:
        self.runs: set[int] = set()
        self.refreshed: dict[tuple[int, str], float] = {}
        self.changes: list[Change] = []
        self.refused = 0
        self._pick = pick
        self._randomness = randomness
        self._may_send = asyncio.Event()
        self._may_send.set()
        self._sending = 0
        self._events: list[int] = []

    async def send(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as group:
            for each in (self._start, self._refresh, self._change):
                group.create_task(self._repeat(each))

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Send nothing during the block. It begins when all requests have been answered."""
        self._may_send.clear()
        try:
            async with asyncio.timeout(2 * ANSWER_SECONDS):
                while self._sending:
                    await asyncio.sleep(0.02)
            yield
        finally:
            self._may_send.set()

    async def run(self) -> int:
        """Start a run, as soon as a process takes it, and return its id."""
        async with asyncio.timeout(4 * ANSWER_SECONDS):
            while (run_id := await self._start()) is None:
                await asyncio.sleep(0.1)
        return run_id

    async def _repeat(self, send: Callable[[], Any]) -> None:
        while True:
            await asyncio.sleep(self._randomness.uniform(*PAUSE_SECONDS))
            # Before this wakes up, the next pause may have begun.
            while not self._may_send.is_set():
                await self._may_send.wait()
            self._sending += 1
            try:
                await send()
            finally:
                self._sending -= 1

    async def _start(self) -> int | None:
        status, body = await self._ask("POST", "/api/scrape")
        if status != 202:
            return None
        run_id = int(body["scrape_run_id"])
        assert run_id not in self.runs, f"two starts were answered with run {run_id}"
        self.runs.add(run_id)
        return run_id

    async def _refresh(self) -> None:
        if not self._events:
            _, page = await self._ask("GET", "/api/events?include_started=true&page_size=100")
            self._events = [each["id"] for each in page.get("events", ())]
            return
        sent = time.time()
        status, body = await self._ask("POST", f"/api/events/{self._randomness.choice(self._events)}/refresh")
        if status == 200:
            for platform in body["platforms_scraped"]:
                self.refreshed[body["event_id"], platform] = sent

    async def _change(self) -> None:
        change = Change(FIRST_VALUE + len(self.changes), time.monotonic(), float("inf"), None)
        assert change.value <= LAST_VALUE
        self.changes.append(change)
        status, body = await self._ask("PUT", "/api/settings", {"oddsRetentionDays": change.value})
        if status is not None:
            change.answered = time.monotonic()
        if status == 200:
            assert body["oddsRetentionDays"] == change.value, body
            change.is_done = True
        elif status == 503 and NOT_CARRIED_OUT in body["detail"]:
            change.is_done = False

    def is_possible(self, value: int) -> bool:
        """Return whether the last acknowledged change made the setting this, or one that came after it."""
        acknowledged, possible = self._values()
        return acknowledged is None or value == acknowledged or value in possible

    def settings(self) -> str:
        """Say what the setting may be."""
        acknowledged, possible = self._values()
        return f"acknowledged last was {acknowledged}, and possible are {possible}"

    def _values(self) -> tuple[int | None, list[int]]:
        done = [each for each in self.changes if each.is_done]
        if not done:
            return None, []
        last = done[-1]
        # One of which nothing is known may still be on its way to the writer, until its deadline.
        return last.value, [
            each.value
            for each in self.changes
            if each.is_done is None and max(each.answered, each.sent + EXPIRY_MS / 1000 + ANSWER_SECONDS) > last.sent
        ]

    async def _ask(self, method: str, path: str, body: Json | None = None) -> tuple[int | None, Json]:
        """Return the status and body of an answer; no status if there is no answer."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        try:
            server = self._pick()
            async with (
                aiohttp.ClientSession(headers=dict(server.headers), timeout=timeout) as session,
                session.request(method, f"{server.url}{path}", json=body) as answer,
            ):
                if answer.status >= 500:
                    assert answer.status == 503, f"{method} {path}: {answer.status} {await answer.text()}"
                    self.refused += 1
                return answer.status, await answer.json(content_type=None)
        except (aiohttp.ClientError, OSError):
            return None, {}
