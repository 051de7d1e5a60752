"""The watch over the database: when it samples, and what it reports."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from quart_odds.odds.stored_data import StorageSample, size_words
from quart_odds.scraping.storage_watch import StorageWatch
from quart_odds.storage import Store, open_store
from tests.odds.making import NOW

DAY = timedelta(days=1)
MEGABYTE = 1_000_000


class Watched:
    """A watch over a real store, whose size, clock, newest odds and schedule the test sets."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = NOW
        self.bytes = 200 * MEGABYTE
        self.newest: datetime | None = None
        self.is_scheduled = True
        self.store = store
        monkeypatch.setattr(store, "measure", self._measure)
        monkeypatch.setattr(store, "newest_odds_at", self._newest)
        self.watch = StorageWatch(store, lambda: self.is_scheduled, now=lambda: self.now)

    async def _measure(self, at: datetime) -> StorageSample:
        return StorageSample(at, self.bytes)

    async def _newest(self) -> datetime | None:
        return self.newest

    async def look(self, after: timedelta = timedelta(), megabytes: int | None = None) -> list[str]:
        """Look after some time, and return the kinds of the open alerts."""
        self.now += after
        if megabytes is not None:
            self.bytes = megabytes * MEGABYTE
        await self.watch.look()
        return sorted(each.kind for each in await self.store.storage_alerts(limit=9, is_open=True))


@pytest.fixture
async def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    store = await open_store(f"sqlite:///{tmp_path / 'odds.db'}")
    assert await store.take_writer_lock()
    yield Watched(store, monkeypatch)
    await store.aclose()


async def test_the_size_is_sampled_once_a_day(watched: Watched) -> None:
    """At a start, too, if the last sample is a day old. A sample of the future counts as none."""
    for after, count in ((timedelta(), 1), (DAY / 2, 1), (DAY / 2, 2), (-5 * DAY, 3)):
        await watched.look(after)
        assert (await watched.store.samples(limit=9))[1] == count


async def test_fast_growth_is_reported_until_it_ends(watched: Watched) -> None:
    """Over a fifth in a day; what grew in two days is not said of one. It is reported once."""
    assert await watched.look(megabytes=200) == []
    assert await watched.look(2 * DAY, 270) == []
    assert await watched.look(DAY, 330) == ["growth_warning"]
    assert await watched.look(DAY, 400) == ["growth_warning"]
    [alert] = await watched.store.storage_alerts(limit=9)
    assert (alert.message, alert.previous_bytes) == (
        "The database grew by 22 % in a day, to 330 MB.",
        270 * MEGABYTE,
    )
    assert await watched.look(DAY, 410) == []
    [alert] = await watched.store.storage_alerts(limit=9)
    assert alert.resolved_at == watched.now


async def test_a_small_database_may_grow_and_a_large_one_is_reported(watched: Watched) -> None:
    """A new one doubles every few minutes."""
    assert await watched.look(megabytes=1) == []
    assert await watched.look(DAY, 90) == []
    assert await watched.look(100 * DAY, 50_001) == ["growth_warning", "size_critical"]
    assert await watched.look(DAY, 50_002) == ["size_critical"]


async def test_odds_that_get_old_are_reported_while_something_is_scheduled(watched: Watched) -> None:
    """Every hour, and not without odds, or while nothing would renew them."""
    assert await watched.look() == []
    watched.newest = NOW
    assert await watched.look(DAY) == []
    assert await watched.look(DAY / 24) == ["freshness_warning"]
    watched.is_scheduled = False
    assert await watched.look() == []
    watched.is_scheduled = True
    assert await watched.look() == ["freshness_warning"]
    watched.newest = watched.now
    assert await watched.look() == []


async def test_a_process_that_does_not_write_looks_at_nothing(watched: Watched) -> None:
    """The one that writes does."""
    watched.store.database.term = None
    await watched.watch.look()
    assert (await watched.store.samples(limit=9))[1] == 0


def test_shrinking_is_negative_growth() -> None:
    """And growth from nothing is none."""
    sample = StorageSample(NOW, 100)
    assert replace(sample, total_bytes=50, sampled_at=NOW + 2 * DAY).growth_percent(sample) == -25
    assert sample.growth_percent(replace(sample, total_bytes=0)) == 0


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 KB"),
        (999_400, "999 KB"),
        (999_600, "1.0 MB"),
        (12_500_000, "12.5 MB"),
        (250e9, "250 GB"),
        (5e15, "5000 TB"),
    ],
)
def test_sizes_are_put_in_words(count: float, words: str) -> None:
    """In powers of 1,000."""
    assert size_words(int(count)) == words
