"""Clean-ups: when they are due after restarts, upgrades and jumps of the clock."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete
from structlog.testing import capture_logs

from quart_odds.domain.platforms import Platform
from quart_odds.errors import RunStateError, StorageError
from quart_odds.odds import OddsService
from quart_odds.odds.retention import Ages, Removal
from quart_odds.scraping import maintenance as module
from quart_odds.scraping.maintenance import FIRST_CLEAN_UP_AFTER, RETRY_SECONDS, START_SECONDS, Maintenance
from quart_odds.scraping.runtime_settings import PreferenceChanges, RuntimeSettings
from quart_odds.scraping.scheduler import Scheduler
from quart_odds.settings import load_settings
from quart_odds.storage import Store, open_store
from quart_odds.storage.tables import notes
from tests.odds.making import NOW, header, mapped

DAY = timedelta(days=1)


class Life:
    """Runs maintenance from a start to a stop, with a clock and sleeps that the test controls."""

    def __init__(self, store: Store) -> None:
        self.now = NOW
        self.store = store
        self.sleeps: list[float] = []
        self.asked = asyncio.Condition()
        self.wake = asyncio.Event()
        self.odds_service = OddsService(store, clock=lambda: self.now)

    async def sleep(self, seconds: float) -> None:
        async with self.asked:
            self.sleeps.append(seconds)
            self.asked.notify_all()
        await self.wake.wait()
        self.wake.clear()

    async def slept(self, times: int) -> float:
        """Wait until `sleep` has been called this many times, and return the seconds of the last call."""
        async with asyncio.timeout(10), self.asked:
            await self.asked.wait_for(lambda: len(self.sleeps) >= times)
        return self.sleeps[times - 1]

    @contextlib.asynccontextmanager
    async def started(self, now: datetime) -> AsyncIterator[Maintenance]:
        self.now = now
        self.sleeps.clear()
        self.odds_service = OddsService(self.store, clock=lambda: self.now)
        await self.odds_service.load()
        preferences = RuntimeSettings(load_settings({}), self.store, now=lambda: self.now)

        async def no_run() -> None:
            raise AssertionError("no run is due")

        keeping = Maintenance(
            self.store,
            self.odds_service,
            preferences,
            Scheduler(no_run, interval_minutes=0),
            Scheduler(no_run, interval_minutes=0),
            now=lambda: self.now,
        )
        await keeping.open()
        try:
            yield keeping
        finally:
            await keeping.close()
            await self.odds_service.close()


@pytest.fixture
async def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Life]:
    store = await open_store(f"sqlite:///{tmp_path / 'odds.db'}")
    made = Life(store)

    class Patient:
        def __getattr__(self, name: str) -> Any:
            return getattr(asyncio, name)

        sleep = staticmethod(made.sleep)

    monkeypatch.setattr(module, "asyncio", Patient())
    yield made
    await store.aclose()


async def old_event(life: Life) -> None:
    """Record an event that was over about a hundred days ago, by the test's clock."""
    long_ago = life.now - 100 * DAY
    await life.odds_service.record(mapped(header(Platform.BETPAWA, kickoff=long_ago + timedelta(hours=1))), long_ago)
    await life.odds_service.confirm()


async def upgraded(life: Life) -> None:
    """Leave the database as an upgrade does: without a state of clean-ups."""
    async with life.store.database.writing() as connection:
        await connection.execute(delete(notes))


async def test_a_server_that_is_restarted_every_day_cleans_up_every_day(life: Life) -> None:
    """If the last clean-up was a day ago, a start cleans up soon; otherwise it waits for the rest of the day."""
    async with life.started(NOW):
        await old_event(life)
        assert await life.slept(1) == START_SECONDS
        life.wake.set()
        assert await life.slept(2) == DAY.total_seconds()
        assert life.odds_service.cache.events == {}
    async with life.started(NOW + timedelta(hours=20)):
        assert await life.slept(1) == timedelta(hours=4).total_seconds()
    async with life.started(NOW + timedelta(hours=30)):
        assert await life.slept(1) == START_SECONDS


async def test_the_first_clean_up_after_an_upgrade_is_announced_and_waits_for_a_day(life: Life) -> None:
    """What would be removed is logged, nothing is removed, and restarts neither advance nor delay the clean-up."""
    async with life.started(NOW):
        await old_event(life)
    await upgraded(life)
    with capture_logs() as logs:
        async with life.started(NOW):
            assert await life.slept(1) == FIRST_CLEAN_UP_AFTER.total_seconds()
    announced = next(each for each in logs if each["event"] == "clean_up.announced")
    assert (announced["events"], announced["openings"], announced["runs"]) == (1, 1, 0)
    async with life.started(NOW + timedelta(hours=18)):
        assert await life.slept(1) == timedelta(hours=6).total_seconds()
        assert await life.odds_service.served.find(1) is not None
    async with life.started(NOW + timedelta(hours=25)):
        assert await life.slept(1) == START_SECONDS
        life.wake.set()
        assert await life.slept(2) == DAY.total_seconds()
        assert await life.odds_service.served.find(1) is None


async def test_a_clock_that_jumps_makes_no_clean_up_wait_longer_than_the_interval(life: Life) -> None:
    """This holds even if the clock was a year ahead at the last clean-up."""
    async with life.started(NOW + 365 * DAY) as keeping:
        await keeping.clean_up()
    async with life.started(NOW):
        assert await life.slept(1) == DAY.total_seconds()


async def test_no_more_is_removed_than_was_agreed_to(life: Life) -> None:
    """With an outdated preview nothing is removed, and the error has the current numbers, which are logged first."""
    async with life.started(NOW) as keeping:
        await old_event(life)
        with pytest.raises(RunStateError, match="would remove 1 events"):
            await keeping.clean_up(Removal(events=0, history_rows=100, runs=0))
        assert await life.odds_service.served.find(1) is not None
        with capture_logs() as logs:
            await keeping.clean_up(Removal(events=1, history_rows=100, runs=0))
        assert await life.odds_service.served.find(1) is None
    published = [(each["event"], each.get("events")) for each in logs if each["event"].startswith("clean_up.")]
    assert published == [("clean_up.begins", 1), ("clean_up.done", 1)]


async def test_an_interval_that_is_changed_counts_at_once(life: Life) -> None:
    """It counts from the last clean-up, not from the change."""
    async with life.started(NOW) as keeping:
        await keeping.clean_up()
        await keeping._preferences.change(PreferenceChanges.model_validate({"cleanup_frequency_hours": 2}))
        assert await life.slept(len(life.sleeps) + 1) == timedelta(hours=2).total_seconds()


async def test_a_process_that_only_reads_leaves_clean_ups_to_the_writer(life: Life) -> None:
    """A reader announces nothing and removes nothing."""
    await upgraded(life)
    other = await open_store(life.store.database.url.render_as_string().replace("+aiosqlite", ""))
    assert await other.database.take_writer_lock()
    with capture_logs() as logs:
        async with life.started(NOW):
            assert await life.slept(1) == RETRY_SECONDS
    await other.aclose()
    assert not [each for each in logs if each["event"] == "clean_up.announced"]


async def test_a_clean_up_goes_on_though_its_client_has_left(life: Life) -> None:
    """Cancelling the request does not leave a clean-up half done."""
    async with life.started(NOW) as keeping:
        await old_event(life)
        request = asyncio.create_task(keeping.clean_up())
        await asyncio.sleep(0)
        request.cancel()
        await asyncio.wait([request])
        async with asyncio.timeout(10):
            while keeping._owned:
                await asyncio.sleep(0.001)
        state = await life.store.clean_up_state()
        assert state is not None
        assert state.last_at == NOW
        assert await life.odds_service.served.find(1) is None


async def test_a_clean_up_that_fails_is_recorded_as_failed(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason. It is tried again, since none has been done."""

    async def broken(*_: object) -> Removal:
        raise StorageError("the disk is full")

    async with life.started(NOW) as keeping:
        monkeypatch.setattr(life.odds_service, "remove_old", broken)
        with pytest.raises(StorageError, match="the disk is full"):
            await keeping.clean_up()
    [failed], total = await life.store.clean_ups(limit=5)
    assert (failed.status, failed.error, failed.trigger, total) == ("failed", "the disk is full", "scheduled", 1)
    state = await life.store.clean_up_state()
    assert state is None or state.last_at is None


async def test_a_clean_up_of_older_things_does_not_stand_for_the_one_that_is_due(life: Life) -> None:
    """One that removes at least as much as the settings do counts as theirs."""
    async with life.started(NOW) as keeping:
        for ages, last_at in ((Ages(60, 30), None), (Ages(20, 30), NOW)):
            await keeping.clean_up(ages=ages, trigger="manual", requested_by="this machine")
            state = await life.store.clean_up_state()
            assert state is not None
            assert state.last_at == last_at


async def test_a_clean_up_that_a_stop_has_interrupted_is_told_as_failed(life: Life) -> None:
    """By the next process that plans one."""
    await life.store.begin_clean_up("scheduled", "the schedule", Ages(30, 30), NOW)
    async with life.started(NOW + DAY):
        await life.slept(1)
        [lost], _ = await life.store.clean_ups(limit=5)
        assert (lost.status, lost.completed_at) == ("failed", NOW + DAY)
