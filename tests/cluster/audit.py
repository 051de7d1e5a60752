"""Checks that a cluster keeps its promises through faults: nothing acknowledged is lost, nothing comes twice, and every
gap is told. Listeners move between the processes and requests are sent all the time; the verdict comes at the end.

    async with audited(processes, seed=seed) as audit:
        ...  # a fault
        await audit.recovered()
    # raises AssertionError unless all promises were kept
"""

import asyncio
import os
import random
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import pytest

from quart_odds.broadcast.engines.clients import end_tasks
from quart_odds.cluster import open_redis
from tests.cluster.listening import ODDS, PLAIN, LogReader, MovingListener, SseListener, WebSocketListener, new_log
from tests.cluster.load import Load
from tests.cluster.several import Cluster
from tests.cluster.verdict import Figures, Judge
from tests.server.serving import Json, Server
from tests.server.test_two_servers import ask, until_ready
from tests.websocket.copies import prices_of

RECOVER_SECONDS = 60.0
WORKERS_ASKED = 4
WHOLE_RUN = ("completed", "partial")
FIFTY = (pytest.mark.endurance, pytest.mark.timeout(5400))
"""The marks of tests in which a fault happens fifty times."""


def chosen_seed() -> int:
    """Return a new seed, or the one in QUART_ODDS_TEST_SEED, which repeats the random choices of a run."""
    given = os.environ.get("QUART_ODDS_TEST_SEED")
    return int(given) if given else secrets.randbelow(1 << 32)


class Audit:
    """The listeners and the load on a cluster, and what is checked of them."""

    def __init__(self, processes: Cluster, seed: int, *, listeners: int) -> None:
        self.randomness = random.Random(seed)
        self.faults = 0
        self.plain_log, self.odds_log = new_log(), new_log()
        self.load = Load(self._pick, self.randomness)
        self.listeners: list[MovingListener] = []
        for number in range(listeners):
            make = (WebSocketListener, SseListener)[number % 2]
            query, log = (ODDS, self.odds_log) if number % 4 > 1 else (PLAIN, self.plain_log)
            self.listeners.append(make(f"listener {number} ({make.__name__})", query, self._pick, log, self.randomness))
        self._processes = processes
        self._reader = LogReader(lambda: open_redis(processes.engine_url), self.plain_log)
        self._tasks: list[asyncio.Task[None]] = []
        self._began = time.monotonic()

    @property
    def plain(self) -> list[MovingListener]:
        """The listeners of the progress and the notices."""
        return [each for each in self.listeners if not each.has_image]

    @property
    def _shown(self) -> list[Server]:
        """Where to look. Workers on one address are asked several times, so that all of them are."""
        servers = self._processes.servers
        return servers if len(servers) > 1 else servers * WORKERS_ASKED

    def _pick(self) -> Server:
        return self.randomness.choice(self._processes.servers)

    async def pause(self, least: float = 0.1, most: float = 1.5) -> None:
        """Wait for a random time, in which the load goes on."""
        await asyncio.sleep(self.randomness.uniform(least, most))
        self._check_tasks()

    @asynccontextmanager
    async def going(self) -> AsyncIterator[None]:
        """Listen and send requests during the block."""
        sent = [self._reader.read(), self.load.send(), *(each.move() for each in self.listeners)]
        self._tasks = [asyncio.create_task(each) for each in sent]
        try:
            yield
            self._check_tasks()
        finally:
            await end_tasks(*self._tasks)

    def _check_tasks(self) -> None:
        for each in self._tasks:
            if each.done():
                each.result()

    async def until(self, condition: Callable[[], bool], words: Callable[[], str]) -> None:
        """Wait for a condition. AssertionError with these words if it does not come."""
        until = time.monotonic() + RECOVER_SECONDS
        while not condition():
            self._check_tasks()
            assert time.monotonic() < until, words()
            await asyncio.sleep(0.02)

    async def recovered(self) -> None:
        """Return when the cluster is whole: every process is ready, and every listener hears of a new run to its end.

        Then everything is checked that must be true at any such moment.
        """
        self.faults += 1
        await self._ready()
        async with self.load.paused():
            run_id = await self.load.run()
            await self.until(
                lambda: all(run_id in each.ended for each in self.plain),
                lambda: (
                    f"run {run_id} did not end for {[each.name for each in self.plain if run_id not in each.ended]}"
                ),
            )
            await self._ready()
            await self._check_settings()
            shown = await self._processes.same_events(*self._shown)
            self._check_refreshed(shown)

    async def _ready(self) -> None:
        for each in self._shown:
            await until_ready(each, 200)

    async def _check_settings(self) -> None:
        values: list[int] = []

        async def are_right() -> bool:
            values[:] = [(await ask(each, "/api/settings"))[1]["oddsRetentionDays"] for each in self._shown]
            return len(set(values)) == 1 and self.load.is_possible(values[0])

        try:
            await self._processes.until(are_right)
        except TimeoutError:
            raise AssertionError(f"the setting is {values}; {self.load.settings()}") from None

    def _check_refreshed(self, shown: dict[int, Json]) -> None:
        for (event_id, platform), sent in self.load.refreshed.items():
            assert event_id in shown, f"event {event_id}, which was refreshed, is gone"
            [at] = [
                datetime.fromisoformat(each["snapshot_time"]).timestamp()
                for each in shown[event_id]["markets_by_bookmaker"]
                if each["bookmaker_slug"] == platform
            ]
            assert at > sent - 0.001, f"a refresh of event {event_id} at {platform} is lost: its odds are of {at}"

    async def verdict(self) -> Figures:
        """Check everything that was told and promised. `going` is still on."""
        async with self.load.paused():
            rows = await self._check_runs()
            shown = await self._processes.same_events(*self._shown)
            await self._check_copies(shown)
            async with self._processes.apart() as other:
                await self._check_database(shown, other)
        figures = Figures()
        for each in self.listeners:
            log = self.odds_log if each.has_image else self.plain_log
            figures.add(Judge(each.name, log, has_image=each.has_image).judge(each.heard))
        self._check_ends(rows)
        return figures

    async def _check_copies(self, shown: dict[int, Json]) -> None:
        wanted = {event_id: prices_of(event["markets_by_bookmaker"]) for event_id, event in shown.items()}
        for each in self.listeners:
            if each.has_image:
                await self.until(
                    lambda each=each: {event_id: it.prices for event_id, it in each.copy.events.items()} == wanted,  # type: ignore[misc]
                    lambda each=each: f"{each.name}: its copy of the odds is not what the processes show",  # type: ignore[misc]
                )

    async def _check_runs(self) -> dict[int, Json]:
        """Return all runs by their ids, once each of them has ended."""
        rows: dict[int, Json] = {}
        running: list[int] = []

        async def all_ended() -> bool:
            rows.clear()
            rows.update(await self._runs())
            running[:] = [each["id"] for each in rows.values() if each["status"] == "running"]
            return not running

        try:
            await self._processes.until(all_ended)
        except TimeoutError:
            raise AssertionError(f"these runs have no end: {running}") from None
        return rows

    async def _runs(self) -> dict[int, Json]:
        rows: dict[int, Json] = {}
        server = self._pick()
        while page := (await ask(server, f"/api/scrape/runs?limit=100&offset={len(rows)}"))[1]:
            for each in page:
                assert each["id"] not in rows, f"run {each['id']} is there twice"
                rows[each["id"]] = each
        lost = self.load.runs - rows.keys()
        assert not lost, f"these runs were acknowledged and are lost: {sorted(lost)}"
        return rows

    async def _check_database(self, shown: dict[int, Json], other: Server) -> None:
        stored = await self._processes.events(other)
        assert stored.keys() == shown.keys(), f"the database lacks {shown.keys() ^ stored.keys()}"
        for event_id, event in shown.items():
            there, here = prices_of(stored[event_id]["markets_by_bookmaker"]), prices_of(event["markets_by_bookmaker"])
            different = {place for place in there.keys() | here.keys() if there.get(place) != here.get(place)}
            assert not different, f"event {event_id}: the database has other prices than the processes: {different}"

    def _check_ends(self, rows: dict[int, Json]) -> None:
        for run_id in sorted(self.load.runs):
            phase = "completed" if rows[run_id]["status"] in WHOLE_RUN else "failed"
            told: dict[str, set[int]] = defaultdict(set)
            for each in self.plain:
                ends = each.ended.get(run_id, {})
                assert ends, f"{each.name} was not told the end of run {run_id}, which is {rows[run_id]['status']}"
                for (epoch, seq), progress in ends.items():
                    told[epoch].add(seq)
                    assert progress["phase"] == phase, (
                        f"{each.name}: run {run_id} is {rows[run_id]['status']}: {progress}"
                    )
            twice = {epoch: seqs for epoch, seqs in told.items() if len(seqs) > 1}
            assert not twice, f"run {run_id} ended more than once: {twice}"

    def summary(self, figures: Figures) -> str:
        """Return the figures in a line."""
        return (
            f"{self.faults} faults, {len(self.load.runs)} runs, {len(self.load.refreshed)} prices refreshed, "
            f"{sum(bool(each.is_done) for each in self.load.changes)} settings, {self.load.refused} refusals; "
            f"{figures.messages} messages on {figures.connections} connections, {figures.gaps} gaps told "
            f"({figures.missed} messages), {sum(each.degraded for each in self.listeners)} times degraded; "
            f"{time.monotonic() - self._began:.0f} s"
        )


@asynccontextmanager
async def audited(processes: Cluster, *, seed: int, listeners: int = 6) -> AsyncIterator[Audit]:
    """Audit a cluster during the block, and check everything at its end. Prints the figures.

    The cluster has completed a run before, so that there are events. `seed` repeats the random choices.
    """
    audit = Audit(processes, seed, listeners=listeners)
    try:
        async with audit.going():
            await audit.until(
                lambda: all(each.heard for each in audit.listeners), lambda: "not all listeners are heard"
            )
            yield audit
            figures = await audit.verdict()
    except AssertionError as error:
        error.add_note(f"seed {seed}, after {audit.faults} faults")
        raise
    print(audit.summary(figures))
